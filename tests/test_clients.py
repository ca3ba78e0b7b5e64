"""The two services' clients: one deadline, a bounded answer, typed refusals, a key that stays."""

import asyncio
import contextlib
import gzip
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
import uvicorn
from starlette.applications import Starlette

from kit.datafast import DataFastClient
from kit.dodo import DodoClient
from kit.errors import DodoError, TransportError
from kit.helpers.dodo_datafast import CheckoutError, Outgoing, Payment, Verdict
from kit.sandbox.datafast import create_datafast
from kit.sandbox.dodo import create_dodo
from kit.sandbox.products import CATALOGUE
from kit.transport import MAX_CONNECTIONS, MAX_REPLY_BYTES, open_client, send

pytestmark = pytest.mark.anyio

API_KEY = "df_test-api-key"
VISITOR_ID = "0b8e6c1e-2d1c-4f0a-9f2e-6a4f1f4d7c11"
SHORT_S = 0.15  # for those who never answer
PATIENT_S = 20.0
SILENT = ("timeout", "drip")
PAYMENT = Payment(
    amount=Decimal("29.00"),
    currency="USD",
    transaction_id="pay_1",
    datafast_visitor_id=VISITOR_ID,
    email=None,
    name=None,
    customer_id=None,
    renewal=False,
    refunded=False,
    is_free_trial=False,
    timestamp=datetime(2026, 10, 2, tzinfo=UTC),
)
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nset-cookie: a=1\r\nset-cookie: b=2\r\n\r\n{}"


@dataclass(slots=True)
class Wire:
    """A bare server: it reads one request of each connection and writes what it was told to."""

    answer: Callable[[asyncio.StreamWriter], Awaitable[None]]
    url: str = ""
    requests: list[bytes] = field(default_factory=list)
    connections: set[asyncio.Task[Any]] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one connection."""
        task = asyncio.current_task()
        assert task is not None
        self.connections.add(task)
        with contextlib.suppress(
            # Cancelled is how a test ends; a cancelled handler would be logged as an error.
            ConnectionError,
            asyncio.IncompleteReadError,
            asyncio.CancelledError,
        ):
            self.requests.append(await reader.readuntil(b"\r\n\r\n"))
            await self.answer(writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async def hang_up(self) -> None:
        """End all connections."""
        for task in self.connections:
            task.cancel()
        await asyncio.gather(*self.connections)


Listen = Callable[..., Awaitable[Wire]]


@pytest.fixture
async def listen() -> AsyncIterator[Listen]:
    """Start bare servers, which end with the test."""
    async with AsyncExitStack() as running:

        async def start(
            answer: bytes | Callable[[asyncio.StreamWriter], Awaitable[None]],
        ) -> Wire:
            async def write(writer: asyncio.StreamWriter) -> None:
                assert isinstance(answer, bytes)
                writer.write(answer)
                await writer.drain()

            wire = Wire(write if isinstance(answer, bytes) else answer)
            server = await asyncio.start_server(wire.serve, "127.0.0.1", 0)
            running.push_async_callback(wire.hang_up)
            running.callback(server.close)
            wire.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            return wire

        yield start


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    """Open the client that the kit uses."""
    async with open_client() as client:
        yield client


def get(url: str) -> Outgoing:
    """Build a request that carries the key."""
    return Outgoing("GET", url, {"Authorization": f"Bearer {API_KEY}"}, b"")


@asynccontextmanager
async def in_process(app: Starlette) -> AsyncIterator[httpx.AsyncClient]:
    """Run a stand-in and give the kit's client on it."""
    async with (
        app.router.lifespan_context(app),
        open_client(httpx.ASGITransport(app=app)) as client,
    ):
        yield client


@asynccontextmanager
async def on_a_socket(app: Starlette) -> AsyncIterator[str]:
    """Run a stand-in on a loopback port, in this loop."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="on"))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving


def stand_in_datafast(**options: Any) -> Starlette:
    """Build DataFast's stand-in."""
    given: dict[str, Any] = {
        "database": ":memory:",
        "api_key": API_KEY,
        "website_id": "dfid_contourtest000000001",
        "domain": "contour.example",
    }
    return create_datafast(**given | options)


