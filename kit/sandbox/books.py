"""The books of the stand-in: find objects, enter payments, and announce both as webhooks."""

from collections.abc import Callable, Sequence
from typing import Any

from kit.sandbox.delivery import Outbox
from kit.sandbox.fixtures import load
from kit.sandbox.money import SETTLEMENT_CURRENCY, settle
from kit.sandbox.refusals import ApiError
from kit.sandbox.stamps import iso, new_id
from kit.sandbox.store import Document, Store

CHECKOUT, CUSTOMER = "checkout", "customer"
PAYMENT, SUBSCRIPTION = "payment", "subscription"
REFUND, DISPUTE, ABANDONED = "refund", "dispute", "abandoned_checkout"


class Books:
    """Objects in the store, and a webhook for each change of one."""

    def __init__(
        self, store: Store, outbox: Outbox, *, public_url: str, clock: Callable[[], float]
    ) -> None:
        """Write to `store` and announce through `outbox`; `public_url` is the buyers' origin."""
        self.store = store
        self._outbox = outbox
        self.public_url = public_url.rstrip("/")
        self.clock = clock

    def find(self, kind: str, key: str) -> Document:
        """Return a fresh copy of an object. Raises ApiError 404."""
        document = self.store.get(kind, key)
        if document is None:
            raise ApiError(404, f"{kind.replace('_', ' ').capitalize()} {key} not found.")
        return document

    def payments_of(self, subscription_id: str) -> list[Document]:
        """Return a subscription's payments, oldest first."""
        return [
            payment
            for payment in self.store.all(PAYMENT)
            if subscription_id in subscription_ids(payment)
        ]

    def enter(
        self,
        status: str,
        *,
        at: float,
        total_minor: int,
        tax_minor: int,
        currency: str,
        without: Sequence[str] = (),
        **fields: Any,
    ) -> Document:
        """Store a payment and queue `payment.{status}`; `fields` are fields of the payment.

        `without` names fields that this payment shall lack, as some older ones do.
        Each payment has an invoice once it succeeded, and settles at the sandbox's own rates.
        """
        payment_id = new_id("pay")
        usual = {
            "payment_id": payment_id,
            "created_at": iso(at),
            "total_amount": total_minor,
            "tax": tax_minor,
            "currency": currency,
            "settlement_amount": settle(total_minor, currency),
            "settlement_tax": settle(tax_minor, currency),
            "settlement_currency": SETTLEMENT_CURRENCY,
            "invoice_id": new_id("inv") if status == "succeeded" else None,
            "invoice_url": f"{self.public_url}/invoices/payments/{payment_id}",
        }
        data = load(f"payment.{status}", **usual | fields)["data"]
        payment = {field: data[field] for field in data if field not in ("payload_type", *without)}
        self.store.put(PAYMENT, payment_id, payment)
        self.announce_payment(payment, at=at)
        return payment

    def amend(self, payment: Document, *, at: float, **fields: Any) -> Document:
        """Change fields of a stored payment; messages still on their way show the change."""
        amended = payment | fields | {"updated_at": iso(at)}
        self.store.put(PAYMENT, payment["payment_id"], amended)
        return amended

    def announce_payment(self, payment: Document, *, at: float) -> None:
        """Queue the event of a payment's present status."""
        self.announce(
            f"payment.{payment['status']}", kind=PAYMENT, key=payment["payment_id"], at=at
        )

    def announce_subscription(
        self,
        subscription: Document,
        event_types: Sequence[str],
        *,
        at: float,
        payment_id: str | None = None,
        past_due_ends_at: str | None = None,
    ) -> None:
        """Queue events of a stored subscription; only `renewed` names the payment."""
        for event_type in event_types:
            renewed = event_type == "subscription.renewed"
            extras = {
                "payment_id": payment_id if renewed else None,
                "past_due_ends_at": past_due_ends_at,
            }
            key = subscription["subscription_id"]
            self.announce(event_type, kind=SUBSCRIPTION, key=key, at=at, extras=extras)

    def announce(
        self,
        event_type: str,
        *,
        kind: str,
        key: str,
        at: float,
        extras: dict[str, Any] | None = None,
    ) -> None:
        """Queue one event; `extras` are fields of this message alone."""
        self._outbox.post(event_type, kind=kind, key=key, occurred_at=at, extras=extras)


def subscription_ids(payment: Document) -> list[str]:
    """Return the subscriptions a payment is for; older ones have the single field only."""
    several: list[str] | None = payment.get("subscription_ids")
    if several is not None:
        return several
    return [payment["subscription_id"]] if payment["subscription_id"] else []
