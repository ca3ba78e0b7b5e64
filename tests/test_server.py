"""Sockets: what a hostile or broken client can hold up, and how the servers stop."""

import asyncio
import contextlib
import os
import re
import resource
import signal
import socket
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from standardwebhooks import Webhook
from starlette.types import ASGIApp, Receive, Scope, Send

from kit import connections, server
from kit.cli.shop import open_shop
from kit.connections import MAX_HEADER_BYTES, LimitedProtocol
from kit.errors import KitError
from kit.server import Listener, bind, serve
from kit.settings import read_settings

pytestmark = pytest.mark.anyio

DEADLINE_S = 0.2
REAL_DEADLINE_S = connections.HEADER_DEADLINE_S
HELLO = b"GET / HTTP/1.1\r\nhost: a\r\n"
IDLE = 2_000
ANSWER = re.compile(rb"HTTP/1\.1 200 OK\r\n(?:[^\r]+\r\n)*\r\n([^\n]*\n)")
SECRET = "whsec_Zml4dHVyZS13ZWJob29rLXNlY3JldC0wMDAx"


class Echo:
    """Answers with the path and the size of the body, once `gate` is open."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.started = asyncio.Event()
        self.stopped = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            self.stopped = True
            await send({"type": "lifespan.shutdown.complete"})
            return
        size, more = 0, scope["method"] == "POST"
        while more:
            message = await receive()
            size += len(message.get("body", b""))
            more = message.get("more_body", False)
        self.started.set()
        await self.gate.wait()
        body = f"{scope['path']} {size}\n".encode()
        length = (b"content-length", str(len(body)).encode())
        await send({"type": "http.response.start", "status": 200, "headers": [length]})
        await send({"type": "http.response.body", "body": body})


@contextlib.asynccontextmanager
async def serving(*apps: ASGIApp) -> AsyncIterator[list[int]]:
    """Serve apps on loopback; yields their ports."""
    with contextlib.ExitStack() as sockets:
        listeners = [Listener(app, sockets.enter_context(bind("127.0.0.1", 0))) for app in apps]
        up = asyncio.Event()
        task = asyncio.create_task(serve(listeners, ready=up.set))
        await up.wait()
        try:
            yield [listener.port for listener in listeners]
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """Keep one event loop for this module, since stopping a server takes a moment."""
    return "asyncio"


@pytest.fixture(scope="module")
def echo() -> Echo:
    """Answer whoever connects to `port`."""
    return Echo()


@pytest.fixture(scope="module")
async def port(echo: Echo) -> AsyncIterator[int]:
    """Serve it, with the deadline for headers shortened from ten seconds by its constant."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connections, "HEADER_DEADLINE_S", DEADLINE_S)
        async with serving(echo) as [port]:
            yield port


class Wire(asyncio.Protocol):
    """One raw connection: what was heard on it, and whether it is closed."""

    def __init__(self) -> None:
        self.closed = asyncio.Event()
        self._heard = b""
        self._changed = asyncio.Event()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._heard += data
        self._changed.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set()
        self._changed.set()

    async def say(self, *pieces: bytes) -> None:
        """Send pieces, each in a packet of its own as far as the kernel lets us."""
        for piece in pieces:
            self.transport.write(piece)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.closed.wait(), 0.02)

    async def rest(self, within_s: float = 5) -> bytes:
        """Return what comes until the server closes; it must close in time."""
        async with asyncio.timeout(within_s):
            await self.closed.wait()
        return self._heard

    async def answer(self, within_s: float = 5) -> bytes:
        """Take one answer of `Echo` off what was heard, and return its body."""
        async with asyncio.timeout(within_s):
            while not (found := ANSWER.match(self._heard)):
                assert not self.closed.is_set(), self._heard
                self._changed.clear()
                await self._changed.wait()
        self._heard = self._heard[found.end() :]
        return found[1]


@contextlib.asynccontextmanager
async def wire(port: int) -> AsyncIterator[Wire]:
    """Connect."""
    loop = asyncio.get_running_loop()
    transport, client = await loop.create_connection(Wire, "127.0.0.1", port)
    try:
        yield client
    finally:
        transport.abort()
        await client.closed.wait()


# Time


@pytest.mark.parametrize("said", [b"", b"G", HELLO, HELLO + b"x-a: ", b"\r\n\r\n"])
async def test_50_headers_that_do_not_come_are_given_up(port: int, said: bytes) -> None:
    """A connection must ask for something within the deadline."""
    async with wire(port) as client:
        await client.say(said)
        heard = await client.rest()

    assert heard == b""


