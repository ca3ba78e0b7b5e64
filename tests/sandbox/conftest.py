"""The stand-ins, in process or on a real socket, and a shop that receives their webhooks."""

import contextlib
import json
import queue
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import dodopayments.types
import httpx
import pydantic
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from kit.sandbox.datafast import create_datafast
from kit.sandbox.dodo import create_dodo
from tests.servers import serving as serving_app

API_KEY = "test-api-key"
WEBSITE_ID = "dfid_contourtest000000001"
WEBHOOK_SECRET = "whsec_c2FuZGJveC10ZXN0LXNlY3JldC0wMDAx"
METADATA = {"datafast_visitor_id": "0b8e6c1e-2d1c-4f0a-9f2e-6a4f1f4d7c11", "order_ref": "o-1"}
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


def model_of(event_type: str) -> type[pydantic.BaseModel]:
    """Return the SDK's model of an event type."""
    words = event_type.replace(".", "_").split("_")
    name = "".join(word.capitalize() for word in words) + "WebhookEvent"
    model: type[pydantic.BaseModel] = getattr(dodopayments.types, name)
    return model


@dataclass(frozen=True, slots=True)
class Life:
    """A stand-in with a shop behind it: buy, pull levers, and read what the shop is sent."""

    dodo: httpx.AsyncClient
    shop: Shop

    async def buy(self, *product_ids: str, outcome: str = "succeeded", **fields: Any) -> Any:
        """Pay for products; returns the payment, or the newest subscription without one."""
        cart = [{"product_id": product_id, "quantity": 1} for product_id in product_ids]
        request = {"product_cart": cart, "metadata": METADATA} | fields
        opened = await self.dodo.post("/checkouts", json=request)
        path = urlsplit(opened.raise_for_status().json()["checkout_url"]).path
        form = {"email": "ada@example.com", "name": "Ada Example", "outcome": outcome}
        await self.dodo.post(path, data=form)
        return (await self.held("payments") or await self.held("subscriptions"))[-1]

    async def subscribe(self, product_id: str = "pdt_club", **fields: Any) -> Any:
        """Subscribe, take in what that sends, and return the subscription."""
        await self.buy(product_id, **fields)
        subscription = (await self.held("subscriptions"))[-1]
        await self.sent(2 if subscription["trial_period_days"] else 4)
        return subscription

    async def held(self, page: str) -> list[Any]:
        """Return the documents of a `/_sandbox` page."""
        found: list[Any] = (await self.dodo.get(f"/_sandbox/{page}")).json()
        return found

    async def pull(self, path: str, **options: Any) -> Any:
        """Pull a lever and return its answer; it must not refuse."""
        response = await self.dodo.post(f"/_sandbox/{path}", json=options)
        assert response.status_code == 200, response.text
        return response.json()

    async def refused(self, path: str, **options: Any) -> int:
        """Pull a lever that refuses with a sentence; returns the status."""
        response = await self.dodo.post(f"/_sandbox/{path}", json=options)
        assert response.json()["message"]
        return response.status_code

    async def sent(self, count: int, *, strict: bool = True) -> dict[str, Any]:
        """Wait for `count` messages, read each strictly, and return their data by type."""
        messages = [await self.message() for _ in range(count)]
        if strict:
            for message in messages:
                model_of(message["type"]).model_validate_json(json.dumps(message), strict=True)
        return {message["type"]: message["data"] for message in messages}

    async def message(self) -> Any:
        """Wait for one message."""
        _, body = await anyio.to_thread.run_sync(self.shop.next)
        return json.loads(body)


@pytest.fixture
async def life(dodo_options: dict[str, Any], shop: Shop) -> AsyncIterator[Life]:
    """Talk to a stand-in in process that delivers to a shop on a socket."""
    async with _client(create_dodo(**dodo_options | {"webhook_url": shop.url})) as client:
        yield Life(client, shop)


@pytest.fixture
def clock() -> Clock:
    """Give a test its own time."""
    return Clock()


@pytest.fixture
def serving() -> Serving:
    """Return the context manager that serves an app on a loopback socket."""
    return serving_app


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serve apps on loopback sockets until the test ends."""
    with contextlib.ExitStack() as running:
        yield lambda app: running.enter_context(serving_app(app))


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
        "additional_domains": ["maps.example"],
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
