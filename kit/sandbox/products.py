"""What the stand-in for Dodo sells: the catalogue of Contour, a shop of hand-drawn maps."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Product:
    """One product; `price_minor` is in the currency's smallest unit and includes the tax.

    `interval` is "Month" for a subscription and None for a one-time purchase.
    """

    product_id: str
    name: str
    description: str
    price_minor: int
    currency: str
    interval: str | None
    trial_period_days: int
    tax_percent: int


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
)
