"""What the stand-in for Dodo sells: the catalogue of Contour, a shop of hand-drawn maps."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Product:
    """One product; `price_minor` is in the currency's smallest unit and includes the tax.

    `interval` is "Month" for a subscription and None for a one-time purchase. `trial_amount_minor`
    is the price of a paid trial.
    """

    product_id: str
    name: str
    description: str
    price_minor: int
    currency: str
    interval: str | None
    trial_period_days: int
    tax_percent: int
    trial_amount_minor: int | None = None


CATALOGUE = (
    Product(
        product_id="pdt_coastline",
        name="Coastline Atlas",
        description="Forty hand-drawn sheets of shores and harbours, as PDF and SVG.",
        price_minor=2900,
        currency="USD",
        interval=None,
        trial_period_days=0,
        tax_percent=20,
    ),
    Product(
        product_id="pdt_tokyo",
        name="Tokyo Line Map",
        description="Every railway line of Tokyo on one poster.",
        price_minor=3300,
        currency="JPY",
        interval=None,
        trial_period_days=0,
        tax_percent=20,
    ),
    Product(
        product_id="pdt_gulf",
        name="Gulf Chart",
        description="Depths, lights and wrecks from Kuwait to Hormuz.",
        price_minor=8750,
        currency="KWD",
        interval=None,
        trial_period_days=0,
        tax_percent=20,
    ),
    Product(
        product_id="pdt_club",
        name="Map Club",
        description="A new map each month.",
        price_minor=900,
        currency="USD",
        interval="Month",
        trial_period_days=0,
        tax_percent=20,
    ),
    Product(
        product_id="pdt_studio",
        name="Studio",
        description="All maps as editable layers, for print and web work.",
        price_minor=2400,
        currency="USD",
        interval="Month",
        trial_period_days=14,
        tax_percent=20,
    ),
    # Not in the demo's shop: subscriptions in the two other kinds of currency, for journeys.
    Product(
        product_id="pdt_kyoto",
        name="Kyoto Walks",
        description="A walk through Kyoto each month, drawn on one sheet.",
        price_minor=1200,
        currency="JPY",
        interval="Month",
        trial_period_days=7,
        tax_percent=10,
    ),
    Product(
        product_id="pdt_pearl",
        name="Pearl Banks",
        description="The old pearl banks of the Gulf, one each month.",
        price_minor=2505,
        currency="KWD",
        interval="Month",
        trial_period_days=7,
        tax_percent=0,
    ),
)


class AnyProducts(Mapping[str, Product]):
    """A catalogue by id that knows every product: what is not in it is made up when asked for."""

    def __init__(self, known: Mapping[str, Product]) -> None:
        self._known = dict(known)

    def __getitem__(self, product_id: str) -> Product:
        """Return the product, sold once and for ten dollars if nobody knows better."""
        return self._known.setdefault(
            product_id,
            Product(
                product_id=product_id,
                name=f"Product {product_id}",
                description="Made up: the stand-in does not know what your products are.",
                price_minor=1000,
                currency="USD",
                interval=None,
                trial_period_days=0,
                tax_percent=20,
            ),
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)
