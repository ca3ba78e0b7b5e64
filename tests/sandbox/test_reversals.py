"""Refunds and disputes: what they send, and what they leave on the payment."""

from typing import Any

import httpx
import pytest
from dodopayments import AsyncDodoPayments, UnprocessableEntityError
from dodopayments.types import DisputeListResponse, GetDispute, Payment, Refund, RefundListItem

from kit.sandbox.disputes import written_amount

pytestmark = pytest.mark.anyio


@pytest.fixture
def sdk(life: Any) -> AsyncDodoPayments:
    """Build the SDK on the in-process client."""
    return AsyncDodoPayments(
        bearer_token="test-api-key",
        base_url="http://sandbox.localhost",
        http_client=life.dodo,
        max_retries=0,
    )


async def sold(life: Any, product_id: str = "pdt_coastline", **fields: Any) -> str:
    """Sell one thing, take in its webhook, and return the payment's id."""
    payment = await life.buy(product_id, **fields)
    await life.sent(1)
    key: str = payment["payment_id"]
    return key


async def paid(life: Any, key: str) -> Payment:
    """Read a payment strictly, as the API answers it."""
    answer: httpx.Response = await life.dodo.get(f"/payments/{key}")
    return Payment.model_validate_json(answer.content, strict=True)


async def test_partial_refunds_add_up_to_a_full_one(life: Any) -> None:
    """Each has its own id and webhook; the payment lists them and says how far it is refunded."""
    key = await sold(life)
    await life.pull(f"payments/{key}/refund", amount=1000)
    first = (await life.sent(1))["refund.succeeded"]
    after_first = await paid(life, key)
    await life.pull(f"payments/{key}/refund")
    second = (await life.sent(1))["refund.succeeded"]
    after_second = await paid(life, key)

    assert (first["amount"], second["amount"]) == (1000, 1900)
    assert first["is_partial"] is second["is_partial"] is True
    assert first["metadata"] == {}
    assert first["refund_id"] != second["refund_id"]
    assert (after_first.refund_status, after_second.refund_status) == ("partial", "full")
    assert [refund.amount for refund in after_second.refunds] == [1000, 1900]
    assert await life.refused(f"payments/{key}/refund", amount=1) == 422


async def test_a_full_refund_is_not_partial(life: Any) -> None:
    """Without an amount everything goes back."""
    key = await sold(life, "pdt_tokyo")
    refund = await life.pull(f"payments/{key}/refund")

    assert (refund["amount"], refund["currency"], refund["is_partial"]) == (3300, "JPY", False)


async def test_the_sdk_refunds_and_reads_refunds(life: Any, sdk: AsyncDodoPayments) -> None:
    """Whole and by item; amounts of items are in the settlement currency unless it is named."""
    key = await sold(life, "pdt_tokyo")
    yen = await sdk.refunds.create(
        payment_id=key,
        items=[{"item_id": "pdt_tokyo", "amount": 1000}],
        currency="JPY",
        metadata={"why": "torn"},
    )
    cents = await sdk.refunds.create(
        payment_id=key, items=[{"item_id": "pdt_tokyo", "amount": 700}]
    )
    rest = await sdk.refunds.create(payment_id=key)
    listed = await sdk.refunds.list(status="succeeded", page_number=0)
    with pytest.raises(UnprocessableEntityError):
        await sdk.refunds.create(payment_id=key)

    assert [refund.amount for refund in (yen, cents, rest)] == [1000, 1000, 1300]
    assert yen.metadata == {"why": "torn"}
    assert [refund.refund_id for refund in listed.items] == [
        refund.refund_id for refund in (rest, cents, yen)
    ]
    for refund in (await life.dodo.get("/refunds")).json()["items"]:
        RefundListItem.model_validate_json(httpx.Response(200, json=refund).content, strict=True)
        one = await life.dodo.get(f"/refunds/{refund['refund_id']}")
        Refund.model_validate_json(one.content, strict=True)


async def test_refunds_of_a_subscription_are_found(life: Any, sdk: AsyncDodoPayments) -> None:
    """A refund does not name its subscription; the list knows it by the payment."""
    subscription = await life.subscribe()
    [payment] = await life.held("payments")
    await sdk.refunds.create(payment_id=payment["payment_id"])
    mine = await sdk.refunds.list(subscription_id=subscription["subscription_id"])
    others = await sdk.refunds.list(subscription_id="sub_none")

    assert (len(mine.items), len(others.items)) == (1, 0)


async def test_a_refund_can_fail(life: Any) -> None:
    """A refund that failed gives nothing back, and the whole can be refunded again."""
    key = await sold(life)
    await life.pull(f"payments/{key}/refund", status="failed")
    sent = await life.sent(1)
    payment = await paid(life, key)
    again = await life.pull(f"payments/{key}/refund")

    assert sent["refund.failed"]["status"] == "failed"
    assert payment.refund_status is None
    assert again["amount"] == 2900


async def test_a_refund_can_take_days(life: Any) -> None:
    """A pending refund is announced when it has settled, under its one id."""
    key = await sold(life)
    refund = await life.pull(f"payments/{key}/refund", status="pending", amount=100)
    before = await paid(life, key)
    await life.pull(f"refunds/{refund['refund_id']}/settle")
    sent = await life.sent(1)

    assert before.refund_status is None
    assert sent["refund.succeeded"]["refund_id"] == refund["refund_id"]
    assert (await paid(life, key)).refund_status == "partial"
    assert await life.refused(f"refunds/{refund['refund_id']}/settle") == 409


