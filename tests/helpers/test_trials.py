"""A free trial is reported once, from the subscription; its payment of nothing never is."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

import pytest
from dodopayments.types import WebhookEventType

from kit.helpers.dodo_datafast import Event, Known, Payment, Signed, Skip, payment_for, read_event

SAMPLE = Path(__file__).with_name("samples") / "subscription.active.json"
SENT_AT = datetime(2026, 10, 2, 9, 15, 30, tzinfo=UTC)
VISITOR = "0b8e6c1e-2d1c-4f0a-9f2e-6a4f1f4d7c11"
REMOVED = object()


def subscription(
    kind: str = "active", at: str = "2026-10-02T09:15:27.402113Z", **changes: Any
) -> Event:
    """Read the sample subscription, a trial of 14 days, sent at a moment."""
    envelope = json.loads(SAMPLE.read_text("utf-8"))
    envelope |= {"type": f"subscription.{kind}", "timestamp": at}
    usual = {
        "subscription_id": "sub_1",
        "trial_period_days": 14,
        "trial_amount": None,
        "currency": "USD",
        "created_at": "2026-10-02T09:14:50.118224Z",
    }
    data = envelope["data"] | usual | changes
    envelope["data"] = {name: value for name, value in data.items() if value is not REMOVED}
    return read_event(Signed("msg_1", SENT_AT, json.dumps(envelope).encode()))


def test_a_trial_is_reported_whole() -> None:
    """Nothing charged, an id that every repeat shares, and the time the subscription began."""
    payment = payment_for(subscription())

    assert isinstance(payment, Payment)
    assert (payment.amount, payment.currency) == (Decimal(0), "USD")
    assert (payment.transaction_id, payment.is_free_trial) == ("trial_sub_1", True)
    assert (payment.renewal, payment.refunded) == (False, False)
    assert payment.datafast_visitor_id == VISITOR
    assert payment.timestamp == datetime(2026, 10, 2, 9, 14, 50, 118224, UTC)


@pytest.mark.parametrize(
    "days", [0, -1, None, REMOVED, True, "14", 14.0, 10_001, 10**30, []], ids=repr
)
def test_without_trial_days_it_is_no_money(days: object) -> None:
    """Every subscription becomes active; Dodo takes 0 to 10000 days."""
    assert payment_for(subscription(trial_period_days=days)) == Skip("event_not_money")


@pytest.mark.parametrize("amount", [100, "100", 1], ids=repr)
def test_a_paid_trial_is_no_free_one(amount: object) -> None:
    """Its charge is a payment, and counted as one."""
    assert payment_for(subscription(trial_amount=amount)) == Skip("paid_trial")


@pytest.mark.parametrize("amount", [0, None, REMOVED])
def test_a_trial_amount_of_nothing_is_free(amount: object) -> None:
    """Zero and absent mean the same."""
    assert isinstance(payment_for(subscription(trial_amount=amount)), Payment)


@pytest.mark.parametrize(
    ("at", "over"),
    [
        ("2026-10-02T09:14:51Z", False),
        ("2026-10-16T09:14:50Z", False),
        ("2026-10-16T09:14:50.118224Z", True),
        ("2027-01-01T00:00:00Z", True),
    ],
)
def test_a_reactivation_after_the_trial_starts_none(at: str, over: bool) -> None:
    """Dodo sends `subscription.active` again; the message's own time decides, not its arrival."""
    result = payment_for(subscription(at=at))

    assert (result == Skip("trial_over")) is over


def test_after_a_paid_charge_there_is_no_trial() -> None:
    """A memory knows; without one the trial's time decides."""
    assert payment_for(subscription(), Known(renewal=True)) == Skip("trial_over")
    assert isinstance(payment_for(subscription(), Known(renewal=False)), Payment)


@pytest.mark.parametrize("value", [None, REMOVED, "", 5, "a b", "\ud800"], ids=ascii)
def test_a_trial_without_an_id_is_skipped(value: object) -> None:
    """Never anything random."""
    assert payment_for(subscription(subscription_id=value)) == Skip("no_subscription_id")


@pytest.mark.parametrize("currency", ["XXX", None, 5, REMOVED], ids=repr)
def test_an_unknown_currency_is_skipped(currency: object) -> None:
    """DataFast wants a code even for nothing."""
    assert payment_for(subscription(currency=currency)) == Skip("unknown_currency")


@pytest.mark.parametrize("created_at", [None, REMOVED, "yesterday", 5, "0001-01-01T00:00:00+14:00"])
def test_without_a_beginning_the_message_s_time_counts(created_at: object) -> None:
    """Nothing that a field may hold raises."""
    payment = payment_for(subscription(created_at=created_at))

    assert isinstance(payment, Payment)
    assert payment.timestamp == datetime(2026, 10, 2, 9, 15, 27, 402113, UTC)


OTHERS = {kind for kind in get_args(WebhookEventType) if kind.startswith("subscription.")}


@pytest.mark.parametrize("kind", sorted(OTHERS - {"subscription.active"}))
def test_no_other_message_starts_a_trial(kind: str) -> None:
    """`subscription.updated` and the like carry the same object."""
    assert payment_for(subscription(kind.partition(".")[2])) == Skip("event_not_money")


def test_the_payment_of_a_trial_is_skipped() -> None:
    """It cannot be told from a discount of 100 %."""
    data = {"payment_id": "pay_1", "total_amount": 0, "currency": "USD", "charge_type": "new"}

    assert payment_for(Event("msg_2", "payment.succeeded", SENT_AT, data)) == Skip("zero_amount")