@pytest.fixture
def stand_in_dodo(tmp_path: Path) -> Callable[..., Starlette]:
    """Build Dodo's stand-in."""

    def build(**options: Any) -> Starlette:
        given: dict[str, Any] = {
            "database": ":memory:",
            "public_url": "https://checkout.dodopayments.com",
            "templates_dir": tmp_path,
            "static_dir": tmp_path,
            "api_key": API_KEY,
            "webhook_secret": "whsec_c2FuZGJveC10ZXN0LXNlY3JldC0wMDAx",
            "webhook_url": "",
        }
        return create_dodo(**given | options)

    return build


@dataclass(frozen=True, slots=True)
class Service:
    """A stand-in in process: the kit's client on it, and what goes on behind the scenes."""

    http: httpx.AsyncClient
    url: str = "http://service.localhost"

    async def chaos(self, mode: str, **rule: Any) -> None:
        """Ask for a fault."""
        answer = await self.http.post(self.url + "/_sandbox/chaos", json={"mode": mode, **rule})
        assert answer.status_code == 200

    async def requests(self) -> list[Mapping[str, Any]]:
        """Return what was received."""
        found: list[Mapping[str, Any]] = (
            await self.http.get(self.url + "/_sandbox/requests")
        ).json()
        return found

    def dodo(self, api_key: str = API_KEY, **options: Any) -> DodoClient:
        """Open Dodo's client on it."""
        given: dict[str, Any] = {"base_url": self.url, "deadline_s": PATIENT_S}
        return DodoClient(self.http, api_key=api_key, **given | options)

    def datafast(self, api_key: str = API_KEY, **options: Any) -> DataFastClient:
        """Open DataFast's client on it."""
        given: dict[str, Any] = {"base_url": self.url, "deadline_s": PATIENT_S}
        return DataFastClient(self.http, api_key=api_key, clock=lambda: 0, **given | options)


@pytest.fixture
async def dodo(stand_in_dodo: Callable[..., Starlette]) -> AsyncIterator[Service]:
    """Run Dodo's stand-in."""
    async with in_process(stand_in_dodo()) as client:
        yield Service(client)


@pytest.fixture
async def datafast() -> AsyncIterator[Service]:
    """Run DataFast's stand-in."""
    async with in_process(stand_in_datafast()) as client:
        yield Service(client)


# --- One request --------------------------------------------------------------------------------


async def test_a_whole_answer_is_handed_on(http: httpx.AsyncClient, listen: Listen) -> None:
    """Repeated headers as they came."""
    wire = await listen(OK)
    reply = await send(http, get(wire.url + "/x?y=z"), deadline_s=5)

    assert (reply.status, reply.body) == (200, b"{}")
    assert [value for name, value in reply.headers if name == "set-cookie"] == ["a=1", "b=2"]
    assert wire.requests[0].startswith(b"GET /x?y=z HTTP/1.1\r\n")
    assert b"\r\nauthorization: bearer " + API_KEY.encode() in wire.requests[0].lower()
    assert b"\r\naccept-encoding: identity\r\n" in wire.requests[0].lower()


async def never(_writer: asyncio.StreamWriter) -> None:
    """Say nothing."""
    await asyncio.Event().wait()


async def half_a_head(writer: asyncio.StreamWriter) -> None:
    """Stop inside the headers."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-le")
    await asyncio.Event().wait()


async def drip_a_head(writer: asyncio.StreamWriter) -> None:
    """Send headers for ever, each of them in time."""
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"x: y\r\n")
        await writer.drain()
        await asyncio.sleep(0.02)


async def drip_a_body(writer: asyncio.StreamWriter) -> None:
    """Send a body for ever, each byte in time."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("answer", [never, half_a_head, drip_a_head, drip_a_body])