async def test_50_headers_that_dribble_are_given_up(port: int) -> None:
    """A byte now and then does not move the deadline."""
    began = time.monotonic()
    async with wire(port) as client:
        await client.say(HELLO + b"x-a: ")
        while not client.closed.is_set() and time.monotonic() - began < 5:
            await client.say(b"x")

    assert time.monotonic() - began < 10 * DEADLINE_S


@pytest.mark.parametrize(
    ("request_", "then"),
    [
        pytest.param(HELLO + b"\r\n", b"\r\n", id="blank-lines"),
        pytest.param(HELLO + b"content-length: 100\r\n\r\n", b"x", id="rest-of-an-unread-body"),
        pytest.param(HELLO + b"\r\n", b"GET", id="half-a-request"),
    ],
)
async def test_50_an_answered_connection_has_the_same_deadline(
    port: int, request_: bytes, then: bytes
) -> None:
    """Whatever comes after an answer buys no endless connection."""
    async with wire(port) as client:
        await client.say(request_)
        first = await client.answer()
        await client.say(then)
        heard = await client.rest()

    assert (first, heard) == (b"/ 0\n", b"")


async def test_a_request_under_way_is_not_cut_off_by_the_deadline(echo: Echo, port: int) -> None:
    """The clock runs for headers alone, and again for the next ones."""
    echo.gate.clear()
    echo.started.clear()
    async with wire(port) as client:
        await client.say(HELLO + b"\r\n")
        await echo.started.wait()
        with pytest.raises(TimeoutError):
            await client.answer(2 * DEADLINE_S)
        echo.gate.set()
        first = await client.answer()
        await client.say(HELLO, b"\r\n")
        second = await client.answer()

    assert first == second == b"/ 0\n"


# Size


@pytest.mark.parametrize(("extra", "status"), [(0, b"200"), (1, b"431")])
async def test_headers_may_have_16_kb(port: int, extra: int, status: bytes) -> None:
    """Path, names and values together; one byte more is refused."""
    taken = len(b"/" + b"host" + b"a" + b"connection" + b"close" + b"x-a" + b"x-b")
    half, rest = divmod(MAX_HEADER_BYTES - taken, 2)
    a, b = b"a" * (half + rest), b"b" * (half + extra)
    async with wire(port) as client:
        await client.say(HELLO + b"connection: close\r\nx-a: " + a, b"\r\nx-b: " + b + b"\r\n\r\n")
        heard = await client.rest()

    assert heard.split(b" ")[1] == status


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(HELLO + b"x-a: " + b"a" * 1_000_000 + b"\r\n\r\n", id="1-MB-header"),
        pytest.param(HELLO + b"x-a: " + b"a" * 1_000_000, id="1-MB-header-unfinished"),
        pytest.param(HELLO + b"x: y\r\n" * 100_000 + b"\r\n", id="100000-headers"),
        pytest.param(HELLO + b"x" * 1_000_000 + b": y\r\n\r\n", id="1-MB-name"),
        pytest.param(b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\n\r\n", id="1-MB-path"),
    ],
)
async def test_47_headers_past_the_limit_are_not_served(port: int, request_: bytes) -> None:
    """431 or, where too much was sent to read it, a closed connection."""
    async with wire(port) as client:
        await client.say(request_)
        heard = await client.rest()

    assert heard == b"" or heard.startswith((b"HTTP/1.1 431 ", b"HTTP/1.1 400 "))


async def test_an_unfinished_header_is_refused_as_soon_as_it_is_too_large(port: int) -> None:
    """431 without waiting for its end or for the deadline."""
    async with wire(port) as client:
        await client.say(HELLO + b"x-a: ", *[b"a" * 4096] * 5)
        heard = await client.rest(DEADLINE_S)

    assert heard.startswith(b"HTTP/1.1 431 ")


