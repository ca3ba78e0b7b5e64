"""
A whole shop in process: real SQLite files, the kit's sandboxes behind it, time moved by hand.

Webhooks are signed by the `standardwebhooks` package, which shares no line with the kit.
"""

import contextlib
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import anyio
import httpx
import pytest
from standardwebhooks import Webhook
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from kit import forwarder
from kit.datafast import DataFastClient
from kit.dodo import DodoClient
from kit.ledger import Ledger
from kit.resources import resource_dir
from kit.sandbox import fixtures
from kit.sandbox.datafast import create_datafast
from kit.sandbox.dodo import create_dodo
from kit.settings import Settings, read_settings
from kit.transport import open_client
from kit.web.app import BUYER_LIMIT, SHOP_LIMIT, create_app
from kit.web.guard import Limit
from kit.web.storefront.catalogue import DEMO_CATALOGUE, Catalogue

Found = TypeVar("Found")

ORIGIN = "http://shop.localhost"
CHECKOUT_ORIGIN = "http://checkout.localhost:8001"
DODO_KEY = "dodo_test_planted-dodo-key"
DATAFAST_KEY = "df_planted-datafast-key"
SECRET = "whsec_" + "cGxhbnRlZC13ZWJob29rLXNlY3JldC0wMDAx"
OLD_SECRET = "whsec_" + "cGxhbnRlZC1vbGQtd2ViaG9vay1zZWNyZXQx"
COOKIE_KEY = "planted-cookie-key-of-32-characters"
WEBSITE_ID = "dfid_shoptest"
DOMAIN = "shop.localhost"
VISITOR = "1f0c8a52-7d0e-4c5b-9a53-2f6f1f3f9b11"
EMAIL, NAME = "planted.buyer@example.com", "Planted Buyer"
NOW = 1_790_856_000.0
LOOK_S = 0.002

ENVIRON = {
    "DODO_PAYMENTS_API_KEY": DODO_KEY,
    "DODO_PAYMENTS_WEBHOOK_KEY": SECRET,
    "DODO_PAYMENTS_BASE_URL": "http://127.0.0.1:8001",
    "DATAFAST_API_KEY": DATAFAST_KEY,
    "DATAFAST_BASE_URL": "http://127.0.0.1:8002",
    "DATAFAST_WEBSITE_ID": WEBSITE_ID,
    "DATAFAST_DOMAIN": DOMAIN,
    "KIT_BASE_URL": ORIGIN,
    "KIT_CHECKOUT_HOSTS": CHECKOUT_ORIGIN,
    "KIT_SECRET_KEY": COOKIE_KEY,
    "KIT_HOLD_S": "0",  # a buyer who never returns would keep a test waiting
}


@dataclass(slots=True)
class Clock:
    """A clock that stands still until a test moves it."""

    now: float = NOW

    def __call__(self) -> float:
        """Return the time in Unix seconds."""
        return self.now


