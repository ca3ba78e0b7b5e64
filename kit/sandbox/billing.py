"""What happens to subscriptions after their start: charges, plan changes, endings."""

from collections.abc import Mapping
from typing import Any

from kit.sandbox.basket import service_period
from kit.sandbox.books import SUBSCRIPTION, Books, subscription_ids
from kit.sandbox.money import included_tax
from kit.sandbox.products import Product
from kit.sandbox.proration import plan_charge
from kit.sandbox.refusals import ApiError
from kit.sandbox.stamps import days_later, iso, month_later, new_id, seconds
from kit.sandbox.store import Document
from kit.sandbox.terms import Terms

HELD = ("on_hold", "past_due")
RENEWABLE = ("active", *HELD)
GRACE_DAYS = 3
# What ends or pauses a subscription: its status then, and the event.
MOVES = {
    "cancel": ("cancelled", "subscription.cancelled"),
    "expire": ("expired", "subscription.expired"),
    "fail": ("failed", "subscription.failed"),
    "pause": ("paused", "subscription.paused"),
    "unpause": ("active", "subscription.unpaused"),
}


class Billing:
    """Charge subscriptions again, change them and end them."""

    def __init__(self, books: Books, *, products: Mapping[str, Product]) -> None:
        """Enter charges in `books`, at the prices of `products`."""
        self._books = books
        self._products = products

    def renew(self, subscriptions: list[Document], terms: Terms) -> Document:
        """Charge the next period, as one payment; also the first charge after a trial.

        `payment.succeeded`, then for each subscription `active` if it was held, `renewed` and
        `updated`; or `payment.failed` and `on_hold` or `past_due`. A retry after a failure counts
        its attempts. Raises ApiError 409 for one that has ended.
        """
        for subscription in subscriptions:
            if subscription["status"] not in RENEWABLE:
                raise ApiError(
                    409, f"A subscription that is {subscription['status']} has no charge."
                )
        paid = terms.outcome == "succeeded"
        after = [
            _next_period(subscription) if paid else subscription | {}
            for subscription in subscriptions
        ]
        attempt = terms.retry_attempt
        if attempt is None:
            attempt = max(self._attempts(subscription) for subscription in subscriptions)
        with self._books.store.together():
            payment = self._charge(
                after,
                terms,
                amount_minor=sum(one["recurring_pre_tax_amount"] for one in subscriptions),
                charge_type="renewal",
                retry_attempt=attempt,
                service_periods=[service_period(one) for one in after] if paid else [],
            )
            for before, subscription in zip(subscriptions, after, strict=True):
                self._settle(before, subscription, payment, terms)
        return payment

    def end_trial(self, subscription: Document, terms: Terms) -> Document:
        """End the trial now and take the first full charge, "a normal renewal charge"."""
        if not subscription["trial_period_days"]:
            raise ApiError(409, "This subscription has no trial.")
        ends_at = min(terms.at, seconds(subscription["next_billing_date"]))
        return self.renew([subscription | {"next_billing_date": iso(ends_at)}], terms)

    def change_plan(
        self, subscription: Document, product_id: str, *, quantity: int, mode: str, terms: Terms
    ) -> Document | None:
        """Move to another product, and take at once what `mode` asks for; None for nothing.

        `full_immediately` starts a new period; prorated modes take the dearer plan's difference
        for the time left. A plan that is not dearer takes nothing (Dodo gives credit instead).
        Sends `payment.succeeded`, `subscription.plan_changed` and `subscription.updated`.
        """
        product = self._products.get(product_id)
        if product is None or product.interval is None:
            raise ApiError(404, f"Subscription product {product_id} not found.")
        if product.currency != subscription["currency"]:
            raise ApiError(422, "The sandbox changes plans within one currency only.")
        price = product.price_minor * quantity
        due = terms.amount_minor
        if due is None:
            due = plan_charge(subscription, price, mode=mode, at=terms.at)
        after = subscription | {
            "product_id": product_id,
            "quantity": quantity,
            "recurring_pre_tax_amount": price,
        }
        if mode == "full_immediately":
            after["previous_billing_date"] = iso(terms.at)
            after["next_billing_date"] = iso(month_later(terms.at))
        period = service_period(after) | {"starts_at": iso(terms.at)}
        with self._books.store.together():
            payment = None
            if due:
                payment = self._charge(
                    [after],
                    terms,
                    amount_minor=due,
                    charge_type="plan_change",
                    service_periods=[period] if terms.outcome == "succeeded" else [],
                )
            if payment is None or payment["status"] == "succeeded":
                self._put(after)
                types = ["subscription.plan_changed", "subscription.updated"]
                self._books.announce_subscription(after, types, at=terms.at)
        return payment

    def charge(self, subscription: Document, terms: Terms) -> Document:
        """Take an amount on demand: a payment and `subscription.updated`; no period moves."""
        with self._books.store.together():
            payment = self._charge([subscription], terms, amount_minor=0, charge_type="on_demand")
            self._books.announce_subscription(subscription, ["subscription.updated"], at=terms.at)
        return payment

    def update_payment_method(
        self, subscription: Document, terms: Terms, *, due_charge: bool
    ) -> Document:
        """Take a new card: a set-up payment (0 unless the terms say more) and the event of it.

        A held subscription becomes active again; with `due_charge` the failed renewal is charged,
        which returns that payment instead of the set-up one.
        """
        after = subscription | {"has_payment_method": True}
        held = subscription["status"] in HELD
        with self._books.store.together():
            payment = self._charge(
                [after], terms, amount_minor=0, charge_type=None, is_update_payment_method=True
            )
            types = ["subscription.update_payment_method"]
            if held and not due_charge:
                after["status"] = "active"
                types += ["subscription.active", "subscription.updated"]
            self._put(after)
            self._books.announce_subscription(after, types, at=terms.at)
        return self.renew([after], Terms(at=terms.at)) if held and due_charge else payment

    def move(self, subscription: Document, action: str, *, at: float) -> Document:
        """Cancel, expire, fail, pause or unpause, with its event and `updated`."""
        status, event_type = MOVES[action]
        after = subscription | {
            "status": status,
            "cancelled_at": iso(at) if status == "cancelled" else subscription["cancelled_at"],
            "paused_at": iso(at) if status == "paused" else None,
        }
        with self._books.store.together():
            self._put(after)
            types = [event_type, "subscription.updated"]
            self._books.announce_subscription(after, types, at=at)
        return after

    def settle(self, payment: Document, status: str, *, at: float) -> Document:
        """Let a payment that is processing succeed, fail or be cancelled, and what follows.

        Raises ApiError 409 for one that is settled.
        """
        if payment["status"] != "processing":
            raise ApiError(409, f"This payment is {payment['status']} already.")
        paid = status == "succeeded"
        renews = payment.get("charge_type") == "renewal"
        keys = subscription_ids(payment) if renews else []
        before = [self._books.find(SUBSCRIPTION, key) for key in keys]
        after = [_next_period(one) if paid else one | {} for one in before]
        with self._books.store.together():
            settled = self._books.amend(
                payment,
                at=at,
                status=status,
                invoice_id=new_id("inv") if paid else None,
                service_periods=[service_period(one) for one in after] if paid else [],
            )
            self._books.announce_payment(settled, at=at)
            for old, new in zip(before, after, strict=True):
                self._settle(old, new, settled, Terms(at=at, outcome=status))
        return settled

    def _charge(
        self,
        subscriptions: list[Document],
        terms: Terms,
        *,
        amount_minor: int,
        charge_type: str | None,
        **fields: Any,
    ) -> Document:
        first = subscriptions[0]
        ids = [subscription["subscription_id"] for subscription in subscriptions]
        total = amount_minor if terms.amount_minor is None else terms.amount_minor
        percent = self._products[first["product_id"]].tax_percent
        return self._books.enter(
            terms.outcome,
            at=terms.at,
            total_minor=total,
            tax_minor=included_tax(total, percent),
            currency=terms.currency or first["currency"],
            without=terms.without,
            **{
                "customer": first["customer"],
                "billing": first["billing"],
                "metadata": first["metadata"] if terms.metadata is None else terms.metadata,
                "checkout_session_id": None,
                "subscription_id": ids[0] if len(ids) == 1 else None,
                "subscription_ids": ids,
                "is_multi_subscription": len(ids) > 1,
                "charge_type": charge_type,
                "product_cart": None,
            }
            | fields
            | dict(terms.fields or {}),
        )

    def _settle(self, before: Document, after: Document, payment: Document, terms: Terms) -> None:
        """Store the subscription after a charge and announce what it became."""
        past_due_ends_at = None
        types: list[str] = []
        match terms.outcome:
            case "succeeded":
                after["status"] = "active"
                types = ["subscription.active"] if before["status"] in HELD else []
                types += ["subscription.renewed", "subscription.updated"]
            case "failed":
                after["status"] = terms.held
                types = [f"subscription.{terms.held}"]
                if terms.held == "past_due":
                    past_due_ends_at = iso(days_later(terms.at, GRACE_DAYS))
        self._put(after)
        self._books.announce_subscription(
            after,
            types,
            at=terms.at,
            payment_id=payment["payment_id"],
            past_due_ends_at=past_due_ends_at,
        )

    def _attempts(self, subscription: Document) -> int:
        """Count the failed charges of the period that is due."""
        failed = 0
        for payment in self._books.payments_of(subscription["subscription_id"]):
            if payment.get("is_update_payment_method"):
                continue
            failed = failed + 1 if payment["status"] == "failed" else 0
        return failed if subscription["status"] in HELD else 0

    def _put(self, subscription: Document) -> None:
        self._books.store.put(SUBSCRIPTION, subscription["subscription_id"], subscription)


def _next_period(subscription: Document) -> Document:
    starts_at = subscription["next_billing_date"]
    ends_at = iso(month_later(seconds(starts_at)))
    return subscription | {"previous_billing_date": starts_at, "next_billing_date": ends_at}
