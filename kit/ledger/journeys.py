"""Journeys: what the ledger knows of one visit, checkout or payment, as a list of hops."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Connection, func, select

from kit.hops import REASONS, Hop, Tone
from kit.ledger.rows import Row
from kit.ledger.schema import checkouts, deliveries, events, payments, refusals, visits

_MONEY_EVENTS = ("payment.succeeded", "refund.succeeded", "dispute.lost", "dispute.accepted")
_EVENTS_A_PAYMENT = 4  # a first subscription charge fires four messages
SAME_MOMENT = 64
"""How many journeys may begin in one millisecond without a page losing any."""

Head = tuple[int, str, str]
"""When a journey began, what it is told from (order, payment, message, visit), and that's id."""


@dataclass(frozen=True, slots=True)
class Journey:
    """One journey; amounts are minor units, `amount` is the report's in major units."""

    key: str
    started_at_ms: int
    product: str | None
    order_ref: str | None
    payment_id: str | None
    visitor_id: str | None
    source: str | None
    amount: str | None
    currency: str | None
    paid_minor: int | None
    paid_currency: str | None
    verdict: str
    reason: str | None
    tone: Tone
    hops: tuple[Hop, ...]


@dataclass(frozen=True, slots=True)
class _Parts:
    """The rows that one journey is told from."""

    visit: Row | None
    checkout: Row | None
    messages: Sequence[Row]
    deliveries: Sequence[Row]
    payment: Row | None


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
        name = "waiting" if waiting else "parked" if state == "parked" else verdict
        counts[name] = counts.get(name, 0) + number
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
        parts = _Parts(
            landed.get(visitor_id), checkout, messages.get(key, []), sent, paid.get(payment_id)
        )
        journeys.append(_journey(f"{kind}:{key}", at_ms, visitor_id, parts))
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


def _journey(key: str, at_ms: int, visitor_id: str | None, parts: _Parts) -> Journey:
    delivery = _foremost(parts.deliveries)
    verdict, reason = _standing(parts)
    checkout, payment = parts.checkout, parts.payment
    hops = [*_visit_hops(parts), *_checkout_hops(parts), *_message_hops(parts)]
    for row in parts.deliveries:
        hops += _delivery_hops(row)
    return Journey(
        key=key,
        started_at_ms=at_ms,
        product=checkout["product"] if checkout is not None else None,
        order_ref=checkout["order_ref"] if checkout is not None else None,
        payment_id=payment["payment_id"] if payment is not None else None,
        visitor_id=visitor_id,
        source=_source(parts.visit),
        amount=delivery["amount"] if delivery is not None else None,
        currency=delivery["currency"] if delivery is not None else None,
        paid_minor=payment["total_minor"] if payment is not None else None,
        paid_currency=payment["currency"] if payment is not None else None,
        verdict=verdict,
        reason=reason,
        tone=REASONS[reason].tone if reason else "wait",
        hops=tuple(hops),
    )


_TONES: tuple[Tone, ...] = ("lost", "wait", "warn", "ok")


def _foremost(rows: Sequence[Row]) -> Row | None:
    """Return the delivery that needs a look first; among equals the sale itself."""
    return min(rows, key=lambda row: _TONES.index(REASONS[row["reason"]].tone), default=None)


def _standing(parts: _Parts) -> tuple[str, str | None]:
    """Say in a word how a journey stands, and for what reason."""
    delivery = _foremost(parts.deliveries)
    if delivery is not None:
        waiting = delivery["state"] in ("held", "ready", "sending")
        word = "waiting" if waiting else "parked" if delivery["state"] == "parked" else None
        return word or delivery["verdict"], delivery["reason"]
    money = [row for row in parts.messages if (row["type"] or "").startswith("payment.")]
    if money or parts.messages:
        last = (money or parts.messages)[-1]
        words = {"stored": "waiting", "waiting": "waiting", "parked": "parked"}
        words |= {"unreadable": "unreadable"}
        return words.get(last["state"], "skipped"), last["reason"]
    if parts.checkout is not None:
        failed = parts.checkout["state"] == "failed"
        return ("failed", "session_failed") if failed else ("unpaid", "no_webhook")
    return "visit", "pageview_passed"


def _source(visit: Row | None) -> str | None:
    if visit is None:
        return None
    names = ("utm_source", "ref", "source", "via", "referrer_host")
    return next((visit[name] for name in names if visit[name]), None)


