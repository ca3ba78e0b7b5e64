"""Waiting for what was taken in, and when waiting is of no use."""

from typing import Any

import pytest
from sqlalchemy import update

from kit.ledger.policy import Policy
from kit.ledger.schema import deliveries, lanes
from kit.reconcile.books import OwnBooks
from kit.reconcile.follow import PATIENCE_S, Fate, Follower
from kit.reconcile.intake import take_in
from kit.reconcile.kinds import PAYMENT, Entry
from tests.money.messages import sold
from tests.reconcile.conftest import Scene

pytestmark = pytest.mark.anyio

SALE = Entry(PAYMENT, "pay_1", sold().document())


async def taken_in(scene: Scene, **values: Any) -> None:
    """Take a sale in, and let its report stand like this."""
    await take_in(scene.shop.ledger, [SALE])
    scene.policy = Policy(held_for="test_mode")
    await scene.work()
    await scene.shop.ledger.write(
        lambda connection: connection.execute(update(deliveries).values(**values))
    )


async def follow(scene: Scene, sleeps: list[float]) -> list[Fate]:
    """Follow it without anybody at work."""

    async def sleep(seconds: float) -> None:
        sleeps.append(seconds)
        if len(sleeps) > 3:
            raise TimeoutError
        scene.shop.clock.now += seconds

    follower = Follower(OwnBooks(scene.shop.ledger), "datafast", scene.shop.clock, sleep)
    return list(await follower.follow([SALE]))


@pytest.mark.parametrize(
    ("values", "standing"),
    [
        ({"state": "done", "reason": "attributed", "verdict": "attributed"}, "sent"),
        ({"state": "done", "reason": "no_pageview", "verdict": "no_pageview"}, "sent"),
        ({"state": "done", "reason": "original_not_counted"}, "not_sent"),
        ({"state": "parked", "reason": "not_at_dodo"}, "not_sent"),
        ({"state": "held", "reason": "test_mode"}, "put_off"),
    ],
)
async def test_what_is_settled_is_not_waited_for(
    scene: Scene, values: dict[str, Any], standing: str
) -> None:
    """Its verdict or its reason is told."""
    await taken_in(scene, due_at_ms=None, **values)
    sleeps: list[float] = []
    [fate] = await follow(scene, sleeps)

    assert (fate.standing, fate.reason) == (standing, values["reason"])
    assert fate.verdict == values.get("verdict")
    assert sleeps == []


@pytest.mark.parametrize("state", ["ready", "sending", "held"])
async def test_what_is_due_soon_is_waited_for(scene: Scene, state: str) -> None:
    """Whoever sends is at it."""
    due_at_ms = int(scene.shop.clock.now * 1000)
    await taken_in(scene, state=state, reason="queued", due_at_ms=due_at_ms)
    with pytest.raises(TimeoutError):
        await follow(scene, [])


async def test_a_message_that_nobody_has_read_is_waited_for(scene: Scene) -> None:
    """It is on disk, and read next."""
    await take_in(scene.shop.ledger, [SALE])
    with pytest.raises(TimeoutError):
        await follow(scene, [])


async def test_what_is_put_off_for_long_is_left_to_the_server(scene: Scene) -> None:
    """With the reason for which it waits."""
    due_at_ms = int((scene.shop.clock.now + PATIENCE_S + 10) * 1000)
    await taken_in(scene, state="ready", reason="datafast_timeout", due_at_ms=due_at_ms)
    [fate] = await follow(scene, [])

    assert (fate.standing, fate.reason) == ("put_off", "datafast_timeout")


async def test_a_paused_lane_is_not_waited_for(scene: Scene) -> None:
    """A wrong key is mended by a person."""
    now_ms = int(scene.shop.clock.now * 1000)
    await taken_in(scene, state="ready", reason="key_refused", due_at_ms=now_ms)
    await scene.shop.ledger.write(
        lambda connection: connection.execute(
            lanes.insert().values(
                lane="datafast",
                tokens=0,
                refilled_at_ms=now_ms,
                not_before_ms=now_ms,
                paused_reason="key_refused",
            )
        )
    )
    [fate] = await follow(scene, [])

    assert (fate.standing, fate.reason) == ("put_off", "key_refused")
