"""Amounts as people read them, included tax and settlement."""

import pytest

from kit.sandbox.money import display, included_tax, settle


@pytest.mark.parametrize(
    ("amount_minor", "currency", "expected"),
    [
        (2900, "USD", "$29.00"),
        (3300, "JPY", "¥3,300"),
        (8750, "KWD", "KWD 8.750"),
        (0, "USD", "$0.00"),
        (123456789, "EUR", "€1,234,567.89"),
        (5000, "MGA", "MGA 5,000"),
    ],
)
def test_display(amount_minor: int, currency: str, expected: str) -> None:
    """Decimals, grouping and sign follow the currency."""
    assert display(amount_minor, currency) == expected


def test_included_tax_is_part_of_the_price() -> None:
    """A price of 29.00 with 20 % tax inside holds 4.83 of it."""
    assert included_tax(2900, 20) == 483


@pytest.mark.parametrize(
    ("amount_minor", "currency", "cents"),
    [(2900, "USD", 2900), (3300, "JPY", 2310), (8750, "KWD", 2844)],
)
def test_settlement_in_dollars(amount_minor: int, currency: str, cents: int) -> None:
    """The fixed rates give figures that can be worked out by hand."""
    assert settle(amount_minor, currency) == cents
