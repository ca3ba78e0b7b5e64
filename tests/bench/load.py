"""
A load generator on loopback: closed loop, prepared requests, one latency for each answer.

It shares the machine with what it measures, so it does as little as it can for each request, and
its own ceiling is measured like everything else.
"""

import asyncio
import itertools
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import uvloop

from tests.bench.messages import Requests

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Run:
    """What one run brought: latencies of the answers in seconds, and which requests got a 200."""

    seconds: float
    latencies_s: list[float]
    acknowledged: list[int]
    refused: int

    @property
    def per_second(self) -> float:
        """Answers a second."""
        return len(self.latencies_s) / self.seconds


class _Connection(asyncio.Protocol):
    """One keep-alive connection that sends the next request when the last one is answered."""

    def __init__(self, load: "_Load") -> None:
        self._load = load
        self._buffer = b""
        self._number = -1
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's.
        self._transport = cast("asyncio.WriteTransport", transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        length = _LENGTH.search(head) if found else None
        if length is None or len(rest) < int(length[1]):
            return
        self._load.answered(self._number, time.perf_counter() - self._sent_at, head)
        self._buffer = rest[int(length[1]) :]
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        self._load.closed(exc)

    def _send(self) -> None:
        following = self._load.next()
        if following is None:
            self._transport.close()
            return
        self._number, request = following
        self._sent_at = time.perf_counter()
        self._transport.write(request)


class _Load:
    """Hands out requests until the time is up, and collects the answers."""

    def __init__(self, requests: Requests, seconds: float, open_: int, repeat: bool) -> None:
        numbered = enumerate(requests.starts, requests.first)
        self._requests: Iterator[tuple[int, bytes]] = (
            itertools.cycle(numbered) if repeat else numbered
        )
        self._rest = requests.end
        self._end = time.perf_counter() + seconds
        self._open = open_
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.latencies_s: list[float] = []
        self.acknowledged: list[int] = []
        self.refused = 0

    def next(self) -> tuple[int, bytes] | None:
        following = next(self._requests, None) if time.perf_counter() < self._end else None
        return None if following is None else (following[0], following[1] + self._rest)

    def answered(self, number: int, latency_s: float, head: bytes) -> None:
        self.latencies_s.append(latency_s)
        if head.startswith(b"HTTP/1.1 200"):
            self.acknowledged.append(number)
        else:
            self.refused += 1

    def closed(self, problem: Exception | None) -> None:
        self._open -= 1
        if self.done.done():
            return
        if problem is not None:
            self.done.set_exception(problem)
        elif self._open == 0:
            self.done.set_result(None)


def drive(
    port: int, requests: Requests, *, connections: int, seconds: float, repeat: bool = False
) -> Run:
    """Send for so long, or until no request is left; `repeat` begins again instead."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_drive(port, requests, connections, seconds, repeat))


async def _drive(
    port: int, requests: Requests, connections: int, seconds: float, repeat: bool
) -> Run:
    load = _Load(requests, seconds, connections, repeat)
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    for _ in range(connections):
        await loop.create_connection(lambda: _Connection(load), "127.0.0.1", port)
    await load.done
    return Run(time.perf_counter() - began, load.latencies_s, load.acknowledged, load.refused)


def percentile_ms(latencies_s: Sequence[float], share: float) -> float:
    """Return a percentile (0.5, 0.99) in milliseconds."""
    ordered = sorted(latencies_s)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] * 1000
