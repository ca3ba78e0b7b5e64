"""Plan changes, charges on demand, new cards, endings and abandoned checkouts."""

from typing import Any

import pytest
from dodopayments import AsyncDodoPayments, UnprocessableEntityError
from dodopayments.types import PaymentListResponse, SubscriptionListResponse

pytestmark = pytest.mark.anyio

DAY_S = 86_400
ON_DEMAND = {"subscription_data": {"on_demand": {"mandate_only": True}}}


@pytest.fixture
def sdk(life: Any) -> AsyncDodoPayments:
    """Build the SDK on the in-process client."""
    return AsyncDodoPayments(
        bearer_token="test-api-key",
        base_url="http://sandbox.localhost",
        http_client=life.dodo,
        max_retries=0,
    )


@pytest.mark.parametrize(
    ("mode", "amount"),
    [
        ("full_immediately", 2400),
        ("difference_immediately", 1500),
        ("prorated_immediately", 968),  # 1500 for 20 of 31 days
        ("prorated_immediately_keep_cycle", 968),
        ("do_not_bill", None),
    ],
)
async def test_the_sdk_changes_a_plan(
    life: Any, sdk: AsyncDodoPayments, clock: Any, mode: Any, amount: int | None
) -> None:
    """Each mode charges its part at once, and the subscription has the new product."""
    key = (await life.subscribe())["subscription_id"]
    clock.now += 11 * DAY_S
    answer = await sdk.subscriptions.change_plan(
        key, product_id="pdt_studio", proration_billing_mode=mode, quantity=1
    )
    sent = await life.sent(2 if amount is None else 3)
    payment = sent.get("payment.succeeded", {"total_amount": None, "payment_id": None})
    subscription = await sdk.subscriptions.retrieve(key)

    assert {"subscription.plan_changed", "subscription.updated"} <= sent.keys()
    assert payment["total_amount"] == amount
    assert payment["payment_id"] == answer.payment_id
    assert payment.get("charge_type", "plan_change") == "plan_change"
    assert (subscription.product_id, subscription.recurring_pre_tax_amount) == ("pdt_studio", 2400)


async def test_a_cheaper_plan_charges_nothing(life: Any) -> None:
    """Dodo gives credit for the difference, so no payment comes."""
    subscription = await life.subscribe("pdt_studio", subscription_data={"trial_period_days": 0})
    path = f"subscriptions/{subscription['subscription_id']}/change-plan"
    options = {"product_id": "pdt_club", "mode": "difference_immediately"}

    assert await life.pull(path, **options) is None


async def test_a_plan_change_that_fails_changes_nothing(life: Any) -> None:
    """The charge is refused and the old plan stays."""
    key = (await life.subscribe())["subscription_id"]
    options = {"product_id": "pdt_studio", "outcome": "failed"}
    await life.pull(f"subscriptions/{key}/change-plan", **options)
    sent = await life.sent(1)
    [subscription] = await life.held("subscriptions")

    assert sent["payment.failed"]["charge_type"] == "plan_change"
    assert subscription["product_id"] == "pdt_club"


@pytest.mark.parametrize(
    ("product_id", "status"), [("pdt_coastline", 404), ("pdt_none", 404), ("pdt_kyoto", 422)]
)
async def test_a_plan_that_does_not_fit_is_refused(life: Any, product_id: str, status: int) -> None:
    """A plan is a subscription product of the same currency."""
    key = (await life.subscribe())["subscription_id"]

    assert await life.refused(f"subscriptions/{key}/change-plan", product_id=product_id) == status


