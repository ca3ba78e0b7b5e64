"""A database that is full, damaged, stopped or restarted under a process that goes on."""

import asyncio
from pathlib import Path

import httpx
import pytest

from tests.faults.monkey import Monkey
from tests.faults.outside import Outside, Webhook, eventually, outside
from tests.faults.process import kit

pytestmark = pytest.mark.anyio

LOOK_S = 0.02
WITHIN_S = 20.0


async def post(world: Outside, webhook: Webhook, url: str) -> tuple[int, str | None]:
    """Deliver once; returns the status and when to come back."""
    answer = await world.http.post(
        f"{url}/webhooks/dodo", content=webhook.body, headers=webhook.headers(), timeout=WITHIN_S
    )
    return answer.status_code, answer.headers.get("retry-after")


async def readiness(world: Outside, url: str, status: int) -> httpx.Response:
    """Ask until readiness is of that colour; a commit of the last second counts as fresh."""
    async with asyncio.timeout(WITHIN_S):
        while (answer := await world.http.get(f"{url}/readyz")).status_code != status:
            await _a_moment()
    return answer


async def _a_moment() -> None:
    await asyncio.sleep(LOOK_S)


async def test_13_a_postgres_that_is_stopped_is_503_until_it_is_back(
    tmp_path: Path, postgres_url: str
) -> None:
    """The kit is not restarted; what was refused comes again, and everything is reported."""
    monkey = Monkey(postgres_url)
    async with outside(tmp_path) as world:
        first, second = (Webhook(f"msg_{n}", world.sell(f"pay_{n}")) for n in range(2))
        with kit(tmp_path, postgres_url, **world.environ) as shop:
            shop.start()
            url = await shop.up()
            before = await post(world, first, url)
            await readiness(world, url, 200)
            await asyncio.to_thread(monkey.stop)
            during = await post(world, second, url)
            red = await readiness(world, url, 503)
            live = (await world.http.get(f"{url}/healthz")).status_code
            await asyncio.to_thread(monkey.start)
            await readiness(world, url, 200)
            after = await post(world, second, url)
            counted = await eventually(lambda: len(world.counted()) == 2)
            stopped = await shop.stop()

    assert (before, during, after) == ((200, None), (503, "5"), (200, None))
    assert (red.headers["retry-after"], live) == ("5", 200)
    assert (counted, stopped) == (True, 0)
