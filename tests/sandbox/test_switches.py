"""Settings while it runs: older bodies, copies, waiting, another order."""

from typing import Any

import anyio.lowlevel
import pytest

pytestmark = pytest.mark.anyio

AUGUST_2026 = {
    "charge_type",
    "includes_usage",
    "is_multi_subscription",
    "service_periods",
    "subscription_ids",
}
SEPTEMBER_2025 = {
    "checkout_session_id",
    "invoice_url",
    "is_update_payment_method",
    "payment_provider",
    "retry_attempt",
}


@pytest.mark.parametrize(
    ("shape", "absent", "present"),
    [
        ("current", set(), AUGUST_2026 | SEPTEMBER_2025),
        ("2026-07", AUGUST_2026, SEPTEMBER_2025),
        ("2025-08", AUGUST_2026 | SEPTEMBER_2025, {"payment_id", "metadata", "customer"}),
    ],
)
async def test_webhooks_can_have_the_fields_of_another_year(
    life: Any, shape: str, absent: set[str], present: set[str]
) -> None:
    """Fields that came later are left out, the API keeps them."""
    await life.pull("settings", shape=shape)
    payment = await life.buy("pdt_club")
    sent = await life.sent(4, strict=shape == "current")
    answered = await life.dodo.get(f"/payments/{payment['payment_id']}")

    assert absent.isdisjoint(sent["payment.succeeded"])
    assert present <= sent["payment.succeeded"].keys()
    assert ("payment_id" in sent["subscription.renewed"]) == (shape == "current")
    assert answered.json().keys() >= AUGUST_2026 | SEPTEMBER_2025


async def test_the_api_can_be_as_old(life: Any) -> None:
    """Answers have their own switch."""
    payment = await life.buy("pdt_club")
    await life.pull("settings", api_shape="2026-07")
    one = (await life.dodo.get(f"/payments/{payment['payment_id']}")).json()
    [item] = (await life.dodo.get("/payments")).json()["items"]

    assert AUGUST_2026.isdisjoint(one)
    assert AUGUST_2026.isdisjoint(item)


async def test_each_message_can_come_several_times(life: Any) -> None:
    """Copies have one id and one body."""
    await life.pull("settings", duplicate=3)
    await life.buy("pdt_coastline")
    messages = [await life.message() for _ in range(3)]
    deliveries = await life.held("deliveries")

    assert messages[0] == messages[1] == messages[2]
    assert len({delivery["webhook_id"] for delivery in deliveries}) == 1


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("queued", ["payment.succeeded", "active", "renewed", "updated"]),
        ("reversed", ["updated", "renewed", "active", "payment.succeeded"]),
        (
            ["subscription.renewed", "payment.succeeded"],
            ["renewed", "payment.succeeded", "active", "updated"],
        ),
    ],
    ids=str,
)
async def test_held_messages_leave_in_the_order_wanted(
    life: Any, order: Any, expected: list[str]
) -> None:
    """They go out one after the other; later ones wait for the next release."""
    await life.pull("settings", hold=True)
    await life.buy("pdt_club")
    released = await life.pull("release", order=order)
    received = [(await life.message())["type"] for _ in range(4)]

    assert [name.removeprefix("subscription.") for name in received] == expected
    assert [delivery["type"] for delivery in released] == received


async def test_a_shuffle_is_repeatable(life: Any) -> None:
    """One seed gives one order."""
    await life.pull("settings", hold=True)
    orders = []
    for _ in range(2):
        await life.buy("pdt_club")
        released = await life.pull("release", order="shuffled", seed=7)
        orders.append([delivery["type"] for delivery in released])
        await life.sent(4)

    assert orders[0] == orders[1]


async def test_ending_the_hold_sends_what_waited(life: Any) -> None:
    """Without a release too nothing is lost."""
    await life.pull("settings", hold=True)
    await life.buy("pdt_club")
    await life.pull("settings", hold=False, shuffle=True)

    assert len(await life.sent(4)) == 4


async def test_a_message_can_be_late(life: Any, clock: Any) -> None:
    """It waits for its time, or for a release."""
    await life.pull("settings", delay_s=600)
    await life.buy("pdt_coastline")
    [waiting] = await life.held("deliveries")
    await life.pull("release")
    await life.sent(1)

    assert waiting["state"] == "pending"
    assert waiting["next_attempt_at"] == clock.now + 600


async def test_a_release_does_not_wait_for_the_next_attempt(life: Any) -> None:
    """A refused delivery is tried again at once."""
    life.shop.answers = [500]
    await life.buy("pdt_coastline")
    first = await life.message()
    while not (await life.held("deliveries"))[0]["attempts"]:
        await anyio.lowlevel.checkpoint()  # the answer of the first attempt is under way
    await life.pull("release")

    assert await life.message() == first


@pytest.mark.parametrize(
    "settings",
    [
        {"shape": "2024-01"},
        {"duplicate": 0},
        {"delay_s": -1},
        {"hold": "yes"},
        {"trial_amount": 0},
        {"hld": True},
    ],
    ids=str,
)
async def test_a_setting_that_is_none_is_refused_and_changes_nothing(
    life: Any, settings: dict[str, Any]
) -> None:
    """All or nothing, with a sentence."""
    assert await life.refused("settings", shuffle=True, **settings) == 422
    assert (await life.dodo.get("/_sandbox/settings")).json()["shuffle"] is False
    assert await life.refused("release", order="best") == 422


async def test_a_reset_brings_the_usual_settings_back(life: Any) -> None:
    """The next test starts calm."""
    await life.pull("settings", hold=True, trial_payment=False, duplicate=2)
    await life.pull("reset")
    settings = (await life.dodo.get("/_sandbox/settings")).json()

    assert (settings["hold"], settings["trial_payment"], settings["duplicate"]) == (False, True, 1)
