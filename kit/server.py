"""Sockets, protocol limits and signals around the ASGI apps."""

import asyncio
import contextlib
import errno
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from kit.errors import KitError

MAX_HEADER_BYTES = 16 * 1024
HEADER_DEADLINE_S = 10.0
GRACE_S = 10


class _HeadersTooLarge(Exception):  # noqa: N818 - a signal inside this file
    pass


class LimitedProtocol(HttpToolsProtocol):
    """uvicorn's fast protocol, with the limit on headers that it lacks: 16 kB within 10 s."""

    _header_bytes = 0
    _unread_bytes = 0
    _in_headers = False
    _header_timer: asyncio.TimerHandle | None = None
    _too_large = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Give the client its time to send the first headers."""
        super().connection_made(transport)
        self._expect_headers()

    def on_message_begin(self) -> None:
        """Give the client its time to send the next headers."""
        super().on_message_begin()
        self._header_bytes = self._unread_bytes = 0
        self._in_headers = True
        self._expect_headers()

    def on_url(self, url: bytes) -> None:
        """Count the request line."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header."""
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Stop the clock: the body has limits of its own."""
        self._in_headers = False
        self._stop_timer()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave no timer behind."""
        self._stop_timer()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Say 431 where the headers were too large."""
        if not self._too_large:
            super().send_400_response(msg)
            return
        self.transport.write(
            b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
            b"content-length: 0\r\nconnection: close\r\n\r\n"
        )
        self.transport.close()

    def data_received(self, data: bytes) -> None:
        """Read on, unless one header alone has grown past the limit."""
        self._unread_bytes += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._in_headers and self._unread_bytes > MAX_HEADER_BYTES:
            self._too_large = True
            self.send_400_response("")
        elif self._header_timer is None and (self.cycle is None or self.cycle.response_complete):
            # Blank lines, or the rest of a body that nobody reads: uvicorn has just cancelled its
            # own timer, and no message begins that would start ours.
            self._expect_headers()

    def _count(self, length: int) -> None:
        self._unread_bytes = 0
        self._header_bytes += length
        if self._header_bytes > MAX_HEADER_BYTES:
            self._too_large = True
            raise _HeadersTooLarge

    def _expect_headers(self) -> None:
        self._stop_timer()
        self._header_timer = self.loop.call_later(HEADER_DEADLINE_S, self.transport.close)

    def _stop_timer(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None


class _Server(uvicorn.Server):
    """One of several servers in a process, which share the signals."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        except SystemExit:
            # It would end the event loop from inside a task, with the other servers half open.
            raise KitError("the server could not start; its log says why") from None
        self.up.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # Answers without an end would hold the server up: uvicorn waits for all of them.
        farewell = getattr(getattr(self.config.app, "state", None), "farewell", None)
        if farewell is not None:
            farewell()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@dataclass(frozen=True, slots=True)
class Listener:
    """
    An app and the socket it answers on.

    What `app.state.farewell` holds, if anything, is called when the server begins to end.
    """

    app: ASGIApp
    socket: socket.socket

    @property
    def port(self) -> int:
        """The port that was bound."""
        return int(self.socket.getsockname()[1])


def bind(host: str, port: int, *, or_any: bool = False) -> socket.socket:
    """
    Bind a TCP socket; port 0 takes any, and `or_any` does when the port is taken.

    Raises KitError naming the port.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    if sys.platform != "win32":
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
        # At once: until somebody listens, another process may bind the same port.
        bound.listen()
    except OverflowError:
        bound.close()
        raise KitError(f"{port} is no port: choose one from 0 to 65535 with --port.") from None
    except OSError as problem:
        bound.close()
        if or_any and problem.errno in (errno.EADDRINUSE, errno.EACCES):
            return bind(host, 0)
        raise KitError(
            f"cannot listen on {host}:{port}: {problem.strerror}. Choose another with --port."
        ) from None
    return bound


def run(listeners: Sequence[Listener], *, ready: Callable[[], None]) -> None:
    """
    Serve until SIGINT or SIGTERM, then finish what is under way and return.

    `ready` is called once every server accepts connections. Raises KitError when one cannot start.
    """
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(serve(listeners, ready=ready))


async def serve(listeners: Sequence[Listener], *, ready: Callable[[], None]) -> None:
    """Serve inside a running loop; as `run`."""
    servers = [_Server(_config(listener.app)) for listener in listeners]

    def stop(*_: Any) -> None:
        for server in servers:
            server.should_exit = True

    with _signals(stop):
        tasks = [
            asyncio.create_task(server.serve(sockets=[listener.socket]))
            for server, listener in zip(servers, listeners, strict=True)
        ]
        announced = asyncio.create_task(_announce(servers, ready))
        try:
            # One that ends on its own, because it could not start, takes the others along.
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            announced.cancel()
            stop()
            results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result


async def _announce(servers: Sequence[_Server], ready: Callable[[], None]) -> None:
    for server in servers:
        await server.up.wait()
    ready()


@contextlib.contextmanager
def _signals(stop: Callable[..., None]) -> Iterator[None]:
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=LimitedProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="warning",
        access_log=False,
        # Which hop may name the client's address is the kit's own setting.
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=10,
        timeout_graceful_shutdown=GRACE_S,
    )


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    import uvloop  # not there on Windows

    return uvloop.new_event_loop
