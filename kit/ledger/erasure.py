"""
Forgetting a visitor: what here names the visitor or is the visitor's, and its removal.

The money stays, without a name. What belongs to the visitor is found by the id, then by the
checkouts, payments and subscriptions that carry it; what carries another id is not touched.
"""

from dataclasses import dataclass, replace
from decimal import Decimal

from sqlalchemy import Column, ColumnElement, Connection, and_, case, delete, or_, select, update

from kit.helpers.dodo_datafast import Signed
from kit.ledger.deliveries import FORGOTTEN
from kit.ledger.redaction import nameless_body
from kit.ledger.rows import holds_bytes
from kit.ledger.schema import (
    charges,
    checkouts,
    deliveries,
    events,
    payments,
    subscriptions,
    visits,
)
from kit.ledger.stamps import moment_of
from kit.ledger.tombstones import bury

_UNSETTLED = ("stored", "waiting", "parked")
Ids = frozenset[str]


@dataclass(frozen=True, slots=True)
class Traces:
    """What a ledger holds of one visitor, by the keys of its rows."""

    visitor_id: str
    orders: Ids
    payments: Ids
    subscriptions: Ids
    reports: Ids
    messages: Ids = frozenset()
    visited: bool = False

    def counts(self) -> dict[str, int]:
        """Count the rows of each kind, leaving out what there is none of."""
        rows = {
            "visit": int(self.visited),
            "checkout": len(self.orders),
            "payment": len(self.payments),
            "subscription": len(self.subscriptions),
            "report": len(self.reports),
            "message": len(self.messages),
        }
        return {name: number for name, number in rows.items() if number}


@dataclass(frozen=True, slots=True)
class Reported:
    """Reports of one kind in one currency, and whether DataFast may have them already."""

    kind: str
    currency: str
    number: int
    amount: str
    """The sum in major units, exact."""
    sent: bool


def find_traces(connection: Connection, visitor_id: str) -> Traces:
    """Find what a visitor left here. It looks into every body, so never inside a write."""
    traces = find_rows(connection, visitor_id)
    return replace(traces, messages=find_messages(connection, traces))


def find_rows(connection: Connection, visitor_id: str) -> Traces:
    """Find the visitor's rows, from the id to what is linked to it."""
    orders = _owned(
        connection, checkouts.c.order_ref, visitor_id, checkouts.c.return_visitor_id == visitor_id
    )
    paid = _owned(connection, deliveries.c.payment_id, visitor_id)
    subscribed = _owned(connection, deliveries.c.subscription_id, visitor_id)
    while True:
        charging = select(charges.c.payment_id).where(charges.c.subscription_id.in_(subscribed))
        more_paid = paid | _owned(
            connection,
            payments.c.payment_id,
            visitor_id,
            payments.c.payment_id.in_(paid),
            payments.c.order_ref.in_(orders),
            payments.c.payment_id.in_(charging),
        )
        charged = select(charges.c.subscription_id).where(charges.c.payment_id.in_(more_paid))
        more_subscribed = subscribed | _owned(
            connection,
            subscriptions.c.subscription_id,
            visitor_id,
            subscriptions.c.subscription_id.in_(subscribed),
            subscriptions.c.order_ref.in_(orders),
            subscriptions.c.subscription_id.in_(charged),
        )
        if (more_paid, more_subscribed) == (paid, subscribed):
            break
        paid, subscribed = more_paid, more_subscribed
    reports = _owned(
        connection,
        deliveries.c.transaction_id,
        visitor_id,
        deliveries.c.payment_id.in_(paid),
        deliveries.c.subscription_id.in_(subscribed),
        deliveries.c.order_ref.in_(orders),
    )
    visited = select(visits.c.visitor_id).where(visits.c.visitor_id == visitor_id)
    there = connection.scalar(visited) is not None
    return Traces(visitor_id, orders, paid, subscribed, reports, visited=there)


def _owned(
    connection: Connection, key: Column[str], visitor_id: str, *links: ColumnElement[bool]
) -> Ids:
    """Return the keys of rows that name the visitor, or are linked and name nobody."""
    named = key.table.c.visitor_id
    linked = and_(named.is_(None), or_(*links)) if links else None
    owned = named == visitor_id if linked is None else or_(named == visitor_id, linked)
    return frozenset(connection.scalars(select(key).where(owned, key.is_not(None))))


def find_messages(connection: Connection, traces: Traces) -> Ids:
    """Find the messages about the visitor whose bodies are still here."""
    # By what a body says as well: a message of a subscription has no column that leads to it.
    names = [traces.visitor_id, *sorted(traces.subscriptions)]
    about = or_(
        events.c.payment_id.in_(traces.payments),
        events.c.order_ref.in_(traces.orders),
        events.c.transaction_id.in_(traces.reports),
        *(holds_bytes(connection, events.c.body, name.encode()) for name in names),
    )
    found = select(events.c.webhook_id).where(events.c.body.is_not(None), about)
    return frozenset(connection.scalars(found))


