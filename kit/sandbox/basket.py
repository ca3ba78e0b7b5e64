"""A cart with its prices, and what of it a payment mentions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kit.sandbox.money import included_tax
from kit.sandbox.products import Product
from kit.sandbox.store import Document


@dataclass(frozen=True, slots=True)
class Line:
    """One cart line: `amount_minor` is its full price, `due_minor` what is charged today."""

    product: Product
    quantity: int
    trial_period_days: int

    @property
    def amount_minor(self) -> int:
        """Price times quantity, tax included."""
        return self.product.price_minor * self.quantity

    @property
    def due_minor(self) -> int:
        """Nothing on a free trial, otherwise the full price."""
        return 0 if self.trial_period_days else self.amount_minor

    @property
    def tax_minor(self) -> int:
        """The tax inside what is due today."""
        return included_tax(self.due_minor, self.product.tax_percent)


def lines_of(session: Document, products: Mapping[str, Product]) -> list[Line]:
    """Return a session's cart lines; the order's trial overrides the product's."""
    override = session["order"]["trial_period_days"]
    lines = []
    for item in session["order"]["cart"]:
        product = products[item["product_id"]]
        days = product.trial_period_days if override is None else override
        lines.append(Line(product, item["quantity"], days if product.interval else 0))
    return lines


def one_time_cart(lines: list[Line]) -> list[dict[str, Any]] | None:
    """Return the one-time products; Dodo sends null when there are only subscriptions."""
    cart = [
        {"product_id": line.product.product_id, "quantity": line.quantity}
        for line in lines
        if line.product.interval is None
    ]
    return cart or None


def service_periods(subscriptions: list[Document]) -> list[dict[str, Any]]:
    """Return what the payment pays for; a free trial pays for nothing yet."""
    return [
        {
            "subscription_id": subscription["subscription_id"],
            "starts_at": subscription["previous_billing_date"],
            "ends_at": subscription["next_billing_date"],
            "proration_factor": "1",
        }
        for subscription in subscriptions
        if not subscription["trial_period_days"]
    ]
