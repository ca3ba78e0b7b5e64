"""Charges of subscriptions after the first: renewed, failed, retried, and after a trial."""

from typing import Any

import pytest
from dodopayments.types import Payment

pytestmark = pytest.mark.anyio

RENEWED = {"payment.succeeded", "subscription.renewed", "subscription.updated"}


async def test_a_renewal_is_a_payment_of_its_own(life: Any, clock: Any) -> None:
    """It has the subscription's metadata, no checkout, and pays for the next month."""
    subscription = await life.subscribe()
    clock.now += 31 * 86_400
    payment = await life.pull(f"subscriptions/{subscription['subscription_id']}/renew")
    sent = await life.sent(3)
    answered = await life.dodo.get(f"/payments/{payment['payment_id']}")

    assert sent.keys() == RENEWED
    assert sent["payment.succeeded"]["payment_id"] == payment["payment_id"]
    assert sent["subscription.renewed"]["payment_id"] == payment["payment_id"]
    assert payment["charge_type"] == "renewal"
    assert payment["checkout_session_id"] is None
    assert payment["metadata"] == subscription["metadata"]
    assert (payment["total_amount"], payment["tax"], payment["retry_attempt"]) == (900, 150, 0)
    assert payment["created_at"] == "2026-11-01T12:00:00.000000Z"
    assert payment["service_periods"][0]["starts_at"] == subscription["next_billing_date"]
    assert sent["subscription.renewed"]["next_billing_date"] == "2026-12-01T12:00:00.000000Z"
    Payment.model_validate_json(answered.content, strict=True)


@pytest.mark.parametrize("held", ["on_hold", "past_due"])
async def test_a_failed_renewal_is_retried(life: Any, held: str) -> None:
    """Each retry counts on; the one that succeeds makes the subscription active again."""
    key = (await life.subscribe())["subscription_id"]
    await life.pull(f"subscriptions/{key}/renew", outcome="failed", status=held)
    first = await life.sent(2)
    await life.pull(f"subscriptions/{key}/renew", outcome="failed", status=held)
    second = await life.sent(2)
    await life.pull(f"subscriptions/{key}/renew")
    third = await life.sent(4)

    assert first.keys() == second.keys() == {"payment.failed", f"subscription.{held}"}
    assert third.keys() == RENEWED | {"subscription.active"}
    assert first["payment.failed"]["retry_attempt"] == 0
    assert second["payment.failed"]["retry_attempt"] == 1
    assert third["payment.succeeded"]["retry_attempt"] == 2
    assert third["subscription.active"]["status"] == "active"
    assert (first[f"subscription.{held}"]["past_due_ends_at"] is not None) == (held == "past_due")


async def test_the_end_of_a_trial_is_a_renewal_charge(life: Any) -> None:
    """The first paid charge after a trial is called a renewal, as Dodo calls it."""
    subscription = await life.subscribe("pdt_studio")
    payment = await life.pull(f"subscriptions/{subscription['subscription_id']}/end-trial")
    sent = await life.sent(3)

    assert sent.keys() == RENEWED
    assert (payment["charge_type"], payment["total_amount"]) == ("renewal", 2400)
    assert sent["subscription.renewed"]["trial_period_days"] == 14
    assert sent["subscription.renewed"]["previous_billing_date"] == "2026-10-01T12:00:00.000000Z"


@pytest.mark.parametrize("fires", [True, False], ids=["payment of 0", "no payment"])
async def test_a_free_trial_starts_in_both_documented_ways(life: Any, fires: bool) -> None:
    """A payment of 0 fires or none does; the session is used either way."""
    await life.pull("settings", trial_payment=fires)
    await life.buy("pdt_studio")
    sent = await life.sent(2 if fires else 1)
    [session] = await life.held("checkouts")
    page = await life.dodo.get(f"/session/{session['session_id']}")

    assert sent.keys() == {"subscription.active"} | ({"payment.succeeded"} if fires else set())
    assert len(await life.held("payments")) == fires
    assert page.status_code == 410


async def test_a_paid_trial_is_a_sale(life: Any) -> None:
    """Its price is charged at once, and the subscription knows it."""
    await life.pull("settings", trial_amount=100)
    payment = await life.buy("pdt_studio")
    sent = await life.sent(4)

    assert (payment["total_amount"], payment["charge_type"]) == (100, "new")
    assert len(payment["service_periods"]) == 1
    assert sent["subscription.active"]["trial_amount"] == 100
    assert sent["subscription.renewed"]["payment_id"] == payment["payment_id"]


