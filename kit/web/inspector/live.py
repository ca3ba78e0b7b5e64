"""Live pages: server-sent events, one whenever what a page shows has changed."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

from starlette.responses import Response, StreamingResponse

from kit.errors import KitError, LedgerUnavailable
from kit.ledger import Ledger
from kit.web.pages import refusal, version_of

MAX_STREAMS: Final = 32
LOOK_S: Final = 0.5
SHARED_LOOK_S: Final = 2.0
"""Where other processes write as well, each look is a query."""
PING_S: Final = 15.0
LIFE_S: Final = 600.0
"""A browser comes back by itself, and has to show again that it may look."""
RETRY_MS: Final = 1000

Read = Callable[[], Awaitable[dict[str, Any]]]


class Streams:
    """All streams of this process. The data of an event is the page's JSON twin."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._ending = asyncio.Event()
        self._open = 0

    def end(self) -> None:
        """Let every stream end, so that the server can."""
        self._ending.set()

    def response(self, read: Read, *, first: dict[str, Any]) -> Response:
        """Answer with a stream that begins with what the page shows now."""
        if self._open >= MAX_STREAMS:
            return refusal(
                503, "too many live pages are open", fix="Close some, or load the page again."
            )
        return StreamingResponse(
            self._events(read, first),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "Vary": "Accept", "X-Accel-Buffering": "no"},
        )

    async def _events(self, read: Read, first: dict[str, Any]) -> AsyncIterator[str]:
        self._open += 1
        try:
            yield f"retry: {RETRY_MS}\n\n"
            version = version_of(first)
            yield _event(version, first)
            async for body in self._changes(read):
                if body is None:
                    yield ": still there\n\n"
                elif (fresh := version_of(body)) != version:
                    version = fresh
                    yield _event(version, body)
        finally:
            self._open -= 1

    async def _changes(self, read: Read) -> AsyncIterator[dict[str, Any] | None]:
        """Yield the page whenever something was written, and None now and then."""
        clock = asyncio.get_running_loop().time
        began_at = told_at = clock()
        seen = -1  # something may have been written since the page was first read
        look_s = SHARED_LOOK_S if self._ledger.shared else LOOK_S
        while clock() - began_at < LIFE_S:
            try:
                await asyncio.wait_for(self._ending.wait(), look_s)
            except TimeoutError:
                pass
            else:
                return
            written = self._ledger.commits
            if self._ledger.shared or written != seen:
                seen, told_at = written, clock()
                try:
                    yield await read()
                except LedgerUnavailable:
                    continue
                except KitError:
                    return  # what the page is about is there no more
            elif clock() - told_at >= PING_S:
                told_at = clock()
                yield None


def _event(version: str, body: dict[str, Any]) -> str:
    return f"event: page\nid: {version}\ndata: {json.dumps(body, separators=(',', ':'))}\n\n"