@dataclass(slots=True)
class Shop:
    """A running shop: its client is a browser of its own, with a cookie jar."""

    app: Starlette
    http: httpx.AsyncClient
    ledger: Ledger
    file: Path
    clock: Clock
    dodo: httpx.AsyncClient
    datafast: httpx.AsyncClient

    def browser(self, *, address: str = "127.0.0.1", **headers: str) -> httpx.AsyncClient:
        """Open another browser, at another address if wanted."""
        return _browser(self.app, str(self.http.base_url), address, headers)

    async def attempt(self, product: str = "coastline-atlas") -> str:
        """Open a product's page and return the token of its form."""
        page = (await self.http.get(f"/products/{product}")).text
        found = re.search(r'name="attempt" value="([^"]+)"', page)
        assert found is not None
        return found[1]

    async def buy(
        self, *, product: str = "coastline-atlas", attempt: str | None = None, **headers: str
    ) -> httpx.Response:
        """Press the button of a product's form."""
        form = {"product": product, "attempt": attempt or await self.attempt(product)}
        return await self.http.post("/checkout", data=form, headers=headers)

    async def pay(self, checkout: httpx.Response, *, outcome: str = "succeeded") -> str:
        """Pay on the hosted page and return the address that the buyer is sent back to."""
        path = checkout.headers["location"].removeprefix(CHECKOUT_ORIGIN)
        form = {"email": EMAIL, "name": NAME, "outcome": outcome}
        answer = await self.dodo.post(path, data=form)
        return str(answer.headers.get("location", "")).removeprefix(ORIGIN)

    async def webhook(
        self,
        event: str | dict[str, Any],
        *,
        id: str = "msg_1",  # noqa: A002 - the header's name
        at: float | None = None,
        secret: str = SECRET,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        """Deliver a webhook as Dodo does."""
        body = event if isinstance(event, str) else json.dumps(event)
        sent_at = self.clock.now if at is None else at
        signed = sign(body, id=id, at=sent_at, secret=secret) | (headers or {})
        return await self.http.post("/webhooks/dodo", content=body, headers=signed)

    async def at_dodo(self, page: str, **query: str) -> Any:
        """Return what the stand-in for Dodo received or holds."""
        return (await self.dodo.get(f"/_sandbox/{page}", params=query)).json()

    async def at_datafast(self, page: str, **query: str) -> Any:
        """Return what the stand-in for DataFast received or holds."""
        return (await self.datafast.get(f"/_sandbox/{page}", params=query)).json()

    async def chaos(self, sandbox: httpx.AsyncClient, **rule: Any) -> None:
        """Break a stand-in."""
        (await sandbox.post("/_sandbox/chaos", json=rule)).raise_for_status()

    async def opened(self) -> list[dict[str, Any]]:
        """Return the bodies of all `POST /checkouts` that Dodo received."""
        received = await self.at_dodo("requests", path="/checkouts", method="POST")
        return [json.loads(each["body"]) for each in received]

    async def journeys(self) -> list[dict[str, Any]]:
        """Return the inspector's journeys."""
        return list((await self.http.get("/inspector.json")).json()["journeys"])

    async def rows(self, table: str) -> list[dict[str, Any]]:
        """Return a table of the ledger."""
        return await self.ledger.read(
            lambda connection: [
                dict(row)
                for row in connection.exec_driver_sql(
                    f"SELECT * FROM {table}"  # noqa: S608 - named by a test
                ).mappings()
            ]
        )


def sign(
    body: str,
    *,
    id: str = "msg_1",  # noqa: A002 - the header's name
    at: float = NOW,
    secret: str = SECRET,
) -> dict[str, str]:
    """Return a webhook's headers, by the reference implementation."""
    signature = Webhook(secret).sign(id, datetime.fromtimestamp(at, UTC), body)
    return {
        "webhook-id": id,
        "webhook-timestamp": str(int(at)),
        "webhook-signature": signature,
    }


def payment_event(**changes: Any) -> dict[str, Any]:
    """Return a `payment.succeeded` message."""
    return fixtures.load("payment.succeeded", **changes)


def settings(**environ: str | None) -> Settings:
    """Return the shop's settings, changed; None unsets one."""
    wanted = {name: value for name, value in (ENVIRON | environ).items() if value is not None}
    return read_settings(wanted)


@contextlib.asynccontextmanager
async def open_shop(
    folder: Path,
    *,
    clock: Clock | None = None,
    dodo: ASGIApp | None = None,
    datafast: ASGIApp | None = None,
    catalogue: Catalogue | None = DEMO_CATALOGUE,
    buyer_limit: Limit = BUYER_LIMIT,
    shop_limit: Limit = SHOP_LIMIT,
    dodo_deadline_s: float = 10.0,
    **environ: str | None,
) -> AsyncIterator[Shop]:
    """Run a shop; its upstreams are sandboxes unless others are given."""
    clock = clock or Clock()
    file = folder / "shop.db"
    chosen = settings(**{"KIT_DATABASE_URL": f"sqlite:///{file}", **environ})
    async with contextlib.AsyncExitStack() as stack:
        if dodo is None:
            dodo = await _started(stack, _sandbox_dodo(folder, clock))
        if datafast is None:
            datafast = await _started(stack, _sandbox_datafast(clock))
        ledger = Ledger.open(chosen.database_url, clock=clock)
        app = create_app(
            chosen,
            ledger=ledger,
            dodo=DodoClient(
                open_client(httpx.ASGITransport(app=dodo)),
                api_key=chosen.dodo_api_key.reveal(),
                base_url=chosen.dodo_base_url,
                checkout_hosts=chosen.checkout_hosts,
                deadline_s=dodo_deadline_s,
            ),
            datafast=DataFastClient(
                open_client(httpx.ASGITransport(app=datafast)),
                api_key=chosen.datafast_api_key.reveal(),
                clock=clock,
                base_url=chosen.datafast_base_url,
            ),
            proxy_http=open_client(httpx.ASGITransport(app=datafast)),
            clock=clock,
            catalogue=catalogue,
            buyer_limit=buyer_limit,
            shop_limit=shop_limit,
        )
        await _started(stack, app)
        base_url = chosen.base_url
        yield Shop(
            app,
            await stack.enter_async_context(_browser(app, base_url, "127.0.0.1", {})),
            ledger,
            file,
            clock,
            await stack.enter_async_context(_browser(dodo, CHECKOUT_ORIGIN, "127.0.0.1", {})),
            await stack.enter_async_context(_browser(datafast, "http://datafast", "127.0.0.1", {})),
        )


async def _started(stack: contextlib.AsyncExitStack, app: Starlette) -> Starlette:
    await stack.enter_async_context(app.router.lifespan_context(app))
    return app


def _browser(
    app: ASGIApp, base_url: str, address: str, headers: dict[str, str]
) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False, client=(address, 50_000))
    return httpx.AsyncClient(transport=transport, base_url=base_url, headers=headers)


def _sandbox_dodo(folder: Path, clock: Clock) -> Starlette:
    return create_dodo(
        database=str(folder / "dodo.db"),
        public_url=CHECKOUT_ORIGIN,
        templates_dir=resource_dir("templates"),
        static_dir=resource_dir("static"),
        api_key=DODO_KEY,
        webhook_secret=SECRET,
        webhook_url="",
        clock=clock,
    )


def _sandbox_datafast(clock: Clock) -> Starlette:
    return create_datafast(
        database=":memory:",
        api_key=DATAFAST_KEY,
        website_id=WEBSITE_ID,
        domain=DOMAIN,
        clock=clock,
    )


async def eventually(look: Callable[[], Awaitable[Found | None]]) -> Found:
    """Return the first true answer of `look`, asked often, but not all the time."""
    with anyio.fail_after(10):
        while not (found := await look()):  # noqa: ASYNC110 - it is the ledger that changes
            await anyio.sleep(LOOK_S)
    return found


async def nobody(_scope: Scope, _receive: Receive, _send: Send) -> None:
    """Be an upstream that cannot be reached, where a test needs none: it starts faster."""
    raise httpx.ConnectError("nobody there")


@pytest.fixture(autouse=True)
def attentive(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let forwarders look often for what came due without anybody telling them."""
    monkeypatch.setattr(forwarder, "POLL_S", 0.02)


@pytest.fixture
def clock() -> Clock:
    """Give a test its own time."""
    return Clock()


@pytest.fixture
async def shop(tmp_path: Path, clock: Clock) -> AsyncIterator[Shop]:
    """Run a shop on plain settings."""
    async with open_shop(tmp_path, clock=clock) as running:
        yield running
