"""
A DataFast that costs next to nothing: real HTTP on loopback, in a process of its own.

`python -m tests.bench.datafast` prints its port. It takes every payment, answers as DataFast does,
and tells at `GET /received` how often each transaction came.
"""

import asyncio
import contextlib
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from typing import cast

import uvloop

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_TRANSACTION = re.compile(rb'"transaction_id": *"([^"]+)"')


class _DataFast(asyncio.Protocol):
    """One keep-alive connection."""

    def __init__(self, received: Counter[str]) -> None:
        self._received = received
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        length = _LENGTH.search(head) if found else None
        wanted = int(length[1]) if length else 0
        if not found or len(rest) < wanted:
            return
        self._buffer = rest[wanted:]
        if head.startswith(b"GET /received "):
            self._answer(json.dumps(self._received).encode())
            return
        transaction = _TRANSACTION.search(rest)
        assert transaction is not None, rest
        self._received[transaction[1].decode()] += 1
        said = b'{"message":"Payment recorded and attributed successfully","transaction_id":"%s"}'
        self._answer(said % transaction[1])

    def _answer(self, body: bytes) -> None:
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
        self._transport.write(head % len(body) + body)


@contextlib.contextmanager
def running() -> Iterator[str]:
    """Run it and yield its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.datafast"], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


async def _serve() -> None:
    received: Counter[str] = Counter()
    server = await asyncio.get_running_loop().create_server(
        lambda: _DataFast(received), "127.0.0.1", 0
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve())
