"""Abandoned checkouts: a payment that failed is paid later, under another id."""

from typing import Any

from kit.sandbox.basket import service_period
from kit.sandbox.books import ABANDONED, SUBSCRIPTION, Books, subscription_ids
from kit.sandbox.fixtures import load
from kit.sandbox.refusals import ApiError
from kit.sandbox.stamps import iso, month_later
from kit.sandbox.store import Document

STEPS = ("both", "detected", "recovered")


class Recoveries:
    """Detect an abandoned checkout, and win its buyer back."""

    def __init__(self, books: Books) -> None:
        """Enter recovered payments in `books`."""
        self._books = books

    def detect(self, payment: Document, *, at: float) -> Document:
        """Note a payment that did not succeed as abandoned: `abandoned_checkout.detected`."""
        if payment["status"] == "succeeded":
            raise ApiError(409, "A payment that succeeded was not abandoned.")
        data = load(
            "abandoned_checkout.detected",
            payment_id=payment["payment_id"],
            customer_id=payment["customer"]["customer_id"],
            brand_id=payment["brand_id"],
            abandoned_at=iso(at),
            abandonment_reason="payment_failed",
        )["data"]
        abandoned = {field: data[field] for field in data if field != "payload_type"}
        with self._books.store.together():
            self._announce(abandoned, "detected", at=at)
        return abandoned

    def recover(
        self, payment: Document, *, at: float, metadata: dict[str, Any], session_id: str | None
    ) -> Document:
        """Pay what was abandoned: a new payment, and `abandoned_checkout.recovered` naming it.

        Whether Dodo carries the metadata and the session's id over is not documented, so both are
        the caller's choice.
        """
        abandoned = self._books.store.get(ABANDONED, payment["payment_id"])
        if abandoned is None:
            raise ApiError(409, "This payment has not been detected as abandoned.")
        if abandoned["recovered_payment_id"]:
            raise ApiError(409, "This payment is recovered already.")
        kept = (
            *("customer", "billing", "subscription_id", "product_cart"),
            *("subscription_ids", "is_multi_subscription", "charge_type"),
        )
        with self._books.store.together():
            subscriptions = [
                self._start(subscription_id, at) for subscription_id in subscription_ids(payment)
            ]
            recovered = self._books.enter(
                "succeeded",
                at=at,
                total_minor=payment["total_amount"],
                tax_minor=payment["tax"] or 0,
                currency=payment["currency"],
                metadata=metadata,
                checkout_session_id=session_id,
                service_periods=[service_period(one) for one in subscriptions],
                **{field: payment[field] for field in kept if field in payment},
            )
            for subscription in subscriptions:
                types = ["subscription.active", "subscription.renewed", "subscription.updated"]
                self._books.announce_subscription(
                    subscription, types, at=at, payment_id=recovered["payment_id"]
                )
            abandoned["status"] = "recovered"
            abandoned["recovered_payment_id"] = recovered["payment_id"]
            self._announce(abandoned, "recovered", at=at)
        return recovered

    def _start(self, subscription_id: str, at: float) -> Document:
        subscription = self._books.find(SUBSCRIPTION, subscription_id) | {
            "status": "active",
            "has_payment_method": True,
            "previous_billing_date": iso(at),
            "next_billing_date": iso(month_later(at)),
        }
        self._books.store.put(SUBSCRIPTION, subscription_id, subscription)
        return subscription

    def _announce(self, abandoned: Document, step: str, *, at: float) -> None:
        key = abandoned["payment_id"]
        self._books.store.put(ABANDONED, key, abandoned)
        self._books.announce(f"abandoned_checkout.{step}", kind=ABANDONED, key=key, at=at)
