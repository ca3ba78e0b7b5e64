"""A cart with its prices, and what of it a payment mentions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kit.sandbox.money import included_tax
from kit.sandbox.products import Product
from kit.sandbox.store import Document


@dataclass(frozen=True, slots=True)
class Line:
    """One cart line: `amount_minor` is its full price, `due_minor` what is charged today.

    `trial_amount_minor` is the price of a paid trial; None makes it a free one. `on_demand_minor`
    is what an on-demand subscription takes today instead of its price.
    """

    product: Product
    quantity: int
    trial_period_days: int
    trial_amount_minor: int | None = None
    on_demand_minor: int | None = None

    @property
    def amount_minor(self) -> int:
        """Price times quantity, tax included."""
        return self.product.price_minor * self.quantity

    @property
    def due_minor(self) -> int:
        """Nothing on a free trial, the trial's price on a paid one, otherwise the full price."""
        if self.trial_period_days:
            return self.trial_amount_minor or 0
        return self.amount_minor if self.on_demand_minor is None else self.on_demand_minor

    @property
    def tax_minor(self) -> int:
        """The tax inside what is due today."""
        return included_tax(self.due_minor, self.product.tax_percent)


def lines_of(
    session: Document, products: Mapping[str, Product], *, trial_amount_minor: int | None
) -> list[Line]:
    """Return a session's cart lines; the order's trial overrides the product's.

    `trial_amount_minor` makes the trials of products without a trial price paid ones.
    """
    order = session["order"]
    lines = []
    for item in order["cart"]:
        product = products[item["product_id"]]
        if product.interval is None:
            lines.append(Line(product, item["quantity"], 0))
            continue
        override = order["trial_period_days"]
        days = product.trial_period_days if override is None else override
        paid_trial = product.trial_amount_minor or trial_amount_minor
        on_demand = order.get("on_demand")  # sessions of an older demo do not have it
        lines.append(Line(product, item["quantity"], days, paid_trial, on_demand))
    return lines


def one_time_cart(lines: list[Line]) -> list[dict[str, Any]] | None:
    """Return the one-time products; Dodo sends null when there are only subscriptions."""
    cart = [
        {"product_id": line.product.product_id, "quantity": line.quantity}
        for line in lines
        if line.product.interval is None
    ]
    return cart or None


def service_periods(lines: list[Line], subscriptions: list[Document]) -> list[dict[str, Any]]:
    """Return what the first payment pays for; a free trial pays for nothing yet."""
    recurring = [line for line in lines if line.product.interval]
    return [
        service_period(subscription)
        for line, subscription in zip(recurring, subscriptions, strict=True)
        if line.due_minor and not subscription["on_demand"]
    ]


def service_period(subscription: Document) -> dict[str, Any]:
    """Return a subscription's present period, paid for in full."""
    return {
        "subscription_id": subscription["subscription_id"],
        "starts_at": subscription["previous_billing_date"],
        "ends_at": subscription["next_billing_date"],
        "proration_factor": "1",
    }
