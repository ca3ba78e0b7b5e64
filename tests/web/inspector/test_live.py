"""Live pages: an event when something has changed, and none when nothing has."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import anyio
import httpx
import pytest
import uvicorn.server

from kit.ledger import Ledger
from kit.server import Listener, bind, serve
from kit.web.inspector import live
from kit.web.inspector.live import Streams
from tests.web.conftest import VISITOR, Shop, eventually
from tests.web.inspector.conftest import land, sell

pytestmark = pytest.mark.anyio

STREAM = {"accept": "text/event-stream"}


class Served:
    """A shop behind a real server: streams need a connection that stays open."""

    def __init__(self, shop: Shop, port: int) -> None:
        self.shop = shop
        self.http = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", timeout=10, trust_env=False
        )

    @contextlib.asynccontextmanager
    async def events(self, path: str, **headers: str) -> AsyncIterator[AsyncIterator[Any]]:
        """Open a stream and yield its events: name, id and data."""
        async with self.http.stream("GET", path, headers=STREAM | headers) as answer:
            assert answer.status_code == 200
            assert answer.headers["content-type"].startswith("text/event-stream")
            yield self._events(answer)

    @staticmethod
    async def _events(answer: httpx.Response) -> AsyncIterator[dict[str, Any]]:
        event: dict[str, Any] = {}
        async for line in answer.aiter_lines():
            if not line:
                if "data" in event:
                    yield event | {"data": json.loads(event["data"])}
                event = {}
                continue
            name, _, value = line.partition(": ")
            event[name] = value


async def following(events: AsyncIterator[Any]) -> Any:
    """Return the next event."""
    with anyio.fail_after(10):
        return await anext(events)


@pytest.fixture
async def served(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    """Serve the shop on a port; the shop's own fixture enters and leaves its lifespan."""
    monkeypatch.setattr(live, "LOOK_S", 0.02)
    plain = uvicorn.Config.__init__

    def without_lifespan(self: uvicorn.Config, app: Any, **options: Any) -> None:
        plain(self, app, **options | {"lifespan": "off"})

    monkeypatch.setattr(uvicorn.Config, "__init__", without_lifespan)
    up = asyncio.Event()
    with bind("127.0.0.1", 0) as listening:
        listener = Listener(shop.app, listening)
        task = asyncio.create_task(serve([listener], ready=up.set))
        await up.wait()
        running = Served(shop, listener.port)
        yield running
        await running.http.aclose()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_a_stream_begins_with_what_the_page_shows(served: Served) -> None:
    """The data is the twin; the id names it, as the page itself does."""
    journey = await sell(served.shop)
    async with served.events("/inspector") as events:
        first = await following(events)
    twin = (await served.http.get("/inspector.json")).json()
    page = (await served.http.get("/inspector")).text

    assert first["event"] == "page"
    assert first["data"] == twin
    assert first["data"]["journeys"][0]["key"] == journey["key"]
    assert f'data-version="{first["id"]}"' in page


async def test_what_happens_is_told_while_it_happens(served: Served) -> None:
    """A visit, then an order, each as an event of its own with another id."""
    async with served.events("/inspector") as events:
        first = await following(events)
        await land(served.shop)
        second = await following(events)
        served.shop.http.cookies.set("datafast_visitor_id", VISITOR)
        await served.shop.buy()
        third = await following(events)

    assert first["data"]["journeys"] == []
    assert [each["key"] for each in second["data"]["journeys"]] == [f"visit:{VISITOR}"]
    assert third["data"]["journeys"][0]["key"].startswith("order:")
    assert len({first["id"], second["id"], third["id"]}) == 3


async def test_a_filtered_stream_tells_of_what_fits(served: Served) -> None:
    """What is written elsewhere in the ledger changes nothing there."""
    async with (
        served.events("/inspector/news") as news,
        served.events("/inspector") as listing,
    ):
        await following(news)
        await following(listing)
        await land(served.shop)
        await following(listing)
        await served.shop.webhook({"type": "voucher.printed", "data": {}}, id="msg_new")
        changed = await following(news)

    assert [row["name"] for row in changed["data"]["drift"]] == ["voucher.printed"]


