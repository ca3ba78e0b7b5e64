"""Webhooks on a real socket: signed, retried, with the latest state, also after a restart."""

import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from dodopayments import DodoPayments
from standardwebhooks import Webhook
from starlette.applications import Starlette

from kit.sandbox.delivery import RETRY_DELAYS_S
from kit.sandbox.dodo import create_dodo
from kit.sandbox.store import Store

SECRET = "whsec_c2FuZGJveC10ZXN0LXNlY3JldC0wMDAx"
KEY = {"authorization": "Bearer test-api-key"}
VISITOR_ID = "0b8e6c1e-2d1c-4f0a-9f2e-6a4f1f4d7c11"
Serve = Callable[[Starlette], str]
Serving = Callable[[Starlette], AbstractContextManager[str]]


@pytest.fixture
def options(dodo_options: dict[str, Any], shop: Any) -> dict[str, Any]:
    """Return `create_dodo` arguments with real time, a shop, and retries without a wait."""
    return dodo_options | {
        "webhook_url": shop.url,
        "clock": time.time,
        "retry_delays_s": (0,) * 8,
    }


@pytest.fixture
def sdk() -> DodoPayments:
    """Build the SDK for verification."""
    return DodoPayments(bearer_token="test-api-key", webhook_key=SECRET)


def buy(url: str, product_id: str, outcome: str = "succeeded") -> None:
    """Open a session at the running stand-in and answer its form."""
    cart = [{"product_id": product_id, "quantity": 1}]
    request = {"product_cart": cart, "metadata": {"datafast_visitor_id": VISITOR_ID}}
    opened = httpx.post(f"{url}/checkouts", json=request, headers=KEY)
    path = urlsplit(opened.json()["checkout_url"]).path
    form = {"email": "ada@example.com", "name": "Ada Ünal", "outcome": outcome}
    httpx.post(url + path, data=form).raise_for_status()


@pytest.mark.parametrize(
    ("product_id", "outcome", "types"),
    [
        ("pdt_coastline", "succeeded", {"payment.succeeded"}),
        ("pdt_coastline", "failed", {"payment.failed"}),
        (
            "pdt_club",
            "succeeded",
            {
                "payment.succeeded",
                "subscription.active",
                "subscription.renewed",
                "subscription.updated",
            },
        ),
        ("pdt_club", "failed", {"payment.failed"}),
        ("pdt_studio", "succeeded", {"payment.succeeded", "subscription.active"}),
    ],
)
def test_what_a_purchase_sends(
    serve: Serve,
    options: dict[str, Any],
    shop: Any,
    sdk: DodoPayments,
    product_id: str,
    outcome: str,
    types: set[str],
) -> None:
    """Each purchase sends its events, verified and read by the official SDK, with one timestamp."""
    url = serve(create_dodo(**options))
    buy(url, product_id, outcome)
    received = [shop.next() for _ in types]
    events = [sdk.webhooks.unwrap(body.decode(), headers=headers) for headers, body in received]

    assert {event.type for event in events} == types
    assert len({event.timestamp for event in events}) == 1
    for headers, body in received:
        message = json.loads(body)
        Webhook(SECRET).verify(body, headers)
        model = next(type(event) for event in events if event.type == message["type"])
        model.model_validate_json(body, strict=True)
        assert message["data"]["metadata"] == {"datafast_visitor_id": VISITOR_ID}
        assert message["data"]["customer"]["name"] == "Ada Ünal"
        assert message["data"]["payload_type"] in ("Payment", "Subscription")


def test_renewed_names_its_payment(serve: Serve, options: dict[str, Any], shop: Any) -> None:
    """Only `subscription.renewed` carries the id of the payment that caused it."""
    url = serve(create_dodo(**options))
    buy(url, "pdt_club")
    messages = [json.loads(shop.next()[1]) for _ in range(4)]
    by_type = {message["type"]: message["data"] for message in messages}

    payment_id = by_type["payment.succeeded"]["payment_id"]
    assert by_type["subscription.renewed"]["payment_id"] == payment_id
    assert by_type["subscription.active"]["payment_id"] is None


