"""Ledgers full of journeys, written row by row: small ones for tests, large ones for the bench."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from random import Random
from typing import Any

from sqlalchemy import Connection, Table

from kit.ledger.schema import checkouts, deliveries, events, payments, visits

NOW_MS = 1_790_856_000_000
DAY_MS = 86_400_000
# What is sold in a currency, at what price in major and in minor units.
PRICES = {
    "USD": ("coastline-atlas", "29.00", 2900),
    "EUR": ("wall-chart", "1234.50", 123450),
    "JPY": ("tokyo-line-map", "3300", 3300),
    "KWD": ("gulf-chart", "8.750", 8750),
}
SOURCES = ("newsletter", "podcast", "hackernews", "spring-sale")
# How reports stand, and how often out of a hundred.
STANDINGS = (
    (79, ("done", "attributed", "attributed")),
    (8, ("done", "recorded", "recorded_without_visitor")),
    (3, ("done", "no_pageview", "no_pageview")),
    (1, ("done", "duplicate", "duplicate")),
    (2, ("done", None, "original_not_counted")),
    (2, ("parked", "rejected", "rejected")),
    (1, ("parked", None, "not_at_dodo")),
    (2, ("ready", None, "queued")),
    (2, ("held", None, "awaiting_return")),
)
_BODY = b'{"type":"payment.succeeded","data":{"padding":"%s"}}' % (b"x" * 2900)
_BATCH = 2000


@dataclass(slots=True)
class Rows:
    """What one journey leaves in the ledger."""

    visit: dict[str, Any] | None = None
    checkout: dict[str, Any] | None = None
    payment: dict[str, Any] | None = None
    messages: list[dict[str, Any]] = field(default_factory=list)
    reports: list[dict[str, Any]] = field(default_factory=list)

    def each(self) -> Iterator[tuple[Table, dict[str, Any]]]:
        """Yield every row with its table."""
        single = ((visits, self.visit), (checkouts, self.checkout), (payments, self.payment))
        yield from ((table, row) for table, row in single if row is not None)
        yield from ((events, row) for row in self.messages)
        yield from ((deliveries, row) for row in self.reports)


def journeys(
    number: int, *, days: int, seed: int = 7, body: bytes = _BODY, until_ms: int = NOW_MS
) -> Iterator[Rows]:
    """Yield so many journeys that end in a report, with visits and unpaid checkouts between."""
    random = Random(seed)
    for index in range(number):
        at_ms = until_ms - days * DAY_MS + index * days * DAY_MS // number
        if index % 3 == 0:
            yield Rows(visit=visit(random, at_ms))
        if index % 20 == 0:
            yield unpaid(random, f"ord_u{index}", at_ms)
        yield paid(random, index, at_ms, body)


def visit(random: Random, at_ms: int) -> dict[str, Any]:
    """Return the landing of a visitor."""
    names = ("utm_source", "ref", "referrer_host")
    came = dict.fromkeys((*names, "utm_medium", "utm_campaign", "source", "via"))
    if random.random() < 0.8:
        came[random.choice(names)] = random.choice(SOURCES)
    return {
        "visitor_id": str(uuid.UUID(int=random.getrandbits(128), version=4)),
        "first_seen_at_ms": at_ms,
        "last_pageview_at_ms": at_ms,
        "landing_path": "/",
        **came,
    }


def unpaid(random: Random, order_ref: str, at_ms: int) -> Rows:
    """Return a checkout that led to nothing, or was not even opened."""
    row = checkout(order_ref, None, at_ms, random.choice(("absent", "malformed", "declined")))
    return Rows(checkout=row | {"state": random.choice(("open", "open", "failed"))})


def checkout(order_ref: str, visitor_id: str | None, at_ms: int, reason: str) -> dict[str, Any]:
    """Return an open checkout."""
    return {
        "order_ref": order_ref,
        "created_at_ms": at_ms,
        "product": "coastline-atlas",
        "visitor_id": visitor_id,
        "capture_reason": reason,
        "capture_source": "cookie",
        "state": "open",
        "dodo_session_id": f"cks_{order_ref}",
        "payment_id": None,
        "payment_status": None,
    }


def paid(random: Random, index: int, at_ms: int, body: bytes) -> Rows:
    """Return a sale: most through a checkout of ours, some refunded, some without a visitor."""
    payment_id = f"pay_{index}"
    order_ref = f"ord_{index}" if random.random() < 0.8 else None
    landing = visit(random, at_ms) if random.random() < 0.85 else None
    visitor_id = landing["visitor_id"] if landing is not None else None
    seen = landing if random.random() < 0.9 else None
    rows = Rows(visit=seen)
    if order_ref is not None:
        reason = "captured" if visitor_id else random.choice(("absent", "declined"))
        paid_for = {"payment_id": payment_id, "payment_status": "succeeded"}
        rows.checkout = checkout(order_ref, visitor_id, at_ms, reason) | paid_for
    sale = report(random, payment_id, payment_id, order_ref, visitor_id, at_ms + 60_000)
    rows.reports.append(sale)
    product, _, price_minor = PRICES[sale["currency"]]
    if rows.checkout is not None:
        rows.checkout["product"] = product
    rows.payment = {
        "payment_id": payment_id,
        "order_ref": order_ref,
        "visitor_id": visitor_id,
        "status": "succeeded",
        "total_minor": price_minor,
        "currency": sale["currency"],
        "is_update_payment_method": False,
        "created_at_ms": at_ms + 60_000,
    }
    rows.messages.append(message(f"msg_{index}", payment_id, order_ref, at_ms + 61_000, body))
    if random.random() < 0.3:
        other = message(f"msg_{index}p", payment_id, order_ref, at_ms + 59_000, body)
        other |= {"type": "payment.processing", "state": "skipped", "reason": "event_not_money"}
        rows.messages.append(other | {"transaction_id": None})
    if random.random() < 0.05:
        later_ms = at_ms + random.randrange(3 * DAY_MS)
        back = report(random, f"ref_{index}", payment_id, order_ref, visitor_id, later_ms)
        back |= {"kind": "refund", "refunded": True, "depends_on": payment_id}
        back |= {name: sale[name] for name in ("currency", "amount", "amount_minor")}
        rows.reports.append(back)
    if random.random() < 0.02:
        state, reason = random.choice((("parked", "unknown_currency"), ("unreadable", "not_json")))
        odd = message(f"msg_{index}x", payment_id, order_ref, at_ms + 62_000, body)
        rows.messages.append(odd | {"state": state, "reason": reason, "transaction_id": None})
    return rows


def message(
    webhook_id: str, payment_id: str, order_ref: str | None, at_ms: int, body: bytes
) -> dict[str, Any]:
    """Return a message that became the payment's report."""
    return {
        "webhook_id": webhook_id,
        "source": "webhook",
        "sent_at_ms": at_ms,
        "received_at_ms": at_ms,
        "body": body,
        "body_sha256": b"x" * 32,
        "times_received": 1,
        "bodies_differ": False,
        "state": "mapped",
        "reason": "mapped",
        "attempts": 0,
        "looked_up": False,
        "type": "payment.succeeded",
        "payment_id": payment_id,
        "order_ref": order_ref,
        "transaction_id": payment_id,
    }


