"""A lost dispute takes back once, and an amount that could mean two things is no amount."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

import pytest
from dodopayments.types import WebhookEventType
from hypothesis import given
from hypothesis import strategies as st

from kit.helpers.dodo_datafast import (
    Event,
    Known,
    Original,
    Payment,
    Signed,
    Skip,
    payment_for,
    read_event,
    reversal_minor,
)

SAMPLE = Path(__file__).with_name("samples") / "dispute.opened.json"
SENT_AT = datetime(2026, 10, 20, 8, 0, tzinfo=UTC)
SALE = Original(total_minor=3480, currency="EUR")


def dispute(kind: str = "lost", **changes: Any) -> Event:
    """Read the sample dispute as one of another kind, with fields of its data changed."""
    envelope = json.loads(SAMPLE.read_text("utf-8"))
    envelope["type"] = f"dispute.{kind}"
    usual = {"amount": "3480", "currency": "EUR", "dispute_id": "dp_1"}
    envelope["data"] = envelope["data"] | usual | changes
    return read_event(Signed("msg_1", SENT_AT, json.dumps(envelope).encode()))


def taken(event: Event, original: Original = SALE) -> Payment:
    """Map a dispute that must be reported."""
    payment = payment_for(event, Known(original=original))
    assert isinstance(payment, Payment)
    return payment


@pytest.mark.parametrize("kind", ["lost", "accepted"])
def test_a_lost_dispute_is_a_refund(kind: str) -> None:
    """One report under the dispute's id, dated when it was lost, not when it was opened."""
    payment = taken(dispute(kind))

    assert (payment.transaction_id, payment.amount, payment.refunded) == (
        "dp_1", Decimal("34.80"), True,
    )  # fmt: skip
    assert payment.timestamp == dispute(kind).timestamp


DISPUTES = {kind for kind in get_args(WebhookEventType) if kind.startswith("dispute.")}


@pytest.mark.parametrize("kind", sorted(DISPUTES - {"dispute.lost", "dispute.accepted"}))
def test_the_other_stages_take_nothing(kind: str) -> None:
    """Money is only gone once the dispute is lost."""
    event = dispute(kind.partition(".")[2])

    assert payment_for(event, Known(original=SALE)) == Skip("event_not_money")


def test_without_its_sale_it_asks_for_the_payment() -> None:
    """The message names neither visitor nor total."""
    assert payment_for(dispute()) == Skip("original_unknown", needs="payment")


# --- The amount: a string of undocumented unit --------------------------------------------------


@pytest.mark.parametrize(
    ("amount", "minor"),
    [
        ("3480", 3480), ("34.80", 3480), ("34.8", 3480), ("34.800", 3480), (3480, 3480),
        ("1000", 1000), ("1", 1), ("0034", 34),
    ],
    ids=ascii,
)  # fmt: skip
def test_an_amount_that_can_mean_one_thing_is_understood(amount: object, minor: int) -> None:
    """The total in minor or major units; other whole numbers up to the rest are minor units."""
    assert reversal_minor(dispute(amount=amount), SALE) == minor


@pytest.mark.parametrize(
    ("currency", "total", "amount", "minor"),
    [
        ("JPY", 3300, "3300", 3300), ("JPY", 3300, "33", 33), ("JPY", 3300, "3300.0", 3300),
        ("KWD", 8750, "8750", 8750), ("KWD", 8750, "8.75", 8750), ("KWD", 8000, "8", 8000),
        ("EUR", 2900, "29", 2900),
    ],
)  # fmt: skip
def test_the_total_is_recognised_in_every_unit(
    currency: str, total: int, amount: str, minor: int
) -> None:
    """Yen have one unit, dinars a thousand."""
    event = dispute(amount=amount, currency=currency)

    assert reversal_minor(event, Original(total, currency)) == minor


@pytest.mark.parametrize(
    "amount",
    [
        "10.00", "34.81", "3481", "-3480", "+3480", " 3480", "3480\n", "3 480", "3,480", "34,80",
        "3.48e3", "EUR 34.80", "", ".", "34.", ".8", "34.8000", "NaN", "Infinity", "0x10",
        "٣٤٨٠", "३४८०", "9" * 17, None, True, False, 34.8, -1, [], {}, ["3480"],
    ],
    ids=ascii,
)  # fmt: skip
def test_any_other_amount_is_left_to_a_person(amount: object) -> None:
    """It could mean two things, or none."""
    event = dispute(amount=amount)

    assert payment_for(event, Known(original=SALE)) == Skip("dispute_amount_unclear")


@pytest.mark.parametrize("amount", ["0", "0.00", 0], ids=repr)
def test_a_dispute_of_nothing_is_skipped(amount: object) -> None:
    """No unit makes it more."""
    skip = payment_for(dispute(amount=amount), Known(original=SALE))

    assert isinstance(skip, Skip)


@pytest.mark.parametrize("currency", ["USD", "eur", 5, []], ids=repr)
def test_another_currency_is_left_to_a_person(currency: object) -> None:
    """What that is of the sale is unknown."""
    event = dispute(currency=currency)

    assert payment_for(event, Known(original=SALE)) == Skip("reversal_currency_differs")


# --- Never twice --------------------------------------------------------------------------------


@pytest.mark.parametrize("amount", ["3480", "34.80"])
def test_what_was_refunded_is_not_taken_again(amount: str) -> None:
    """All of the sale is disputed, and only its rest is still there."""
    refunded = Original(3480, "EUR", reversed_minor=1000)

    assert taken(dispute(amount=amount), refunded).amount == Decimal("24.80")


def test_a_sale_that_was_refunded_whole_is_not_taken_again() -> None:
    """Visa's rapid resolution shows as a lost dispute and a refund."""
    refunded = Original(3480, "EUR", reversed_minor=3480)

    assert payment_for(dispute(), Known(original=refunded)) == Skip("already_reversed")


def test_a_part_above_the_rest_is_left_to_a_person() -> None:
    """It is neither the total nor within what is left."""
    refunded = Original(3480, "EUR", reversed_minor=3000)

    assert reversal_minor(dispute(amount="480"), refunded) == 480
    assert reversal_minor(dispute(amount="481"), refunded) == Skip("dispute_amount_unclear")


@pytest.mark.parametrize("dispute_id", [None, "", 5, "a b", "\ud800"], ids=ascii)
def test_a_dispute_without_an_id_is_skipped(dispute_id: object) -> None:
    """Never anything random."""
    event = dispute(dispute_id=dispute_id)

    assert payment_for(event, Known(original=SALE)) == Skip("no_dispute_id")


@given(
    total=st.integers(1, 10**9),
    reversed_minor=st.integers(0, 10**9),
    amount=st.one_of(
        st.integers(-10, 10**10),
        st.integers(0, 10**10).map(str),
        st.decimals(0, 10**8, places=2).map(str),
        st.text(alphabet="0123456789.,-e ", max_size=12),
    ),
    currency=st.sampled_from(["EUR", "JPY", "KWD"]),
)
def test_never_more_than_is_left(
    total: int, reversed_minor: int, amount: object, currency: str
) -> None:
    """Whatever the amount says, a dispute takes at most the rest, or has a reason."""
    original = Original(total, currency, reversed_minor=reversed_minor)
    minor = reversal_minor(dispute(amount=amount, currency=currency), original)

    assert isinstance(minor, Skip) or 0 < minor <= total - reversed_minor
