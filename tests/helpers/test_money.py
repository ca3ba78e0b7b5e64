"""Minor to major units: the standard's exponents, Dodo's codes, and exact numbers."""

import json
from datetime import UTC, datetime
from decimal import Decimal, localcontext
from typing import Any, get_args

import pytest
from dodopayments.types import Currency
from hypothesis import given, settings
from hypothesis import strategies as st
from iso4217 import Currency as IsoCurrency

from kit.helpers.dodo_datafast import (
    EXPONENT_UNVERIFIED,
    Payment,
    UnknownCurrency,
    exponent,
    major_units,
)

CODES: tuple[str, ...] = get_args(Currency)
LEFT_THE_STANDARD = {"ANG", "BGN", "HRK", "SLL"}
ISO_CODES = {currency.code for currency in IsoCurrency}
CAPITALS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

codes = st.sampled_from(CODES)
quick = settings(max_examples=200)


def written(amount: Decimal) -> bytes:
    """Write a payment of this amount as DataFast would get it."""
    return Payment(
        amount=amount,
        currency="USD",
        transaction_id="pay_P1",
        datafast_visitor_id=None,
        email=None,
        name=None,
        customer_id=None,
        renewal=False,
        refunded=False,
        is_free_trial=False,
        timestamp=datetime(2026, 10, 2, tzinfo=UTC),
    ).as_json()


def known(code: str) -> bool:
    """Tell whether the core has an exponent for a code."""
    try:
        exponent(code)
    except UnknownCurrency:
        return False
    return True


def test_every_code_of_the_official_sdk_is_known_and_no_other() -> None:
    """Exactly Dodo's `Currency` type: every three-letter word is tried."""
    words = {a + b + c for a in CAPITALS for b in CAPITALS for c in CAPITALS}

    assert len(CODES) == 145
    assert {word for word in words if known(word)} == set(CODES)


@pytest.mark.parametrize("code", sorted(ISO_CODES & set(CODES) - {"MGA"}))
def test_exponents_are_the_standard_s(code: str) -> None:
    """ISO 4217 decides, for every code that it still lists."""
    assert exponent(code) == IsoCurrency(code).exponent


def test_ariary_is_sent_as_it_is() -> None:
    """The one exception: ISO says 2, but Dodo's portal and its DataFast guide treat MGA as 0."""
    assert IsoCurrency("MGA").exponent == 2
    assert exponent("MGA") == 0


def test_only_four_codes_are_older_than_the_standard() -> None:
    """They have left the list and their exponent was 2; a fifth would need a look."""
    assert set(CODES) - ISO_CODES == LEFT_THE_STANDARD
    assert {exponent(code) for code in LEFT_THE_STANDARD} == {2}


def test_the_unproven_codes_are_those_of_three_decimals() -> None:
    """Dodo's own sources disagree on them, so a report in one is flagged."""
    assert {code for code in CODES if exponent(code) == 3} == EXPONENT_UNVERIFIED


@pytest.mark.parametrize(
    "code",
    ["", "usd", "Usd", "US", "USDT", " USD", "USD ", "USD\n", "XXX", "XTS", "XAU", "CLF", "UYW",
     "BTC", "\uff35\uff33\uff24", "000", "a" * 999],
    ids=ascii,
)  # fmt: skip
def test_an_unknown_code_is_refused(code: str) -> None:
    """Never a guess: it could be wrong by 1000."""
    for convert in (exponent, lambda word: major_units(1, word)):
        with pytest.raises(UnknownCurrency) as refused:
            convert(code)

        assert refused.value.currency == code
        assert len(str(refused.value)) < 80


@pytest.mark.parametrize("code", [None, 840, True, [], {}, b"USD", ("USD",)], ids=repr)
def test_a_code_that_is_no_text_is_refused(code: Any) -> None:
    """Unhashable ones too."""
    with pytest.raises(UnknownCurrency):
        exponent(code)


@pytest.mark.parametrize(
    "amount",
    [-1, -(10**30), True, False, 29.0, 0.0, float("nan"), Decimal(29), "2900", None, [], 1j],
    ids=repr,
)
def test_an_amount_that_is_no_whole_number_is_refused(amount: Any) -> None:
    """Only an int of 0 or more is an amount in minor units; True is none."""
    with pytest.raises(ValueError, match="minor units"):
        major_units(amount, "USD")


@pytest.mark.parametrize(
    ("amount_minor", "code", "shown"),
    [
        (2900, "USD", "29.00"),
        (1, "USD", "0.01"),
        (0, "USD", "0.00"),
        (3300, "JPY", "3300"),
        (0, "JPY", "0"),
        (8750, "KWD", "8.750"),
        (1, "KWD", "0.001"),
        (5000, "MGA", "5000"),
        (321356, "INR", "3213.56"),
        (9007199254740993, "USD", "90071992547409.93"),
    ],
)
def test_amounts_keep_their_currency_s_decimals(amount_minor: int, code: str, shown: str) -> None:
    """The number of decimals is the currency's, not the amount's."""
    assert str(major_units(amount_minor, code)) == shown


@quick
@given(amount_minor=st.one_of(st.integers(0, 10**9), st.integers(0, 10**400)), code=codes)
def test_major_units_are_exact_at_any_size(amount_minor: int, code: str) -> None:
    """Numerator over a power of ten, in integers: no context and no rounding comes in."""
    with localcontext() as narrow:
        narrow.prec = 3
        major = major_units(amount_minor, code)

    assert type(major) is Decimal
    assert major.as_integer_ratio()[0] * 10 ** exponent(code) == (
        amount_minor * major.as_integer_ratio()[1]
    )
    assert major.as_tuple().exponent == -exponent(code)


@quick
@given(amount_minor=st.one_of(st.integers(0, 10**9), st.integers(0, 10**400)), code=codes)
def test_the_wire_carries_the_exact_number(amount_minor: int, code: str) -> None:
    """Read back as Decimal it is the same number; a float on the way would show."""
    major = major_units(amount_minor, code)
    body = written(major)
    value = json.loads(body, parse_float=Decimal)["amount"]

    assert Decimal(value) == major
    assert b"e" not in body.split(b",")[0].lower().replace(b'"amount"', b"")
    assert b'"amount":"' not in body


@pytest.mark.parametrize(
    ("amount_minor", "code", "shown"),
    [
        (2900, "USD", b"29"),
        (2950, "USD", b"29.5"),
        (2999, "USD", b"29.99"),
        (12345, "KWD", b"12.345"),
        (123456789, "USD", b"1234567.89"),
        (1000, "JPY", b"1000"),
        (0, "JPY", b"0"),
        (0, "KWD", b"0"),
        (10**30, "USD", b"1" + b"0" * 28),
    ],
)
def test_the_wire_s_number_is_plain(amount_minor: int, code: str, shown: bytes) -> None:
    """No exponent, no trailing zeros of a fraction, whole thousands kept."""
    assert written(major_units(amount_minor, code)).startswith(b'{"amount":' + shown + b",")


@pytest.mark.parametrize("amount", ["1E+3", "0E-10", "1000.000", "0.10"])
def test_any_decimal_is_written_plainly(amount: str) -> None:
    """A payment may be built by hand; its number is the same one."""
    body = json.loads(written(Decimal(amount)), parse_float=Decimal)

    assert Decimal(body["amount"]) == Decimal(amount)
