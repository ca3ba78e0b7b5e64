"""A process that dies at each named step of a webhook's way: one sale, and it counts once."""

import itertools
import signal
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.faults.outside import PAYMENTS, VISITOR_ID, Outside, Webhook, eventually, outside, rows
from tests.faults.process import kit

pytestmark = pytest.mark.anyio

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """Keep one event loop for this module, and both services in it."""
    return "asyncio"


@pytest.fixture(scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Outside]:
    """Serve Dodo and DataFast, which knows one visitor."""
    async with outside(tmp_path_factory.mktemp("outside")) as opened:
        opened.see(VISITOR_ID)
        yield opened


@pytest.fixture
def payment_id() -> str:
    """Name a sale that no other test is about."""
    return f"pay_{next(_numbers)}"


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
    world: Outside, tmp_path: Path, database_url: str, payment_id: str, step: str, stored: int
) -> None:
    """No 200 was heard, so it comes again; whether it was on disk makes no difference."""
    webhook = Webhook("msg_1", world.sell(payment_id))
    with kit(tmp_path, database_url, **world.environ) as shop:
        shop.start(step)
        heard = await world.deliver(webhook, await shop.up(), in_parts=True)
        code = await shop.ended()
        left = rows(database_url, "events")
        shop.start()
        again = await world.deliver(webhook, await shop.up())
        await eventually(lambda: payment_id in world.counted())
    [event] = rows(database_url, "events")

    assert (heard, code, len(left)) == (None, -signal.SIGKILL, stored)
    assert again == 200
    assert event["times_received"] == 1 + stored
    assert world.posts()[payment_id] == 1


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
    world: Outside,
    tmp_path: Path,
    database_url: str,
    payment_id: str,
    step: str,
    counted: int,
    posts: int,
) -> None:
    """Dodo has its 200 and sends no more: the next process finds the row and what it owes."""
    webhook = Webhook("msg_1", world.sell(payment_id, visitor_id=VISITOR_ID))
    with kit(tmp_path, database_url, **world.environ) as shop:
        shop.start(step)
        heard = await world.deliver(webhook, await shop.up())
        code = await shop.ended()
        before = payment_id in world.counted()
        shop.start()
        await shop.up()
        await eventually(lambda: rows(database_url, "deliveries")[0]["verdict"])

    assert (heard, code, before) == (200, -signal.SIGKILL, bool(counted))
    assert world.counted()[payment_id]["attributed"]
    assert world.posts()[payment_id] == posts


@pytest.mark.parametrize("after", [False, True], ids=["before-it-counts", "after-it-counts"])
async def test_5_a_kill_while_datafast_has_the_report_costs_one_repeat(
    world: Outside, tmp_path: Path, sqlite_url: str, payment_id: str, after: bool
) -> None:
    """Nobody knows whether it was taken, so it is sent again under the same id."""
    webhook = Webhook("msg_1", world.sell(payment_id))
    rule = {"path": PAYMENTS, "transaction_id": payment_id, "times": 1, "after": after}
    await world.chaos(world.datafast_url, "timeout", **rule)
    with kit(tmp_path, sqlite_url, **world.environ) as shop:
        shop.start()
        heard = await world.deliver(webhook, await shop.up())
        await eventually(lambda: payment_id in (world.counted() if after else world.posts()))
        await shop.kill()
        before = payment_id in world.counted()
        shop.start()
        await shop.up()
        await eventually(lambda: rows(sqlite_url, "deliveries")[0]["verdict"])

    assert (heard, before) == (200, after)
    assert payment_id in world.counted()
    assert world.posts()[payment_id] == 2
