"""Webhooks for somebody's tests, as the official verifier and the copy-in core see them."""

import json
import time

import pytest
from standardwebhooks import Webhook

from kit.helpers.dodo_datafast import verify_webhook
from kit.plugin.webhooks import SignWebhook
from kit.sandbox.fixtures import event_types
from kit.sandbox.signer import new_secret

SECRET = new_secret()
VISITOR = "0b8e6c1e-2d1c-4f0a-9f2e-6a4f1f4d7c11"


@pytest.fixture
def signed_webhook() -> SignWebhook:
    """Sign with a secret."""
    return SignWebhook(SECRET)


@pytest.mark.parametrize("event", event_types())
def test_every_event_verifies(signed_webhook: SignWebhook, event: str) -> None:
    """With the official package, and with the helper that shops copy."""
    webhook = signed_webhook(event)
    official = Webhook(SECRET).verify(webhook.body, webhook.headers)
    own = verify_webhook(webhook.body, webhook.headers, [SECRET], now=time.time())

    assert official == webhook.message
    assert (own.id, own.type) == (webhook.id, event)


def test_fields_are_changed_and_the_rest_is_as_dodo_sends_it(signed_webhook: SignWebhook) -> None:
    """By name, inside with dots; metadata may be anything."""
    data = signed_webhook(
        "payment.succeeded",
        currency="JPY",
        total_amount=3300,
        metadata={"datafast_visitor_id": VISITOR},
        **{"customer.email": "ada@example.com"},
    ).message["data"]

    assert (data["currency"], data["total_amount"]) == ("JPY", 3300)
    assert data["metadata"] == {"datafast_visitor_id": VISITOR}
    assert data["customer"]["email"] == "ada@example.com"
    assert data["status"] == "succeeded"


def test_each_message_is_a_new_one(signed_webhook: SignWebhook) -> None:
    """Of another payment; the same message again is sent by whoever keeps it."""
    first, second = signed_webhook("payment.succeeded"), signed_webhook("payment.succeeded")

    assert first.id != second.id
    assert first.message["data"]["payment_id"] != second.message["data"]["payment_id"]
    assert json.loads(first.body) == first.message


@pytest.mark.parametrize(
    ("event", "changes"), [("payment.suceeded", {}), ("payment.succeeded", {"curency": "JPY"})]
)
def test_what_dodo_does_not_have_is_refused(
    signed_webhook: SignWebhook, event: str, changes: dict[str, str]
) -> None:
    """A misspelt name would test nothing."""
    with pytest.raises(KeyError, match=event):
        signed_webhook(event, **changes)


def test_the_secret_does_not_show(signed_webhook: SignWebhook) -> None:
    """Not in a failing test's output either."""
    assert SECRET not in repr(signed_webhook)