def report(
    random: Random,
    transaction_id: str,
    payment_id: str | None,
    order_ref: str | None,
    visitor_id: str | None,
    at_ms: int,
) -> dict[str, Any]:
    """Return a report that stands somewhere."""
    weights, standings = zip(*STANDINGS, strict=True)
    [(state, verdict, reason)] = random.choices(standings, weights)
    if visitor_id is None and verdict == "attributed":
        verdict, reason = "recorded", "recorded_without_visitor"
    currency = random.choices(tuple(PRICES), (70, 15, 14, 1))[0]
    _, amount, amount_minor = PRICES[currency]
    return {
        "transaction_id": transaction_id,
        "kind": "sale",
        "payment_id": payment_id,
        "order_ref": order_ref,
        "depends_on": None,
        "amount": amount,
        "currency": currency,
        "amount_minor": amount_minor,
        "visitor_id": visitor_id,
        "visitor_source": "metadata" if visitor_id else "none",
        "visitor_dropped": visitor_id is not None and verdict == "no_pageview",
        "renewal": False,
        "renewal_proven": True,
        "refunded": False,
        "is_free_trial": False,
        "occurred_at_ms": at_ms,
        "basis": "gross",
        "exponent_unverified": False,
        "state": state,
        "verdict": verdict,
        "reason": reason,
        "confirmed": True,
        "created_at_ms": at_ms + 1000,
        "due_at_ms": at_ms + 2000 if state == "ready" else None,
        "attempts": 1,
        "delete_first": False,
        "delete_only": False,
        "first_sent_at_ms": at_ms + 2000 if state == "done" else None,
        "answered_at_ms": at_ms + 2100 if state == "done" else None,
        "message": "Payment recorded" if state == "done" else None,
    }


def write(connection: Connection, rows: Iterator[Rows]) -> None:
    """Insert journeys, many at a time."""
    waiting = (pair for each in rows for pair in each.each())
    while batch := list(islice(waiting, _BATCH)):
        by_table: dict[Table, list[dict[str, Any]]] = {}
        for table, row in batch:
            by_table.setdefault(table, []).append(row)
        for table, of_table in by_table.items():
            connection.execute(table.insert(), of_table)