async def test_one_deadline_covers_the_whole_exchange(
    http: httpx.AsyncClient, listen: Listen, answer: Any
) -> None:
    """A server that is always just about to go on is cut off all the same."""
    wire = await listen(answer)
    clock = asyncio.get_running_loop().time
    begun = clock()
    with pytest.raises(TransportError) as failure:
        await send(http, get(wire.url), deadline_s=SHORT_S)

    assert failure.value.reason == "timeout"
    assert clock() - begun < PATIENT_S / 4


async def test_the_deadline_covers_writing(http: httpx.AsyncClient, listen: Listen) -> None:
    """Of a body that the server does not take."""
    wire = await listen(never)
    outgoing = Outgoing("POST", wire.url, {}, b"x" * 20_000_000)

    with pytest.raises(TransportError, match="timeout"):
        await send(http, outgoing, deadline_s=SHORT_S)


async def test_the_deadline_covers_waiting_for_a_connection(
    http: httpx.AsyncClient, listen: Listen
) -> None:
    """All connections being busy with a server that hangs."""
    all_busy = asyncio.Event()

    async def hang(_writer: asyncio.StreamWriter) -> None:
        if len(wire.requests) == MAX_CONNECTIONS:
            all_busy.set()
        await asyncio.Event().wait()

    wire = await listen(hang)
    busy = [
        asyncio.create_task(send(http, get(wire.url), deadline_s=60))
        for _ in range(MAX_CONNECTIONS)
    ]
    await all_busy.wait()
    with pytest.raises(TransportError, match="timeout"):
        await send(http, get(wire.url), deadline_s=SHORT_S)
    for task in busy:
        task.cancel()

    assert len(wire.requests) == MAX_CONNECTIONS


async def test_a_cookie_of_an_answer_is_never_sent_back(
    http: httpx.AsyncClient, listen: Listen
) -> None:
    """One client serves all visitors: what was set for one would be sent for the next."""
    wire = await listen(b"HTTP/1.1 200 OK\r\nset-cookie: seen=1\r\ncontent-length: 0\r\n\r\n")
    for _ in range(2):
        await send(http, get(wire.url), deadline_s=PATIENT_S)

    assert len(wire.requests) == 2
    assert not any(b"cookie" in request.lower() for request in wire.requests)


