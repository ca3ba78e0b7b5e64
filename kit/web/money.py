"""Write amounts for people."""

from kit.helpers.dodo_datafast import major_units

_SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥", "INR": "₹"}


def display_money(amount_minor: int, currency: str) -> str:
    """
    Write an amount for people: "$29.00", "¥3,300", "KWD 8.750". Raises UnknownCurrency.

    >>> display_money(123456, "USD"), display_money(3300, "JPY"), display_money(8750, "KWD")
    ('$1,234.56', '¥3,300', 'KWD 8.750')
    """
    number = f"{major_units(amount_minor, currency):,f}"
    symbol = _SYMBOLS.get(currency)
    return f"{symbol}{number}" if symbol else f"{currency} {number}"
