"""Too many clients for a process with few files, and the clients that matter."""

import contextlib
import socket
from pathlib import Path

import httpx
import pytest

from tests.faults.outside import Webhook, eventually, outside
from tests.faults.process import kit

pytestmark = pytest.mark.anyio

IDLE = 400
HALF = (
    b"",
    b"POST /webhooks/dodo HTTP/1.1\r\nhost: a\r\n",
    b"POST /webhooks/dodo HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\nhalf",
)


async def knock(webhook: Webhook, url: str) -> int:
    """Deliver on a connection of its own: one that is open already proves nothing."""
    async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
        answer = await client.post(
            f"{url}/webhooks/dodo", content=webhook.body, headers=webhook.headers()
        )
    return answer.status_code


async def test_50_webhooks_pass_a_crowd_that_wants_more_files_than_there_are(
    tmp_path: Path, sqlite_url: str
) -> None:
    """Four hundred who never finish, 256 files: each webhook is answered, stored and reported."""
    async with outside(tmp_path) as world:
        webhooks = [Webhook(f"msg_{n}", world.sell(f"pay_{n}")) for n in range(10)]
        with kit(tmp_path, sqlite_url, **world.environ) as shop, contextlib.ExitStack() as crowd:
            shop.start("few files")
            url = await shop.up()
            answers = []
            for number in range(IDLE):
                client = socket.create_connection(("127.0.0.1", shop.port or 0), timeout=10)
                crowd.enter_context(client)
                with contextlib.suppress(ConnectionError):  # closed for the next who came
                    client.sendall(HALF[number % 3])
                if number % 40 == 39:
                    answers.append(await knock(webhooks[number // 40], url))
            await eventually(lambda: len(world.counted()) == len(webhooks))
            ready = await world.http.get(f"{url}/readyz")

    assert answers == [200] * 10
    assert ready.status_code == 200
