"""What each kind of chaos does on the wire."""

import asyncio
import contextlib
import socket
import struct

import httpx
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from kit.sandbox.refusals import Refuse

HOLD_S = 60.0
DRIP_INTERVAL_S = 1.0
LOOK_INTERVAL_S = 0.05
NO_LINGER = struct.pack("ii", 1, 0)
PAGE = "<!doctype html><title>Just a moment</title><p>This page is not the API.</p>"


async def play(
    mode: str, scope: Scope, receive: Receive, send: Send, *, refuse: Refuse, closing: asyncio.Event
) -> None:
    """Answer one request with the fault; long ones end early when `closing` is set."""
    match mode:
        case "timeout":
            await hold(receive, closing=closing)
        case "drip":
            await drip(receive, send, closing=closing)
        case "reset":
            await hang_up(receive)
        case _:
            await _answer(mode, refuse)(scope, receive, send)


def _answer(mode: str, refuse: Refuse) -> Response:
    match mode:
        case "429":
            return refuse(429, "Too many requests.")
        case "html":
            return HTMLResponse(PAGE)
        case "redirect":
            return RedirectResponse("/elsewhere", status_code=302)
        case "empty":
            return Response(b"")
        case _:
            return refuse(500, "Something broke on our side.")


async def hold(receive: Receive, *, closing: asyncio.Event) -> None:
    """Keep the caller waiting until it leaves, the server stops, or a minute has passed."""
    nobody = asyncio.create_task(_nobody_waits(receive, closing))
    await asyncio.wait({nobody}, timeout=HOLD_S)
    await _cancel(nobody)
    await hang_up(receive)


async def drip(receive: Receive, send: Send, *, closing: asyncio.Event) -> None:
    """Send an answer one byte a second, for at most a minute, and never finish it."""
    size = int(HOLD_S / DRIP_INTERVAL_S) + 1
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % size)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    nobody = asyncio.create_task(_nobody_waits(receive, closing))
    for _ in range(size - 1):
        await send({"type": "http.response.body", "body": b" ", "more_body": True})
        await asyncio.wait({nobody}, timeout=DRIP_INTERVAL_S)
        if nobody.done():
            break
    await _cancel(nobody)
    await hang_up(receive)


async def hang_up(receive: Receive) -> None:
    """Close the connection without an answer: a TCP reset under uvicorn.

    In process, where there is no connection, raises the error an HTTP client would see.
    """
    transport = getattr(_server_cycle(receive), "transport", None)
    if transport is None:
        raise httpx.ReadError("The sandbox closed the connection.")
    if not transport.is_closing():  # by a caller who has left
        # Without lingering, closing sends RST; the plain end of a stream would look like a full
        # answer.
        transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER
        )
        transport.abort()
    # uvicorn answers 500 when a handler returns before it has noticed the closed connection.
    await _departure(receive)


async def _nobody_waits(receive: Receive, closing: asyncio.Event) -> None:
    """Return when the caller has left or the server wants to stop."""
    departure = asyncio.create_task(_departure(receive))
    cycle = _server_cycle(receive)
    # A stopping uvicorn tells a busy connection only through this flag, and then waits for it.
    keeps_alive = getattr(cycle, "keep_alive", False)
    try:
        while not departure.done() and not closing.is_set():
            if keeps_alive and not getattr(cycle, "keep_alive", True):
                return
            await asyncio.wait({departure}, timeout=LOOK_INTERVAL_S)
    finally:
        await _cancel(departure)


async def _departure(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _server_cycle(receive: Receive) -> object | None:
    """Return uvicorn's request object, which `receive` is a method of; None on other servers."""
    owner: object | None = getattr(receive, "__self__", None)
    return owner
