"""Messages made nameless: the money stays whole, and the person is gone."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from kit.helpers.dodo_datafast import (
    Event,
    Known,
    Original,
    Payment,
    Signed,
    payment_for,
    read_event,
)
from kit.ledger.facts import read_facts
from kit.ledger.redaction import MONEY_FIELDS, nameless, nameless_body
from kit.sandbox import fixtures
from tests.ledger.scenes import CUSTOMER, EMAIL, NAME, VISITOR

NOW = datetime(2026, 10, 2, tzinfo=UTC)
SALE = Original(
    total_minor=2900,
    currency="USD",
    tax_minor=483,
    settlement_minor=2700,
    settlement_tax_minor=450,
    settlement_currency="EUR",
)
METADATA = {"datafast_visitor_id": VISITOR, "order_ref": "order-1", "note": EMAIL}


def signed(event_type: str, **changes: Any) -> Signed:
    """Return a proven message about a person, as far as its type names one."""
    message = fixtures.load(event_type, **changes)
    data = message["data"]
    if "metadata" in data:
        data["metadata"] = METADATA
    if "customer" in data:
        data["customer"] = {"customer_id": CUSTOMER, "email": EMAIL, "name": NAME}
    return Signed("m1", NOW, json.dumps(message).encode())


def without_person(found: object) -> object:
    """Return a report as it is for a visitor who was forgotten."""
    if not isinstance(found, Payment):
        return found
    return replace(found, datafast_visitor_id=None, email=None, name=None, customer_id=None)


@pytest.mark.parametrize("basis", ["gross", "net", "settlement"])
@pytest.mark.parametrize("event_type", fixtures.event_types())
def test_the_money_of_every_event_is_read_as_before(event_type: str, basis: Any) -> None:
    """Amount, currency, id, time, and why there is no report, for each type and basis."""
    event = read_event(signed(event_type))
    body = nameless_body(signed(event_type))
    assert body is not None
    again = read_event(Signed("m1", NOW, body))
    known = Known(renewal=False, original=SALE)
    whole = payment_for(event, known, basis=basis, send_customer=True)

    assert payment_for(again, known, basis=basis, send_customer=True) == without_person(whole)
    assert payment_for(nameless(event), known, basis=basis) == without_person(whole)


@pytest.mark.parametrize("event_type", fixtures.event_types())
def test_the_facts_of_every_event_are_kept(event_type: str) -> None:
    """What later events need is there, but for who it was."""
    facts = read_facts(read_event(signed(event_type)))
    body = nameless_body(signed(event_type))
    assert body is not None

    assert read_facts(read_event(Signed("m1", NOW, body))) == replace(
        facts,
        visitor_id=None,
        customer_id=None,
        order_ref=facts.order_ref,
        forgotten=True,
    )


@pytest.mark.parametrize("event_type", fixtures.event_types())
def test_nothing_of_the_person_is_left(event_type: str) -> None:
    """Neither who paid, nor where they live, nor what a shop wrote beside it."""
    body = nameless_body(signed(event_type))
    assert body is not None
    data = json.loads(body)["data"]

    assert data.keys() <= MONEY_FIELDS | {"metadata"}
    assert data["metadata"].keys() <= {"datafast_visitor_id", "order_ref"}
    assert not [word for word in (VISITOR, EMAIL, NAME, CUSTOMER) if word.encode() in body]


class Watched(dict[str, Any]):
    """An object of Dodo's that remembers which of its fields were asked for."""

    def __init__(self, data: Mapping[str, Any], asked: set[str]) -> None:
        super().__init__(data)
        self._asked = asked

    def get(self, key: str, default: Any = None) -> Any:
        """Return a field."""
        self._asked.add(key)
        return super().get(key, default)

    def __getitem__(self, key: str) -> Any:
        self._asked.add(key)
        return super().__getitem__(key)


def watched(asked: set[str]) -> Iterator[Event]:
    """Yield an event of each type that money is read from."""
    for event_type in fixtures.event_types():
        event = read_event(signed(event_type))
        yield replace(event, data=Watched(event.data, asked))


def test_every_field_that_is_read_is_kept() -> None:
    """A field that the kit reads some day must be kept as well, or its money would change."""
    asked: set[str] = set()
    for event in watched(asked):
        read_facts(event)
        for basis in ("gross", "net", "settlement"):
            payment_for(event, Known(original=SALE), basis=basis)
        for rare in ({"charge_type": None}, {"amount": None}, {"trial_period_days": 7}):
            unusual = replace(event, data=Watched({**event.data, **rare}, asked))
            payment_for(unusual, Known(original=SALE))

    assert asked - {"customer", "customer_id", "metadata"} == MONEY_FIELDS


@pytest.mark.parametrize("body", [b"", b"[]", b'{"type": "a", "type": "b"}', b"\xff", b"{}"])
def test_what_cannot_be_read_cannot_be_made_nameless(body: bytes) -> None:
    """Then nothing of it is kept."""
    assert nameless_body(Signed("m1", NOW, body)) is None
