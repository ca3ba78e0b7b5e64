"""
The three transformations of Dodo's official DataFast guide, against the same webhooks.

`guide` states what the guide's scripts do, from the page's description (dodo/integrations/datafast,
2026): a plain division by 100, one script with six currencies left whole, one with the
subscription's id added. What the kit sends is the same, but for the differences named here.
"""

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, get_args

import pytest
from dodopayments.types import Currency, PaymentSucceededWebhookEvent, WebhookEventType
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.helpers.dodo_datafast import (
    Signed,
    Skip,
    exponent,
    known_from_payment,
    payment_for,
    read_event,
)

Script = Literal["basic", "zero_decimal", "subscription"]
SCRIPTS: tuple[Script, ...] = ("basic", "zero_decimal", "subscription")
SIX = ("JPY", "KRW", "CLP", "VND", "UGX", "MGA")
VISITOR = "0b8e6c1e-2d1c-4f0a-9f2e-6a4f1f4d7c11"
SHARED = ("amount", "currency", "transaction_id", "datafast_visitor_id")
SENT_AT = datetime(2026, 10, 2, 9, 15, 30, tzinfo=UTC)
CANCELLED = None


def sample(name: str = "payment.succeeded", /, **changes: Any) -> dict[str, Any]:
    """Load a sample webhook, with fields of its data changed."""
    path = Path(__file__).with_name("samples") / f"{name}.json"
    envelope: dict[str, Any] = json.loads(path.read_text("utf-8"))
    envelope["data"] |= changes
    return envelope


def guide(script: Script, webhook: dict[str, Any]) -> dict[str, Any] | None:
    """Return the body that one of the guide's scripts lets Dodo post; None where it cancels."""
    if webhook["type"] != "payment.succeeded":
        return webhook  # left as it is: the raw webhook is posted
    payment = webhook["data"]
    visitor_id = payment["metadata"].get("datafast_visitor_id")
    if not visitor_id:
        return CANCELLED
    whole = script == "zero_decimal" and payment["currency"] in SIX
    body = {
        "amount": payment["total_amount"] if whole else payment["total_amount"] / 100,
        "currency": payment["currency"],
        "transaction_id": payment["payment_id"],
        "datafast_visitor_id": visitor_id,
    }
    if script == "subscription" and payment["subscription_id"] is not None:
        body["subscription_id"] = payment["subscription_id"]
    # As a script writes it and DataFast reads it: the shortest form of a binary number.
    written: dict[str, Any] = json.loads(json.dumps(body), parse_float=Decimal)
    return written


def ours(webhook: dict[str, Any]) -> dict[str, Any] | Skip:
    """Return the body that the kit posts, or the reason why it posts none."""
    event = read_event(Signed("msg_1", SENT_AT, json.dumps(webhook).encode()))
    result = payment_for(event)
    if isinstance(result, Skip):
        return result
    written: dict[str, Any] = json.loads(result.as_json(), parse_float=Decimal)
    return written


def shared(body: dict[str, Any] | Skip | None) -> dict[str, Any]:
    """Pick the four fields that both send."""
    assert isinstance(body, dict)
    return {name: body[name] for name in SHARED}


