"""
The rungs of the intake ladder, each a server of its own process.

`python -m tests.bench.rungs NAME FOLDER` prints its port and serves until it is terminated.
"""

import asyncio
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from kit.helpers.dodo_datafast import signing_key, verify_signature
from kit.ledger import Ledger
from kit.server import Listener, bind, serve
from kit.web.receiver import Receiver

SECRET = "whsec_" + "YmVuY2htYXJrLXNlY3JldC1ub3QtZm9yLXVzZS0wMDAx"
PATH = "/webhooks/dodo"


def starlette(_folder: Path) -> ASGIApp:
    """Read the body and answer."""

    async def endpoint(request: Request) -> Response:
        await request.body()
        return JSONResponse({"status": "accepted"})

    return Starlette(routes=[Route(PATH, endpoint, methods=["POST"])])


def verified(_folder: Path) -> ASGIApp:
    """The same, after proving the signature."""
    key = signing_key(SECRET)

    async def endpoint(request: Request) -> Response:
        body = await request.body()
        verify_signature(body, request.headers.items(), key, now=time.time())
        return JSONResponse({"status": "accepted"})

    return Starlette(routes=[Route(PATH, endpoint, methods=["POST"])])


def stored(folder: Path) -> ASGIApp:
    """Ours: the event is on disk before the answer."""
    ledger = Ledger.open(f"sqlite:///{folder / 'intake.db'}", clock=time.time)
    receiver = Receiver(ledger, keys=[signing_key(SECRET)], clock=time.time)
    return Starlette(routes=[Route(PATH, receiver)])


RUNGS: dict[str, Callable[[Path], ASGIApp]] = {
    "starlette": starlette,
    "verified": verified,
    "stored": stored,
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
    name, folder = sys.argv[1], Path(sys.argv[2])
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        if name == "ceiling":
            runner.run(_serve_bare())
            return
        with bind("127.0.0.1", 0) as listening:
            listener = Listener(RUNGS[name](folder), listening)
            runner.run(serve([listener], ready=lambda: print(listener.port, flush=True)))


if __name__ == "__main__":
    main()
