"""The price list, read from Dodo's answer or written down for the demo."""

from typing import Any

import pytest

from kit.resources import resource_dir
from kit.web.money import display_money
from kit.web.storefront.catalogue import DEMO_CATALOGUE, catalogue_from_dodo


def item(**changes: Any) -> dict[str, Any]:
    """Return an item of `GET /products`."""
    return {
        "product_id": "pdt_1",
        "name": "Atlas",
        "description": "Maps.",
        "price": 2900,
        "currency": "USD",
        "is_recurring": False,
        "price_detail": {"type": "one_time_price"},
    } | changes


def test_a_product_is_sold_under_its_own_id() -> None:
    """The form names the slug, the server knows the rest."""
    [(slug, product)] = catalogue_from_dodo([item()]).items()

    assert (slug, product.product_id, product.name) == ("pdt_1", "pdt_1", "Atlas")
    assert (product.price, product.interval, product.trial_days) == ("$29.00", None, 0)


def test_a_subscription_keeps_its_interval_and_trial() -> None:
    """They stand on the button."""
    detail = {"payment_frequency_interval": "Month", "trial_period_days": 14}
    [product] = catalogue_from_dodo([item(is_recurring=True, price_detail=detail)]).values()

    assert (product.interval, product.trial_days) == ("month", 14)


@pytest.mark.parametrize(
    "changes",
    [
        {"price": None},
        {"price": -1},
        {"price": True},
        {"price": "2900"},
        {"price": 29.0},
        {"currency": None},
        {"currency": "XXX"},
        {"currency": ["USD"]},
        {"product_id": None},
        {"product_id": "a/../b"},
        {"product_id": "a" * 129},
        {"product_id": '"><script>'},
    ],
)
def test_what_has_no_fixed_price_or_id_is_not_sold(changes: dict[str, Any]) -> None:
    """Its neighbours are."""
    found = catalogue_from_dodo([item(**changes), item(product_id="pdt_2")])

    assert list(found) == ["pdt_2"]


@pytest.mark.parametrize(
    "changes",
    [
        {"name": None, "description": None},
        {"price_detail": None},
        {"price_detail": []},
        {"is_recurring": True, "price_detail": {"trial_period_days": "x"}},
    ],
)
def test_missing_words_do_not_stop_a_sale(changes: dict[str, Any]) -> None:
    """The id stands in for a name."""
    [product] = catalogue_from_dodo([item(**changes)]).values()

    assert product.name
    assert product.trial_days == 0


def test_the_demos_pictures_are_there() -> None:
    """A product without one would be an empty frame."""
    static = resource_dir("static")
    images = [product.image or "" for product in DEMO_CATALOGUE.values()]

    assert all((static / image.removeprefix("/static/")).is_file() for image in images)


@pytest.mark.parametrize(
    ("amount_minor", "currency", "shown"),
    [
        (0, "USD", "$0.00"),
        (123456, "EUR", "€1,234.56"),
        (3300, "JPY", "¥3,300"),
        (8750, "KWD", "KWD 8.750"),
        (5, "GBP", "£0.05"),
    ],
)
def test_amounts_are_written_in_their_currency(
    amount_minor: int, currency: str, shown: str
) -> None:
    """With as many digits as it has."""
    assert display_money(amount_minor, currency) == shown
