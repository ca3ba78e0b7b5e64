"""Open a ledger's database by its URL: SQLite for one process, PostgreSQL for any number."""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import URL, Engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from kit.errors import LedgerError
from kit.ledger.peers import Peers
from kit.ledger.sqlite import open_file

_POSTGRES = ("postgresql", "postgresql+psycopg", "postgres")


@dataclass(frozen=True, slots=True)
class Engines:
    """The ways into one database, what tells of other processes, and what releases it all."""

    intake: Engine
    """Stores messages, waiting for nobody; on SQLite the same as `writing`."""
    writing: Engine
    """Decides: one transaction after the other, whatever the number of processes."""
    reading: Engine
    release: Callable[[], None]
    peers: Peers | None = None
    """None where no other process can write."""

    def close(self) -> None:
        """Close the connections, and give the database free."""
        for engine in {self.intake, self.writing, self.reading}:
            engine.dispose()
        self.release()


def open_engines(url: str) -> Engines:
    """
    Open `sqlite:///path`, relative to the working directory, or `postgresql+psycopg://…`.

    Raises LedgerInUse when another process owns the file, LedgerUnreadable when it is no ledger,
    and LedgerUnavailable when it cannot be opened or reached.
    """
    parsed = parse_url(url)
    if is_shared(parsed):
        # psycopg comes with an extra, and SQLite needs none of it.
        from kit.ledger.postgres import open_server

        intake, writing, reading, peers = open_server(parsed)
        return Engines(intake, writing, reading, release=peers.stop, peers=peers)
    writing, reading, release = open_file(parsed)
    return Engines(writing, writing, reading, release)


def parse_url(url: str) -> URL:
    """Read KIT_DATABASE_URL. Raises LedgerError; a password in it is not repeated."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise LedgerError("KIT_DATABASE_URL is no database URL; use sqlite:///kit.db") from None
    if parsed.drivername in _POSTGRES:
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername != "sqlite":
        raise LedgerError(
            "KIT_DATABASE_URL must be sqlite:///kit.db or postgresql+psycopg://user@host/database"
        )
    return parsed


def is_shared(url: URL) -> bool:
    """Tell whether several processes may use this database at once."""
    return url.drivername != "sqlite"
