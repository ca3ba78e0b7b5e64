"""How a process ends: told to under load, by a writer that has died, or not at all."""

import asyncio
from pathlib import Path

import pytest

from tests.faults.outside import Webhook, eventually, outside, rows
from tests.faults.process import kit

pytestmark = pytest.mark.anyio


async def test_8_a_stop_under_load_answers_what_it_has_taken(
    tmp_path: Path, database_url: str
) -> None:
    """Exit code 0; every 200 has its row, and whatever was cut off is served by the next one."""
    async with outside(tmp_path) as world:
        with kit(tmp_path, database_url, **world.environ) as shop:
            shop.start()
            url = await shop.up()
            heard: dict[str, int | None] = {}

            async def keep_sending(lane: int) -> None:
                number = 0
                while None not in heard.values():
                    name = f"msg_{lane}_{number}"
                    webhook = Webhook(name, world.sell(f"pay_{lane}_{number}"))
                    heard[name] = await world.deliver(webhook, url)
                    number += 1

            async with asyncio.TaskGroup() as group:
                senders = [group.create_task(keep_sending(lane)) for lane in range(8)]
                await eventually(lambda: len(heard) > 12)
                code = await shop.stop()
                await asyncio.wait(senders)
            stored = {row["webhook_id"] for row in rows(database_url, "events")}
            taken = {name for name, status in heard.items() if status == 200}
            shop.start()
            await shop.up()
            await eventually(
                lambda: all(row["state"] == "done" for row in rows(database_url, "deliveries"))
            )
            again = await shop.stop()
        counted = {f"msg_{each.removeprefix('pay_')}" for each in world.counted()}

    assert (code, again) == (0, 0)
    assert set(heard.values()) == {200, None}
    assert taken <= stored
    assert counted == stored


async def test_17_a_process_whose_writer_has_died_ends_for_a_new_one(
    tmp_path: Path, database_url: str
) -> None:
    """With exit code 1 and a sentence, so that whoever supervises it starts the next."""
    async with outside(tmp_path) as world:
        deadly, later = Webhook("msg_deadly", world.sell("pay_1")), Webhook("msg_2", b"{}")
        with kit(tmp_path, database_url, **world.environ) as shop:
            shop.start("when the deadly message comes")
            url = await shop.up()
            answer = await world.deliver(deadly, url)
            after = await world.deliver(later, url)
            code = await shop.ended(within_s=10)
            said = shop.log.read_text()
            shop.start()
            again = await world.deliver(deadly, await shop.up())
            await eventually(world.counted)

    assert (answer, code, again) == (503, 1, 200)
    assert after in (503, None)
    assert "kit: the ledger's writer has died" in said