# The protocol


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(
            b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n"
            b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            id="length-and-chunked",
        ),
        pytest.param(
            b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
            id="two-lengths",
        ),
        pytest.param(
            b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n", id="negative-length"
        ),
        pytest.param(
            b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: " + b"9" * 30 + b"\r\n\r\n",
            id="endless-length",
        ),
        pytest.param(
            b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, x\r\n\r\n0\r\n\r\n",
            id="unknown-encoding",
        ),
        pytest.param(
            b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
            id="bad-chunk",
        ),
        pytest.param(b"GET / HTTP/1.1\r\nhost : a\r\n\r\n", id="space-before-colon"),
        pytest.param(b"GET / HTTP/1.1\r\nhost: a\x00b\r\n\r\n", id="nul-in-header"),
        pytest.param(b"GET /?\xff HTTP/1.1\r\nhost: a\r\n\r\n", id="bytes-in-the-path"),
        pytest.param(b"CONNECT a:1 HTTP/1.1\r\nhost: a\r\n\r\n", id="connect"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", id="tls"),
        pytest.param(b"\x00" * 64, id="noise"),
    ],
)
async def test_what_is_no_http_is_refused(port: int, request_: bytes) -> None:
    """400 and closed: two readers of such a request could disagree on where it ends."""
    async with wire(port) as client:
        await client.say(request_)
        heard = await client.rest()

    assert heard.startswith(b"HTTP/1.1 400 ")
    assert heard.count(b"HTTP/1.1") == 1


async def test_pipelined_requests_are_answered_in_their_order(port: int) -> None:
    """Three in a packet, the last in two."""
    requests = [b"GET /%d HTTP/1.1\r\nhost: a\r\n\r\n" % number for number in range(4)]
    async with wire(port) as client:
        await client.say(b"".join(requests[:3]) + requests[3][:9], requests[3][9:])
        answers = [await client.answer() for _ in requests]

    assert answers == [b"/0 0\n", b"/1 0\n", b"/2 0\n", b"/3 0\n"]


async def test_the_host_of_a_whole_address_is_not_ours_to_fetch(port: int) -> None:
    """`GET http://elsewhere/x`: the path is served here, nothing is relayed."""
    async with wire(port) as client:
        await client.say(b"GET http://evil.example/x HTTP/1.1\r\nhost: a\r\n\r\n")

        assert await client.answer() == b"/x 0\n"


async def test_an_upgrade_is_answered_as_a_request(port: int) -> None:
    """No web sockets here; the connection is not left hanging."""
    async with wire(port) as client:
        await client.say(HELLO + b"connection: upgrade\r\nupgrade: websocket\r\n\r\n")
        first = await client.answer()
        await client.say(b"noise")

        assert first == b"/ 0\n"
        assert b"200 OK" not in await client.rest()


# Crowds


@contextlib.contextmanager
def many_files(wanted: int) -> Iterator[int]:
    """Let this process open that many files, or as many as it may; yields how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, allowed), hard))
    try:
        yield max(soft, allowed)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_50_a_signed_webhook_is_served_beside_two_thousand_idle_connections(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A third says nothing, a third half a header, a third half a body; webhooks pass at once.

    Where the system allows fewer files, there are as many connections as it does.
    """
    monkeypatch.setattr(connections, "HEADER_DEADLINE_S", REAL_DEADLINE_S)
    post = b"POST /webhooks/dodo HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\nhalf"
    settings = read_settings(
        {
            "DODO_PAYMENTS_API_KEY": "dodo_test_fixture",
            "DODO_PAYMENTS_WEBHOOK_KEY": SECRET,
            "DATAFAST_API_KEY": "df_fixture",
            "DATAFAST_BASE_URL": "http://127.0.0.1:9",
            "KIT_SECRET_KEY": "fixture-key-of-thirty-two-characters",
            "KIT_DATABASE_URL": f"sqlite:///{tmp_path / 'kit.db'}",
        }
    )
    body = '{"type": "x", "data": {}}'
    answers, took_s = [], []
    async with contextlib.AsyncExitStack() as stack:
        allowed = stack.enter_context(many_files(2 * IDLE + 500))
        idle = min(IDLE, (allowed - 500) // 2)
        [port] = await stack.enter_async_context(serving(open_shop(settings, clock=time.time)))
        crowd = [await stack.enter_async_context(wire(port)) for _ in range(idle)]
        for number, each in enumerate(crowd):
            each.transport.write((b"", HELLO, post)[number % 3])
        client = await stack.enter_async_context(httpx.AsyncClient(trust_env=False))
        for number in range(50):
            now, name = datetime.now(UTC), f"msg_{number}"
            headers = {
                "webhook-id": name,
                "webhook-timestamp": str(int(now.timestamp())),
                "webhook-signature": Webhook(SECRET).sign(name, now, body),
            }
            url = f"http://127.0.0.1:{port}/webhooks/dodo"
            began = time.monotonic()
            answers.append(await client.post(url, content=body, headers=headers))
            took_s.append(time.monotonic() - began)
        gone = sum(each.closed.is_set() for each in crowd)

    assert [answer.json() for answer in answers] == [{"status": "accepted"}] * 50
    assert gone == 0
    assert max(took_s) < 5


@pytest.fixture
async def narrow(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Echo, int]]:
    """Serve with room for four connections."""
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 4)
    echo = Echo()
    async with serving(echo) as [port]:
        yield echo, port


