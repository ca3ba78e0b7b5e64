"""A set-up to examine: settings, and every server that it names, in process or stood in for."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from kit.checks.setup import Setup
from kit.datafast import DataFastClient
from kit.dodo import DodoClient
from kit.hops import Hop
from kit.resources import resource_dir
from kit.sandbox.datafast import create_datafast
from kit.sandbox.dodo import create_dodo
from kit.sandbox.fixtures import load
from kit.sandbox.signer import sign
from kit.settings import review_settings
from kit.transport import open_client

NOW = 1_790_856_000.0
SECRET = "whsec_" + "cGxhbnRlZC13ZWJob29rLXNlY3JldC0wMDAx"
OTHER_SECRET = "whsec_" + "YW5vdGhlciBlbmRwb2ludCdzIHNlY3JldC4uLi4="
SHOP = "http://shop.localhost:8000"
DODO, DATAFAST = "http://127.0.0.1:8001", "http://127.0.0.1:8002"
ENVIRON = {
    "DODO_PAYMENTS_API_KEY": "dodo_test_planted-dodo-key",
    "DODO_PAYMENTS_WEBHOOK_KEY": SECRET,
    "DODO_PAYMENTS_BASE_URL": DODO,
    "DATAFAST_API_KEY": "df_planted-datafast-key",
    "DATAFAST_BASE_URL": DATAFAST,
    "DATAFAST_WEBSITE_ID": "dfid_planted",
    "DATAFAST_DOMAIN": "shop.localhost",
    "KIT_BASE_URL": SHOP,
    "KIT_CHECKOUT_HOSTS": "http://checkout.localhost:8001",
    "KIT_SECRET_KEY": "planted-cookie-key-of-32-characters",
}

Handler = Callable[[Request], Awaitable[Response]]


async def nobody(_scope: Any, _receive: Any, _send: Any) -> None:
    """Be a server that cannot be reached."""
    raise httpx.ConnectError("nobody there")


@dataclass(slots=True)
class ByAddress(httpx.AsyncBaseTransport):
    """Bring each request to the app of its port; the other names of this machine are nobody's."""

    apps: dict[int, ASGIApp]
    asked: list[httpx.Request] = field(default_factory=list)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        self.asked.append(request)
        app = self.apps.get(request.url.port or 0, nobody)
        return await httpx.ASGITransport(app=app).handle_async_request(request)


@dataclass(slots=True)
class World:
    """The servers that a set-up names, each replaceable, and the requests that they were sent."""

    shop: ASGIApp = nobody
    dodo: ASGIApp = nobody
    datafast: ASGIApp = nobody
    asked: list[httpx.Request] = field(default_factory=list)

    def setup(self, *, page: str = f"{SHOP}/", now: float = NOW, **environ: str | None) -> Setup:
        """Return a set-up in this world; None unsets a variable."""
        wanted = {name: value for name, value in (ENVIRON | environ).items() if value is not None}
        settings, problems = review_settings(wanted)
        transport = ByAddress({8000: self.shop, 8001: self.dodo, 8002: self.datafast}, self.asked)
        http = open_client(transport)
        return Setup(
            settings=settings,
            problems=problems,
            environ=wanted,
            env_file=Path("none.env"),
            webhook_url=f"{settings.base_url}/webhooks/dodo",
            page_url=page,
            http=http,
            dodo=DodoClient(
                http,
                api_key=settings.dodo_api_key.reveal(),
                environment=settings.dodo_environment,
                base_url=settings.dodo_base_url,
            ),
            datafast=DataFastClient(
                http,
                api_key=settings.datafast_api_key.reveal(),
                clock=lambda: now,
                website_id=settings.datafast_api_website_id,
                base_url=settings.datafast_base_url,
            ),
            sign=sign,
            message=load("payout.in_progress", amount=0),
            clock=lambda: now,
        )


def reasons(hops: list[Hop]) -> list[str]:
    """Return the reason codes, in order."""
    return [hop.reason for hop in hops]


def app(handlers: dict[str, Handler]) -> Starlette:
    """Build a server of one handler for each path, whatever the method."""
    methods = ["GET", "POST", "DELETE"]
    return Starlette(
        routes=[Route(path, handler, methods=methods) for path, handler in handlers.items()]
    )


def answering(*answers: Response) -> Handler:
    """Return a handler that gives these answers in turn, the last one for good."""
    left = list(answers)

    async def answer(_request: Request) -> Response:
        return left.pop(0) if len(left) > 1 else left[0]

    return answer


@pytest.fixture
def world() -> World:
    """Begin with a world in which nobody answers."""
    return World()


@pytest.fixture
async def dodo(tmp_path: Path) -> AsyncIterator[Starlette]:
    """Run the stand-in for Dodo, the shop's endpoint known to it."""
    running = create_dodo(
        database=str(tmp_path / "dodo.db"),
        public_url="http://checkout.localhost:8001",
        templates_dir=resource_dir("templates"),
        static_dir=resource_dir("static"),
        api_key=ENVIRON["DODO_PAYMENTS_API_KEY"],
        webhook_secret=SECRET,
        webhook_url="http://127.0.0.1:8000/webhooks/dodo",
    )
    async with running.router.lifespan_context(running):
        yield running


@pytest.fixture
async def datafast() -> AsyncIterator[Starlette]:
    """Run the stand-in for DataFast."""
    running = create_datafast(
        database=":memory:",
        api_key=ENVIRON["DATAFAST_API_KEY"],
        website_id=ENVIRON["DATAFAST_WEBSITE_ID"],
        domain=ENVIRON["DATAFAST_DOMAIN"],
    )
    async with running.router.lifespan_context(running):
        yield running
