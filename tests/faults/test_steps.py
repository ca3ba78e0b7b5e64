"""A process that dies at each named step of a webhook's way: one sale, and it counts once."""

import signal
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.faults.outside import PAYMENTS, VISITOR_ID, Webhook, eventually, outside, rows
from tests.faults.process import kit

pytestmark = pytest.mark.anyio


def on_both(*cases: tuple[Any, ...], both: Iterable[str]) -> list[Any]:
    """Make a row for each case (id first) on SQLite, and on PostgreSQL of those named in `both`."""
    kinds = [("sqlite", case) for case in cases]
    kinds += [("postgresql", case) for case in cases if case[0] in both]
    return [pytest.param(kind, *case[1:], id=f"{case[0]}-{kind}") for kind, case in kinds]


@pytest.mark.parametrize(
    ("database_url", "step", "stored"),
    on_both(
        ("1-while-the-body-is-read", "while the body is read", 0),
        ("2-verified", "after the signature was verified", 0),
        ("2-before-the-commit", "before the commit", 0),
        ("3-committed", "after the commit, before the 200", 1),
        both=("2-before-the-commit", "3-committed"),
    ),
    indirect=["database_url"],
)
async def test_a_kill_before_the_answer_leaves_a_message_that_dodo_sends_again(
    tmp_path: Path, database_url: str, step: str, stored: int
) -> None:
    """No 200 was heard, so it comes again; whether it was on disk makes no difference."""
    async with outside(tmp_path) as world:
        webhook = Webhook("msg_1", world.sell("pay_1"))
        with kit(tmp_path, database_url, **world.environ) as shop:
            shop.start(step)
            heard = await world.deliver(webhook, await shop.up(), in_parts=True)
            code = await shop.ended()
            left = rows(database_url, "events")
            shop.start()
            again = await world.deliver(webhook, await shop.up())
            await eventually(world.counted)
            stopped = await shop.stop()
        [event] = rows(database_url, "events")
        posts = world.posts()

    assert (heard, code, len(left)) == (None, -signal.SIGKILL, stored)
    assert (again, stopped) == (200, 0)
    assert event["times_received"] == 1 + stored
    assert posts == {"pay_1": 1}


@pytest.mark.parametrize(
    ("database_url", "step", "counted", "posts"),
    on_both(
        ("4-claimed", "after the claim", 0, 1),
        ("4-before-the-mark", "before the first send is marked", 0, 1),
        ("4-marked", "before the report is sent", 0, 1),
        ("5-answered", "after the report was answered", 1, 2),
        ("5-before-the-end", "before the end is written", 1, 2),
        both=("4-claimed", "5-before-the-end"),
    ),
    indirect=["database_url"],
)
async def test_a_kill_after_the_answer_costs_at_most_a_repeat(
    tmp_path: Path, database_url: str, step: str, counted: int, posts: int
) -> None:
    """Dodo has its 200 and sends no more: the next process finds the row and what it owes."""
    async with outside(tmp_path) as world:
        world.see(VISITOR_ID)
        webhook = Webhook("msg_1", world.sell("pay_1", visitor_id=VISITOR_ID))
        with kit(tmp_path, database_url, **world.environ) as shop:
            shop.start(step)
            heard = await world.deliver(webhook, await shop.up())
            code = await shop.ended()
            before = len(world.counted())
            shop.start()
            await shop.up()
            await eventually(lambda: rows(database_url, "deliveries")[0]["verdict"])
            stopped = await shop.stop()
        attributed, posted = world.counted()["pay_1"]["attributed"], world.posts()

    assert (heard, code, before, stopped) == (200, -signal.SIGKILL, counted, 0)
    assert (attributed, posted) == (True, {"pay_1": posts})


@pytest.mark.parametrize("after", [False, True], ids=["before-it-counts", "after-it-counts"])
async def test_5_a_kill_while_datafast_has_the_report_costs_one_repeat(
    tmp_path: Path, sqlite_url: str, after: bool
) -> None:
    """Nobody knows whether it was taken, so it is sent again under the same id."""
    async with outside(tmp_path) as world:
        webhook = Webhook("msg_1", world.sell("pay_1"))
        await world.chaos(world.datafast_url, "timeout", path=PAYMENTS, times=1, after=after)
        with kit(tmp_path, sqlite_url, **world.environ) as shop:
            shop.start()
            heard = await world.deliver(webhook, await shop.up())
            await eventually(world.counted if after else world.posts)
            await shop.kill()
            before = len(world.counted())
            shop.start()
            await shop.up()
            await eventually(lambda: rows(sqlite_url, "deliveries")[0]["verdict"])
            stopped = await shop.stop()
        counted, posted = list(world.counted()), world.posts()

    assert (heard, before, stopped) == (200, int(after), 0)
    assert (counted, posted) == (["pay_1"], {"pay_1": 2})
