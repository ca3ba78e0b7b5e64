"""From stored messages to deliveries: inside one transaction, without a call to anybody."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from kit.helpers.dodo_datafast import (
    ORDER_REF_KEY,
    VISITOR_COOKIE,
    Basis,
    Event,
    Known,
    PayloadError,
    Payment,
    Signed,
    Skip,
    payment_for,
    read_event,
)
from kit.ledger.checkouts import checkout_of_payment, record_payment_status
from kit.ledger.deliveries import create_delivery
from kit.ledger.events import settle_event, stored_events
from kit.ledger.rows import Row, upsert
from kit.ledger.schema import payments
from kit.ledger.stamps import milliseconds, moment_of


@dataclass(frozen=True, slots=True)
class Policy:
    """How this shop counts: the settings that decide what becomes of an event."""

    basis: Basis = "gross"
    send_customer: bool = False
    brands: frozenset[str] = frozenset()
    """Brand ids to count; empty counts all."""
    held_for: str | None = None
    """The reason that keeps every delivery from being sent, such as "test_mode"."""


def map_stored_events(connection: Connection, policy: Policy, now_ms: int) -> int:
    """Read the oldest stored messages and write down what they mean; return how many."""
    rows = stored_events(connection)
    for row in rows:
        settle_event(connection, row["webhook_id"], **_outcome(connection, row, policy, now_ms))
    return len(rows)


def _outcome(connection: Connection, row: Row, policy: Policy, now_ms: int) -> dict[str, Any]:
    try:
        event = read_event(Signed(row["webhook_id"], moment_of(row["sent_at_ms"]), row["body"]))
    except PayloadError as refused:
        return {"state": "unreadable", "reason": refused.reason}
    facts = _facts(event)
    checkout = checkout_of_payment(
        connection,
        order_ref=_metadata(event).get(ORDER_REF_KEY),
        dodo_session_id=facts["checkout_session_id"],
    )
    order_ref = checkout["order_ref"] if checkout is not None else None
    described = {
        "type": event.type,
        "payment_id": facts["payment_id"],
        "order_ref": order_ref,
    }
    if event.type.startswith("payment.") and facts["payment_id"] is not None:
        upsert(connection, payments, key="payment_id", values={**facts, "order_ref": order_ref})
        if order_ref is not None and facts["status"] is not None:
            record_payment_status(
                connection, order_ref, payment_id=facts["payment_id"], status=facts["status"]
            )
    outcome: Payment | Skip
    if policy.brands and facts["brand_id"] is not None and facts["brand_id"] not in policy.brands:
        outcome = Skip("other_brand")
    else:
        known = Known(
            visitor_id=checkout["visitor_id"] if checkout is not None else None,
            visitor_source="ledger",
        )
        outcome = payment_for(event, known, basis=policy.basis, send_customer=policy.send_customer)
    if isinstance(outcome, Skip):
        return described | {"state": "skipped", "reason": outcome.reason}
    create_delivery(
        connection,
        outcome,
        payment_id=str(facts["payment_id"]),
        order_ref=order_ref,
        visitor_source=_visitor_source(event, outcome),
        basis=policy.basis,
        # A payment that was read from Dodo's API, or follows our own checkout, is surely there.
        confirmed=order_ref is not None or row["source"] == "api",
        held_for=policy.held_for,
        now_ms=now_ms,
    )
    return described | {
        "state": "mapped",
        "reason": "mapped",
        "transaction_id": outcome.transaction_id,
    }


def _visitor_source(event: Event, payment: Payment) -> str:
    if payment.datafast_visitor_id is None:
        return "none"
    carried = _metadata(event).get(VISITOR_COOKIE) == payment.datafast_visitor_id
    return "metadata" if carried else "ledger"


def _facts(event: Event) -> dict[str, Any]:
    """Read what later events may need of a payment; a field of the wrong type counts as absent."""
    data = event.data
    customer = data.get("customer")
    return {
        "payment_id": _identifier(data.get("payment_id")),
        "checkout_session_id": _identifier(data.get("checkout_session_id")),
        "subscription_id": _identifier(data.get("subscription_id")),
        "customer_id": _identifier(
            customer.get("customer_id") if isinstance(customer, Mapping) else None
        ),
        "brand_id": _identifier(data.get("brand_id")),
        "visitor_id": _metadata(event).get(VISITOR_COOKIE),
        "status": _identifier(data.get("status")),
        "charge_type": _identifier(data.get("charge_type")),
        "total_minor": _minor(data.get("total_amount")),
        "tax_minor": _minor(data.get("tax")),
        "currency": _identifier(data.get("currency")),
        "settlement_minor": _minor(data.get("settlement_amount")),
        "settlement_tax_minor": _minor(data.get("settlement_tax")),
        "settlement_currency": _identifier(data.get("settlement_currency")),
        "is_update_payment_method": data.get("is_update_payment_method") is True,
        "created_at_ms": milliseconds(event.timestamp),
    }


def _metadata(event: Event) -> dict[str, str]:
    found = event.data.get("metadata")
    if not isinstance(found, Mapping):
        return {}
    return {key: value for key, value in found.items() if _identifier(value) is not None}


def _identifier(value: object) -> str | None:
    """Accept short printable ASCII: a text column takes no NUL and no lone surrogate."""
    fits = isinstance(value, str) and 0 < len(value) <= 128 and value.isascii()
    return str(value) if fits and str(value).isprintable() else None


def _minor(value: object) -> int | None:
    fits = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53
    return value if fits and isinstance(value, int) else None
