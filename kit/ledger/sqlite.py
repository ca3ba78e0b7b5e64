"""Open a ledger in a SQLite file: one process owns it, one connection writes, others only read."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from kit.errors import LedgerError, LedgerInUse, LedgerUnavailable, LedgerUnreadable
from kit.ledger.versions import prepare

BUSY_TIMEOUT_MS = 2000


def open_file(url: URL) -> tuple[Engine, Engine, Callable[[], None]]:
    """
    Return the writing engine, the reading one, and what gives the file free.

    Raises LedgerInUse when another process owns the file, LedgerUnreadable when it is no ledger,
    and LedgerUnavailable when it cannot be opened.
    """
    path = file_of(url)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Created here, so that buyers' data is this user's alone.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as problem:
        raise LedgerUnavailable(f"cannot open the ledger {path.name}: {problem.strerror}") from None
    release = _own(path)
    try:
        writing = _writing_engine(path)
        _check(writing, path)
    except BaseException:
        release()
        raise
    return writing, reading_engine(path), release


def file_of(url: URL) -> Path:
    """Return the file of a `sqlite:///…` URL. Raises LedgerError for one without a file."""
    if url.database in (None, "", ":memory:"):
        raise LedgerError("KIT_DATABASE_URL must name a SQLite file: sqlite:///kit.db")
    return Path(str(url.database)).absolute()


def _own(path: Path) -> Callable[[], None]:
    """Hold a second small file exclusively: free again the moment this process is gone."""
    beside = path.with_name(path.name + ".owner")
    try:
        # Whoever may read it can hold it, and no server would start.
        with suppress(FileExistsError):
            os.close(os.open(beside, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as problem:
        raise LedgerUnavailable(f"cannot make {beside.name}: {problem.strerror}") from None
    try:
        lock = sqlite3.connect(beside, timeout=0, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as problem:
        raise LedgerUnavailable(f"cannot open {beside.name}: {problem}") from None
    try:
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.Error as problem:
        lock.close()
        if "locked" not in str(problem):
            raise LedgerUnavailable(f"cannot lock {beside.name}: {problem}") from None
        raise LedgerInUse(
            f"another process is using the ledger {path.name}: a SQLite ledger has one server. "
            "Stop the other one, or give this one its own file (KIT_DATABASE_URL); several "
            "processes can share a PostgreSQL (postgresql+psycopg://…)."
        ) from None
    return lock.close


def _writing_engine(path: Path) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        poolclass=QueuePool,
        pool_size=1,
        max_overflow=0,
        connect_args={"check_same_thread": False},
        hide_parameters=True,  # an error's text may end in a log, and they hold visitors
    )

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # the driver must not begin transactions of its own
        for pragma in (
            "synchronous=FULL",  # a 200 to Dodo promises that the event survives a power cut
            f"busy_timeout={BUSY_TIMEOUT_MS}",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        # A transaction that reads first and writes later can fail at once; this one cannot.
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def reading_engine(path: Path) -> Engine:
    """Return an engine that reads a file, whoever owns it."""
    # Read-only connections cannot checkpoint, which keeps clear of SQLite's WAL-reset race
    # (sqlite.org/wal.html, fixed in 3.51.3).
    engine = create_engine(
        URL.create(
            "sqlite", database=f"file:{quote(str(path))}", query={"mode": "ro", "uri": "true"}
        ),
        poolclass=QueuePool,
        pool_size=4,
        connect_args={"check_same_thread": False, "isolation_level": None},
        hide_parameters=True,
    )

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        # All that one page shows is read as it was at one moment.
        connection.exec_driver_sql("BEGIN")

    return engine


def _check(engine: Engine, path: Path) -> None:
    try:
        with engine.begin() as connection:
            prepare(connection)
        # Only now, because it writes to the file. A database in this mode stays in it.
        with closing(engine.raw_connection()) as raw:
            raw.cursor().execute("PRAGMA journal_mode=WAL")
    except (DBAPIError, sqlite3.Error) as problem:
        engine.dispose()
        raise refused(path, problem) from None
    except BaseException:
        engine.dispose()
        raise


def refused(path: Path, problem: Exception) -> LedgerError:
    """Say why SQLite did not take a file."""
    cause = str(getattr(problem, "orig", problem))
    if "not a database" in cause or "malformed" in cause:
        return LedgerUnreadable(
            f"{path.name} is not a readable SQLite database; it was left untouched. Restore a "
            f"backup, or save what can be read with: sqlite3 {path.name} .recover"
        )
    return LedgerUnavailable(f"cannot use the ledger {path.name}: {cause}")
