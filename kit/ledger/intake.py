"""
Store a group of messages in one statement: what every webhook waits for.

Written out for each database, since SQLAlchemy would put the statement together anew for each
group; and in one statement, because at every step of the driver the writer's thread loses its turn
to the thread that serves.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from kit.ledger.rows import CHANNEL

# What each message brings, with PostgreSQL's name of the type; all the rest is the same for all.
_GIVEN = {
    "webhook_id": "text",
    "source": "text",
    "sent_at_ms": "bigint",
    "received_at_ms": "bigint",
    "body": "bytea",
    "body_sha256": "bytea",
}
_FRESH: Mapping[str, str | int | bool] = {
    "times_received": 1,
    "bodies_differ": False,
    "state": "stored",
    "reason": "event_waiting",
    "attempts": 0,
    "looked_up": False,
}
_LITERALS = [f"'{value}'" if isinstance(value, str) else str(value) for value in _FRESH.values()]
_INTO = f"INSERT INTO events ({', '.join([*_GIVEN, *_FRESH])})"
_UNLESS_THERE = "ON CONFLICT DO NOTHING RETURNING webhook_id"
_UNNESTED = ", ".join(f"%({name})b::{kind}[]" for name, kind in _GIVEN.items())
_POSTGRES = (
    f"WITH stored AS ({_INTO} SELECT {', '.join(['given.*', *_LITERALS])} "  # noqa: S608
    f"FROM unnest({_UNNESTED}) AS given {_UNLESS_THERE}), "
    f"told AS (SELECT pg_notify('{CHANNEL}', '') FROM stored LIMIT 1) "
    "SELECT webhook_id FROM stored LEFT JOIN told ON TRUE"
)


def insert_new(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> set[str]:
    """Store the messages whose id is not there yet, and return these ids."""
    if connection.dialect.name == "postgresql":
        given = {name: [row[name] for row in rows] for name in _GIVEN}
        return {row[0] for row in connection.exec_driver_sql(_POSTGRES, given)}
    values = tuple(row[name] for row in rows for name in _GIVEN)
    try:
        # Without RETURNING, as that is a step for each row. A statement that fails is undone alone
        # in SQLite, and the transaction goes on.
        connection.exec_driver_sql(_sqlite(len(rows)), values)
    except IntegrityError:
        some = connection.exec_driver_sql(f"{_sqlite(len(rows))} {_UNLESS_THERE}", values)
        return {row[0] for row in some}
    return {row["webhook_id"] for row in rows}


@cache
def _sqlite(number: int) -> str:
    row = f"({', '.join([*('?' for _ in _GIVEN), *_LITERALS])})"
    return f"{_INTO} VALUES {', '.join([row] * number)}"
