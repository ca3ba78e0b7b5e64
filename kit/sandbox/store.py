"""A small JSON document store in SQLite: what the stand-ins remember between restarts."""

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from typing import Any

Document = dict[str, Any]

SCHEMA = """
CREATE TABLE IF NOT EXISTS documents (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    body TEXT NOT NULL,
    UNIQUE (kind, key)
)
"""


class Store:
    """Documents by kind and key, listed in the order in which they were first put.

    Calls are short (tens of microseconds) and made on the event loop's thread, so a handler that
    does not await between a read and a write has both to itself.
    """

    def __init__(self, database: str) -> None:
        """Remember the SQLite path or ":memory:"; nothing is opened yet."""
        self._database = database
        self._connection: sqlite3.Connection | None = None

    def open(self) -> None:
        """Open the database and create the table when it is missing."""
        connection = sqlite3.connect(self._database, isolation_level=None)
        # NORMAL survives a killed process, which is what a stand-in needs; power cuts it may lose.
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(SCHEMA)
        self._connection = connection

    def close(self) -> None:
        """Close the database; an in-memory one is gone with it."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @property
    def connection(self) -> sqlite3.Connection:
        """The open connection. Raises RuntimeError before `open`."""
        if self._connection is None:
            raise RuntimeError("The sandbox's store is closed: enter the app's lifespan first.")
        return self._connection

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Make all writes inside visible at once or, when the process dies, not at all."""
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.connection.execute("ROLLBACK")
            raise
        self.connection.execute("COMMIT")

    def put(self, kind: str, key: str, document: Document) -> None:
        """Insert or replace one document; a replaced one keeps its place in the order."""
        self.connection.execute(
            "INSERT INTO documents (kind, key, body) VALUES (?, ?, ?)"
            " ON CONFLICT (kind, key) DO UPDATE SET body = excluded.body",
            (kind, key, json.dumps(document)),
        )

    def get(self, kind: str, key: str) -> Document | None:
        """Return a fresh copy of one document, or None."""
        row = self.connection.execute(
            "SELECT body FROM documents WHERE kind = ? AND key = ?", (kind, key)
        ).fetchone()
        return None if row is None else _read(row[0])

    def all(self, kind: str) -> list[Document]:
        """Return all documents of a kind, oldest first."""
        rows = self.connection.execute(
            "SELECT body FROM documents WHERE kind = ? ORDER BY position", (kind,)
        )
        return [_read(body) for (body,) in rows]

    def created(self, kind: str, *, days: tuple[str, str]) -> list[Document]:
        """Return those of a kind whose `created_at` is of two days or between, oldest first."""
        rows = self.connection.execute(
            "SELECT body FROM documents WHERE kind = ?"
            " AND substr(json_extract(body, '$.created_at'), 1, 10) BETWEEN ? AND ?"
            " ORDER BY position",
            (kind, *days),
        )
        return [_read(body) for (body,) in rows]

    def delete(self, kind: str, key: str) -> None:
        """Remove one document; a missing one is no error."""
        self.connection.execute("DELETE FROM documents WHERE kind = ? AND key = ?", (kind, key))

    def trim(self, kind: str, *, newest: int) -> None:
        """Remove all but the newest documents of a kind."""
        self.connection.execute(
            "DELETE FROM documents WHERE kind = ? AND position <= (SELECT position"
            " FROM documents WHERE kind = ? ORDER BY position DESC LIMIT 1 OFFSET ?)",
            (kind, kind, newest),
        )

    def clear(self) -> None:
        """Remove everything."""
        self.connection.execute("DELETE FROM documents")


def _read(body: str) -> Document:
    document: Document = json.loads(body)
    return document