@pytest.mark.parametrize(
    "said", [b"", HELLO, b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nhalf"]
)
async def test_50_of_too_many_connections_the_idlest_is_closed(
    narrow: tuple[Echo, int], said: bytes
) -> None:
    """Whoever comes and asks is served, however many say nothing, or never to the end."""
    _, port = narrow
    async with contextlib.AsyncExitStack() as stack:
        crowd = [await stack.enter_async_context(wire(port)) for _ in range(4)]
        for each in crowd:
            await each.say(said)
        client = await stack.enter_async_context(wire(port))
        await client.say(HELLO + b"\r\n")
        answer = await client.answer()
        await crowd[0].rest()
        left = [each.closed.is_set() for each in crowd]

    assert answer == b"/ 0\n"
    assert left == [True, False, False, False]


async def test_50_who_waits_for_an_answer_is_not_the_idlest(narrow: tuple[Echo, int]) -> None:
    """It came first, and it has said all it had to."""
    echo, port = narrow
    echo.gate.clear()
    async with contextlib.AsyncExitStack() as stack:
        busy = await stack.enter_async_context(wire(port))
        await busy.say(HELLO + b"\r\n" + HELLO + b"\r\n")
        await echo.started.wait()
        crowd = [await stack.enter_async_context(wire(port)) for _ in range(12)]
        for each in crowd[:9]:
            await each.rest()
        echo.gate.set()
        answers = [await busy.answer(), await busy.answer()]

    assert answers == [b"/ 0\n"] * 2


BIG = b"GET /big HTTP/1.1\r\nhost: a\r\n\r\n"


class Library(Echo):
    """Has one page that no buffer takes whole."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with it where it is asked for."""
        if scope.get("path") != "/big":
            await super().__call__(scope, receive, send)
            return
        self.started.set()
        body = bytes(16 << 20)
        length = (b"content-length", str(len(body)).encode())
        await send({"type": "http.response.start", "status": 200, "headers": [length]})
        await send({"type": "http.response.body", "body": body})


@pytest.mark.parametrize("asked", [BIG, BIG + BIG], ids=["one-answer", "answers-in-a-row"])
async def test_50_of_too_many_connections_those_that_never_read_are_closed(
    monkeypatch: pytest.MonkeyPatch, asked: bytes
) -> None:
    """What nobody reads would be written for ever, and keep everybody else out."""
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 4)
    library = Library()
    async with serving(library) as [port], contextlib.AsyncExitStack() as stack:
        for _ in range(4):
            reader = await stack.enter_async_context(wire(port))
            reader.transport.pause_reading()
            await reader.say(asked)
            await library.started.wait()
            library.started.clear()
        for _ in range(8):
            client = await stack.enter_async_context(wire(port))
            await client.say(HELLO + b"\r\n")
            answer = await client.answer()

    assert answer == b"/ 0\n"


@pytest.mark.parametrize(
    "asked",
    [BIG, BIG + BIG, BIG.replace(b"host", b"connection: close\r\nhost")],
    ids=["one-answer", "answers-in-a-row", "the-last-answer"],
)
async def test_50_an_answer_that_is_not_read_is_given_up(
    monkeypatch: pytest.MonkeyPatch, asked: bytes
) -> None:
    """Also where there is room: the memory that it takes is freed."""
    monkeypatch.setattr(connections, "READING_DEADLINE_S", DEADLINE_S)
    lost = asyncio.Event()
    lose = LimitedProtocol.connection_lost

    def told(protocol: LimitedProtocol, exc: Exception | None) -> None:
        lose(protocol, exc)
        lost.set()

    monkeypatch.setattr(LimitedProtocol, "connection_lost", told)
    async with serving(Library()) as [port], wire(port) as client:
        client.transport.pause_reading()
        await client.say(asked)
        async with asyncio.timeout(5):
            await lost.wait()