async def test_a_connection_is_free_again_however_an_exchange_ended(
    http: httpx.AsyncClient, listen: Listen
) -> None:
    """Answered, cut off, timed out or refused: none of them takes a place for good."""

    async def hang(_writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    answering = await listen(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
    hanging = await listen(hang)
    nobody = "http://127.0.0.1:9"
    for _ in range(MAX_CONNECTIONS + 1):
        await send(http, get(answering.url), deadline_s=PATIENT_S)
        with pytest.raises(TransportError, match="too_large"):
            await send(http, get(answering.url), deadline_s=PATIENT_S, max_bytes=1)
        with pytest.raises(TransportError, match="timeout"):
            await send(http, get(hanging.url), deadline_s=0.01)
        with pytest.raises(TransportError, match="connect"):
            await send(http, get(nobody), deadline_s=PATIENT_S)
    reply = await send(http, get(answering.url), deadline_s=PATIENT_S)

    assert reply.body == b"ok"


async def test_an_answer_without_an_end_is_cut_off(http: httpx.AsyncClient, listen: Listen) -> None:
    """Long before memory is short."""
    sent = 0

    async def flood(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 65_536)
            sent += 65_536
            await writer.drain()

    wire = await listen(flood)
    with pytest.raises(TransportError) as failure:
        await send(http, get(wire.url), deadline_s=10)

    assert failure.value.reason == "too_large"
    assert sent < 16 * MAX_REPLY_BYTES


async def test_a_packed_answer_cannot_become_large(http: httpx.AsyncClient, listen: Listen) -> None:
    """Whoever packs what was not to be packed."""
    packed = gzip.compress(b"0" * (MAX_REPLY_BYTES * 20))
    head = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(packed)
    wire = await listen(head + packed)

    with pytest.raises(TransportError, match="too_large"):
        await send(http, get(wire.url), deadline_s=10)


async def test_an_answer_of_exactly_the_limit_is_read(
    http: httpx.AsyncClient, listen: Listen
) -> None:
    """One byte more is too large."""
    wire = await listen(OK)
    whole = await send(http, get(wire.url), deadline_s=5, max_bytes=2)
    with pytest.raises(TransportError, match="too_large"):
        await send(http, get(wire.url), deadline_s=5, max_bytes=1)

    assert whole.body == b"{}"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_an_answer_not_an_order(
    http: httpx.AsyncClient, listen: Listen, status: int
) -> None:
    """The key never goes to another host."""
    other = await listen(OK)
    head = f"HTTP/1.1 {status} Moved\r\nlocation: {other.url}/\r\ncontent-length: 0\r\n\r\n"
    wire = await listen(head.encode())
    reply = await send(http, get(wire.url), deadline_s=5)

    assert reply.status == status
    assert other.requests == []


async def test_the_environments_proxy_and_passwords_are_left_alone(
    listen: Listen, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A key is sent to its service only, and nobody else's key in its place."""
    proxy, wire = await listen(OK), await listen(OK)
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n", encoding="utf-8")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, proxy.url)
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.delenv("no_proxy", raising=False)
    async with open_client() as client:
        await send(client, get(wire.url), deadline_s=5)

    assert proxy.requests == []
    assert API_KEY.encode() in wire.requests[0]


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nZZ\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\n" + b"x: " + b"y" * 200_000 + b"\r\n\r\n",
    ],
    ids=["hung up", "no HTTP", "cut short", "bad chunk", "bad gzip", "endless header"],
)
async def test_a_broken_answer_is_none(
    http: httpx.AsyncClient, listen: Listen, answer: bytes
) -> None:
    """Half of one is not taken for a whole."""
    wire = await listen(answer)

    with pytest.raises(TransportError) as failure:
        await send(http, get(wire.url), deadline_s=5)
    assert failure.value.reason == "broken"


async def test_nobody_there_is_told_apart(http: httpx.AsyncClient, listen: Listen) -> None:
    """From a connection that breaks; the error names the host and never the key."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        host = f"127.0.0.1:{closed.getsockname()[1]}"
    with pytest.raises(TransportError) as failure:
        await send(http, get(f"http://{host}/secret-path"), deadline_s=5)

    assert (failure.value.reason, failure.value.host) == ("connect", host)
    assert str(failure.value) == f"no usable answer from {host}: connect"


async def test_26_a_name_that_does_not_resolve_is_nobody_there(http: httpx.AsyncClient) -> None:
    """Tried again later, as all that fails before a connection."""
    with pytest.raises(TransportError) as failure:
        await send(http, get("http://datafast.invalid/"), deadline_s=30)

    assert failure.value.reason in ("connect", "timeout")


async def test_26_a_certificate_that_nobody_vouches_for_is_refused(http: httpx.AsyncClient) -> None:
    """The name fits, but whoever listens may be anybody: no request is made, and no key is told."""
    heard: list[bytes] = []

    async def listen_in(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(1024))
        writer.close()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    server = await asyncio.start_server(listen_in, "127.0.0.1", 0, ssl=context)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    async with server:
        with pytest.raises(TransportError) as failure:
            await send(http, get(url), deadline_s=5)

    assert failure.value.reason == "connect"
    assert heard == []


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "http://exa mple/", "http://\x00/", "/path"])
async def test_an_address_that_cannot_be_one_is_a_transport_error(
    http: httpx.AsyncClient, url: str
) -> None:
    """A setting may be wrong in ways nobody thought of."""
    with pytest.raises(TransportError):
        await send(http, get(url), deadline_s=5)


async def test_a_name_under_localhost_is_this_machine(
    http: httpx.AsyncClient, listen: Listen
) -> None:
    """Not every resolver knows shop.localhost; whoever answers still sees the name."""
    wire = await listen(OK)
    url = wire.url.replace("127.0.0.1", "shop.localhost")
    reply = await send(http, Outgoing("GET", f"{url}/a?b=c", {"x": "y"}, b""), deadline_s=PATIENT_S)

    assert reply.status == 200
    assert wire.requests[0].startswith(b"GET /a?b=c HTTP/1.1\r\n")
    assert f"host: {url.removeprefix('http://')}\r\n".encode() in wire.requests[0].lower()
    assert b"x: y\r\n" in wire.requests[0].lower()


async def test_after_a_failure_the_client_goes_on(http: httpx.AsyncClient, listen: Listen) -> None:
    """A cancelled exchange leaves no connection behind that answers the next question."""
    hanging, wire = await listen(never), await listen(OK)
    for _ in range(10):
        with pytest.raises(TransportError):
            await send(http, get(hanging.url), deadline_s=0.02)

    assert (await send(http, get(wire.url), deadline_s=5)).status == 200


# --- Dodo ---------------------------------------------------------------------------------------

CART = [{"product_id": "pdt_coastline", "quantity": 1}]


async def open_checkout(client: DodoClient, **fields: Any) -> Any:
    """Open a session for a visitor."""
    given: dict[str, Any] = {
        "metadata": {"datafast_visitor_id": VISITOR_ID},
        "return_url": "https://contour.example/orders/1",
    }
    return await client.create_checkout(CART, **given | fields)


async def test_a_session_is_opened_with_its_metadata(dodo: Service) -> None:
    """The buyer's page is on a host that is allowed."""
    session = await open_checkout(dodo.dodo(), customer={"email": "ada@example.com"})
    request = (await dodo.requests())[0]

    assert session.checkout_url == (
        f"https://checkout.dodopayments.com/session/{session.session_id}"
    )
    assert (request["method"], request["path"], request["status"]) == ("POST", "/checkouts", 200)
    assert request["headers"]["authorization"] == "right"
    assert VISITOR_ID in request["body"]
    assert API_KEY not in request["body"] + str(request["query"])


@pytest.mark.parametrize("mode", ["500", "reset"])
async def test_one_fault_of_the_moment_costs_no_sale(dodo: Service, mode: str) -> None:
    """It is tried once more."""
    await dodo.chaos(mode, times=1)
    session = await open_checkout(dodo.dodo())

    assert session.session_id.startswith("cks_")
    assert len(await dodo.requests()) == 2


async def test_a_fault_that_stays_is_told_after_two_tries(dodo: Service) -> None:
    """With Dodo's status and code."""
    await dodo.chaos("500")
    with pytest.raises(CheckoutError) as refusal:
        await open_checkout(dodo.dodo())

    assert (refusal.value.status, refusal.value.code) == (500, "INTERNAL_SERVER_ERROR")
    assert refusal.value.retryable
    assert len(await dodo.requests()) == 2


async def test_silence_is_told_within_the_deadline(dodo: Service) -> None:
    """Both tries share it: a person waits."""
    await dodo.chaos("timeout")
    clock = asyncio.get_running_loop().time
    begun = clock()
    with pytest.raises(TransportError, match="timeout"):
        await open_checkout(dodo.dodo(deadline_s=SHORT_S))

    assert clock() - begun < PATIENT_S / 4
    assert len(await dodo.requests()) == 2


@pytest.mark.parametrize(
    ("mode", "status", "code"),
    [
        ("429", 429, "TOO_MANY_REQUESTS"),
        ("redirect", 302, "UNKNOWN"),
        ("html", 200, "BAD_SESSION"),
        ("empty", 200, "BAD_SESSION"),
    ],
)
async def test_what_a_second_try_cannot_mend_gets_none(
    dodo: Service, mode: str, status: int, code: str
) -> None:
    """A rate limit least of all."""
    await dodo.chaos(mode)
    with pytest.raises(CheckoutError) as refusal:
        await open_checkout(dodo.dodo())

    assert (refusal.value.status, refusal.value.code) == (status, code)
    assert len(await dodo.requests()) == 1


async def test_a_busy_discount_is_asked_again(listen: Listen, http: httpx.AsyncClient) -> None:
    """409 is a matter of the moment (dodo/api-reference/error-codes)."""
    body = b'{"code": "DISCOUNT_CODE_BUSY", "message": "Try again"}'
    wire = await listen(b"HTTP/1.1 409 C\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
    client = DodoClient(http, api_key=API_KEY, base_url=wire.url)
    with pytest.raises(CheckoutError, match="Try again"):
        await open_checkout(client)

    assert len(wire.requests) == 2


@pytest.mark.parametrize(
    ("cart", "key", "status", "code"),
    [
        ([{"product_id": "pdt_nothing", "quantity": 1}], API_KEY, 404, "NOT_FOUND"),
        ([{"product_id": "pdt_coastline", "quantity": 99_999}], API_KEY, 422, None),
        (CART, "another-key", 401, "UNAUTHORIZED"),
    ],
)
async def test_dodos_refusal_is_passed_on(
    dodo: Service, cart: list[dict[str, Any]], key: str, status: int, code: str | None
) -> None:
    """After one call: the same request is refused again."""
    client = dodo.dodo(key)
    with pytest.raises(CheckoutError) as refusal:
        await client.create_checkout(
            cart, metadata={}, return_url="https://contour.example/orders/1"
        )

    assert refusal.value.status == status
    assert refusal.value.code == (code or "INVALID_REQUEST_BODY")
    assert not refusal.value.retryable
    assert len(await dodo.requests()) == 1
    assert key not in str(refusal.value)


async def test_a_page_on_another_host_is_refused(dodo: Service) -> None:
    """Dodo's answer is input too."""
    with pytest.raises(CheckoutError) as refusal:
        await open_checkout(dodo.dodo(checkout_hosts=["pay.example"]))

    assert refusal.value.code == "BAD_CHECKOUT_URL"


async def test_a_payment_is_read(dodo: Service) -> None:
    """From session to payment, each by its id."""
    client = dodo.dodo()
    session = await open_checkout(client)
    form = {"email": "ada@example.com", "name": "Ada Example", "outcome": "succeeded"}
    await dodo.http.post(f"{dodo.url}/session/{session.session_id}", data=form)
    status = await client.checkout(session.session_id)
    payment = await client.payment(status["payment_id"])

    assert status["payment_status"] == "succeeded"
    assert payment["metadata"] == {"datafast_visitor_id": VISITOR_ID}


@pytest.mark.parametrize("kind", ["payment", "subscription", "checkout"])
async def test_what_dodo_does_not_have_is_a_404(dodo: Service, kind: str) -> None:
    """With Dodo's code, and without hope."""
    with pytest.raises(DodoError) as refusal:
        await getattr(dodo.dodo(), kind)("nothing_1")

    assert (refusal.value.status, refusal.value.code) == (404, "NOT_FOUND")
    assert not refusal.value.retryable
    assert str(refusal.value) == f"Dodo answered 404 to GET /{kind}s/nothing_1"


@pytest.mark.parametrize(
    ("mode", "status", "code", "retryable"),
    [
        ("429", 429, "TOO_MANY_REQUESTS", True),
        ("500", 500, "INTERNAL_SERVER_ERROR", True),
        ("html", 200, "", True),
        ("empty", 200, "", True),
        ("redirect", 302, "", True),
    ],
)
async def test_a_faulty_answer_to_a_question_is_an_error_with_its_facts(
    dodo: Service, mode: str, status: int, code: str, retryable: bool
) -> None:
    """Asked once: the forwarder has its own rhythm."""
    await dodo.chaos(mode)
    with pytest.raises(DodoError) as refusal:
        await dodo.dodo().payment("pay_1")

    assert (refusal.value.status, refusal.value.code) == (status, code)
    assert refusal.value.retryable is retryable
    assert len(await dodo.requests()) == 1


@pytest.mark.parametrize("mode", ["timeout", "reset", "drip"])
async def test_no_answer_to_a_question_is_a_transport_error(dodo: Service, mode: str) -> None:
    """In time."""
    await dodo.chaos(mode)

    with pytest.raises(TransportError):
        await dodo.dodo(deadline_s=SHORT_S if mode in SILENT else PATIENT_S).payment("pay_1")


@pytest.mark.parametrize("object_id", ["", "../checkouts", "pay?x=1", "pay_ä", "x" * 129])
async def test_an_id_that_could_leave_the_path_is_never_sent(dodo: Service, object_id: str) -> None:
    """It came with a webhook or a URL."""
    with pytest.raises(ValueError, match="object id"):
        await dodo.dodo().payment(object_id)

    assert await dodo.requests() == []


async def test_products_are_listed_page_by_page(stand_in_dodo: Callable[..., Starlette]) -> None:
    """More than one page of them, each product once."""
    many = [replace(CATALOGUE[0], product_id=f"p{number}") for number in range(150)]
    async with in_process(stand_in_dodo(products=many)) as client:
        found = await Service(client).dodo().products()

    assert sorted(str(each["product_id"]) for each in found) == sorted(f"p{n}" for n in range(150))


async def test_closing_closes_the_connections(http: httpx.AsyncClient) -> None:
    """Both clients own theirs."""
    await DodoClient(http, api_key=API_KEY).aclose()
    other = open_client()
    await DataFastClient(other, api_key=API_KEY, clock=lambda: 0).aclose()

    assert http.is_closed
    assert other.is_closed


# --- DataFast -----------------------------------------------------------------------------------


async def see_page(service: Service) -> None:
    """Send the visitor's first pageview."""
    pageview = {
        "websiteId": "dfid_contourtest000000001",
        "domain": "contour.example",
        "visitorId": VISITOR_ID,
        "sessionId": "s3f0c6c52-9d1b-4a77-8a11-5f2d8d0c9e21",
        "href": "https://contour.example/",
        "type": "pageview",
    }
    headers = {"origin": "https://contour.example"}
    await service.http.post(service.url + "/api/events", json=pageview, headers=headers)


async def test_a_known_visitors_payment_is_attributed(datafast: Service) -> None:
    """The key goes into its header and nowhere else."""
    await see_page(datafast)
    verdict = await datafast.datafast().record_payment(PAYMENT)
    request = (await datafast.requests())[-1]

    assert (verdict.kind, verdict.reason) == ("attributed", "attributed")
    assert request["headers"]["authorization"] == "right"
    assert API_KEY not in request["body"] + str(request["query"])


@pytest.mark.parametrize(
    ("mode", "kind", "reason"),
    [
        ("429", "retry", "rate_limited"),
        ("500", "retry", "datafast_unavailable"),
        ("timeout", "retry", "datafast_timeout"),
        ("drip", "retry", "datafast_timeout"),
        ("reset", "retry", "datafast_broken"),
        ("html", "unconfirmed", "reply_html"),
        ("empty", "unconfirmed", "reply_unreadable"),
        ("redirect", "misconfigured", "redirected"),
        ("no_pageview_404", "no_pageview", "no_pageview"),
        ("no_pageview_200", "no_pageview", "no_pageview"),
    ],
)
async def test_each_fault_is_judged_not_raised(
    datafast: Service, mode: str, kind: str, reason: str
) -> None:
    """The forwarder acts on the verdict."""
    await datafast.chaos(mode)
    client = datafast.datafast(deadline_s=SHORT_S if mode in SILENT else PATIENT_S)
    verdict = await client.record_payment(PAYMENT)

    assert (verdict.kind, verdict.reason) == (kind, reason)


async def test_nobody_there_is_a_retry(http: httpx.AsyncClient) -> None:
    """As is every failure to connect."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    verdict = await Service(http, url).datafast().record_payment(PAYMENT)

    assert verdict == Verdict("retry", "datafast_connect")


async def test_a_refused_key_is_everybodys_fault(datafast: Service) -> None:
    """Not this payment's."""
    verdict = await datafast.datafast("df_another").record_payment(PAYMENT)

    assert (verdict.kind, verdict.reason) == ("misconfigured", "key_refused")


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("429", "unknown"),
        ("500", "unknown"),
        ("timeout", "unknown"),
        ("reset", "unknown"),
        ("html", "unknown"),
        ("empty", "unknown"),
        ("redirect", "unknown"),
        ("off", "unseen"),
    ],
)
async def test_only_datafasts_own_404_means_unseen(
    datafast: Service, mode: str, expected: str
) -> None:
    """No other answer is waited for."""
    await datafast.chaos(mode)
    client = datafast.datafast(deadline_s=SHORT_S if mode in SILENT else PATIENT_S)

    assert await client.visitor_seen(VISITOR_ID) == expected


