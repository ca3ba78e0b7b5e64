"""Look into a ledger that another process owns: nothing is made, locked or upgraded."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from kit.errors import LedgerError
from kit.ledger import sqlite
from kit.ledger.engine import is_shared, parse_url
from kit.ledger.versions import SCHEMA_VERSION, found_version


class LedgerOlder(LedgerError):  # noqa: N818 - a state, and the next server ends it
    """The tables are of an older version, which the next server brings up to date."""


@contextmanager
def reading(url: str) -> Iterator[Connection | None]:
    """
    Yield a connection that only reads, all as it was at one moment; None where no ledger is yet.

    Raises LedgerOlder, and what `Ledger.open` raises, but for LedgerInUse.
    """
    engine, refused = _open(url)
    if engine is None:
        yield None
        return
    try:
        with engine.connect() as connection:
            found = found_version(connection)
            if found is not None and found != SCHEMA_VERSION:
                raise LedgerOlder(
                    f"the ledger has schema {found}, and this kit reads {SCHEMA_VERSION}; "
                    "the next server that starts brings it up to date"
                )
            yield connection if found is not None else None
    except DBAPIError as problem:
        raise refused(problem) from None
    finally:
        engine.dispose()


def _open(url: str) -> tuple[Engine | None, Callable[[DBAPIError], LedgerError]]:
    parsed = parse_url(url)
    if is_shared(parsed):
        from kit.ledger import postgres  # psycopg comes with an extra

        return postgres.open_reading(parsed), postgres.refused
    path = sqlite.file_of(parsed)
    engine = sqlite.reading_engine(path) if path.exists() else None
    return engine, partial(sqlite.refused, path)