async def test_several_subscriptions_are_renewed_in_one_payment(life: Any) -> None:
    """The single subscription id is null, the list names both."""
    keys = [(await life.subscribe())["subscription_id"] for _ in range(2)]
    payment = await life.pull(f"subscriptions/{keys[0]}/renew", together_with=[keys[1]])
    await life.sent(5)

    assert payment["subscription_id"] is None
    assert payment["subscription_ids"] == keys
    assert payment["is_multi_subscription"] is True
    assert payment["total_amount"] == 1800


async def test_several_subscriptions_start_with_one_payment(life: Any) -> None:
    """One checkout with two subscriptions pays once."""
    payment = await life.buy("pdt_club", "pdt_club", "pdt_coastline")
    await life.sent(7)

    assert payment["subscription_id"] is None
    assert len(payment["subscription_ids"]) == len(payment["service_periods"]) == 2
    assert payment["product_cart"] == [{"product_id": "pdt_coastline", "quantity": 1}]
    assert payment["total_amount"] == 4700


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"charge_type": "new"}, {"charge_type": "new"}),
        ({"charge_type": None}, {"charge_type": None}),
        ({"metadata": {}}, {"metadata": {}}),
        ({"amount": 450, "currency": "EUR"}, {"total_amount": 450, "currency": "EUR"}),
        ({"retry_attempt": 3}, {"retry_attempt": 3}),
        ({"at": "2026-12-24T00:00:00Z"}, {"created_at": "2026-12-24T00:00:00.000000Z"}),
        ({"fields": {"settlement_tax": None}}, {"settlement_tax": None}),
    ],
    ids=str,
)
async def test_a_charge_can_be_told_how_it_looks(
    life: Any, options: dict[str, Any], expected: dict[str, Any]
) -> None:
    """The options replace what the payment would say by itself."""
    key = (await life.subscribe())["subscription_id"]
    await life.pull(f"subscriptions/{key}/renew", **options)
    payment = (await life.sent(3))["payment.succeeded"]

    assert payment | expected == payment


async def test_a_charge_can_lack_fields(life: Any) -> None:
    """An older payment has no charge type and names one subscription only."""
    key = (await life.subscribe())["subscription_id"]
    await life.pull(
        f"subscriptions/{key}/renew", charge_type="absent", without=["subscription_ids"]
    )
    payment = (await life.sent(3, strict=False))["payment.succeeded"]
    listed = await life.dodo.get("/payments", params={"subscription_id": key})

    assert {"charge_type", "subscription_ids"}.isdisjoint(payment)
    assert len(listed.json()["items"]) == 2


async def test_a_payment_can_take_days(life: Any) -> None:
    """Some banks answer late: processing first, and the period moves when it succeeds."""
    subscription = await life.subscribe()
    key = subscription["subscription_id"]
    payment = await life.pull(f"subscriptions/{key}/renew", outcome="processing")
    first = await life.sent(1)
    await life.pull(f"payments/{payment['payment_id']}/settle")
    then = await life.sent(3)

    assert first.keys() == {"payment.processing"}
    assert then.keys() == RENEWED
    assert then["payment.succeeded"]["payment_id"] == payment["payment_id"]
    assert then["payment.succeeded"]["created_at"] == payment["created_at"]
    assert (
        then["subscription.renewed"]["previous_billing_date"] == subscription["next_billing_date"]
    )


@pytest.mark.parametrize(
    ("action", "status", "options"),
    [
        ("renew", 422, {"outcome": "maybe"}),
        ("renew", 422, {"amout": 1}),
        ("renew", 422, {"amount": "9.00"}),
        ("renew", 422, {"at": "tomorrow"}),
        ("renew", 422, {"without": ["payment_id"]}),
        ("renew", 422, {"fields": {"amount_total": 1}}),
        ("renew", 422, {"metadata": []}),
        ("renew", 404, {"together_with": ["sub_none"]}),
        ("end-trial", 409, {}),
    ],
    ids=str,
)
async def test_a_lever_that_is_pulled_wrongly_says_so(
    life: Any, action: str, status: int, options: dict[str, Any]
) -> None:
    """A typing mistake is refused, never ignored, and nothing is charged."""
    key = (await life.subscribe())["subscription_id"]

    assert await life.refused(f"subscriptions/{key}/{action}", **options) == status
    assert len(await life.held("payments")) == 1


async def test_an_ended_subscription_is_not_renewed(life: Any) -> None:
    """After a cancellation no charge comes."""
    key = (await life.subscribe())["subscription_id"]
    await life.pull(f"subscriptions/{key}/cancel")

    assert await life.refused(f"subscriptions/{key}/renew") == 409
