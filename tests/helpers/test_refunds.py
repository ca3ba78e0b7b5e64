"""A refund takes back from a sale: never a guess, never more than is left, in the sale's figure."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.helpers.dodo_datafast import (
    Event,
    Known,
    Original,
    Payment,
    Signed,
    Skip,
    known_from_payment,
    payment_for,
    read_event,
    reversal_minor,
)

SAMPLES = Path(__file__).with_name("samples")
SENT_AT = datetime(2026, 10, 5, 11, 0, tzinfo=UTC)
VISITOR = "1f0c8a52-7d0e-4c5b-9a53-2f6f1f3f9b11"
REMOVED = object()
SALE = Original(total_minor=3480, currency="EUR")
# A real first charge, buyer in rupees, settled in dollars (amounts only).
RUPEES = Original(
    total_minor=321356,
    currency="INR",
    tax_minor=49020,
    settlement_minor=3422,
    settlement_tax_minor=522,
    settlement_currency="USD",
)
Basis = Literal["gross", "net", "settlement"]


def refund(**changes: Any) -> Event:
    """Read the sample refund of 10.00 EUR, with fields of its data changed or removed."""
    envelope = json.loads((SAMPLES / "refund.succeeded.json").read_text("utf-8"))
    usual = {"amount": 1000, "currency": "EUR", "is_partial": True, "refund_id": "ref_1"}
    data = envelope["data"] | usual | changes
    envelope["data"] = {name: value for name, value in data.items() if value is not REMOVED}
    return read_event(Signed("msg_1", SENT_AT, json.dumps(envelope).encode()))


def taken(event: Event, original: Original = SALE, basis: Basis = "gross") -> Payment:
    """Map a refund that must be reported."""
    payment = payment_for(event, Known(original=original), basis=basis)
    assert isinstance(payment, Payment)
    return payment


def skipped(event: Event, original: Original | None = SALE, basis: Basis = "gross") -> str:
    """Map a refund that must not be reported."""
    skip = payment_for(event, Known(original=original), basis=basis)
    assert isinstance(skip, Skip)
    return skip.reason


def test_a_refund_is_a_report_of_its_own() -> None:
    """Its own id, time and amount, and neither new nor renewed."""
    payment = payment_for(refund(), Known(visitor_id=VISITOR, original=SALE))

    assert isinstance(payment, Payment)
    assert (payment.transaction_id, payment.amount, payment.currency) == (
        "ref_1", Decimal("10.00"), "EUR",
    )  # fmt: skip
    assert (payment.refunded, payment.datafast_visitor_id) == (True, VISITOR)
    assert payment.timestamp == datetime.fromisoformat(refund().data["created_at"])
    assert "renewal" not in json.loads(payment.as_json())


def test_without_its_sale_it_asks_for_the_payment() -> None:
    """The message names neither visitor nor total; Dodo's API has both."""
    assert payment_for(refund()) == Skip("original_unknown", needs="payment")


def test_the_payment_of_dodo_s_api_is_enough() -> None:
    """A shop without a ledger makes one call."""
    document = {
        "total_amount": 3480,
        "currency": "EUR",
        "tax": 580,
        "metadata": {"datafast_visitor_id": VISITOR},
    }
    payment = payment_for(refund(), known_from_payment(document), basis="net")

    assert isinstance(payment, Payment)
    assert (payment.amount, payment.datafast_visitor_id) == (Decimal("8.33"), VISITOR)


@pytest.mark.parametrize(
    "document",
    [
        {}, {"total_amount": 3480}, {"total_amount": "3480", "currency": "EUR"},
        {"total_amount": 3480, "currency": "XXX"}, {"total_amount": None, "currency": "EUR"},
        {"total_amount": 3480, "currency": ["EUR"]},
    ],
    ids=str,
)  # fmt: skip
def test_a_payment_that_cannot_be_read_is_no_sale(document: dict[str, Any]) -> None:
    """Then the refund still asks for it."""
    assert known_from_payment(document).original is None
    assert payment_for(refund(), known_from_payment(document)) == Skip(
        "original_unknown", needs="payment"
    )


# --- How much -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("currency", "amount", "major"),
    [("EUR", 1000, "10.00"), ("JPY", 1000, "1000"), ("KWD", 1251, "1.251")],
)
def test_the_currency_decides_the_divisor(currency: str, amount: int, major: str) -> None:
    """As for sales."""
    payment = taken(refund(amount=amount, currency=currency), Original(3480, currency))

    assert str(payment.amount) == major


def test_parts_may_add_up_to_the_whole() -> None:
    """The last of several refunds takes exactly what is left."""
    rest = Original(3480, "EUR", reversed_minor=2480)

    assert taken(refund(), rest).amount == Decimal("10.00")
    assert skipped(refund(amount=1001), rest) == "refund_exceeds_sale"


def test_after_a_dispute_only_what_is_left_is_taken() -> None:
    """A dispute resolved by the bank's own refund must not reverse the sale twice."""
    disputed = Original(3480, "EUR", reversed_minor=3000, disputed=True)

    assert taken(refund(), disputed).amount == Decimal("4.80")
    assert skipped(refund(), Original(3480, "EUR", reversed_minor=3480, disputed=True)) == (
        "already_reversed"
    )


@pytest.mark.parametrize("is_partial", [True, None, REMOVED, "false", 0])
def test_an_absent_amount_is_never_guessed(is_partial: object) -> None:
    """Only "not partial" says how much it was."""
    event = refund(amount=None, is_partial=is_partial)

    assert skipped(event) == "refund_amount_missing"