def test_a_refused_delivery_is_retried_with_the_same_id(
    serve: Serve, options: dict[str, Any], shop: Any
) -> None:
    """Every attempt has the id of the first, and is signed anew."""
    shop.answers = [500, 401, 302]
    url = serve(create_dodo(**options))
    buy(url, "pdt_coastline")
    received = [shop.next() for _ in range(4)]
    for headers, body in received:
        Webhook(SECRET).verify(body, headers)

    assert len({headers["webhook-id"] for headers, _ in received}) == 1
    [delivery] = _settled(url)
    assert delivery["state"] == "delivered"
    assert [attempt["status"] for attempt in delivery["attempts"]] == [500, 401, 302, 200]


def test_the_schedule_is_eight_attempts_in_28_hours(
    serve: Serve, options: dict[str, Any], shop: Any
) -> None:
    """After the eighth refusal a delivery is given up."""
    shop.answers = [503] * 8
    url = serve(create_dodo(**options))
    buy(url, "pdt_coastline")
    [delivery] = _settled(url)

    assert delivery["state"] == "exhausted"
    assert len(delivery["attempts"]) == len(RETRY_DELAYS_S) == 8
    assert sum(RETRY_DELAYS_S) == 27 * 3600 + 35 * 60 + 5


def test_a_pending_delivery_survives_a_restart(
    serving: Serving, options: dict[str, Any], shop: Any
) -> None:
    """What was undelivered is sent by the next run, to the shop's present address."""
    nobody = options | {"webhook_url": "http://127.0.0.1:9/", "retry_delays_s": (0, 0.2, 3600)}
    with serving(create_dodo(**nobody)) as url:
        buy(url, "pdt_coastline")
    with serving(create_dodo(**options | {"clock": lambda: time.time() + 3600})):
        headers, body = shop.next()

    assert json.loads(body)["type"] == "payment.succeeded"
    assert headers["webhook-id"].startswith("msg_")


def test_a_retry_carries_the_latest_state(
    serving: Serving, options: dict[str, Any], shop: Any
) -> None:
    """The envelope stays, the object is as it is at delivery."""
    shop.answers = [500]
    with serving(create_dodo(**options | {"retry_delays_s": (0, 3600)})) as url:
        buy(url, "pdt_coastline")
        first = json.loads(shop.next()[1])
    store = Store(options["database"])
    store.open()
    payment = store.get("payment", first["data"]["payment_id"]) or {}
    store.put("payment", payment["payment_id"], payment | {"refund_status": "full"})
    [delivery] = store.all("delivery")
    store.put("delivery", delivery["delivery_id"], delivery | {"next_attempt_at": 0})
    store.close()
    with serving(create_dodo(**options)):
        second = json.loads(shop.next()[1])

    assert second == first | {"data": first["data"] | {"refund_status": "full"}}


def test_a_registered_endpoint_gets_its_own_signature(
    serve: Serve, options: dict[str, Any], shop: Any
) -> None:
    """An endpoint made through the API gets the events it asked for, signed with its secret."""
    url = serve(create_dodo(**options | {"webhook_url": ""}))
    endpoint = {"url": shop.url, "filter_types": ["subscription.renewed"]}
    made = httpx.post(f"{url}/webhooks", json=endpoint, headers=KEY).json()
    secret = httpx.get(f"{url}/webhooks/{made['id']}/secret", headers=KEY).json()["secret"]
    buy(url, "pdt_club")
    headers, body = shop.next()

    assert Webhook(secret).verify(body, headers)["type"] == "subscription.renewed"
    assert len(_settled(url)) == 1


def test_a_secret_that_is_none_is_refused_at_once(dodo_options: dict[str, Any]) -> None:
    """A mistyped secret stops the start instead of every delivery."""
    with pytest.raises(ValueError, match="base64"):
        create_dodo(**dodo_options | {"webhook_secret": "whsec_not base64!"})


def _settled(url: str) -> list[Any]:
    """Return the deliveries once none is pending; the answer of the last one takes a moment."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        deliveries: list[Any] = httpx.get(f"{url}/_sandbox/deliveries").json()
        if all(delivery["state"] != "pending" for delivery in deliveries):
            return deliveries
    raise AssertionError(f"still pending: {deliveries}")
