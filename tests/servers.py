"""Apps on real sockets, and a proxy between two of them that changes what passes."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from kit.lab.neighbours import trust

METHODS = ["GET", "POST", "DELETE", "HEAD"]
# They belong to one connection, or the proxy's own answer has its own.
OF_ONE_HOP = ("connection", "content-length", "host", "keep-alive", "transfer-encoding")

Change = Callable[[Request, bytes], bytes]
Answered = Callable[[Request, Response], Response]


class _Server(uvicorn.Server):
    """uvicorn's, which ends at once: its own looks ten times a second whether it shall."""

    _loop: asyncio.AbstractEventLoop | None = None

    async def main_loop(self) -> None:
        self._told = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        while not await self.on_tick(0):  # which writes the `Date` of its answers anew
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._told.wait(), 1)

    def end(self) -> None:
        """End, from another thread."""
        self.should_exit = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._told.set)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for listener in (*self.servers, *(sockets or ())):
            listener.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        while self.server_state.connections or self.server_state.tasks:  # noqa: ASYNC110 - uvicorn's
            await asyncio.sleep(0.005)
        await self.lifespan.shutdown()


@contextlib.contextmanager
def serving(app: ASGIApp, *, dated: bool = True) -> Iterator[str]:
    """Serve an app on a loopback socket and yield its URL; `dated` lets uvicorn write a `Date`."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_level="critical", lifespan="on", date_header=dated)
    server = _Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.end()
        thread.join()


def between(
    upstream: str,
    *,
    body: Change = lambda _request, content: content,
    answer: Answered = lambda _request, response: response,
) -> Starlette:
    """Pass everything on to `upstream`, each body and each answer changed on its way."""

    async def forward(request: Request) -> Response:
        target = f"{upstream}{request.url.path}"
        kept = [(name, value) for name, value in request.headers.items() if name not in OF_ONE_HOP]
        client: httpx.AsyncClient = request.state.client
        reply = await client.request(
            request.method,
            f"{target}?{request.url.query}" if request.url.query else target,
            headers=kept,
            content=body(request, await request.body()),
        )
        response = Response(reply.content, status_code=reply.status_code)
        for name, value in reply.headers.multi_items():
            if name not in (*OF_ONE_HOP, "content-encoding"):
                response.headers[name] = value
        return answer(request, response)

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[dict[str, Any]]:
        async with httpx.AsyncClient(verify=trust(), trust_env=False) as client:
            yield {"client": client}

    return Starlette(routes=[Route("/{path:path}", forward, methods=METHODS)], lifespan=lifespan)