def forget(connection: Connection, traces: Traces, *, now_ms: int) -> Traces:
    """
    Bury a visitor and remove what names one here; return what was removed.

    The rows are found again, since some may have come since; `traces` brings the messages.
    """
    bury(connection, traces.visitor_id, now_ms)
    if connection.dialect.name == "sqlite":
        # Else the freed parts of the file keep what they held until something overwrites them.
        connection.exec_driver_sql("PRAGMA secure_delete=ON")
    found = find_rows(connection, traces.visitor_id)
    _forget_visit(connection, found)
    named = {"visitor_id": None, "forgotten": True}
    connection.execute(
        update(payments)
        .where(payments.c.payment_id.in_(found.payments))
        .values(**named, customer_id=None)
    )
    connection.execute(
        update(subscriptions)
        .where(subscriptions.c.subscription_id.in_(found.subscriptions))
        .values(**named)
    )
    connection.execute(
        update(deliveries)
        .where(deliveries.c.transaction_id.in_(found.reports))
        .values(**FORGOTTEN, message=None)
    )
    return replace(found, messages=drop_bodies(connection, traces.messages))


def _forget_visit(connection: Connection, traces: Traces) -> None:
    visitor_id = traces.visitor_id
    connection.execute(delete(visits).where(visits.c.visitor_id == visitor_id))
    returned = {"return_visitor_id": None, "return_reason": "forgotten"}
    connection.execute(
        update(checkouts).where(checkouts.c.return_visitor_id == visitor_id).values(**returned)
    )
    connection.execute(
        update(checkouts)
        .where(checkouts.c.order_ref.in_(traces.orders))
        .values(
            visitor_id=None,
            session_id=None,
            capture_reason="forgotten",
            return_visitor_id=None,
            claimed_payment_id=None,
            claimed_status=None,
        )
    )


def drop_bodies(connection: Connection, webhook_ids: Ids) -> Ids:
    """Drop what messages said; of those still to be read, all but the money. Return which."""
    chosen = and_(events.c.webhook_id.in_(webhook_ids), events.c.body.is_not(None))
    unread = connection.execute(
        select(events.c.webhook_id, events.c.sent_at_ms, events.c.body).where(
            chosen, events.c.state.in_(_UNSETTLED)
        )
    ).all()
    for webhook_id, sent_at_ms, body in unread:
        kept = nameless_body(Signed(webhook_id, moment_of(sent_at_ms), body))
        connection.execute(
            # An empty body is unreadable, as this one was.
            update(events).where(events.c.webhook_id == webhook_id).values(body=kept or b"")
        )
    settled = and_(chosen, events.c.state.not_in(_UNSETTLED))
    dropped = connection.scalars(
        update(events).where(settled).values(body=None).returning(events.c.webhook_id)
    )
    return frozenset(dropped) | {webhook_id for webhook_id, _, _ in unread}


def reported(connection: Connection, traces: Traces) -> list[Reported]:
    """Tell what DataFast holds or will hold of a visitor, with exact sums for each currency."""
    columns = deliveries.c
    sent = or_(columns.first_sent_at_ms.is_not(None), columns.state == "sending").label("sent")
    rows = connection.execute(
        select(sent, columns.kind, columns.currency, columns.amount).where(_revenue(traces))
    )
    groups: dict[tuple[bool, str, str], list[Decimal]] = {}
    for was_sent, kind, currency, amount in rows:
        groups.setdefault((not was_sent, kind, currency), []).append(Decimal(amount))
    return [
        Reported(kind, currency, len(amounts), str(sum(amounts)), not unsent)
        for (unsent, kind, currency), amounts in sorted(groups.items())
    ]


def withdraw(connection: Connection, traces: Traces, *, now_ms: int) -> int:
    """
    Have DataFast delete a visitor's reports, each by its id; return how many.

    One that is on its way is deleted when its lease has run out: not before it has arrived.
    """
    columns = deliveries.c
    withdrawn = connection.execute(
        update(deliveries)
        .where(_revenue(traces))
        .values(
            state="ready",
            reason="forgetting",
            verdict=None,
            delete_only=True,
            delete_first=False,
            owner=None,
            attempts=0,
            replayed_at_ms=now_ms,
            due_at_ms=case((columns.state == "sending", columns.due_at_ms), else_=now_ms),
        )
    )
    return withdrawn.rowcount


def _revenue(traces: Traces) -> ColumnElement[bool]:
    """Choose the visitor's reports, but for those that are not counted or already deleted."""
    columns = deliveries.c
    uncounted = and_(columns.state == "done", columns.verdict.is_(None))
    return and_(columns.transaction_id.in_(traces.reports), ~uncounted)
