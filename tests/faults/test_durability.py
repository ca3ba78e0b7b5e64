"""The event is on disk before the 200 leaves."""

import asyncio
from pathlib import Path

import pytest

from tests.faults.outside import Webhook, outside
from tests.faults.process import kit
from tests.faults.trace import TRACE

pytestmark = pytest.mark.anyio


async def test_16_the_log_is_synced_between_the_write_and_the_answer(
    tmp_path: Path, sqlite_url: str
) -> None:
    """For one alone, and for each of many that share a sync."""
    webhooks = [Webhook(f"msg_trace_{number}", b'{"type": "x", "data": {}}') for number in range(9)]
    async with outside(tmp_path) as world:
        with kit(tmp_path, sqlite_url, **world.environ) as shop:
            shop.start("a trace")
            url = await shop.up()
            first = await world.deliver(webhooks[0], url)
            rest = await asyncio.gather(*(world.deliver(each, url) for each in webhooks[1:]))
    lines = (tmp_path / TRACE).read_text().splitlines()

    assert (first, rest) == (200, [200] * 8)
    for webhook in webhooks:
        written = lines.index(f"wrote {webhook.id}")
        answered = lines.index(f"answers {webhook.id} 200")
        assert "synced 0" in lines[written:answered]