def test_an_absent_amount_of_a_whole_refund_is_the_total() -> None:
    """As long as there was no other refund; after a dispute it is what that left."""
    event = refund(amount=None, is_partial=False)
    refunded = Original(3480, "EUR", reversed_minor=1, refunded=True)
    disputed = Original(3480, "EUR", reversed_minor=1, disputed=True)

    assert taken(event).amount == Decimal("34.80")
    assert skipped(event, refunded) == "refund_amount_missing"
    assert taken(event, disputed).amount == Decimal("34.79")


@pytest.mark.parametrize("amount", [-1, True, "1000", 10.5, 2**53, [], {}], ids=repr)
def test_an_amount_that_is_none_is_skipped(amount: object) -> None:
    """As for sales: a reason, no guess."""
    assert skipped(refund(amount=amount)) == "amount_invalid"


def test_a_refund_of_nothing_is_skipped() -> None:
    """A report of 0 would read as a free trial."""
    assert skipped(refund(amount=0)) == "zero_amount"


@pytest.mark.parametrize("currency", ["USD", "eur", "", 5, ["EUR"]], ids=repr)
def test_another_currency_is_left_to_a_person(currency: object) -> None:
    """Dodo converts at the day's rate; what that is of the sale is unknown."""
    assert skipped(refund(currency=currency)) == "reversal_currency_differs"


@pytest.mark.parametrize("currency", [None, REMOVED])
def test_without_a_currency_it_is_the_sale_s(currency: object) -> None:
    """The field may be null."""
    assert taken(refund(currency=currency)).currency == "EUR"


@pytest.mark.parametrize("status", [None, REMOVED, "succeeded"])
def test_a_status_may_be_missing(status: object) -> None:
    """The event's type says that it succeeded."""
    assert taken(refund(status=status)).amount == Decimal("10.00")


@pytest.mark.parametrize("status", ["pending", "review", "failed", "", 5])
def test_another_status_is_skipped(status: object) -> None:
    """The body is the latest state."""
    assert skipped(refund(status=status)) == "status_not_succeeded"


@pytest.mark.parametrize("refund_id", [None, REMOVED, "", 5, "a b", "\ud800"], ids=ascii)
def test_a_refund_without_an_id_is_skipped(refund_id: object) -> None:
    """Never anything random."""
    assert skipped(refund(refund_id=refund_id)) == "no_refund_id"


# --- In which figure ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("basis", "amount", "currency"),
    [("gross", "1071.19", "INR"), ("net", "907.79", "INR"), ("settlement", "9.67", "USD")],
)
def test_a_third_is_a_third_in_every_figure(basis: Basis, amount: str, currency: str) -> None:
    """The refund is scaled as its sale was counted."""
    payment = taken(refund(amount=107119, currency="INR"), RUPEES, basis)

    assert (str(payment.amount), payment.currency) == (amount, currency)


@pytest.mark.parametrize(
    ("amount", "share"), [(2, "0.02"), (3, "0.02"), (6, "0.04"), (10, "0.08"), (14, "0.10")]
)
def test_halves_round_to_the_even_cent(amount: int, share: str) -> None:
    """150 of 200 cents are counted: 1.5, 2.25, 4.5, 7.5 and 10.5 cents."""
    original = Original(200, "EUR", tax_minor=50)

    assert str(taken(refund(amount=amount), original, "net").amount) == share


def test_a_missing_settlement_asks_for_the_payment() -> None:
    """Dodo's API has the figure once it is known."""
    assert payment_for(refund(), Known(original=SALE), basis="settlement") == Skip(
        "settlement_missing", needs="payment"
    )


@given(data=st.data(), basis=st.sampled_from(["net", "settlement"]))
def test_parts_drift_by_at_most_one_minor_unit_each(data: st.DataObject, basis: Basis) -> None:
    """Each part is rounded alone, so a sale refunded in full may leave a few cents."""
    total = data.draw(st.integers(1, 10**7))
    tax = data.draw(st.integers(0, total - 1))
    settled = data.draw(st.integers(1, 10**7))
    original = Original(total, "INR", tax, settled, settled // 7, "USD")
    parts, left = [], total
    for _ in range(data.draw(st.integers(1, 6))):
        parts.append(data.draw(st.integers(0, left)))
        left -= parts[-1]
    parts.append(left)
    sums = Decimal(0)
    for part in parts:
        payment = payment_for(
            refund(amount=part, currency="INR"), Known(original=original), basis=basis
        )
        sums += payment.amount if isinstance(payment, Payment) else 0
    whole = total - tax if basis == "net" else settled - settled // 7

    assert abs(int(sums * 100) - whole) <= len(parts)


@given(
    total=st.integers(1, 10**9),
    reversed_minor=st.integers(0, 10**9),
    amount=st.one_of(st.none(), st.integers(-1, 10**10)),
    disputed=st.booleans(),
    is_partial=st.booleans(),
)
def test_never_more_than_is_left(
    total: int, reversed_minor: int, amount: int | None, disputed: bool, is_partial: bool
) -> None:
    """A refund is at most the rest, and more than nothing, or has a reason."""
    original = Original(total, "EUR", reversed_minor=reversed_minor, disputed=disputed)
    minor = reversal_minor(refund(amount=amount, is_partial=is_partial), original)

    assert isinstance(minor, Skip) or 0 < minor <= total - reversed_minor