async def test_a_journey_is_followed_to_its_end(served: Served) -> None:
    """From the order to DataFast's answer, on its own page."""
    shop = served.shop
    checkout = await shop.buy()
    [order] = await shop.rows("checkouts")
    async with served.events(f"/inspector/journeys/order:{order['order_ref']}") as events:
        seen = [(await following(events))["data"]["journey"]["verdict"]]
        await shop.pay(checkout)
        [payment] = await shop.at_dodo("payments")
        event = {"type": "payment.succeeded", "timestamp": payment["created_at"], "data": payment}
        await shop.webhook(event)
        while seen[-1] != "recorded":
            seen.append((await following(events))["data"]["journey"]["verdict"])

    assert seen[0] == "unpaid"


async def test_what_is_not_there_has_no_stream(served: Served) -> None:
    """It is refused as its page is."""
    missing = await served.http.get("/inspector/journeys/order:none", headers=STREAM)
    senseless = await served.http.get("/inspector?state=bogus", headers=STREAM)

    assert (missing.status_code, senseless.status_code) == (404, 400)
    assert missing.json()["ok"] is senseless.json()["ok"] is False


async def test_a_server_that_ends_ends_its_streams(served: Served) -> None:
    """Nobody waits for the connection of a page that was left open."""
    async with served.events("/inspector") as events:
        await following(events)
        served.shop.app.state.farewell()
        with anyio.fail_after(5):
            rest = [event async for event in events]

    assert rest == []


async def test_only_so_many_streams_are_open(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one is refused in the one shape, and a place is free again once one has ended."""
    monkeypatch.setattr(live, "MAX_STREAMS", 1)
    streams = Streams(ledger)

    async def read() -> dict[str, Any]:
        return {}

    async def opened() -> tuple[Any, AsyncIterator[Any]]:
        answer: Any = streams.response(read, first={})
        return answer, aiter(answer.body_iterator)

    _, first = await opened()
    await anext(first)
    refused: Any = streams.response(read, first={})
    streams.end()
    rest = [piece async for piece in first]
    again: Any = streams.response(read, first={})

    assert refused.status_code == 503
    assert json.loads(refused.body)["ok"] is False
    assert rest[0].startswith("event: page\n")
    assert again.status_code == 200


async def test_a_quiet_stream_shows_that_it_lives(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stands between closes a connection on which nothing comes."""
    monkeypatch.setattr(live, "LOOK_S", 0.01)
    monkeypatch.setattr(live, "SHARED_LOOK_S", 0.01)
    monkeypatch.setattr(live, "PING_S", 0.0)
    streams = Streams(ledger)
    reads = 0

    async def read() -> dict[str, Any]:
        nonlocal reads
        reads += 1
        return {"page": 1}

    answer: Any = streams.response(read, first={"page": 1})
    pieces = aiter(answer.body_iterator)
    with anyio.fail_after(10):
        got = [await anext(pieces), await anext(pieces)]
        if not ledger.shared:
            got.append(await anext(pieces))

    assert got[0] == "retry: 1000\n\n"
    assert got[1].startswith("event: page\nid: ")
    if not ledger.shared:
        assert got[2] == ": still there\n\n"
        assert reads == 1


async def test_other_processes_are_noticed_on_a_shared_database(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no telling who wrote, so the page is read; on SQLite it is not, if nobody did."""
    monkeypatch.setattr(live, "LOOK_S", 0.01)
    monkeypatch.setattr(live, "SHARED_LOOK_S", 0.01)
    streams = Streams(ledger)
    version = 0

    async def read() -> dict[str, Any]:
        nonlocal version
        version += 1
        return {"version": version}

    answer: Any = streams.response(read, first={"version": 0})
    pieces = aiter(answer.body_iterator)
    with anyio.fail_after(10):
        told = [await anext(pieces) for _ in range(3)]
        if ledger.shared:
            told.append(await anext(pieces))
        else:
            await ledger.write(lambda connection: connection.exec_driver_sql("SELECT 1"))
            told.append(await anext(pieces))

    assert [piece.count('"version"') for piece in told] == [0, 1, 1, 1]


@pytest.fixture
def ledger(database_url: str) -> Any:
    """Open a ledger of each kind."""
    opened = Ledger.open(database_url)
    yield opened
    opened.close()


async def test_writes_of_this_process_are_counted(ledger: Ledger) -> None:
    """So that a page is read again only when there may be something new."""
    before = ledger.commits
    await ledger.write(lambda connection: connection.exec_driver_sql("SELECT 1"))
    after = ledger.commits
    ledger.note(lambda connection: connection.exec_driver_sql("SELECT 1"))

    async def noted() -> bool:
        return ledger.commits > after

    await eventually(noted)

    assert after > before