def _visit_hops(parts: _Parts) -> list[Hop]:
    visit, checkout = parts.visit, parts.checkout
    if visit is None:
        absent = checkout is not None and checkout["visitor_id"] is not None
        return [Hop("Pageview", "pageview_not_seen")] if absent else []
    campaign = [visit[name] for name in ("utm_source", "utm_medium", "utm_campaign")]
    seen = " ".join([visit["landing_path"] or "/", *(part for part in campaign if part)])
    return [Hop("Pageview", "pageview_passed", seen=seen, at_ms=visit["first_seen_at_ms"])]


def _checkout_hops(parts: _Parts) -> list[Hop]:
    checkout = parts.checkout
    if checkout is None:
        return [Hop("Checkout", "checkout_unknown")] if parts.messages else []
    at_ms = checkout["created_at_ms"]
    opened = {"opening": "session_opening", "failed": "session_failed"}
    returned_at_ms = checkout["returned_at_ms"]
    hops = [
        Hop(
            "Visitor cookie at checkout",
            checkout["capture_reason"],
            seen=checkout["visitor_id"],
            at_ms=at_ms,
        ),
        Hop(
            "Metadata sent to Dodo",
            opened.get(checkout["state"], "session_opened"),
            seen=checkout["dodo_session_id"],
            at_ms=at_ms,
        ),
    ]
    if checkout["state"] == "open":
        hops.append(
            Hop(
                "Return from Dodo's page",
                _return_reason(parts),
                seen=checkout["return_visitor_id"],
                at_ms=returned_at_ms,
            )
        )
        if not parts.messages:
            hops.append(Hop("Webhook", "no_webhook"))
    return hops


def _return_reason(parts: _Parts) -> str:
    """Say what the buyer's return brought: nothing yet, the visitor, another one, or too late."""
    checkout = parts.checkout
    if checkout is None or checkout["returned_at_ms"] is None:
        return "not_returned"
    returned, captured = checkout["return_visitor_id"], checkout["visitor_id"]
    if returned is not None and captured is not None and returned != captured:
        return "visitor_differs"
    sale = next((row for row in parts.deliveries if row["kind"] == "sale"), None)
    late = sale is not None and sale["visitor_id"] is None and sale["first_sent_at_ms"] is not None
    return "too_late" if returned is not None and late else "returned"


def _message_hops(parts: _Parts) -> list[Hop]:
    hops = []
    for row in parts.messages:
        name = row["type"] or "Webhook"
        if row["type"] in _MONEY_EVENTS or row["type"] is None:
            arrived = "read_from_api" if row["source"] == "api" else "verified"
            seen = row["webhook_id"]
            if row["times_received"] > 1:
                seen += f" ({row['times_received']} times)"
            hops.append(Hop(f"{name} received", arrived, seen=seen, at_ms=row["received_at_ms"]))
        hops.append(
            Hop(
                f"{name} read",
                row["reason"],
                seen=row["transaction_id"],
                at_ms=row["received_at_ms"],
            )
        )
    return hops


_VISITOR_REASONS = {
    "metadata": "visitor_in_metadata",
    "ledger": "visitor_from_ledger",
    "return": "visitor_from_return",
    "dodo": "visitor_from_dodo",
    "none": "visitor_missing",
}


def _delivery_hops(row: Row) -> list[Hop]:
    found = "visitor_dropped" if row["visitor_dropped"] else _VISITOR_REASONS[row["visitor_source"]]
    amount = f"{row['amount']} {row['currency']}"
    renewed = row["kind"] == "sale" and row["renewal"]
    kind = "renewal" if renewed else row["kind"]
    if renewed and not row["renewal_proven"] and row["first_sent_at_ms"] is not None:
        kind = "renewal_unproven"
    hops = [
        Hop("Counted as", kind, seen=f"{amount}, {row['basis']}"),
        Hop("Visitor of the payment", found, seen=row["visitor_id"]),
    ]
    if row["exponent_unverified"]:
        hops.append(Hop("Decimals of the currency", "exponent_unverified", seen=row["currency"]))
    if row["first_sent_at_ms"] is None:
        hops.append(Hop("Sent to DataFast", row["reason"], seen=amount))
        return hops
    hops.append(Hop("Sent to DataFast", "sent", seen=amount, at_ms=row["first_sent_at_ms"]))
    hops.append(
        Hop(
            "DataFast's answer",
            "sending" if row["state"] == "sending" else row["reason"],
            seen=row["message"],
            at_ms=row["answered_at_ms"],
        )
    )
    return hops
