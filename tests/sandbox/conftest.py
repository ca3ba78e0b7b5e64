"""The stand-ins, in process or on a real socket, and a shop that receives their webhooks."""

import contextlib
import queue
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from kit.sandbox.datafast import create_datafast
from kit.sandbox.dodo import create_dodo

API_KEY = "test-api-key"
WEBSITE_ID = "dfid_contourtest000000001"
WEBHOOK_SECRET = "whsec_c2FuZGJveC10ZXN0LXNlY3JldC0wMDAx"
HOSTED = (
    "{{ state }}|{{ total }}|{{ tax }}|{{ currency }}|{{ trial_days }}|{{ recurring }}"
    "|{{ cancel_url }}|{{ return_url }}|{{ failed }}|{{ session_id }}"
    "|{% for item in items %}{{ item.name }} x{{ item.quantity }} {{ item.price }};{% endfor %}"
)

Serve = Callable[[Starlette], str]
Serving = Callable[[Starlette], contextlib.AbstractContextManager[str]]


@dataclass(slots=True)
class Clock:
    """A clock that stands still until a test moves it."""

    now: float = 1_790_856_000.0

    def __call__(self) -> float:
        """Return the time in Unix seconds."""
        return self.now


@dataclass(slots=True)
class Shop:
    """A webhook receiver: what arrived, and the status codes it answers with before 200."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    messages: "queue.Queue[tuple[dict[str, str], bytes]]" = field(default_factory=queue.Queue)

    def next(self) -> tuple[dict[str, str], bytes]:
        """Wait for one delivery: its headers and its raw body."""
        return self.messages.get(timeout=10)

    async def receive(self, request: Request) -> Response:
        """Keep one delivery."""
        body = await request.body()
        status = self.answers.pop(0) if self.answers else 200
        self.messages.put((dict(request.headers), body))
        return PlainTextResponse("received", status_code=status)


@pytest.fixture
def clock() -> Clock:
    """Give a test its own time."""
    return Clock()


@pytest.fixture
def serving() -> Serving:
    """Return the context manager that serves an app on a loopback socket."""
    return _serving


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serve apps on loopback sockets until the test ends."""
    with contextlib.ExitStack() as running:
        yield lambda app: running.enter_context(_serving(app))


@contextlib.contextmanager
def _serving(app: Starlette) -> Iterator[str]:
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_level="critical", lifespan="on")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture
def shop(serve: Serve) -> Shop:
    """Run a webhook receiver."""
    shop = Shop()
    app = Starlette(routes=[Route("/webhooks/dodo", shop.receive, methods=["POST"])])
    shop.url = serve(app) + "/webhooks/dodo"
    return shop


@pytest.fixture
def dodo_options(tmp_path: Path, clock: Clock) -> dict[str, Any]:
    """Return arguments of `create_dodo` for a stand-in without a shop."""
    templates = tmp_path / "templates"
    (templates / "sandbox").mkdir(parents=True)
    (templates / "sandbox" / "hosted.html").write_text(HOSTED, encoding="utf-8")
    return {
        "database": str(tmp_path / "dodo.db"),
        "public_url": "http://checkout.localhost:8001",
        "templates_dir": templates,
        "static_dir": tmp_path / "static",
        "api_key": API_KEY,
        "webhook_secret": WEBHOOK_SECRET,
        "webhook_url": "",
        "clock": clock,
    }


@pytest.fixture
def datafast_options(clock: Clock) -> dict[str, Any]:
    """Return arguments of `create_datafast`."""
    return {
        "database": ":memory:",
        "api_key": API_KEY,
        "website_id": WEBSITE_ID,
        "domain": "contour.example",
        "clock": clock,
    }


@pytest.fixture
async def dodo(dodo_options: dict[str, Any]) -> AsyncIterator[httpx.AsyncClient]:
    """Talk to the Dodo stand-in in process, with the right key."""
    async with _client(create_dodo(**dodo_options)) as client:
        yield client


@pytest.fixture
async def datafast(datafast_options: dict[str, Any]) -> AsyncIterator[httpx.AsyncClient]:
    """Talk to the DataFast stand-in in process, with the right key."""
    async with _client(create_datafast(**datafast_options)) as client:
        yield client


@contextlib.asynccontextmanager
async def _client(app: Starlette) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=app)
    headers = {"authorization": f"Bearer {API_KEY}"}
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=transport, base_url="http://sandbox.localhost", headers=headers
        ) as client,
    ):
        yield client
