"""Statements on `deliveries`: one row for each report to DataFast, keyed by `transaction_id`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from kit.helpers.dodo_datafast import EXPONENT_UNVERIFIED, Payment
from kit.ledger.rows import Row, insert_or_ignore
from kit.ledger.schema import deliveries
from kit.ledger.stamps import milliseconds, moment_of

_DELIVERY = select(deliveries).where(deliveries.c.transaction_id == bindparam("wanted"))
_FROZEN = ("amount", "currency", "refunded", "is_free_trial")
_FILLABLE = ("visitor_id", "customer_id", "email", "name", "order_ref")
FORGOTTEN: Mapping[str, Any] = MappingProxyType(
    {
        "visitor_id": None,
        "visitor_source": "forgotten",
        "customer_id": None,
        "email": None,
        "name": None,
    }
)
"""What a report holds of a visitor who asked to be forgotten."""


@dataclass(frozen=True, slots=True)
class NewDelivery:
    """A report to be made, and what keeps it from being made at once."""

    payment: Payment
    kind: str
    """"sale", "refund", "dispute" or "trial"."""
    payment_id: str | None
    subscription_id: str | None
    order_ref: str | None
    depends_on: str | None
    """The sale that must be reported before."""
    amount_minor: int
    visitor_source: str
    basis: str
    confirmed: bool
    renewal_proven: bool
    held_for: str | None = None
    hold_s: float | None = None
    """When a hold ends by itself; None holds until something ends it."""
    parked_for: str | None = None


def create_delivery(connection: Connection, new: NewDelivery, *, now_ms: int) -> None:
    """
    Create a payment's delivery, or fill in what the one that is there still lacks.

    The first message decides id, amount and currency; a later one that differs is shown as drift.
    """
    payment = new.payment
    reason = new.parked_for or new.held_for or "queued"
    due_at_ms = now_ms + int((new.hold_s or 0) * 1000)
    waits_for_good = new.parked_for or (new.held_for and new.hold_s is None)
    values = {
        "payment_id": new.payment_id,
        "subscription_id": new.subscription_id,
        "order_ref": new.order_ref,
        "amount": str(payment.amount),
        "currency": payment.currency,
        "visitor_id": payment.datafast_visitor_id,
        "customer_id": payment.customer_id,
        "email": payment.email,
        "name": payment.name,
        "refunded": payment.refunded,
        "is_free_trial": payment.is_free_trial,
    }
    created = connection.execute(
        insert_or_ignore(connection, deliveries),
        {
            "transaction_id": payment.transaction_id,
            "kind": new.kind,
            "depends_on": new.depends_on,
            "amount_minor": new.amount_minor,
            **values,
            "renewal": payment.renewal,
            "renewal_proven": new.renewal_proven,
            "visitor_source": new.visitor_source,
            "visitor_dropped": False,
            "occurred_at_ms": milliseconds(payment.timestamp),
            "basis": new.basis,
            "exponent_unverified": payment.currency in EXPONENT_UNVERIFIED,
            "state": "parked" if new.parked_for else "held" if new.held_for else "ready",
            "reason": reason,
            "confirmed": new.confirmed,
            "created_at_ms": now_ms,
            "due_at_ms": None if waits_for_good else due_at_ms,
            "attempts": 0,
            "delete_first": False,
        },
    )
    if created.rowcount == 0:
        _fill(connection, new, values)


def _fill(connection: Connection, new: NewDelivery, values: dict[str, Any]) -> None:
    there = find_delivery(connection, new.payment.transaction_id)
    if there is None or new.depends_on is not None:
        return  # what a reversal takes depends on the others, so a repeat may well differ
    drift = [name for name in _FROZEN if there[name] != values[name]]
    changes: dict[str, Any] = {"drift": ", ".join(drift)} if drift else {}
    if there["first_sent_at_ms"] is None:
        changes |= {
            name: values[name]
            for name in _FILLABLE
            if there[name] is None and values[name] is not None
        }
        if "visitor_id" in changes:
            changes["visitor_source"] = new.visitor_source
        if "forgotten" in (there["visitor_source"], new.visitor_source):
            changes |= FORGOTTEN
        if new.confirmed and not there["confirmed"]:
            changes["confirmed"] = True
        if new.renewal_proven and not there["renewal_proven"]:
            changes |= {"renewal": new.payment.renewal, "renewal_proven": True}
    if changes:
        connection.execute(one(new.payment.transaction_id).values(**changes))


def join_return(
    connection: Connection, order_ref: str, *, visitor_id: str | None, now_ms: int
) -> None:
    """
    Let the sale that waited for its buyer go, with the visitor that the return page showed.

    Once it is sent a visitor comes too late and changes nothing here.
    """
    unsent = (deliveries.c.order_ref == order_ref, deliveries.c.first_sent_at_ms.is_(None))
    if visitor_id is not None:
        connection.execute(
            update(deliveries)
            .where(
                *unsent,
                deliveries.c.kind == "sale",
                deliveries.c.visitor_id.is_(None),
                deliveries.c.visitor_source != "forgotten",
            )
            .values(visitor_id=visitor_id, visitor_source="return")
        )
    connection.execute(
        update(deliveries)
        .where(*unsent, deliveries.c.state == "held", deliveries.c.reason == "awaiting_return")
        .values(state="ready", reason="queued", due_at_ms=now_ms)
    )


def find_delivery(connection: Connection, transaction_id: str) -> Row | None:
    """Return one delivery."""
    found = connection.execute(_DELIVERY, {"wanted": transaction_id})
    return found.mappings().one_or_none()


def one(transaction_id: str) -> Any:
    """Return an UPDATE of one delivery."""
    return update(deliveries).where(deliveries.c.transaction_id == transaction_id)


def payment_of(row: Row) -> Payment:
    """Return the report of a delivery; a row may leave out who paid."""
    return Payment(
        amount=Decimal(row["amount"]),
        currency=row["currency"],
        transaction_id=row["transaction_id"],
        datafast_visitor_id=None if row["visitor_dropped"] else row["visitor_id"],
        email=row.get("email"),
        name=row.get("name"),
        customer_id=row["customer_id"],
        renewal=row["renewal"],
        refunded=row["refunded"],
        is_free_trial=row["is_free_trial"],
        timestamp=moment_of(row["occurred_at_ms"]),
    )


def changed_since(connection: Connection, *, limit: int = 50) -> Sequence[Row]:
    """Return the newest reports of which a later message said something else, and of what."""
    columns = deliveries.c
    query = (
        select(columns.transaction_id, columns.payment_id, columns.order_ref, columns.drift)
        .where(columns.drift.is_not(None))
        .order_by(columns.created_at_ms.desc())
        .limit(limit)
    )
    return connection.execute(query).mappings().all()
