"""What is sold: the price list stays on the server, a form names nothing but a product."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from kit.helpers.dodo_datafast import UnknownCurrency, exponent
from kit.web.money import display_money


@dataclass(frozen=True, slots=True)
class Product:
    """One product of Dodo's, as the shop shows it; `interval` is None for a one-time price."""

    slug: str
    product_id: str
    name: str
    summary: str
    amount_minor: int
    currency: str
    interval: str | None = None
    trial_days: int = 0
    image: str | None = None

    @property
    def price(self) -> str:
        """The price in words of its currency."""
        return display_money(self.amount_minor, self.currency)


Catalogue = Mapping[str, Product]
"""Products by slug."""


def _by_slug(products: Iterable[Product]) -> Catalogue:
    return {product.slug: product for product in products}


DEMO_CATALOGUE: Catalogue = _by_slug(
    [
        Product(
            "coastline-atlas",
            "pdt_coastline",
            "Coastline Atlas",
            "Forty hand-drawn charts of places where the land gives up.",
            2900,
            "USD",
            image="/static/products/coastline.svg",
        ),
        Product(
            "tokyo-line-map",
            "pdt_tokyo",
            "Tokyo Line Map",
            "Every line of the city, drawn as if it were weather.",
            3300,
            "JPY",
            image="/static/products/tokyo.svg",
        ),
        Product(
            "gulf-chart",
            "pdt_gulf",
            "Gulf Chart",
            "Soundings, shoals and sand, from Kuwait Bay to Hormuz.",
            8750,
            "KWD",
            image="/static/products/gulf.svg",
        ),
        Product(
            "map-club",
            "pdt_club",
            "Map Club",
            "A new map each month, and the notes behind it.",
            900,
            "USD",
            interval="month",
            image="/static/products/club.svg",
        ),
        Product(
            "studio",
            "pdt_studio",
            "Studio",
            "All maps as vector files, for people who make their own.",
            2400,
            "USD",
            interval="month",
            trial_days=14,
            image="/static/products/studio.svg",
        ),
    ]
)


def catalogue_from_dodo(items: Iterable[Mapping[str, Any]]) -> Catalogue:
    """Read the items of Dodo's `GET /products`; what has no fixed price is left out."""
    return _by_slug(product for item in items if (product := _product(item)) is not None)


def _product(item: Mapping[str, Any]) -> Product | None:
    product_id, amount_minor, currency = (
        item.get(name) for name in ("product_id", "price", "currency")
    )
    if not isinstance(product_id, str) or not re.fullmatch(r"[A-Za-z0-9_-]{1,128}", product_id):
        return None
    if isinstance(amount_minor, bool) or not isinstance(amount_minor, int) or amount_minor < 0:
        return None
    try:
        exponent(str(currency))
    except UnknownCurrency:
        return None
    detail = item.get("price_detail")
    detail = detail if isinstance(detail, Mapping) else {}
    interval = detail.get("payment_frequency_interval") if item.get("is_recurring") else None
    trial_days = detail.get("trial_period_days")
    return Product(
        slug=product_id,
        product_id=product_id,
        name=str(item.get("name") or product_id),
        summary=str(item.get("description") or ""),
        amount_minor=amount_minor,
        currency=str(currency),
        interval=str(interval).lower() if interval else None,
        trial_days=trial_days if isinstance(trial_days, int) else 0,
    )
