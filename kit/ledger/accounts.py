"""Questions of a reconciliation: what the ledger holds of payments that Dodo lists."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, Table, select

from kit.ledger.rows import Row
from kit.ledger.schema import deliveries, events, payments

AT_ONCE = 500
"""Ids in one statement; SQLite and PostgreSQL both have a limit, far above."""
# Who bought is no concern of a comparison.
_PERSONAL = ("customer_id", "email", "name", "message")
_REPORT = [column for column in deliveries.c if column.name not in _PERSONAL]


@dataclass(frozen=True, slots=True)
class Account:
    """One payment: its facts, and every report that names it."""

    facts: Row | None = None
    reports: Sequence[Row] = field(default_factory=list)

    @property
    def sales(self) -> list[Row]:
        """The reports of the payment itself; more than one would be one too many."""
        return [row for row in self.reports if row["kind"] == "sale"]

    def report(self, transaction_id: str) -> Row | None:
        """Return the report under an id."""
        return next((row for row in self.reports if row["transaction_id"] == transaction_id), None)


def accounts_of(connection: Connection, payment_ids: Iterable[str]) -> dict[str, Account]:
    """Return the account of each payment, an empty one where nothing is known."""
    wanted = sorted(set(payment_ids))
    facts: dict[str, Row] = {}
    reports: dict[str, list[Row]] = defaultdict(list)
    for ids in _parts(wanted):
        found = connection.execute(select(payments).where(payments.c.payment_id.in_(ids)))
        facts |= {row["payment_id"]: row for row in found.mappings()}
        sent = connection.execute(
            select(*_REPORT)
            .where(deliveries.c.payment_id.in_(ids))
            .order_by(deliveries.c.created_at_ms, deliveries.c.transaction_id)
        )
        for row in sent.mappings():
            reports[row["payment_id"]].append(row)
    return {name: Account(facts.get(name), reports[name]) for name in wanted}


def sales_between(connection: Connection, since_ms: int, until_ms: int) -> set[str]:
    """Return the payments made between two moments whose report has gone out."""
    found = connection.scalars(
        select(deliveries.c.payment_id).where(
            deliveries.c.kind == "sale",
            deliveries.c.payment_id.is_not(None),
            deliveries.c.first_sent_at_ms.is_not(None),
            deliveries.c.occurred_at_ms >= since_ms,
            deliveries.c.occurred_at_ms < until_ms,
        )
    )
    return set(found)


def messages_of(connection: Connection, payment_id: str, event_type: str) -> Sequence[Row]:
    """Return the messages of one type about a payment, the newest first."""
    columns = events.c.webhook_id, events.c.state, events.c.reason, events.c.body
    found = connection.execute(
        select(*columns)
        .where(events.c.payment_id == payment_id, events.c.type == event_type)
        .order_by(events.c.received_at_ms.desc())
    )
    return found.mappings().all()


def standings(
    connection: Connection, messages: Sequence[str], transaction_ids: Sequence[str]
) -> tuple[dict[str, Row], dict[str, Row]]:
    """Return how messages stand by their ids, and how reports do by theirs."""
    return (
        {row["webhook_id"]: row for row in _chosen(connection, events, "webhook_id", messages)},
        {
            row["transaction_id"]: row
            for row in _chosen(connection, deliveries, "transaction_id", transaction_ids)
        },
    )


def _chosen(connection: Connection, table: Table, key: str, ids: Sequence[str]) -> Iterator[Row]:
    names = (key, "state", "reason", "due_at_ms", *(["verdict"] if "verdict" in table.c else []))
    columns = [table.c[name] for name in names]
    for some in _parts(ids):
        yield from connection.execute(select(*columns).where(table.c[key].in_(some))).mappings()


def _parts(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(ids), AT_ONCE):
        yield ids[start : start + AT_ONCE]
