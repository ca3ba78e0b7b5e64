"""Bodies without persons: all of Dodo's messages, and whatever else may be in one."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.sandbox import fixtures
from kit.web.inspector.masking import MASK, masked

PERSONAL = {
    *("email", "name", "phone_number", "city", "street", "zipcode", "card_last_four"),
    *("card_holder_name", "card_exp_month", "card_exp_year", "card_issuing_country", "tax_id"),
    *("customer_business_name", "key", "oauth_url", "payment_link", "invoice_url", "remarks"),
    *("reason", "description", "cancellation_comment", "payout_document_url"),
}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def shown(value: Any) -> Any:
    """Read what is shown, with a word where a number was masked."""
    text = masked(json.dumps(value).encode())
    assert text is not None
    return json.loads(text.replace(f'"{MASK}"', '"masked"').replace(MASK, '"masked"'))


def leaves(value: Any, name: str = "") -> list[tuple[str, Any]]:
    """List every value by the name that it stands under."""
    if isinstance(value, dict):
        return [leaf for key, each in value.items() for leaf in leaves(each, key)]
    if isinstance(value, list):
        return [leaf for each in value for leaf in leaves(each, name)]
    return [(name, value)]


@pytest.mark.parametrize("event_type", fixtures.event_types())
def test_no_message_of_dodo_shows_a_person(event_type: str) -> None:
    """Each personal field is masked where it has a value, and the money is there to be read."""
    event = fixtures.load(event_type)
    for before, after in zip(leaves(event), leaves(shown(event)), strict=True):
        name, value = before
        hidden = name in PERSONAL and not isinstance(value, bool | None)

        assert after[0] == name
        assert (after[1] == "masked") is hidden or after[1] == "masked"
        assert hidden or name not in ("total_amount", "currency", "status") or after[1] == value


def test_a_payment_is_masked_value_by_value() -> None:
    """Everything that the kit reads stays, and nothing of who paid."""
    event = fixtures.load(
        "payment.succeeded", **{"metadata.note": "for Ada", "metadata.order_ref": "o"}
    )
    data = shown(event)["data"]

    assert data["customer"] == {
        "customer_id": "cus_example",
        "email": "masked",
        "name": "masked",
        "phone_number": None,
        "metadata": {},
    }
    assert data["billing"]["country"] == "FR"
    assert (data["billing"]["city"], data["billing"]["zipcode"]) == ("masked", "masked")
    assert data["card_last_four"] == "masked"
    assert data["metadata"] == event["data"]["metadata"] | {"note": "masked"}
    assert (data["total_amount"], data["payment_id"]) == (2900, "pay_example")


def test_numbers_and_order_are_as_they_came() -> None:
    """A body is evidence: nothing is rounded, sorted, or joined."""
    body = b'{"tax": 1.50, "amount":1E+2,"total_amount":90071992547409931,"tax":2}'

    assert masked(body) == (
        '{\n  "tax": 1.50,\n  "amount": 1E+2,\n  "total_amount": 90071992547409931,\n  "tax": 2\n}'
    )


@pytest.mark.parametrize(
    "value",
    [
        {"status": "ada@example.com"},
        {"status": "ada\\u0040example.com"},
        {"metadata": {"status": "Ada", "order_ref": "ada@example.com"}},
        {"customer": {"metadata": {"type": "Ada"}}},
        {"metadata": {"deep": {"type": "Ada"}}},
        {"halo": "Ada"},
        {"halo": {"type_": ["Ada"]}},
        ["Ada"],
        "Ada",
        {"phone": 33123456789},
    ],
)
def test_what_nobody_knows_is_masked(value: Any) -> None:
    """A new field, a foreign one, or an address where none belongs."""
    text = masked(json.dumps(value).encode().replace(b"\\\\u", b"\\u"))

    assert text is not None
    assert MASK in text
    assert "Ada" not in text
    assert "example.com" not in text
    assert "33123456789" not in text


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff", b"{", b"[1,", b"[" * 100_000])
def test_what_is_no_json_is_not_shown(body: bytes) -> None:
    """Nothing tells what in it is personal."""
    assert masked(body) is None


@given(VALUES)
def test_any_json_keeps_its_shape(value: Any) -> None:
    """Only values change; every name, list and object stays where it is."""
    before, after = leaves(value), leaves(shown(value))

    assert [name for name, _ in before] == [name for name, _ in after]
    for (_, was), (_, now) in zip(before, after, strict=True):
        assert now in (was, "masked")
        assert not isinstance(was, bool | None) or now is was
