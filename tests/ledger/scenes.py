"""What tests of several modules have happen in a ledger: visits, orders, payments, answers."""

import json
from typing import Any

from sqlalchemy import Connection, select, update

from kit.helpers.dodo_datafast import Visitor
from kit.ledger.checkouts import begin_checkout, finish_opening
from kit.ledger.claims import Delivery, claim_deliveries
from kit.ledger.deliveries import find_delivery
from kit.ledger.mapping import map_stored_events
from kit.ledger.policy import Policy
from kit.ledger.rows import Row
from kit.ledger.schema import deliveries, events
from kit.ledger.visits import record_visit, visit_from_pageview
from tests.ledger.conftest import Message, Store

NOW_MS = 1_790_856_000_000
VISITOR = "0b8e6c1e-2d1c-4f0a-9f2e-6a4f1f4d7c11"
OTHER = "5c1f8f0e-7f2b-4a51-8f0a-3f6a1e0d9b22"
EMAIL, NAME, CUSTOMER = "ada.planted@example.com", "Ada Planted", "cus_planted"
PERSON = {"customer.email": EMAIL, "customer.name": NAME, "customer.customer_id": CUSTOMER}
NAMELESS = {
    "visitor_id": None,
    "visitor_source": "forgotten",
    "customer_id": None,
    "email": None,
    "name": None,
}
SEND_ALL = Policy(send_customer=True)


def visit(connection: Connection, visitor_id: str = VISITOR) -> None:
    """Have a pageview pass."""
    pageview = {"type": "pageview", "visitorId": visitor_id, "href": "https://contour.example/"}
    found = visit_from_pageview(pageview)
    assert found is not None
    record_visit(connection, found, NOW_MS)


def check_out(
    connection: Connection, order_ref: str, visitor_id: str | None, *, at_ms: int = NOW_MS
) -> Row:
    """Open a checkout session for a visitor."""
    order = begin_checkout(
        connection,
        attempt=order_ref,
        order_ref=order_ref,
        product="coastline",
        visitor=Visitor(
            visitor_id,
            f"s{visitor_id}" if visitor_id else None,
            "captured" if visitor_id else "absent",
        ),
        now_ms=at_ms,
    )
    finish_opening(
        connection, order_ref, dodo_session_id=f"cks_{order_ref}", checkout_url="https://c.example/"
    )
    return order


def named(visitor_id: str, **metadata: str) -> dict[str, Any]:
    """Return the changes of a message whose metadata names a visitor, and whose buyer is known."""
    return {"metadata": {"datafast_visitor_id": visitor_id, **metadata}, **PERSON}


def read_all(connection: Connection, policy: Policy = SEND_ALL, now_ms: int = NOW_MS) -> None:
    """Map until nothing waits."""
    while map_stored_events(connection, policy, now_ms):
        pass


def sell(
    connection: Connection,
    message: Message,
    store: Store,
    payment_id: str,
    **changes: Any,
) -> Row:
    """Store and map a payment's message, and return its report."""
    store(message(f"msg_{payment_id}", payment_id=payment_id, **changes))
    read_all(connection)
    return report(connection, payment_id)


def report(connection: Connection, transaction_id: str) -> Row:
    """Return one report that must be there."""
    row = find_delivery(connection, transaction_id)
    assert row is not None, transaction_id
    return row


def person_of(row: Row) -> dict[str, Any]:
    """Return what a report says of its buyer."""
    return {name: row[name] for name in NAMELESS}


def change(connection: Connection, transaction_id: str, **values: Any) -> None:
    """Put a report into a state."""
    connection.execute(
        update(deliveries).where(deliveries.c.transaction_id == transaction_id).values(**values)
    )


def sent(connection: Connection, transaction_id: str, **values: Any) -> None:
    """Have a report answered."""
    answered = {
        "state": "done",
        "reason": "attributed",
        "verdict": "attributed",
        "due_at_ms": None,
        "first_sent_at_ms": NOW_MS,
        "answered_at_ms": NOW_MS,
        "attempts": 1,
    }
    change(connection, transaction_id, **answered | values)


def claim(
    connection: Connection,
    *,
    limit: int = 100,
    owner: str = "me",
    now_ms: int = NOW_MS,
    per_minute: float = 6_000_000,
) -> list[Delivery]:
    """Claim as a worker does; nothing holds it up, if nothing else is said."""
    return claim_deliveries(
        connection,
        lane="lane",
        owner=owner,
        per_minute=per_minute,
        limit=limit,
        lease_ms=60_000,
        now_ms=now_ms,
    )


def body_of(connection: Connection, webhook_id: str) -> dict[str, Any] | None:
    """Return what a message still says."""
    body = connection.scalar(select(events.c.body).where(events.c.webhook_id == webhook_id))
    found: dict[str, Any] | None = None if body is None else json.loads(body)
    return found
