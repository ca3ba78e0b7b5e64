"""Two machines on one PostgreSQL, one of which is gone or asleep."""

import signal
from pathlib import Path

import pytest

from tests.faults.outside import PAYMENTS, Webhook, eventually, outside, rows
from tests.faults.process import kit

pytestmark = pytest.mark.anyio


async def test_7_what_a_machine_had_under_way_is_taken_over_when_it_is_gone_for_good(
    tmp_path: Path, postgres_url: str
) -> None:
    """Within its lease, by a machine that was there all the time."""
    async with outside(tmp_path) as world:
        webhook = Webhook("msg_1", world.sell("pay_1"))
        with (
            kit(tmp_path, postgres_url, "gone", **world.environ) as gone,
            kit(tmp_path, postgres_url, "there", **world.environ) as there,
        ):
            gone.start("after the claim")
            heard = await world.deliver(webhook, await gone.up())
            there.start()
            code = await gone.ended()
            await eventually(lambda: rows(postgres_url, "deliveries")[0]["verdict"])
        posts = world.posts()

    assert (heard, code) == (200, -signal.SIGKILL)
    assert posts == {"pay_1": 1}


async def test_56_a_machine_that_sleeps_past_its_lease_changes_nothing_when_it_wakes_up(
    tmp_path: Path, postgres_url: str
) -> None:
    """It was in the middle of a report; the other made it again, and what that came to stays."""
    async with outside(tmp_path) as world:
        slow, later = (Webhook(f"msg_{n}", world.sell(f"pay_{n}")) for n in (1, 2))
        rule = {"path": PAYMENTS, "transaction_id": "pay_1", "times": 1, "after": True}
        await world.chaos(world.datafast_url, "drip", **rule)
        with (
            kit(tmp_path, postgres_url, "asleep", **world.environ) as asleep,
            kit(tmp_path, postgres_url, "awake", **world.environ) as awake,
        ):
            asleep.start()
            url = await asleep.up()
            heard = await world.deliver(slow, url)
            await eventually(world.counted)
            asleep.signal(signal.SIGSTOP)
            awake.start()
            await eventually(lambda: rows(postgres_url, "deliveries")[0]["verdict"])
            [before] = rows(postgres_url, "deliveries")
            asleep.signal(signal.SIGCONT)
            await world.insist(later, lambda: url)
            await eventually(lambda: len(world.counted()) == 2)
        after = [row for row in rows(postgres_url, "deliveries") if row["payment_id"] == "pay_1"]
        posts = world.posts()

    assert heard == 200
    assert (before["state"], before["reason"]) == ("done", "duplicate_after_lost_reply")
    assert after == [before]
    assert posts["pay_1"] == 2


async def test_the_limit_is_kept_by_all_processes_together(
    tmp_path: Path, postgres_url: str
) -> None:
    """Sixty calls a second are allowed; two machines that have more to do provoke no 429."""
    rate = {"KIT_DATAFAST_RATE": "1200"}
    async with outside(tmp_path, rate_limit=60, window_s=1) as world:
        webhooks = [Webhook(f"msg_{n}", world.sell(f"pay_{n}")) for n in range(66)]
        with (
            kit(tmp_path, postgres_url, "one", **world.environ, **rate) as one,
            kit(tmp_path, postgres_url, "two", **world.environ, **rate) as two,
        ):
            one.start()
            two.start()
            urls = [await each.up() for each in (one, two)]
            for number, webhook in enumerate(webhooks):
                await world.deliver(webhook, urls[number % 2])
            await eventually(lambda: len(world.counted()) == len(webhooks))
        statuses = world.statuses()

    assert statuses == {200: len(webhooks)}
