"""
Open a ledger on PostgreSQL: any number of processes share it.

Messages are stored side by side. Decisions (mapping, claims, answers, returns) take turns under one
advisory lock, so that each sees all that was decided before it, as on SQLite's one connection.
"""

import logging
from importlib.util import find_spec
from typing import Any

from sqlalchemy import URL, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from kit.errors import LedgerError, LedgerUnavailable
from kit.ledger.peers import Peers
from kit.ledger.versions import prepare

LOCK = 0x6B6974
"""First half of the advisory lock's key; the second is the schema that holds the tables."""
STALLED_MS = 10_000
"""A process that stops inside a transaction is cut off after this, and its locks with it."""
LOCK_TIMEOUT_MS = 10_000
STATEMENT_TIMEOUT_MS = 30_000

_log = logging.getLogger(__name__)


def open_server(url: URL) -> tuple[Engine, Engine, Engine, Peers]:
    """
    Return the engines for intake, decisions and reading, and what tells of other processes.

    Raises LedgerError without the driver, LedgerUnavailable when the server cannot be reached, and
    LedgerUnreadable when the database is no ledger.
    """
    _need_driver()
    intake, writing = (_engine(url, pool_size=1, max_overflow=0) for _ in range(2))
    event.listen(writing, "begin", _take_turns)
    try:
        _check(writing)
    except BaseException:
        writing.dispose()
        raise
    reading = _engine(url, reading=True, pool_size=4)
    return intake, writing, reading, Peers(_engine(url, poolclass=NullPool))


def open_reading(url: URL) -> Engine:
    """Return an engine for reading alone. Raises LedgerError without the driver."""
    _need_driver()
    return _engine(url, reading=True, poolclass=NullPool)


def _need_driver() -> None:
    if find_spec("psycopg") is None:
        raise LedgerError(
            "PostgreSQL needs its driver: pip install 'dodo-datafast-kit[postgres]', "
            "or psycopg[binary] beside the kit"
        )


def _engine(url: URL, *, reading: bool = False, **pool: Any) -> Engine:
    engine = create_engine(
        url,
        pool_pre_ping=reading,  # a page should not show that the database was restarted
        **pool,
        hide_parameters=True,  # an error's text may end in a log, and they hold visitors
        connect_args={
            "connect_timeout": 5,
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": STALLED_MS,
        },
    )
    settings = {
        "application_name": "kit",
        "idle_in_transaction_session_timeout": str(STALLED_MS),
        "lock_timeout": str(LOCK_TIMEOUT_MS),
        "statement_timeout": str(STATEMENT_TIMEOUT_MS),
    }
    if reading:
        # All that one page shows is read as it was at one moment.
        settings |= {
            "default_transaction_read_only": "on",
            "default_transaction_isolation": "repeatable read",
        }

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: object) -> None:
        connection.autocommit = True
        with connection.cursor() as cursor:
            for name, value in settings.items():
                cursor.execute("SELECT set_config(%s, %s, false)", (name, value))
            # A 200 to Dodo promises that the event survives a power cut.
            cursor.execute(
                "SELECT set_config('synchronous_commit', 'on', false) "
                "WHERE current_setting('synchronous_commit') = 'off'"
            )
        connection.autocommit = False

    return engine


def _take_turns(connection: Any) -> None:
    connection.exec_driver_sql(
        "SELECT pg_advisory_xact_lock(%s, hashtext(current_schema()))", (LOCK,)
    )


def _check(engine: Engine) -> None:
    try:
        with engine.begin() as connection:
            connection.exec_driver_sql(
                "SET LOCAL statement_timeout = 0"
            )  # an upgrade may take long
            prepare(connection)
            if connection.exec_driver_sql("SHOW fsync").scalar() == "off":
                _log.warning(
                    "this PostgreSQL runs with fsync=off: after a power cut, events that were "
                    "answered with 200 may be gone"
                )
    except DBAPIError as problem:
        raise refused(problem) from None


def refused(problem: DBAPIError) -> LedgerUnavailable:
    """Say why the server did not do what was asked; libpq names no password."""
    cause = str(problem.orig).strip().partition("\n")[0]
    return LedgerUnavailable(f"cannot use the ledger's PostgreSQL: {cause}")
