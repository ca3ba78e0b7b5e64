"""Versions of the schema: older ones are upgraded with rows in flight, newer ones refused."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, create_engine, inspect, select

from kit.errors import LedgerUnreadable
from kit.ledger.engine import open_engines, parse_url
from kit.ledger.schema import deliveries, events, meta
from kit.ledger.versions import SCHEMA_VERSION, UPGRADES

SCHEMAS = Path(__file__).with_name("schemas")
IN_FLIGHT = {
    "events": {
        "webhook_id": "m1",
        "source": "webhook",
        "sent_at_ms": 1,
        "received_at_ms": 2,
        "body": b"{}",
        "body_sha256": b"x" * 32,
        "times_received": 1,
        "bodies_differ": False,
        "state": "stored",
        "reason": "event_waiting",
        "attempts": 0,
        "looked_up": False,
    },
    "deliveries": {
        "transaction_id": "pay_1",
        "kind": "sale",
        "amount": "29.00",
        "currency": "USD",
        "amount_minor": 2900,
        "visitor_source": "none",
        "visitor_dropped": False,
        "renewal": False,
        "renewal_proven": True,
        "refunded": False,
        "is_free_trial": False,
        "occurred_at_ms": 1,
        "basis": "gross",
        "exponent_unverified": False,
        "state": "sending",
        "reason": "queued",
        "confirmed": True,
        "created_at_ms": 1,
        "due_at_ms": 3,
        "owner": "gone",
        "attempts": 1,
        "delete_first": False,
    },
}


@contextlib.contextmanager
def plain(url: str) -> Iterator[Engine]:
    """Open a database without the kit."""
    engine = create_engine(parse_url(url))
    yield engine
    engine.dispose()


def write_version(url: str, version: int) -> None:
    """Make the tables of an older version, with a message unread and a report being sent."""
    with plain(url) as engine, engine.begin() as connection:
        statements = (SCHEMAS / f"{version}.{engine.dialect.name}.sql").read_text()
        for statement in statements.split(";"):
            if statement.strip():
                connection.exec_driver_sql(statement)
        connection.execute(meta.insert().values(name="schema_version", value=str(version)))
        for name, row in IN_FLIGHT.items():
            table = {"events": events, "deliveries": deliveries}[name]
            connection.execute(table.insert().values(row))


def shape(connection: Connection) -> dict[str, Any]:
    """Describe every table: columns with types, keys and indexes, in no order."""
    found = inspect(connection)
    return {
        table: (
            {
                (column["name"], str(column["type"]), column["nullable"])
                for column in found.get_columns(table)
            },
            found.get_pk_constraint(table)["constrained_columns"],
            {
                (
                    str(index["name"]),
                    tuple(index["column_names"]),
                    bool(index["unique"]),
                    bool(index.get("dialect_options")),
                )
                for index in found.get_indexes(table)
            },
        )
        for table in found.get_table_names()
    }


@pytest.mark.parametrize("version", UPGRADES)
def test_an_older_ledger_becomes_what_a_new_one_is(
    database_url: str, tmp_path: Path, version: int
) -> None:
    """Every table, column, key and index; and the rows in flight are as they were."""
    write_version(database_url, version)
    engines = open_engines(database_url)
    with engines.reading.connect() as connection:
        upgraded = shape(connection)
        named = connection.scalar(select(meta.c.value).where(meta.c.name == "schema_version"))
        event = connection.execute(select(events)).mappings().one()
        delivery = connection.execute(select(deliveries)).mappings().one()
    with engines.writing.begin() as connection:
        for table in upgraded:
            connection.exec_driver_sql(f"DROP TABLE {table}")
    engines.close()
    fresh = open_engines(database_url)
    with fresh.reading.connect() as connection:
        expected = shape(connection)
    fresh.close()

    assert upgraded == expected
    assert named == str(SCHEMA_VERSION)
    assert IN_FLIGHT["events"].items() <= dict(event).items()
    assert IN_FLIGHT["deliveries"].items() <= dict(delivery).items()


@pytest.mark.parametrize("version", [str(SCHEMA_VERSION + 1), "0", "-1", "later", ""])
def test_an_unknown_version_is_refused_untouched(database_url: str, version: str) -> None:
    """A newer kit wrote it, or nobody knows who; the sentence names both versions."""
    open_engines(database_url).close()
    with plain(database_url) as engine:
        with engine.begin() as connection:
            connection.execute(meta.update().values(value=version))
        with pytest.raises(LedgerUnreadable, match=f"schema {version}, this kit writes"):
            open_engines(database_url)
        with engine.connect() as connection:
            kept = connection.scalar(select(meta.c.value))

    assert kept == version


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE events (id INTEGER PRIMARY KEY, title TEXT)",
        "CREATE TABLE meta (name TEXT, value TEXT)",
    ],
)
def test_somebody_elses_tables_are_refused(database_url: str, statement: str) -> None:
    """Nothing is added beside them."""
    with plain(database_url) as engine:
        with engine.begin() as connection:
            connection.exec_driver_sql(statement)
        with pytest.raises(LedgerUnreadable, match="holds other tables"):
            open_engines(database_url)
        with engine.connect() as connection:
            tables = inspect(connection).get_table_names()

    assert len(tables) == 1
