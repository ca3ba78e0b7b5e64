"""Apps on real sockets, and a proxy between two of them that changes what passes."""

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


@contextlib.contextmanager
def serving(app: ASGIApp, *, dated: bool = True) -> Iterator[str]:
    """Serve an app on a loopback socket and yield its URL; `dated` lets uvicorn write a `Date`."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_level="critical", lifespan="on", date_header=dated)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
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
