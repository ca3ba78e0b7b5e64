"""What SQLite and PostgreSQL spell alike but SQLAlchemy does not, and what only one of them has."""

from functools import cache, lru_cache
from importlib import import_module
from typing import Any, TypeAlias

from sqlalchemy import ColumnElement, Connection, RowMapping, Table, func

Row: TypeAlias = RowMapping

CHANNEL = "kit_ledger"
"""Where PostgreSQL tells other processes that messages were stored."""


def dialect(name: str) -> Any:
    """Return SQLAlchemy's module of a dialect; whoever uses one does not wait for the other."""
    return import_module(f"sqlalchemy.dialects.{name}")


def insert_or_ignore(connection: Connection, table: Table) -> Any:
    """Return an INSERT that leaves a row alone whose key is there; its `rowcount` tells."""
    return _ignoring(connection.dialect.name, table)


def upsert(connection: Connection, table: Table, *, key: str, values: dict[str, Any]) -> None:
    """Insert a row, or set those of `values` that are not None on the row that is there."""
    told = tuple(name for name, value in values.items() if value is not None and name != key)
    connection.execute(_upserting(connection.dialect.name, table, key, told), values)


def bytewise(connection: Connection, text: ColumnElement[str]) -> ColumnElement[str]:
    """Compare and sort a text as Python does, not as some language would; SQLite does anyway."""
    return text.collate("C") if connection.dialect.name == "postgresql" else text


def notify(connection: Connection) -> None:
    """Wake the other processes once this transaction is committed; SQLite has none."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"NOTIFY {CHANNEL}")


def holds_bytes(connection: Connection, column: Any, part: bytes) -> Any:
    """Return the condition that a binary column holds these bytes somewhere."""
    if connection.dialect.name == "postgresql":
        return func.pg_catalog.position(column, part) > 0
    return func.instr(column, part) > 0


# SQLAlchemy takes longer to put a statement together than a database takes to run it.
@cache
def _ignoring(spoken: str, table: Table) -> Any:
    insert = dialect(spoken).insert(table).on_conflict_do_nothing()
    return insert.execution_options(preserve_rowcount=True)


@lru_cache(maxsize=256)
def _upserting(spoken: str, table: Table, key: str, told: tuple[str, ...]) -> Any:
    insert = dialect(spoken).insert(table)
    if not told:
        return insert.on_conflict_do_nothing()
    changes = {name: insert.excluded[name] for name in told}
    return insert.on_conflict_do_update(index_elements=[key], set_=changes)