async def test_an_answer_under_way_hears_that_nobody_waits_for_it() -> None:
    """Also where other requests have come behind it on the same connection."""
    began, told = asyncio.Event(), asyncio.Event()

    async def patient(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await Echo()(scope, receive, send)
            return
        while (await receive())["type"] != "http.disconnect":
            began.set()
        told.set()

    async with serving(patient) as [port]:
        async with wire(port) as client:
            await client.say((HELLO + b"\r\n") * 3)
            await began.wait()
        async with asyncio.timeout(5):
            await told.wait()


# Start and stop


async def test_a_signal_finishes_what_is_under_way() -> None:
    """The request is answered whole, the lifespan ends, and the old handlers are back."""
    echo = Echo()
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    echo.gate.clear()
    with bind("127.0.0.1", 0) as listening:
        listener = Listener(echo, listening)
        up = asyncio.Event()
        served = asyncio.create_task(serve([listener], ready=up.set))
        await up.wait()
        async with wire(listener.port) as busy, wire(listener.port) as idle:
            await busy.say(HELLO + b"\r\n")
            await echo.started.wait()
            os.kill(os.getpid(), signal.SIGTERM)
            closed = await idle.rest()
            echo.gate.set()
            answer = await busy.answer()
        async with asyncio.timeout(5):
            await served

    assert (closed, answer) == (b"", b"/ 0\n")
    assert echo.stopped
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers


class Endless(Echo):
    """Answers for as long as it is not told that the server ends."""

    def __init__(self) -> None:
        super().__init__()
        self.gate.clear()
        self.state = SimpleNamespace(farewell=self.gate.set)


async def test_an_answer_without_an_end_is_told_that_the_server_ends() -> None:
    """It ends in order; else the server would wait for it and then cut it off."""
    endless = Endless()
    async with serving(endless) as [port], httpx.AsyncClient() as client:
        answering = asyncio.create_task(client.get(f"http://127.0.0.1:{port}/stream"))
        await endless.started.wait()
        os.kill(os.getpid(), signal.SIGTERM)
        answer = await answering

    assert answer.text == "/stream 0\n"
    assert endless.stopped


async def test_ready_is_said_once_when_all_answer() -> None:
    """Every server accepts connections by then."""
    async with serving(Echo(), Echo(), Echo()) as ports, httpx.AsyncClient() as client:
        answers = [(await client.get(f"http://127.0.0.1:{port}/x")).text for port in ports]

    assert answers == ["/x 0\n"] * 3


async def test_a_server_that_cannot_start_ends_the_others() -> None:
    """One sentence; the log has the cause."""

    async def broken(_scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no"})

    echo = Echo()
    with (
        bind("127.0.0.1", 0) as one,
        bind("127.0.0.1", 0) as two,
        pytest.raises(KitError, match="could not start"),
    ):
        await serve([Listener(echo, one), Listener(broken, two)], ready=lambda: None)

    assert echo.stopped


async def test_17_an_app_that_is_broken_for_good_ends_all_with_its_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is under way is finished, and the process is to fail, so that a new one is started."""
    monkeypatch.setattr(server, "WATCH_S", 0.01)
    echo = Echo()
    problems = [None, None, "the disk has gone"]
    with bind("127.0.0.1", 0) as one, bind("127.0.0.1", 0) as two:
        watched = Listener(echo, one, broken=lambda: problems.pop(0))
        with pytest.raises(KitError, match="the disk has gone"):
            await serve([watched, Listener(Echo(), two)], ready=lambda: None)

    assert echo.stopped


async def test_a_taken_port_is_a_sentence_that_names_it() -> None:
    """Or another port, where any will do."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(KitError, match=rf"cannot listen on 127\.0\.0\.1:{port}: .*--port"):
            bind("127.0.0.1", port)
        with bind("127.0.0.1", port, or_any=True) as another:
            assert another.getsockname()[1] not in (0, port)


@pytest.mark.parametrize("port", [-1, 65_536, 70_000])
async def test_a_port_that_is_none_is_a_sentence(port: int) -> None:
    """Not an OverflowError."""
    with pytest.raises(KitError, match="from 0 to 65535"):
        bind("127.0.0.1", port)


@pytest.mark.parametrize("host", ["no.such.host.invalid", "a..b", "192.0.2.1"])
async def test_a_host_that_is_not_here_is_a_sentence(host: str) -> None:
    """With the reason of the system."""
    with pytest.raises(KitError, match="cannot listen on"):
        bind(host, 0)


async def test_ipv6_is_served_where_it_is_asked_for() -> None:
    """A colon tells."""
    with bind("::1", 0) as listening:
        assert listening.family == socket.AF_INET6
