"""What SQLite and PostgreSQL spell alike but SQLAlchemy does not, and what only one of them has."""

from typing import Any, TypeAlias

from sqlalchemy import ColumnElement, Connection, RowMapping, Table, func
from sqlalchemy.dialects import postgresql, sqlite

Row: TypeAlias = RowMapping

CHANNEL = "kit_ledger"
"""Where PostgreSQL tells other processes that messages were stored."""


def insert_or_ignore(connection: Connection, table: Table) -> Any:
    """Return an INSERT that leaves a row alone whose key is there; its `rowcount` tells."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    insert = dialect.insert(table).on_conflict_do_nothing()
    return insert.execution_options(preserve_rowcount=True)


def upsert(connection: Connection, table: Table, *, key: str, values: dict[str, Any]) -> None:
    """Insert a row, or set those of `values` that are not None on the row that is there."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    changes = {name: value for name, value in values.items() if value is not None and name != key}
    insert = dialect.insert(table).values(values)
    connection.execute(
        insert.on_conflict_do_update(index_elements=[key], set_=changes)
        if changes
        else insert.on_conflict_do_nothing()
    )


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
