"""One event loop, one ledger and one pair of stand-ins for the sequences of a file."""

import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest

from kit.datafast import DataFastClient
from kit.dodo import DodoClient
from kit.ledger import Ledger
from kit.ledger.engine import open_engines
from kit.sandbox.datafast import create_datafast
from kit.sandbox.dodo import create_dodo
from kit.sandbox.store import Store
from kit.transport import open_client
from tests.money.harness import Clock, Shop
from tests.money.messages import ADA, BEA

DODO_KEY, DATAFAST_KEY = "dodo_test_money-suite", "df_money-suite"
WEBSITE_ID, DOMAIN = "dfid_moneysuite0000000001", "shop.example"


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """Run async tests on asyncio, all of a file in one loop, which ends with the file."""
    return "asyncio"


@pytest.fixture(scope="module")
async def shop(anyio_backend: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shop]:
    """Run the stand-ins once a file; every sequence begins with empty ones."""
    async with open_shop(tmp_path_factory.mktemp("money")) as running:
        yield running


@contextlib.asynccontextmanager
async def open_shop(
    folder: Path, *, database_url: str | None = None, rate_limit: int = 1_000_000_000
) -> AsyncIterator[Shop]:
    """
    Run both stand-ins in process, and open the ledger; two visitors have been there.

    `rate_limit` is how many calls a minute DataFast allows.
    """
    clock = Clock()
    dodo_app = create_dodo(
        database=str(folder / "dodo.db"),
        public_url="https://checkout.example",
        templates_dir=folder,
        static_dir=folder,
        api_key=DODO_KEY,
        webhook_secret="whsec_" + "bW9uZXktc3VpdGUtd2ViaG9vay1rZXkwMDAx",
        webhook_url="",
        clock=clock,
    )
    datafast_app = create_datafast(
        database=str(folder / "datafast.db"),
        api_key=DATAFAST_KEY,
        website_id=WEBSITE_ID,
        domain=DOMAIN,
        clock=clock,
        rate_limit=rate_limit,
    )
    to_dodo = httpx.ASGITransport(app=dodo_app)
    to_datafast = httpx.ASGITransport(app=datafast_app)
    dodo_url, datafast_url = "http://dodo.localhost", "http://datafast.localhost"
    async with contextlib.AsyncExitStack() as stack:
        for app in (dodo_app, datafast_app):
            await stack.enter_async_context(app.router.lifespan_context(app))
        stores = [Store(str(folder / name)) for name in ("dodo.db", "datafast.db")]
        for store in stores:
            store.open()
            stack.callback(store.close)
        dodo_client = DodoClient(open_client(to_dodo), api_key=DODO_KEY, base_url=dodo_url)
        datafast_client = DataFastClient(
            open_client(to_datafast), api_key=DATAFAST_KEY, clock=clock, base_url=datafast_url
        )
        for client in (dodo_client, datafast_client):
            stack.push_async_callback(client.aclose)
        ledger = _open_ledger(database_url or f"sqlite:///{folder}/kit.db", clock)
        stack.callback(ledger.close)
        dodo, datafast = [
            await stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url=url))
            for transport, url in ((to_dodo, dodo_url), (to_datafast, datafast_url))
        ]
        for visitor_id in (ADA, BEA):
            await _land(datafast, visitor_id)
        yield Shop(clock, ledger, dodo, datafast, dodo_client, datafast_client, *stores)


def _open_ledger(url: str, clock: Callable[[], float]) -> Ledger:
    engines = open_engines(url)
    if url.startswith("sqlite"):
        with contextlib.closing(engines.writing.raw_connection()) as raw:
            # Power cuts are other tests' subject; here hundreds of sequences need no fsync.
            raw.cursor().execute("PRAGMA synchronous=OFF")
    return Ledger(engines, clock=clock)


async def _land(datafast: httpx.AsyncClient, visitor_id: str) -> None:
    pageview = {
        "websiteId": WEBSITE_ID,
        "domain": DOMAIN,
        "href": f"https://{DOMAIN}/?utm_source=atlas",
        "visitorId": visitor_id,
        "sessionId": f"s{visitor_id}",
        "type": "pageview",
    }
    origin = {"origin": f"https://{DOMAIN}"}
    (await datafast.post("/api/events", json=pageview, headers=origin)).raise_for_status()
