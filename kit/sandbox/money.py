"""Display amounts, split included tax, and settle into the merchant's currency."""

from decimal import ROUND_HALF_UP, Decimal

# Minor units by ISO 4217, except MGA, which Dodo's customer portal treats as zero-decimal
# (dodopayments/dodo-customer-portal, June 2026).
ZERO_DECIMAL = frozenset(
    {"BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA"}
    | {"PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF"}
)
THREE_DECIMAL = frozenset({"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"})
SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£", "INR": "₹", "JPY": "¥"}

SETTLEMENT_CURRENCY = "USD"
# Invented and fixed, so that a settlement figure in a test can be worked out by hand.
DOLLARS_FOR_ONE = {
    "USD": Decimal(1),
    "EUR": Decimal("1.10"),
    "GBP": Decimal("1.30"),
    "INR": Decimal("0.012"),
    "JPY": Decimal("0.0070"),
    "KWD": Decimal("3.25"),
}


def decimals(currency: str) -> int:
    """Return how many decimals amounts in `currency` have: 0, 2 or 3."""
    if currency in ZERO_DECIMAL:
        return 0
    return 3 if currency in THREE_DECIMAL else 2


def display(amount_minor: int, currency: str) -> str:
    """Write an amount for a person: "$29.00", "¥3,300", "KWD 8.750"."""
    places = decimals(currency)
    figure = f"{Decimal(amount_minor).scaleb(-places):,.{places}f}"
    symbol = SYMBOLS.get(currency)
    return f"{currency} {figure}" if symbol is None else f"{symbol}{figure}"


def included_tax(amount_minor: int, percent: int) -> int:
    """Return the tax inside a tax-inclusive amount, both in minor units."""
    tax = Decimal(amount_minor) * percent / (100 + percent)
    return int(tax.quantize(Decimal(1), rounding=ROUND_HALF_UP))


def settle(amount_minor: int, currency: str) -> int:
    """Convert minor units of `currency` into cents of the settlement currency.

    A currency without a rate settles one to one.
    """
    rate = DOLLARS_FOR_ONE.get(currency, Decimal(1))
    cents = Decimal(amount_minor).scaleb(2 - decimals(currency)) * rate
    return int(cents.quantize(Decimal(1), rounding=ROUND_HALF_UP))
