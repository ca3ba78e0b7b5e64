"""Webhook messages of one shop, as short calls: ids, figures and days; the rest is usual."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from kit.helpers.dodo_datafast import Signed
from kit.sandbox import fixtures

ADA = "0b8e6c1e-2d1c-4f0a-9f2e-6a4f1f4d7c11"
BEA = "1f0c8a52-7d0e-4c5b-9a53-2f6f1f3f9b11"
OPENED = datetime(2026, 10, 1, 12, 0, tzinfo=UTC)
"""When the ledger is new. What happened on an earlier day is older than it."""


def day(number: float) -> datetime:
    """Return the moment so many days after the ledger was new."""
    return OPENED + timedelta(days=number)


@dataclass(frozen=True, slots=True)
class Message:
    """One message: `changes` are of its object, `without` names fields that old payloads lack."""

    id: str
    type: str
    changes: Mapping[str, Any]
    at: datetime
    without: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Fields that no version of the SDK knows."""
    new_type: str | None = None
    """A type that no version of the SDK knows."""

    def document(self) -> dict[str, Any]:
        """Return the object as Dodo's API has it: whole, however old the message's form is."""
        data: dict[str, Any] = fixtures.load(self.type, **self.changes)["data"]
        return {name: value for name, value in data.items() if name != "payload_type"}

    def signed(self) -> Signed:
        """Return the proven bytes."""
        envelope = fixtures.load(self.type, timestamp=_iso(self.at), **self.changes)
        data = envelope["data"] | dict(self.extra)
        envelope["data"] = {name: data[name] for name in data if name not in self.without}
        envelope["type"] = self.new_type or self.type
        return Signed(self.id, self.at, json.dumps(envelope).encode())


def sold(
    payment_id: str | None = "pay_1",
    total: Any = 2900,
    *,
    on: float = 1,
    currency: str = "USD",
    tax: int | None = 0,
    visitor: str | None = ADA,
    sub: str | Iterable[str] = (),
    charge: str | None = None,
    order_ref: str | None = None,
    session: str | None = None,
    kind: str = "succeeded",
    id: str | None = None,  # noqa: A002 - the header's name
    without: tuple[str, ...] = (),
    extra: Mapping[str, Any] | None = None,
    **changes: Any,
) -> Message:
    """Return `payment.succeeded`, or another `kind`: `total` and `tax` in minor units, on a day."""
    subs = [sub] if isinstance(sub, str) else list(sub)
    metadata = {"datafast_visitor_id": visitor, "order_ref": order_ref}
    usual = {
        "payment_id": payment_id,
        "total_amount": total,
        "tax": tax,
        "currency": currency,
        "settlement_amount": total,
        "settlement_tax": tax,
        "settlement_currency": currency,
        "metadata": {name: value for name, value in metadata.items() if value is not None},
        "checkout_session_id": session,
        "subscription_id": subs[0] if len(subs) == 1 else None,
        "subscription_ids": subs,
        "is_multi_subscription": len(subs) > 1,
        "charge_type": charge,
        "product_cart": None if subs else [{"product_id": "pdt_coastline", "quantity": 1}],
        "created_at": _iso(day(on)),
    }
    return Message(
        id or f"{kind} {payment_id}",
        f"payment.{kind}",
        usual | changes,
        day(on) + timedelta(seconds=37),
        without,
        extra or {},
    )


# Fields of a payment that came after July 2026 (facts of the SDK's history).
YOUNG = (
    "charge_type",
    "service_periods",
    "subscription_ids",
    "is_multi_subscription",
    "includes_usage",
)
OLDEST = (
    *YOUNG,
    "is_update_payment_method",
    "retry_attempt",
    "payment_provider",
    "checkout_session_id",
    "brand_id",
)


def refunded(
    payment_id: str = "pay_1",
    amount: Any = 2900,
    *,
    refund_id: str | None = "ref_1",
    on: float = 3,
    currency: str | None = "USD",
    is_partial: bool = False,
    kind: str = "succeeded",
    id: str | None = None,  # noqa: A002 - the header's name
    **changes: Any,
) -> Message:
    """Return `refund.succeeded`, or another `kind`."""
    usual = {
        "refund_id": refund_id,
        "payment_id": payment_id,
        "amount": amount,
        "currency": currency,
        "is_partial": is_partial,
        "created_at": _iso(day(on)),
    }
    return Message(id or f"refund {refund_id}", f"refund.{kind}", usual | changes, day(on))


def disputed(
    payment_id: str = "pay_1",
    amount: Any = "2900",
    *,
    kind: str = "lost",
    dispute_id: str | None = "dp_1",
    on: float = 9,
    currency: str | None = "USD",
    id: str | None = None,  # noqa: A002 - the header's name
    **changes: Any,
) -> Message:
    """Return `dispute.lost`, or another `kind`; the amount is a string of unknown unit."""
    usual = {
        "dispute_id": dispute_id,
        "payment_id": payment_id,
        "amount": amount,
        "currency": currency,
        "created_at": _iso(day(on - 2)),
    }
    return Message(id or f"{kind} {dispute_id}", f"dispute.{kind}", usual | changes, day(on))


def subscribed(
    subscription_id: str = "sub_1",
    *,
    on: float = 1,
    created_on: float | None = None,
    trial_days: int = 0,
    visitor: str | None = ADA,
    order_ref: str | None = None,
    currency: str = "USD",
    kind: str = "active",
    id: str | None = None,  # noqa: A002 - the header's name
    **changes: Any,
) -> Message:
    """Return `subscription.active`, or another `kind`, sent `on` a day."""
    metadata = {"datafast_visitor_id": visitor, "order_ref": order_ref}
    usual = {
        "subscription_id": subscription_id,
        "currency": currency,
        "trial_period_days": trial_days,
        "metadata": {name: value for name, value in metadata.items() if value is not None},
        "created_at": _iso(day(on if created_on is None else created_on)),
    }
    return Message(
        id or f"{kind} {subscription_id}",
        f"subscription.{kind}",
        usual | changes,
        day(on) + timedelta(seconds=37),
    )


def recovered(payment_id: str, by: str, *, on: float = 2) -> Message:
    """Return `abandoned_checkout.recovered`: one payment was abandoned, another one paid."""
    changes = {"payment_id": payment_id, "recovered_payment_id": by}
    return Message(f"recovered {payment_id}", "abandoned_checkout.recovered", changes, day(on))


def other(event_type: str, **changes: Any) -> Message:
    """Return a message of any other type."""
    return Message(event_type, event_type, changes, day(2))


def _iso(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
