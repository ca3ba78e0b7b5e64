"""The schema's version: tables are made, brought up to date in place, or refused untouched."""

from collections.abc import Callable, Mapping
from functools import cache
from itertools import chain
from operator import attrgetter

from sqlalchemy import Connection, inspect, select
from sqlalchemy.schema import CreateIndex, CreateTable, ExecutableDDLElement

from kit.errors import LedgerUnreadable
from kit.ledger.rows import dialect
from kit.ledger.schema import meta, metadata

SCHEMA_VERSION = 2

Upgrade = Callable[[Connection], None]


def prepare(connection: Connection) -> None:
    """
    Create the tables, bring older ones up to date, or check that these can be used.

    Runs inside one transaction, so that a kill leaves no half schema; rows in flight stay as they
    are. Raises LedgerUnreadable for a newer schema, and for a database that holds something else.
    """
    found = found_version(connection)
    if found is None:
        _create_tables(connection)
        connection.execute(meta.insert().values(name="schema_version", value=str(SCHEMA_VERSION)))
        return
    for version in range(found, SCHEMA_VERSION):
        UPGRADES[version](connection)
    if found != SCHEMA_VERSION:
        connection.execute(
            meta.update().where(meta.c.name == "schema_version").values(value=str(SCHEMA_VERSION))
        )


def _create_tables(connection: Connection) -> None:
    # What `metadata.create_all` does, without looking for each of the tables: none is there.
    statements = _creating(connection.dialect.name)
    if connection.dialect.name == "postgresql":
        statements = (";".join(statements),)  # one round trip; it takes many where nothing is bound
    for statement in statements:
        connection.exec_driver_sql(statement, execution_options={"no_parameters": True})


@cache
def _creating(name: str) -> tuple[str, ...]:
    """Return the statements that make the tables and their indexes: spelling them takes long."""
    tables = metadata.sorted_tables
    indexes = sorted(chain.from_iterable(table.indexes for table in tables), key=attrgetter("name"))
    spelling = dialect(name).dialect()
    made: list[ExecutableDDLElement] = [*map(CreateTable, tables), *map(CreateIndex, indexes)]
    return tuple(str(each.compile(dialect=spelling)) for each in made)


def found_version(connection: Connection) -> int | None:
    """
    Return the version of the tables that are there, or None where there are none.

    Raises LedgerUnreadable for a newer one, and for a database that holds something else.
    """
    present = set(inspect(connection).get_table_names())
    if not present & set(metadata.tables):
        return None
    found = _version(connection) if "meta" in present else None
    if found is None:
        raise LedgerUnreadable(
            "this database holds other tables of the same names; give the kit one of its own "
            "(KIT_DATABASE_URL)"
        )
    if not found.isdecimal() or int(found) not in (*UPGRADES, SCHEMA_VERSION):
        raise LedgerUnreadable(
            f"the ledger has schema {found}, this kit writes {SCHEMA_VERSION}; "
            "use the version of the kit that wrote it"
        )
    return int(found)


def _version(connection: Connection) -> str | None:
    columns = {column["name"] for column in inspect(connection).get_columns("meta")}
    if not columns >= set(meta.c.keys()):
        return None
    return connection.scalar(select(meta.c.value).where(meta.c.name == "schema_version"))


def _from_1(connection: Connection) -> None:
    """Consent at capture, tombstones and what they mark, and what people did by hand."""
    serial = "SERIAL" if connection.dialect.name == "postgresql" else "INTEGER"
    for statement in (
        "ALTER TABLE checkouts ADD COLUMN consent TEXT",
        "ALTER TABLE deliveries ADD COLUMN delete_only BOOLEAN DEFAULT false NOT NULL",
        "ALTER TABLE deliveries ADD COLUMN replayed_at_ms BIGINT",
        "ALTER TABLE payments ADD COLUMN forgotten BOOLEAN",
        "ALTER TABLE subscriptions ADD COLUMN forgotten BOOLEAN",
        "CREATE INDEX events_with_body ON events (received_at_ms) WHERE body IS NOT NULL "
        "AND state IN ('mapped', 'skipped', 'unreadable')",
        "CREATE INDEX deliveries_with_person ON deliveries (created_at_ms) "
        "WHERE (email IS NOT NULL OR name IS NOT NULL)",
        "CREATE INDEX deliveries_told ON deliveries (kind, state, verdict, reason, created_at_ms)",
        "CREATE INDEX events_told ON events (state, type, reason) WHERE state <> 'stored'",
        "DROP INDEX ix_events_payment_id",
        "DROP INDEX ix_events_order_ref",
        "CREATE INDEX events_payment ON events (payment_id) WHERE payment_id IS NOT NULL",
        "CREATE INDEX events_order ON events (order_ref) WHERE order_ref IS NOT NULL",
        "CREATE INDEX checkouts_by_payment ON checkouts (payment_status, created_at_ms)",
        "CREATE INDEX checkouts_uncaptured ON checkouts (capture_reason, created_at_ms) "
        "WHERE capture_reason <> 'captured'",
        "CREATE INDEX checkouts_failed ON checkouts (created_at_ms) WHERE state = 'failed'",
        "CREATE INDEX events_without_report ON events (state, reason, received_at_ms) "
        "WHERE state IN ('parked', 'unreadable', 'skipped')",
        "CREATE INDEX events_transaction ON events (transaction_id) "
        "WHERE transaction_id IS NOT NULL",
        "CREATE INDEX deliveries_piles ON deliveries "
        "(state, verdict, reason, currency, occurred_at_ms)",
        "CREATE INDEX deliveries_occurred ON deliveries (occurred_at_ms)",
        "CREATE INDEX deliveries_drift ON deliveries (created_at_ms) WHERE drift IS NOT NULL",
        "CREATE INDEX deliveries_dropped ON deliveries (occurred_at_ms) WHERE visitor_dropped",
        "CREATE INDEX deliveries_visitor ON deliveries (visitor_id) WHERE visitor_id IS NOT NULL",
        "CREATE TABLE tombstones (visitor_hash TEXT NOT NULL, forgotten_at_ms BIGINT NOT NULL, "
        "PRIMARY KEY (visitor_hash))",
        f"CREATE TABLE interventions (number {serial} NOT NULL, at_ms BIGINT NOT NULL, "
        "action TEXT NOT NULL, subject TEXT NOT NULL, changed INTEGER NOT NULL, "
        "PRIMARY KEY (number))",
    ):
        connection.exec_driver_sql(statement)


UPGRADES: Mapping[int, Upgrade] = {1: _from_1}
"""How to bring a schema of each older version to the next; written down, not derived."""