async def test_a_visitor_with_a_pageview_is_seen(datafast: Service) -> None:
    """And a key that is refused tells nothing."""
    await see_page(datafast)

    assert await datafast.datafast().visitor_seen(VISITOR_ID) == "seen"
    assert await datafast.datafast("df_another").visitor_seen(VISITOR_ID) == "unknown"


@pytest.mark.parametrize("visitor_id", ["", "../payments", VISITOR_ID + "\n", VISITOR_ID.upper()])
async def test_an_id_that_is_none_is_not_asked_about(datafast: Service, visitor_id: str) -> None:
    """It would become part of an address."""
    assert await datafast.datafast().visitor_seen(visitor_id) == "unknown"
    assert await datafast.requests() == []


@pytest.mark.parametrize(
    "page",
    [b"<!doctype html><title>Not found</title>", b'{"code": "NOT_FOUND"}'],
    ids=["a page", "another service"],
)
async def test_a_404_that_is_not_datafasts_is_another_address(
    http: httpx.AsyncClient, listen: Listen, page: bytes
) -> None:
    """Neither the visitor's nor the payment's fault."""
    wire = await listen(b"HTTP/1.1 404 N\r\ncontent-length: %d\r\n\r\n" % len(page) + page)
    client = Service(http, wire.url).datafast()
    verdict = await client.record_payment(PAYMENT)

    assert (verdict.kind, verdict.reason) == ("misconfigured", "wrong_address")
    assert await client.visitor_seen(VISITOR_ID) == "unknown"