SUBSCRIPTION = {
    "subscription_id": "sub_U1",
    "subscription_ids": ["sub_U1"],
    "charge_type": "new",
    "product_cart": None,
    "service_periods": [
        {
            "subscription_id": "sub_U1",
            "starts_at": "2026-10-02T09:14:50Z",
            "ends_at": "2026-11-02T09:14:50Z",
            "proration_factor": "1.0",
        }
    ],
}


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="one-time"),
        pytest.param(SUBSCRIPTION, id="first charge"),
        pytest.param(SUBSCRIPTION | {"charge_type": "renewal"}, id="renewal"),
        pytest.param({"currency": "JPY", "total_amount": 3300}, id="yen"),
    ],
)
def test_the_webhooks_are_what_the_official_model_expects(changes: dict[str, Any]) -> None:
    """The comparison runs on payloads that Dodo could send."""
    assert (
        PaymentSucceededWebhookEvent.model_validate(sample(**changes)).data.payment_id == "pay_P1"
    )


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize(
    ("total_amount", "currency"), [(3480, "EUR"), (2999, "USD"), (100, "USD"), (321356, "INR")]
)
def test_a_one_time_sale_is_reported_as_the_guide_does(
    script: Script, total_amount: int, currency: str
) -> None:
    """Amount, currency, transaction and visitor, the same for all three scripts."""
    webhook = sample(total_amount=total_amount, currency=currency)

    assert shared(ours(webhook)) == shared(guide(script, webhook))


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("charge_type", ["new", "renewal"])
def test_a_subscription_charge_is_reported_as_the_guide_does(
    script: Script, charge_type: str
) -> None:
    """The four shared fields are those of the payment, not of the subscription."""
    webhook = sample(**SUBSCRIPTION | {"charge_type": charge_type})

    assert shared(ours(webhook)) == shared(guide(script, webhook))


@pytest.mark.parametrize("currency", SIX)
def test_the_guide_s_six_whole_currencies_are_whole_here(currency: str) -> None:
    """The zero-decimal script and the kit agree on all six, MGA among them."""
    webhook = sample(total_amount=3300, currency=currency)

    assert shared(ours(webhook)) == shared(guide("zero_decimal", webhook))
    assert shared(ours(webhook))["amount"] == 3300


@settings(max_examples=150)
@given(
    total_amount=st.integers(1, 10**13),
    currency=st.sampled_from([code for code in get_args(Currency) if exponent(code) == 2]),
    visitor_id=st.uuids(version=4).map(str),
    payment_id=st.from_regex(r"pay_[A-Za-z0-9]{1,20}", fullmatch=True),
)
def test_any_amount_in_hundredths_is_the_guide_s(
    total_amount: int, currency: str, visitor_id: str, payment_id: str
) -> None:
    """Exact arithmetic changes no figure that the guide's division gets right."""
    webhook = sample(
        total_amount=total_amount,
        currency=currency,
        payment_id=payment_id,
        metadata={"datafast_visitor_id": visitor_id},
    )

    assert shared(ours(webhook)) == shared(guide("zero_decimal", webhook))


# --- The differences, each by name --------------------------------------------------------------


@pytest.mark.parametrize("script", SCRIPTS)
def test_difference_a_payment_without_a_visitor_is_still_reported(script: Script) -> None:
    """The guide cancels it, and the sale is missing from the totals."""
    webhook = sample(metadata={"order_ref": "o-1001"})
    body = ours(webhook)

    assert guide(script, webhook) is CANCELLED
    assert isinstance(body, dict)
    assert body["transaction_id"] == "pay_P1"
    assert "datafast_visitor_id" not in body


@pytest.mark.parametrize(
    "currency", sorted({code for code in get_args(Currency) if exponent(code) != 2} - set(SIX))
)
def test_difference_the_exponent_table_is_complete(currency: str) -> None:
    """Ten more whole currencies and seven of three decimals, that the guide divides by 100."""
    webhook = sample(total_amount=123456, currency=currency)
    theirs = shared(guide("zero_decimal", webhook))
    factor = Decimal(100) / 10 ** exponent(currency)

    assert theirs["amount"] == Decimal("1234.56")
    assert shared(ours(webhook)) == theirs | {"amount": Decimal("1234.56") * factor}


@pytest.mark.parametrize("script", ["basic", "subscription"])
@pytest.mark.parametrize("currency", SIX)
def test_difference_whole_currencies_are_whole_in_every_case(script: Script, currency: str) -> None:
    """Two of the three scripts divide yen by 100; here there is one rule."""
    webhook = sample(total_amount=3300, currency=currency)

    assert shared(guide(script, webhook))["amount"] == 33
    assert shared(ours(webhook))["amount"] == 3300


