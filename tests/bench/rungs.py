"""
The rungs of the intake ladder, each a server of its own process.

`python -m tests.bench.rungs NAME DATABASE_URL` prints its port and serves until it is terminated.
"""

import asyncio
import logging
import sys
import time
from collections.abc import Callable
from typing import cast

import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from kit.cli.shop import open_shop
from kit.helpers.dodo_datafast import signing_key, verify_signature
from kit.ledger import Ledger
from kit.server import Listener, bind, run
from kit.settings import read_settings
from kit.web.receiver import Receiver
from tests.bench.messages import PATH, SECRET


def bare(_url: str) -> ASGIApp:
    """Read the body and answer, without a framework."""
    head = {
        "type": "http.response.start",
        "status": 200,
        "headers": [(b"content-type", b"application/json"), (b"content-length", b"21")],
    }
    body = {"type": "http.response.body", "body": b'{"status":"accepted"}'}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            for said in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{said}.complete"})
            return
        while (await receive()).get("more_body"):
            pass
        await send(head)
        await send(body)

    return app


def starlette(_url: str) -> ASGIApp:
    """Read the body and answer."""

    async def endpoint(request: Request) -> Response:
        await request.body()
        return JSONResponse({"status": "accepted"})

    return Starlette(routes=[Route(PATH, endpoint, methods=["POST"])])


def verified(_url: str) -> ASGIApp:
    """The same, after proving the signature."""
    key = signing_key(SECRET)

    async def endpoint(request: Request) -> Response:
        body = await request.body()
        verify_signature(body, request.headers.items(), key, now=time.time())
        return JSONResponse({"status": "accepted"})

    return Starlette(routes=[Route(PATH, endpoint, methods=["POST"])])


def stored(url: str) -> ASGIApp:
    """Ours: the event is on disk before the answer."""
    ledger = Ledger.open(url, clock=time.time)
    receiver = Receiver(ledger, keys=[signing_key(SECRET)], clock=time.time)
    return Starlette(routes=[Route(PATH, receiver)])


def whole(url: str) -> ASGIApp:
    """The app of `kit serve`: its forwarder reads the messages while they come in."""
    settings = read_settings(
        {
            "DODO_PAYMENTS_API_KEY": "dodo_test_bench",
            "DODO_PAYMENTS_WEBHOOK_KEY": SECRET,
            "DATAFAST_API_KEY": "df_bench",
            "DATAFAST_BASE_URL": "http://127.0.0.1:9",  # nobody answers there
            "KIT_SECRET_KEY": "a-key-of-the-benchmark-of-32-chars",
            "KIT_DATABASE_URL": url,
        }
    )
    # Stopped while another rung is measured, it may find its turn at the database taken from it.
    logging.getLogger("kit").setLevel(logging.CRITICAL)
    return open_shop(settings, clock=time.time)


RUNGS: dict[str, Callable[[str], ASGIApp]] = {
    "asgi": bare,
    "starlette": starlette,
    "verified": verified,
    "sqlite": stored,
    "sqlite_serve": whole,
    "postgres": stored,
    "postgres_serve": whole,
}


class _Bare(asyncio.Protocol):
    """Answers whatever ends a request of known size: what the load generator can reach at most."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's.
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        if data.endswith(b"}}"):
            self._transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")


async def _serve_bare() -> None:
    server = await asyncio.get_running_loop().create_server(_Bare, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    """Serve one rung."""
    name, url = sys.argv[1:]
    if name == "ceiling":
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve_bare())
        return
    with bind("127.0.0.1", 0) as listening:
        listener = Listener(RUNGS[name](url), listening)
        run([listener], ready=lambda: print(listener.port, flush=True))


if __name__ == "__main__":
    main()