async def test_an_account_token_names_its_website() -> None:
    """In both calls."""
    token = "dft_account"
    async with in_process(stand_in_datafast(api_key=token)) as client:
        service = Service(client)
        datafast = service.datafast(token, website_id="0123456789abcdef01234567")
        verdict = await datafast.record_payment(PAYMENT)
        seen = await datafast.visitor_seen(VISITOR_ID)
        queries = [request["query"] for request in await service.requests()]

    assert (verdict.kind, seen) == ("no_pageview", "unseen")
    assert queries == [{"websiteId": "0123456789abcdef01234567"}] * 2


async def test_the_stand_ins_faults_are_the_same_on_a_real_socket(http: httpx.AsyncClient) -> None:
    """A reset is a TCP reset there, and a drip one byte a second."""
    async with on_a_socket(stand_in_datafast()) as url:
        service = Service(http, url)
        verdicts = []
        for mode in ("reset", "drip", "timeout", "redirect", "html"):
            await service.chaos(mode, times=1, path="/api/v1/payments")
            client = service.datafast(deadline_s=SHORT_S if mode in SILENT else PATIENT_S)
            verdicts.append((await client.record_payment(PAYMENT)).reason)
        last = await service.datafast().record_payment(PAYMENT)

    assert verdicts == [
        "datafast_broken",
        "datafast_timeout",
        "datafast_timeout",
        "redirected",
        "reply_html",
    ]
    assert last.kind == "no_pageview"


@pytest.mark.parametrize("base_url", ["http://service.localhost/", "http://service.localhost"])
async def test_a_slash_at_the_end_of_an_address_changes_nothing(
    datafast: Service, base_url: str
) -> None:
    """People copy addresses in both forms."""
    client = datafast.datafast(base_url=base_url)

    assert (await client.record_payment(PAYMENT)).kind == "no_pageview"
    assert await client.visitor_seen(VISITOR_ID) == "unseen"
