"""Journeys: what the ledger knows of one visit, checkout or payment, as a list of hops."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Column, Connection, func, select

from kit.ledger.filters import Filter
from kit.ledger.heads import Head, Place, find_heads
from kit.ledger.piles import Pile
from kit.ledger.rows import Row
from kit.ledger.schema import checkouts, deliveries, events, payments, refusals, visits
from kit.ledger.telling import Journey, Parts, tell_journey

KINDS = ("order", "payment", "message", "visit")
"""What a journey may be told from; with the id of that it makes the journey's key."""
_EVERYTHING = Filter()
_SHOWN_ORDERS = 10


@dataclass(frozen=True, slots=True)
class Account:
    """One journey whole: with the messages, bodies included, and the reports behind its hops."""

    journey: Journey
    messages: tuple[Row, ...]
    reports: tuple[Row, ...]
    orders: tuple[str, ...]
    """The newest other orders of the same visitor."""


def recent_journeys(
    connection: Connection,
    *,
    before: Place | None,
    limit: int,
    wanted: Filter = _EVERYTHING,
    piles: Sequence[Pile] | None = None,
) -> tuple[tuple[Journey, ...], Place | None]:
    """
    Return the newest journeys that fit and where the next page begins, if there is one.

    Orders, payments without one, and visits without either. `before` is what the page before
    returned, so that journeys of one moment are neither skipped nor shown twice.
    """
    heads = find_heads(connection, wanted, before=before, limit=limit + 1, piles=piles)
    shown = heads[:limit]
    return _journeys(connection, shown), shown[-1].place if len(heads) > limit else None


def order_journey(connection: Connection, order_ref: str) -> Journey | None:
    """Return one order's journey."""
    account = find_account(connection, "order", order_ref)
    return account.journey if account is not None else None


def find_account(connection: Connection, kind: str, key: str) -> Account | None:
    """Return one journey by what it is told from and the id of that."""
    parts = _parts(connection, [(kind, key)], bodies=True)[0]
    if not any((parts.checkout, parts.messages, kind == "visit" and parts.visit)):
        return None
    journey = tell_journey(f"{kind}:{key}", parts)
    others = [] if journey.visitor_id is None else _orders_of(connection, journey.visitor_id)
    return Account(
        journey,
        tuple(parts.messages),
        tuple(parts.deliveries),
        tuple(ref for ref in others if ref != journey.order_ref),
    )


def find_key(connection: Connection, wanted: str) -> tuple[str, str] | None:
    """Return which journey an id belongs to: an order's, a payment's, a message's, a visitor's."""
    order, report, message = checkouts.c, deliveries.c, events.c
    of_report = select(report.order_ref, report.payment_id)
    of_message = select(message.order_ref, message.payment_id, message.webhook_id)
    for query in (
        select(order.order_ref).where(order.order_ref == wanted),
        select(order.order_ref).where(order.dodo_session_id == wanted),
        of_report.where(report.transaction_id == wanted),
        of_message.where(message.webhook_id == wanted),
        of_message.where(message.payment_id == wanted),
        of_message.where(message.transaction_id == wanted),
        select(order.order_ref)
        .where(order.visitor_id == wanted)
        .order_by(order.created_at_ms.desc()),
        of_report.where(report.visitor_id == wanted).order_by(report.occurred_at_ms.desc()),
    ):
        row = connection.execute(query.limit(1)).one_or_none()
        for kind, key in zip(KINDS, row or (), strict=False):
            if key is not None:
                return kind, key
    seen = connection.scalar(select(visits.c.visitor_id).where(visits.c.visitor_id == wanted))
    return None if seen is None else ("visit", seen)


def totals(connection: Connection, piles: Sequence[Pile], unclear: int) -> dict[str, int]:
    """Count orders, reports and what became of them; `unclear` are the parked messages."""
    status = checkouts.c.payment_status
    counted = connection.execute(select(status, func.count()).group_by(status))
    by_status = {row[0]: int(row[1]) for row in counted}
    counts = {"orders": sum(by_status.values()), "paid": by_status.get("succeeded", 0)}
    for pile in piles:
        counts[pile.word] = counts.get(pile.word, 0) + pile.number
    if unclear:
        counts["parked"] = counts.get("parked", 0) + unclear
    return counts