def test_difference_no_subscription_id_is_sent() -> None:
    """DataFast has no such field; the renewal flag says what it was meant to say."""
    webhook = sample(**SUBSCRIPTION | {"charge_type": "renewal"})
    theirs, body = guide("subscription", webhook), ours(webhook)

    assert isinstance(theirs, dict)
    assert isinstance(body, dict)
    assert theirs["subscription_id"] == "sub_U1"
    assert "subscription_id" not in body
    assert body["renewal"] is True


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("name", ["refund.succeeded", "dispute.opened"])
def test_difference_other_events_are_never_posted(script: Script, name: str) -> None:
    """The guide's scripts hand the raw webhook on; here there is a reason instead."""
    webhook = sample(name)

    assert guide(script, webhook) == webhook
    assert isinstance(ours(webhook), Skip)


@pytest.mark.parametrize("script", SCRIPTS)
def test_difference_a_trial_is_reported_as_one(script: Script) -> None:
    """The guide hands the raw subscription on; here its free trial is a report of nothing paid."""
    webhook = sample("subscription.active")
    body = ours(webhook)

    assert guide(script, webhook) == webhook
    assert isinstance(body, dict)
    assert (body["amount"], body["is_free_trial"]) == (0, True)
    assert body["transaction_id"] == "trial_sub_U1"


@pytest.mark.parametrize("script", SCRIPTS)
def test_difference_a_refund_is_reported_as_one(script: Script) -> None:
    """With the payment as Dodo's API gives it; the guide posts the raw refund."""
    webhook = sample("refund.succeeded")
    event = read_event(Signed("msg_1", SENT_AT, json.dumps(webhook).encode()))
    result = payment_for(event, known_from_payment(sample()["data"]))

    assert guide(script, webhook) == webhook
    assert not isinstance(result, Skip)
    assert (result.amount, result.refunded) == (Decimal("10.00"), True)
    assert result.transaction_id == "ref_R1"
    assert result.datafast_visitor_id == VISITOR


@pytest.mark.parametrize("kind", sorted(set(get_args(WebhookEventType)) - {"payment.succeeded"}))
def test_difference_no_other_event_type_is_ever_a_sale(kind: str) -> None:
    """All that the official SDK lists, even with a payment's data inside."""
    webhook = sample() | {"type": kind}

    assert isinstance(ours(webhook), Skip)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"total_amount": 0, "tax": 0}, "zero_amount"),
        ({"is_update_payment_method": True}, "payment_method_update"),
        ({"status": "processing"}, "status_not_succeeded"),
    ],
    ids=lambda value: str(value),
)
def test_difference_a_payment_without_a_sale_is_not_reported(
    changes: dict[str, Any], reason: str
) -> None:
    """The guide sends mandates and card updates as payments; zero reads as a free trial there."""
    webhook = sample(**changes)

    assert isinstance(guide("basic", webhook), dict)
    assert ours(webhook) == Skip(reason)


def test_difference_a_visitor_id_of_no_known_form_is_dropped() -> None:
    """Static links let buyers write metadata; the guide passes on whatever stands there."""
    webhook = sample(metadata={"datafast_visitor_id": "<script>"})
    theirs, body = guide("basic", webhook), ours(webhook)

    assert isinstance(theirs, dict)
    assert isinstance(body, dict)
    assert theirs["datafast_visitor_id"] == "<script>"
    assert "datafast_visitor_id" not in body


def test_difference_the_report_says_who_when_and_whether_renewed() -> None:
    """Beside the four shared fields: customer, renewal flag and the payment's own time."""
    theirs, body = guide("basic", sample()), ours(sample())

    assert isinstance(theirs, dict)
    assert isinstance(body, dict)
    assert body.keys() - theirs.keys() == {"customer_id", "renewal", "timestamp"}
    assert theirs.keys() <= body.keys()