async def test_the_sdk_charges_on_demand(life: Any, sdk: AsyncDodoPayments) -> None:
    """A mandate takes nothing at first, then what it is told to, under either metadata."""
    first = await life.buy("pdt_club", **ON_DEMAND)
    await life.sent(2)
    [subscription] = await life.held("subscriptions")
    key = subscription["subscription_id"]
    await sdk.subscriptions.charge(key, product_price=450)
    plain = (await life.sent(2))["payment.succeeded"]
    await sdk.subscriptions.charge(key, product_price=100, metadata={"why": "map"})
    marked = (await life.sent(2))["payment.succeeded"]

    assert (first["total_amount"], first["charge_type"]) == (0, "new")
    assert subscription["on_demand"] is True
    assert (plain["total_amount"], plain["charge_type"]) == (450, "on_demand")
    assert plain["service_periods"] == []
    assert plain["metadata"] == subscription["metadata"]
    assert marked["metadata"] == {"why": "map"}


async def test_a_plain_subscription_is_not_charged_on_demand(
    life: Any, sdk: AsyncDodoPayments
) -> None:
    """The API refuses; the lever of the same name does not ask."""
    key = (await life.subscribe())["subscription_id"]
    with pytest.raises(UnprocessableEntityError):
        await sdk.subscriptions.charge(key, product_price=450)
    payment = await life.pull(f"subscriptions/{key}/charge", amount=450)

    assert payment["charge_type"] == "on_demand"


@pytest.mark.parametrize(
    ("terms", "amount"),
    [
        ({"mandate_only": False}, 900),
        ({"mandate_only": False, "product_price": 300}, 300),
        ({"mandate_only": True, "product_price": 300}, 0),
    ],
    ids=str,
)
async def test_an_on_demand_checkout_takes_what_it_names(
    life: Any, terms: dict[str, Any], amount: int
) -> None:
    """The first charge is the product's price, another one, or none."""
    payment = await life.buy("pdt_club", subscription_data={"on_demand": terms})

    assert payment["total_amount"] == amount


async def test_a_new_card_is_a_payment_that_is_no_sale(life: Any, sdk: AsyncDodoPayments) -> None:
    """It carries its flag, takes nothing, and is announced."""
    key = (await life.subscribe())["subscription_id"]
    answer = await sdk.subscriptions.update_payment_method(key, payment_method={"type": "new"})
    sent = await life.sent(2)
    small = await life.pull(f"subscriptions/{key}/update-payment-method", amount=100)

    assert sent.keys() == {"payment.succeeded", "subscription.update_payment_method"}
    assert sent["payment.succeeded"]["payment_id"] == answer.payment_id
    assert sent["payment.succeeded"]["is_update_payment_method"] is True
    assert sent["payment.succeeded"]["total_amount"] == 0
    assert (small["total_amount"], small["is_update_payment_method"]) == (100, True)


@pytest.mark.parametrize("due_charge", [False, True], ids=["no charge", "charge due"])
async def test_a_new_card_revives_a_held_subscription(life: Any, due_charge: bool) -> None:
    """`subscription.active` comes again, after the charge that was due when there is one."""
    key = (await life.subscribe())["subscription_id"]
    await life.pull(f"subscriptions/{key}/renew", outcome="failed")
    await life.sent(2)
    path = f"subscriptions/{key}/update-payment-method"
    payment = await life.pull(path, due_charge=due_charge)
    messages = [await life.message() for _ in range(6 if due_charge else 4)]
    types = [message["type"] for message in messages]

    assert "subscription.update_payment_method" in types
    assert types.count("subscription.active") == 1
    assert types.count("payment.succeeded") == (2 if due_charge else 1)
    assert payment["is_update_payment_method"] is not due_charge
    assert payment["retry_attempt"] == due_charge


@pytest.mark.parametrize(
    ("action", "event_type", "status"),
    [
        ("cancel", "subscription.cancelled", "cancelled"),
        ("expire", "subscription.expired", "expired"),
        ("fail", "subscription.failed", "failed"),
        ("pause", "subscription.paused", "paused"),
    ],
)
async def test_a_subscription_ends_or_rests(
    life: Any, action: str, event_type: str, status: str
) -> None:
    """Each has its event, and the object says so."""
    key = (await life.subscribe())["subscription_id"]
    await life.pull(f"subscriptions/{key}/{action}")
    sent = await life.sent(2)

    assert sent.keys() == {event_type, "subscription.updated"}
    assert sent[event_type]["status"] == status