def refused_webhooks(connection: Connection) -> Sequence[Row]:
    """Return how many validly signed webhooks were refused for their time."""
    return connection.execute(select(refusals)).mappings().all()


def _orders_of(connection: Connection, visitor_id: str) -> Sequence[str]:
    return connection.scalars(
        select(checkouts.c.order_ref)
        .where(checkouts.c.visitor_id == visitor_id)
        .order_by(checkouts.c.created_at_ms.desc())
        .limit(_SHOWN_ORDERS)
    ).all()


def _journeys(connection: Connection, heads: Sequence[Head]) -> tuple[Journey, ...]:
    keys = [(head.kind, head.key) for head in heads]
    told = zip(keys, _parts(connection, keys), strict=True)
    return tuple(tell_journey(f"{kind}:{key}", parts) for (kind, key), parts in told)


def _parts(
    connection: Connection, keys: Sequence[tuple[str, str]], *, bodies: bool = False
) -> list[Parts]:
    """Return the rows behind each of these journeys; all of a table's are read at once."""
    named: dict[str, list[str]] = defaultdict(list)
    for kind, key in keys:
        named[kind].append(key)
    reader = _Reader(connection, bodies=bodies)
    orders = reader.keyed(checkouts.c.order_ref, named["order"])
    messages = {
        "order": reader.grouped(events.c.order_ref, named["order"]),
        "payment": reader.grouped(events.c.payment_id, named["payment"]),
        "message": reader.grouped(events.c.webhook_id, named["message"]),
    }
    lone = [row["transaction_id"] for rows in messages["message"].values() for row in rows]
    reports = {
        "order": reader.grouped(deliveries.c.order_ref, named["order"]),
        "payment": reader.grouped(deliveries.c.payment_id, named["payment"]),
        "message": reader.grouped(deliveries.c.transaction_id, filter(None, lone)),
    }
    paid_by = [row["payment_id"] for row in orders.values() if row["payment_id"]]
    paid = reader.keyed(payments.c.payment_id, [*named["payment"], *paid_by])
    found = []
    for kind, key in keys:
        checkout = orders.get(key) if kind == "order" else None
        heard = messages.get(kind, {}).get(key, [])
        sent_key = heard[0]["transaction_id"] if kind == "message" and heard else key
        sent = reports.get(kind, {}).get(sent_key, [])
        payment = paid.get(checkout["payment_id"] if checkout is not None else key)
        known = (checkout, *sent[:1], payment)
        named_by = [row["visitor_id"] for row in known if row is not None and row["visitor_id"]]
        visitor_id = key if kind == "visit" else next(iter(named_by), None)
        found.append(Parts(visitor_id, None, checkout, heard, sent, payment))
    landed = reader.keyed(visits.c.visitor_id, [each.visitor_id for each in found])
    return [replace(parts, visit=landed.get(parts.visitor_id)) for parts in found]


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads the rows of many journeys at once, as far as they may be shown."""

    connection: Connection
    bodies: bool

    def keyed(self, column: Column[Any], keys: Sequence[Any]) -> dict[Any, Row]:
        """Return the row of each key."""
        query = select(column.table).where(column.in_(keys))
        rows = self.connection.execute(query).mappings() if any(keys) else ()
        return {row[column.name]: row for row in rows}

    def grouped(self, column: Column[Any], keys: Iterable[Any]) -> dict[Any, list[Row]]:
        """Return the rows of each key, oldest first; of a body only whether it is there."""
        groups: dict[Any, list[Row]] = defaultdict(list)
        if keys := list(keys):
            # Bodies are large and hold personal data; a list of journeys needs none of them.
            hidden = {"email", "name"} if self.bodies else {"email", "name", "body"}
            wanted = [each for each in column.table.c if each.name not in hidden]
            order = "received_at_ms" if column.table is events else "created_at_ms"
            query = select(*wanted).where(column.in_(keys)).order_by(column.table.c[order])
            for row in self.connection.execute(query).mappings():
                groups[row[column.name]].append(row)
        return groups
