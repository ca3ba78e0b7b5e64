"""A process that dies at each named step of a webhook's way: one sale, and it counts once."""

import signal
from pathlib import Path

import pytest

from tests.faults.outside import PAYMENTS, VISITOR_ID, Webhook, eventually, outside, rows
from tests.faults.process import kit

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("step", "stored"),
    [
        pytest.param("while the body is read", 0, id="1-while-the-body-is-read"),
        pytest.param("after the signature was verified", 0, id="2-verified"),
        pytest.param("before the commit", 0, id="2-before-the-commit"),
        pytest.param("after the commit, before the 200", 1, id="3-committed"),
    ],
)
async def test_a_kill_before_the_answer_leaves_a_message_that_dodo_sends_again(
    tmp_path: Path, step: str, stored: int
) -> None:
    """No 200 was heard, so it comes again; whether it was on disk makes no difference."""
    async with outside(tmp_path) as world:
        webhook = Webhook("msg_1", world.sell("pay_1"))
        with kit(tmp_path, **world.environ) as shop:
            shop.start(step)
            heard = await world.deliver(webhook, await shop.up(), in_parts=True)
            code = await shop.ended()
            left = rows(tmp_path / "kit.db", "events")
            shop.start()
            again = await world.deliver(webhook, await shop.up())
            await eventually(world.counted)
            stopped = await shop.stop()
        [event] = rows(tmp_path / "kit.db", "events")

    assert (heard, code, len(left)) == (None, -signal.SIGKILL, stored)
    assert (again, stopped) == (200, 0)
    assert event["times_received"] == 1 + stored
    assert world.posts == {"pay_1": 1}


@pytest.mark.parametrize(
    ("step", "counted", "posts"),
    [
        pytest.param("after the claim", 0, 1, id="4-claimed"),
        pytest.param("before the first send is marked", 0, 1, id="4-before-the-mark"),
        pytest.param("before the report is sent", 0, 1, id="4-marked"),
        pytest.param("after the report was answered", 1, 2, id="5-answered"),
        pytest.param("before the end is written", 1, 2, id="5-before-the-end"),
    ],
)
async def test_a_kill_after_the_answer_costs_at_most_a_repeat(
    tmp_path: Path, step: str, counted: int, posts: int
) -> None:
    """Dodo has its 200 and sends no more: the next process finds the row and what it owes."""
    async with outside(tmp_path) as world:
        world.see(VISITOR_ID)
        webhook = Webhook("msg_1", world.sell("pay_1", visitor_id=VISITOR_ID))
        with kit(tmp_path, **world.environ) as shop:
            shop.start(step)
            heard = await world.deliver(webhook, await shop.up())
            code = await shop.ended()
            before = len(world.counted())
            shop.start()
            await shop.up()
            await eventually(lambda: rows(tmp_path / "kit.db", "deliveries")[0]["verdict"])
            stopped = await shop.stop()

        assert world.counted()["pay_1"]["attributed"]
    assert (heard, code, before, stopped) == (200, -signal.SIGKILL, counted, 0)
    assert world.posts == {"pay_1": posts}


@pytest.mark.parametrize("after", [False, True], ids=["before-it-counts", "after-it-counts"])
async def test_5_a_kill_while_datafast_has_the_report_costs_one_repeat(
    tmp_path: Path, after: bool
) -> None:
    """Nobody knows whether it was taken, so it is sent again under the same id."""
    async with outside(tmp_path) as world:
        webhook = Webhook("msg_1", world.sell("pay_1"))
        await world.chaos(world.datafast_url, "timeout", path=PAYMENTS, times=1, after=after)
        with kit(tmp_path, **world.environ) as shop:
            shop.start()
            heard = await world.deliver(webhook, await shop.up())
            await eventually(world.counted if after else lambda: world.posts)
            await shop.kill()
            before = len(world.counted())
            shop.start()
            await shop.up()
            await eventually(lambda: rows(tmp_path / "kit.db", "deliveries")[0]["verdict"])
            stopped = await shop.stop()

        assert list(world.counted()) == ["pay_1"]
    assert (heard, before, stopped) == (200, int(after), 0)
    assert world.posts == {"pay_1": 2}