async def test_the_sdk_cancels_and_writes_metadata(life: Any, sdk: AsyncDodoPayments) -> None:
    """The next charge has the metadata that the subscription has by then."""
    key = (await life.subscribe())["subscription_id"]
    await sdk.subscriptions.update(key, metadata={"order_ref": "o-2"})
    await life.sent(1)
    payment = await life.pull(f"subscriptions/{key}/renew")
    await life.sent(3)
    cancelled = await sdk.subscriptions.update(key, status="cancelled")
    sent = await life.sent(2)

    assert payment["metadata"] == {"order_ref": "o-2"}
    assert cancelled.status == "cancelled"
    assert "subscription.cancelled" in sent


@pytest.mark.parametrize("kept", [True, False], ids=["with metadata", "without"])
async def test_an_abandoned_checkout_is_recovered(life: Any, kept: bool) -> None:
    """Another payment is made, with the metadata of the first one or none."""
    failed = await life.buy("pdt_coastline", outcome="failed")
    await life.sent(1)
    path = f"payments/{failed['payment_id']}/recover"
    await life.pull(path, step="detected")
    detected = await life.sent(1)
    options = {"metadata": "original", "checkout_session": True} if kept else {"metadata": {}}
    payment = await life.pull(path, step="recovered", **options)
    sent = await life.sent(2)
    recovered = sent["abandoned_checkout.recovered"]

    assert detected["abandoned_checkout.detected"]["payment_id"] == failed["payment_id"]
    assert detected["abandoned_checkout.detected"]["recovered_payment_id"] is None
    assert recovered["payment_id"] == failed["payment_id"]
    assert recovered["recovered_payment_id"] == payment["payment_id"] != failed["payment_id"]
    assert payment["metadata"] == (failed["metadata"] if kept else {})
    assert (payment["checkout_session_id"] is not None) == kept
    assert (payment["total_amount"], payment["status"]) == (2900, "succeeded")
    assert await life.refused(path, step="recovered") == 409


async def test_an_abandoned_subscription_starts_when_it_is_recovered(life: Any) -> None:
    """The subscription that failed at the checkout becomes active, with a new charge."""
    failed = await life.buy("pdt_club", outcome="failed")
    await life.sent(1)
    payment = await life.pull(f"payments/{failed['payment_id']}/recover")
    sent = await life.sent(6)

    assert payment["charge_type"] == "new"
    assert sent["subscription.active"]["status"] == "active"
    assert sent["subscription.renewed"]["payment_id"] == payment["payment_id"]


async def test_what_was_paid_is_not_abandoned(life: Any) -> None:
    """Only a payment that did not succeed can be recovered."""
    payment = await life.buy("pdt_coastline")

    assert await life.refused(f"payments/{payment['payment_id']}/recover") == 409


async def test_lists_stay_strict_after_a_whole_life(life: Any) -> None:
    """Whatever happened, list items hold the fields of the SDK's types and no others."""
    key = (await life.subscribe())["subscription_id"]
    payment = await life.pull(f"subscriptions/{key}/renew")
    await life.pull(f"payments/{payment['payment_id']}/refund", amount=100)
    await life.pull(f"payments/{payment['payment_id']}/dispute", stage="lost")
    await life.pull(f"subscriptions/{key}/cancel")
    payments = await life.dodo.get("/payments")
    subscriptions = await life.dodo.get("/subscriptions")

    assert payments.json()["items"][0]["refund_status"] == "partial"
    assert payments.json()["items"][0]["dispute_status"] == "dispute_lost"
    for model, answer in (
        (PaymentListResponse, payments),
        (SubscriptionListResponse, subscriptions),
    ):
        for item in answer.json()["items"]:
            assert set(item) <= set(model.model_fields)
