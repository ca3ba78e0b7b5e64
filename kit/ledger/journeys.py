"""Journeys: what the ledger knows of one visit, checkout or payment, as a list of hops."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Column, Connection, func, select

from kit.ledger.rows import Row
from kit.ledger.schema import checkouts, deliveries, events, payments, refusals, visits
from kit.ledger.telling import Journey, Parts, tell_journey

_EVENTS_A_PAYMENT = 4  # a first subscription charge fires four messages
SAME_MOMENT = 64
"""How many journeys may begin in one millisecond without a page losing any."""

Head = tuple[int, str, str]
"""When a journey began, what it is told from (order, payment, message, visit), and that's id."""


def recent_journeys(
    connection: Connection, *, before: Head | None, limit: int
) -> tuple[tuple[Journey, ...], Head | None]:
    """
    Return the newest journeys and where the next page begins, if there is one.

    Orders, payments without one, and visits without either. `before` is the last head of the page
    before, so that journeys of one millisecond are neither skipped nor shown twice.
    """
    until_ms = before[0] if before is not None else None
    wanted = limit + 1 + SAME_MOMENT
    heads = [
        head
        for find in (_order_heads, _payment_heads, _visit_heads)
        for head in find(connection, until_ms, wanted)
        if before is None or head < before
    ]
    heads.sort(reverse=True)
    shown = heads[:limit]
    return _journeys(connection, shown), shown[-1] if len(heads) > limit else None


def order_journey(connection: Connection, order_ref: str) -> Journey | None:
    """Return one order's journey."""
    created = connection.scalar(
        select(checkouts.c.created_at_ms).where(checkouts.c.order_ref == order_ref)
    )
    found = _journeys(connection, [] if created is None else [(created, "order", order_ref)])
    return found[0] if found else None


def totals(connection: Connection) -> dict[str, int]:
    """Count orders, reports and what became of them."""
    counts = {
        "orders": _count(connection, checkouts.c.order_ref),
        "paid": _count(
            connection, checkouts.c.order_ref, checkouts.c.payment_status == "succeeded"
        ),
    }
    by_state = connection.execute(
        select(deliveries.c.state, deliveries.c.verdict, func.count()).group_by(
            deliveries.c.state, deliveries.c.verdict
        )
    )
    for state, verdict, number in by_state:
        waiting = state in ("held", "ready", "sending")
        name = "waiting" if waiting else "parked" if state == "parked" else verdict or "skipped"
        counts[name] = counts.get(name, 0) + number
    if unclear := _count(connection, events.c.webhook_id, events.c.state == "parked"):
        counts["parked"] = counts.get("parked", 0) + unclear
    return counts


def refused_webhooks(connection: Connection) -> Sequence[Row]:
    """Return how many validly signed webhooks were refused for their time."""
    return connection.execute(select(refusals)).mappings().all()


def _count(connection: Connection, column: Column[Any], *where: Any) -> int:
    return int(connection.scalar(select(func.count(column)).where(*where)) or 0)


def _order_heads(connection: Connection, before_ms: int | None, limit: int) -> Iterable[Head]:
    query = select(checkouts.c.created_at_ms, checkouts.c.order_ref)
    if before_ms is not None:
        query = query.where(checkouts.c.created_at_ms <= before_ms)
    rows = connection.execute(query.order_by(checkouts.c.created_at_ms.desc()).limit(limit))
    return [(at_ms, "order", ref) for at_ms, ref in rows]


def _payment_heads(connection: Connection, before_ms: int | None, limit: int) -> Iterable[Head]:
    query = select(events.c.received_at_ms, events.c.payment_id, events.c.webhook_id).where(
        events.c.order_ref.is_(None)
    )
    if before_ms is not None:
        query = query.where(events.c.received_at_ms <= before_ms)
    rows = connection.execute(
        query.order_by(events.c.received_at_ms.desc()).limit(limit * _EVENTS_A_PAYMENT)
    )
    first: dict[tuple[str, str], int] = {}
    for at_ms, payment_id, webhook_id in rows:
        first[("payment", payment_id) if payment_id else ("message", webhook_id)] = at_ms
    return [(at_ms, kind, key) for (kind, key), at_ms in first.items()]


def _visit_heads(connection: Connection, before_ms: int | None, limit: int) -> Iterable[Head]:
    query = (
        select(visits.c.first_seen_at_ms, visits.c.visitor_id)
        .outerjoin(checkouts, checkouts.c.visitor_id == visits.c.visitor_id)
        .where(checkouts.c.order_ref.is_(None))
    )
    if before_ms is not None:
        query = query.where(visits.c.first_seen_at_ms <= before_ms)
    rows = connection.execute(query.order_by(visits.c.first_seen_at_ms.desc()).limit(limit))
    return [(at_ms, "visit", visitor_id) for at_ms, visitor_id in rows]


def _journeys(connection: Connection, heads: Sequence[Head]) -> tuple[Journey, ...]:
    named: dict[str, list[str]] = defaultdict(list)
    for _, kind, key in heads:
        named[kind].append(key)
    orders = _keyed(connection, checkouts.c.order_ref, named["order"])
    by_order = _grouped(connection, events.c.order_ref, named["order"])
    by_payment = _grouped(connection, events.c.payment_id, named["payment"])
    lone = _grouped(connection, events.c.webhook_id, named["message"])
    sent_by_order = _grouped(connection, deliveries.c.order_ref, named["order"])
    sent_by_payment = _grouped(connection, deliveries.c.payment_id, named["payment"])
    paid = _keyed(
        connection,
        payments.c.payment_id,
        [*named["payment"], *(row["payment_id"] for row in orders.values() if row["payment_id"])],
    )
    visitors = [row["visitor_id"] for row in orders.values() if row["visitor_id"]]
    visitors += [row["visitor_id"] for rows in sent_by_payment.values() for row in rows]
    landed = _keyed(connection, visits.c.visitor_id, [*visitors, *named["visit"]])
    journeys = []
    for at_ms, kind, key in heads:
        checkout = orders.get(key) if kind == "order" else None
        sent = (sent_by_order if kind == "order" else sent_by_payment).get(key, [])
        visitor_id = checkout["visitor_id"] if checkout is not None else None
        if kind == "visit":
            visitor_id = key
        elif visitor_id is None and sent:
            visitor_id = sent[0]["visitor_id"]
        payment_id = checkout["payment_id"] if checkout is not None else key
        messages = {"order": by_order, "payment": by_payment, "message": lone}.get(kind, {})
        parts = Parts(
            landed.get(visitor_id), checkout, messages.get(key, []), sent, paid.get(payment_id)
        )
        journeys.append(tell_journey(f"{kind}:{key}", at_ms, visitor_id, parts))
    return tuple(journeys)


def _keyed(connection: Connection, column: Column[Any], keys: Sequence[Any]) -> dict[Any, Row]:
    query = select(column.table).where(column.in_(keys))
    rows = connection.execute(query).mappings() if keys else ()
    return {row[column.name]: row for row in rows}


def _grouped(
    connection: Connection, column: Column[Any], keys: Sequence[Any]
) -> dict[Any, list[Row]]:
    groups: dict[Any, list[Row]] = defaultdict(list)
    if keys:
        # Bodies are large and hold personal data; a list of journeys needs none of them.
        wanted = [each for each in column.table.c if each.name not in ("body", "email", "name")]
        order = "received_at_ms" if column.table is events else "created_at_ms"
        query = select(*wanted).where(column.in_(keys)).order_by(column.table.c[order])
        for row in connection.execute(query).mappings():
            groups[row[column.name]].append(row)
    return groups