async def test_a_refund_message_can_differ_from_the_refund(life: Any) -> None:
    """Null amount, null status, another currency: in the webhook alone, or in the refund itself."""
    key = await sold(life)
    odd = {"amount": None, "status": None, "currency": "EUR"}
    refund = await life.pull(f"payments/{key}/refund", amount=100, webhook=odd)
    message = (await life.sent(1, strict=False))["refund.succeeded"]
    nulled = await life.pull(f"payments/{key}/refund", fields={"amount": None})

    assert message | odd == message
    assert (refund["amount"], refund["status"], refund["currency"]) == (100, "succeeded", "USD")
    assert nulled["amount"] is None


async def test_a_late_sale_shows_its_refund(life: Any) -> None:
    """Bodies carry the latest state: a held payment message knows of the refund made since."""
    await life.pull("settings", hold=True)
    payment = await life.buy("pdt_coastline")
    await life.pull(f"payments/{payment['payment_id']}/refund", amount=500)
    await life.pull("release")
    sent = await life.sent(2)

    assert sent["payment.succeeded"]["refund_status"] == "partial"
    assert sent["payment.succeeded"]["total_amount"] == 2900
    assert sent["payment.succeeded"]["refunds"][0]["amount"] == 500


async def test_only_a_payment_that_succeeded_is_refunded(life: Any) -> None:
    """Nothing was taken, so nothing goes back."""
    key = await sold(life, outcome="failed")

    assert await life.refused(f"payments/{key}/refund") == 422


@pytest.mark.parametrize("end", ["won", "lost", "accepted", "expired", "cancelled"])
async def test_a_dispute_moves_under_one_id(life: Any, end: str) -> None:
    """Opened, challenged and ended are three events of one dispute, which the payment shows."""
    key = await sold(life)
    for stage in ("opened", "challenged", end):
        dispute = await life.pull(f"payments/{key}/dispute", stage=stage)
    sent = await life.sent(3)
    payment = await paid(life, key)
    one = await life.dodo.get(f"/disputes/{dispute['dispute_id']}")
    listed = await life.dodo.get("/disputes", params={"dispute_status": f"dispute_{end}"})

    assert sent.keys() == {"dispute.opened", "dispute.challenged", f"dispute.{end}"}
    assert len({data["dispute_id"] for data in sent.values()}) == 1
    assert sent[f"dispute.{end}"]["dispute_status"] == f"dispute_{end}"
    assert sent[f"dispute.{end}"]["amount"] == "2900"
    assert [dispute.dispute_status for dispute in payment.disputes] == [f"dispute_{end}"]
    GetDispute.model_validate_json(one.content, strict=True)
    for item in listed.json()["items"]:
        model = DisputeListResponse.model_validate_json(httpx.Response(200, json=item).content)
        assert not model.model_extra


async def test_a_dispute_can_be_lost_at_once(life: Any) -> None:
    """Rapid resolution shows up as a lost dispute that was never opened."""
    key = await sold(life)
    options = {"stage": "lost", "is_resolved_by_rdr": True, "dispute_stage": "pre_dispute"}
    await life.pull(f"payments/{key}/dispute", **options)
    dispute = (await life.sent(1))["dispute.lost"]

    assert dispute["is_resolved_by_rdr"] is True
    assert dispute["dispute_stage"] == "pre_dispute"


async def test_a_lost_dispute_can_still_be_won(life: Any) -> None:
    """An ended dispute moves again only by its id; without it a new one is opened."""
    key = await sold(life)
    lost = await life.pull(f"payments/{key}/dispute", stage="lost")
    won = await life.pull(f"payments/{key}/dispute", stage="won", dispute_id=lost["dispute_id"])
    other = await life.pull(f"payments/{key}/dispute", amount="12.5")

    assert won["dispute_id"] == lost["dispute_id"]
    assert other["dispute_id"] != lost["dispute_id"]
    assert other["amount"] == "12.5"


@pytest.mark.parametrize(
    ("amount_minor", "currency", "form", "written"),
    [
        (2900, "USD", "minor", "2900"),
        (2900, "USD", "major", "29.00"),
        (5, "USD", "major", "0.05"),
        (3300, "JPY", "major", "3300"),
        (8750, "KWD", "major", "8.750"),
        (2900, "USD", "garbage", "about 2900"),
    ],
)
def test_the_amount_of_a_dispute_is_written_in_each_form(
    amount_minor: int, currency: str, form: str, written: str
) -> None:
    """Dodo documents a string and no unit."""
    assert written_amount(amount_minor, currency, form) == written


async def test_a_dispute_takes_the_form_that_is_asked_for(life: Any) -> None:
    """The levers know the forms by name."""
    key = await sold(life)
    options = {"amount_form": "major", "amount_minor": 950}
    dispute = await life.pull(f"payments/{key}/dispute", **options)

    assert dispute["amount"] == "9.50"
    assert await life.refused(f"payments/{key}/dispute", amount=950) == 422
    assert await life.refused(f"payments/{key}/dispute", stage="lsot") == 422
