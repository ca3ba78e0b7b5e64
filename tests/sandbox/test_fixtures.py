"""The webhook fixtures, held to the official SDK's types."""

import json
from typing import Any, get_args

import dodopayments.types
import pydantic
import pytest
from dodopayments.types import WebhookEventType

from kit.sandbox.fixtures import event_types, load
from kit.sandbox.fresh import freshen


def model_of(event_type: str) -> type[pydantic.BaseModel]:
    """Return the SDK's model of an event type."""
    words = event_type.replace(".", "_").split("_")
    name = "".join(word.capitalize() for word in words) + "WebhookEvent"
    model: type[pydantic.BaseModel] = getattr(dodopayments.types, name)
    return model


def test_every_event_type_has_a_file() -> None:
    """The fixtures are exactly the 48 event types of the SDK."""
    assert event_types() == sorted(get_args(WebhookEventType))


@pytest.mark.parametrize("event_type", event_types())
def test_fixture_parses_strictly(event_type: str) -> None:
    """Each fixture has the SDK's fields and types: none is missing, none is invented."""
    message = load(event_type)
    parsed = model_of(event_type).model_validate_json(json.dumps(message), strict=True)

    data: pydantic.BaseModel = parsed.data  # type: ignore[attr-defined] # every event model has it
    assert message["type"] == event_type
    assert set(message["data"]) == {*type(data).model_fields, "payload_type"}


def test_changes_reach_the_data_and_the_envelope() -> None:
    """Named changes replace fields of the object, and the two envelope fields."""
    moment = "2026-11-01T00:00:00.000000Z"
    message = load("refund.succeeded", amount=100, timestamp=moment, business_id="bus_other")

    assert message["timestamp"] == moment
    assert message["business_id"] == message["data"]["business_id"] == "bus_other"
    assert message["data"]["amount"] == 100


def test_changes_reach_inside_by_dotted_names() -> None:
    """From the envelope or from the data; metadata takes new keys, nothing else does."""
    changes = {
        "data.metadata.datafast_visitor_id": "v",
        "metadata.order_ref": "o-1",
        "data.customer.email": "b@example.com",
        "product_cart.0.quantity": 3,
    }
    data = load("payment.succeeded", **changes)["data"]

    assert data["metadata"]["datafast_visitor_id"] == "v"
    assert data["metadata"]["order_ref"] == "o-1"
    assert data["customer"]["email"] == "b@example.com"
    assert data["product_cart"] == [{"product_id": "pdt_coastline", "quantity": 3}]


@pytest.mark.parametrize("event_type", event_types())
def test_a_fresh_message_is_as_strict(event_type: str) -> None:
    """New ids and new moments keep the form, and no example id is left."""
    message = freshen(load(event_type), now=1_800_000_000.25)
    again = freshen(load(event_type), now=1_800_000_000.25)
    model_of(event_type).model_validate_json(json.dumps(message), strict=True)

    assert message["timestamp"] == "2027-01-15T08:00:00.250000Z"
    assert "_example" not in json.dumps(message)
    assert message != again


@pytest.mark.parametrize(
    ("event_type", "changes"),
    [
        ("payment.suceeded", {}),
        ("../payment", {}),
        ("payment.succeeded", {"amount_total": 1}),
        ("payment.succeeded", {"data.customer.mail": "x"}),
        ("payment.succeeded", {"customer.email.host": "x"}),
        ("payment.succeeded", {"product_cart.1.quantity": 1}),
        ("payment.succeeded", {"data.": 1}),
    ],
    ids=["event type", "path", "field", "inside", "inside a text", "place in a list", "nothing"],
)
def test_a_typing_mistake_is_an_error(event_type: str, changes: dict[str, Any]) -> None:
    """An event type or a field that does not exist is refused, never sent."""
    with pytest.raises(KeyError):
        load(event_type, **changes)
