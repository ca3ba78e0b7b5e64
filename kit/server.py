"""Sockets and signals around the ASGI apps."""

import asyncio
import contextlib
import errno
import gc
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from kit.connections import Crowd, LimitedProtocol
from kit.errors import KitError

GRACE_S = 10
MAX_CONNECTIONS = 4096
MAX_FILES = 65_536
RESERVED_FILES = 96  # the ledger's, the calls to Dodo and DataFast, and what is being closed
WATCH_S = 1.0


class _Server(uvicorn.Server):
    """One of several servers in a process, which share the signals."""

    def __init__(self, config: uvicorn.Config, most: int) -> None:
        super().__init__(config)
        self.server_state = Crowd(most)
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
    broken: Callable[[], str | None] = lambda: None
    """Says why the app cannot go on, once it cannot."""

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

    `ready` is called once every server accepts connections. Raises KitError when one cannot start,
    and when an app is broken for good: only a new process can help, so whoever supervises this one
    is to see it fail.
    """

    def settled() -> None:
        # What was made so far lives as long as the server: the collector need not go through it.
        gc.freeze()
        ready()

    _open_files(MAX_FILES)  # the usual 1024 are soon taken by clients that say nothing
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(serve(listeners, ready=settled))


async def serve(listeners: Sequence[Listener], *, ready: Callable[[], None]) -> None:
    """Serve inside a running loop; as `run`."""
    most = _most_connections() // len(listeners)
    servers = [_Server(_config(listener.app), most) for listener in listeners]

    def stop(*_: Any) -> None:
        for server in servers:
            server.should_exit = True

    with _signals(stop):
        tasks = [
            asyncio.create_task(server.serve(sockets=[listener.socket]))
            for server, listener in zip(servers, listeners, strict=True)
        ]
        announced = asyncio.create_task(_announce(servers, ready))
        watching = asyncio.create_task(_watch(listeners, servers))
        try:
            # One that ends on its own, because it could not start, takes the others along.
            await asyncio.wait([*tasks, watching], return_when=asyncio.FIRST_COMPLETED)
        finally:
            announced.cancel()
            watching.cancel()
            stop()
            results = await asyncio.gather(watching, *tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):  # which a cancellation is not
            raise result


async def _watch(listeners: Sequence[Listener], servers: Sequence[_Server]) -> None:
    # Not while they stop: what has been closed looks broken.
    while not any(server.should_exit for server in servers):
        for listener in listeners:
            if problem := listener.broken():
                raise KitError(problem)
        await asyncio.sleep(WATCH_S)


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


def _most_connections() -> int:
    files = _open_files()
    return (
        MAX_CONNECTIONS if files is None else max(min(MAX_CONNECTIONS, files - RESERVED_FILES), 1)
    )


def _open_files(wanted: int = 0) -> int | None:
    """Ask to open that many files at once; return how many may be, or None for any number."""
    if sys.platform == "win32":
        return None
    import resource  # not there on Windows

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return None
    wanted = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft >= wanted:
        return soft
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


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
