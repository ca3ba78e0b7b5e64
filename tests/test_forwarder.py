"""The forwarder against the stand-ins: what is sent, how often it counts, and what is written."""

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select, update
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from kit.datafast import DataFastClient
from kit.dodo import DodoClient
from kit.forwarder import LEASE_S, Forwarder
from kit.helpers.dodo_datafast import Signed
from kit.ledger import Ledger, claims, deliveries, events, lanes, schema
from kit.ledger.duties import find_duties
from kit.ledger.mapping import map_stored_events
from kit.ledger.policy import Policy
from kit.ledger.visits import record_visit, visit_from_pageview
from kit.lookups import Lookups
from kit.outcomes import HORIZON_S, PAUSE_S, RECHECK_S
from kit.sandbox import fixtures
from kit.sandbox.datafast import create_datafast
from kit.sandbox.dodo import create_dodo
from kit.sender import PAGEVIEW_CHECKS_S, Pace, Sender
from kit.transport import open_client
from tests.databases import on_sqlite
from tests.ledger.conftest import Clock

pytestmark = pytest.mark.anyio

API_KEY = "df_test-api-key"
VISITOR_ID = "0b8e6c1e-2d1c-4f0a-9f2e-6a4f1f4d7c11"
SHORT_S = 0.15  # for those who never answer
PATIENT_S = 20.0
LOOK_S = 0.01
PAYMENTS = "/api/v1/payments"
VISITORS = f"/api/v1/visitors/{VISITOR_ID}"
PAGEVIEW = {
    "websiteId": "dfid_contourtest000000001",
    "domain": "contour.example",
    "visitorId": VISITOR_ID,
    "sessionId": "s3f0c6c52-9d1b-4a77-8a11-5f2d8d0c9e21",
    "href": "https://contour.example/",
    "type": "pageview",
}


@dataclass(slots=True)
class World:
    """A ledger, both stand-ins and a clock; time passes only in `settle` and in tests."""

    clock: Clock
    ledger: Ledger
    dodo: httpx.AsyncClient
    datafast: httpx.AsyncClient
    messages: int = field(default=0)

    def forwarder(
        self,
        *,
        key: str = API_KEY,
        deadline_s: float = PATIENT_S,
        policy: Policy | None = None,
        **changes: Any,
    ) -> Forwarder:
        """Build a worker of its own; `changes` are of its pace and owner."""
        owner = {"owner": changes.pop("owner")} if "owner" in changes else {}
        return Forwarder(
            ledger=self.ledger,
            lookups=Lookups(
                self.ledger,
                DodoClient(
                    self.dodo, api_key=API_KEY, base_url="http://dodo", deadline_s=deadline_s
                ),
            ),
            datafast=DataFastClient(
                self.datafast,
                api_key=key,
                clock=self.clock,
                base_url="http://df",
                deadline_s=deadline_s,
            ),
            policy=policy or Policy(),
            pace=replace(Pace(lanes.lane_name("http://df", key)), **changes),
            jitter=lambda: 0.5,
            **owner,
        )

    async def record(self, *, source: Any = "api", **changes: Any) -> None:
        """Store a message about a sale; read from the API, it needs no confirmation."""
        self.messages += 1
        body = json.dumps(fixtures.load("payment.succeeded", **changes)).encode()
        moment = datetime.fromtimestamp(self.clock.now, UTC)
        await self.ledger.record(Signed(f"m{self.messages}", moment, body), source=source)

    async def buy(self) -> None:
        """Have a visitor buy at Dodo's stand-in, and store the webhook that follows."""
        client = self.forwarder().lookups.dodo
        session = await client.create_checkout(
            [{"product_id": "pdt_coastline", "quantity": 1}],
            metadata={"datafast_visitor_id": VISITOR_ID},
            return_url="https://contour.example/orders/1",
        )
        form = {"email": "ada@example.com", "name": "Ada Example", "outcome": "succeeded"}
        await self.dodo.post(f"http://dodo/session/{session.session_id}", data=form)
        status = await client.checkout(session.session_id)
        payment = await client.payment(status["payment_id"])
        await self.record(source="webhook", **payment)

    async def see_page(self, visitor_id: str = VISITOR_ID) -> None:
        """Let a pageview reach DataFast."""
        await self.datafast.post(
            "http://df/api/events",
            json=PAGEVIEW | {"visitorId": visitor_id},
            headers={"origin": "https://contour.example"},
        )

    async def chaos(self, mode: str, **rule: Any) -> None:
        """Ask DataFast's stand-in for a fault."""
        await self.datafast.post("http://df/_sandbox/chaos", json={"mode": mode, **rule})

    async def counted(self) -> list[tuple[str, bool]]:
        """Return what counts at DataFast: transaction id, and whether it is attributed."""
        found = (await self.datafast.get("http://df/_sandbox/payments")).json()
        return [(one["transaction_id"], one["attributed"]) for one in found]

    async def requests(self, path: str = PAYMENTS) -> list[Mapping[str, Any]]:
        """Return what DataFast's API was asked."""
        found: list[Mapping[str, Any]] = (
            await self.datafast.get("http://df/_sandbox/requests", params={"path": path})
        ).json()
        return found

    async def row(self, transaction_id: str = "pay_example") -> dict[str, Any]:
        """Return one delivery that must be there."""
        row = await self.ledger.read(lambda c: deliveries.find_delivery(c, transaction_id))
        assert row is not None
        return {str(name): value for name, value in row.items()}

    async def standing(self, transaction_id: str = "pay_example") -> tuple[str, str, str | None]:
        """Return state, reason and verdict of one delivery."""
        row = await self.row(transaction_id)
        return row["state"], row["reason"], row["verdict"]

    async def change(self, **values: Any) -> None:
        """Put all deliveries into a state."""
        await self.ledger.write(lambda c: c.execute(update(schema.deliveries).values(**values)))

    async def has_counted(self, number: int = 1) -> bool:
        """Tell whether that many sales count at DataFast."""
        return len(await self.counted()) >= number

    async def is_said(self, reason: str) -> bool:
        """Tell whether some delivery stands at this reason."""
        query = select(schema.deliveries.c.reason)
        return reason in await self.ledger.read(lambda c: c.execute(query).scalars().all())

    async def is_sending(self) -> bool:
        """Tell whether some delivery is on its way."""
        query = select(schema.deliveries.c.state)
        return "sending" in await self.ledger.read(lambda c: c.execute(query).scalars().all())

    async def waits_s(self) -> float | None:
        """Return in how many seconds something is due."""
        due_ms = (await self.ledger.read(find_duties)).delivery_due_ms
        return None if due_ms is None else due_ms / 1000 - self.clock.now

    async def settle(self, forwarder: Forwarder, *, within_s: float = 1000.0) -> None:
        """Work until nothing is due any more, moving the clock to whatever comes next."""
        end = self.clock.now + within_s
        while True:
            while await forwarder.step():
                pass
            wait_s = await self.waits_s()
            if wait_s is None or self.clock.now + wait_s > end:
                return
            if wait_s <= 0:  # the lane's budget or its pause is in the way
                lane = await self.ledger.read(lambda c: lanes.find_lane(c, forwarder.pace.lane))
                opens_s = 0 if lane is None else lane["not_before_ms"] / 1000 - self.clock.now
                wait_s = max(opens_s, 1.0)
            self.clock.now += wait_s
            assert self.clock.now <= end + 1, "it never settles"


async def eventually(seen: Callable[[], Awaitable[bool]]) -> None:
    """Look until it is so: a stand-in that never answers has no event to wait for."""
    async with asyncio.timeout(PATIENT_S):
        while not await seen():
            await _others_turn()


async def _others_turn() -> None:
    await asyncio.sleep(LOOK_S)


@asynccontextmanager
async def in_process(app: Starlette) -> AsyncIterator[httpx.AsyncClient]:
    """Run a stand-in and give the kit's client on it."""
    async with (
        app.router.lifespan_context(app),
        open_client(httpx.ASGITransport(app=app)) as client,
    ):
        yield client


@asynccontextmanager
async def open_world(
    folder: Path, *, with_dodo: bool = False, database_url: str | None = None, **datafast: Any
) -> AsyncIterator[World]:
    """Open everything; `datafast` are options of that stand-in. Most tests never ask Dodo."""
    clock = Clock()
    options: dict[str, Any] = {
        "database": ":memory:",
        "api_key": API_KEY,
        "website_id": "dfid_contourtest000000001",
        "domain": "contour.example",
        "clock": clock,
    }
    dodo_app = Starlette()
    if with_dodo:
        dodo_app = create_dodo(
            database=":memory:",
            public_url="https://checkout.dodopayments.com",
            templates_dir=folder,
            static_dir=folder,
            api_key=API_KEY,
            webhook_secret="whsec_c2FuZGJveC10ZXN0LXNlY3JldC0wMDAx",
            webhook_url="",
            clock=clock,
        )
    datafast_app = create_datafast(**options | datafast)
    async with AsyncExitStack() as stack:
        ledger = Ledger.open(database_url or f"sqlite:///{folder}/kit.db", clock=clock)
        stack.callback(ledger.close)
        yield World(
            clock,
            ledger,
            await stack.enter_async_context(in_process(dodo_app)),
            await stack.enter_async_context(in_process(datafast_app)),
        )


@pytest.fixture
async def world(tmp_path: Path, database_url: str) -> AsyncIterator[World]:
    """Open everything, DataFast without a narrow rate limit."""
    async with open_world(tmp_path, database_url=database_url, rate_limit=100_000) as opened:
        yield opened


@pytest.fixture
async def shop_world(tmp_path: Path, database_url: str) -> AsyncIterator[World]:
    """Open everything, Dodo included."""
    async with open_world(
        tmp_path, database_url=database_url, with_dodo=True, rate_limit=100_000
    ) as opened:
        yield opened


# --- The plain way ------------------------------------------------------------------------------


async def test_a_sale_is_attributed_to_its_visitor(shop_world: World) -> None:
    """From the checkout to DataFast's answer, confirmed at Dodo on the way."""
    await shop_world.see_page()
    await shop_world.buy()
    await shop_world.settle(shop_world.forwarder())
    ((transaction_id, attributed),) = await shop_world.counted()
    row = await shop_world.row(transaction_id)

    assert attributed
    assert (row["state"], row["reason"], row["verdict"]) == ("done", "attributed", "attributed")
    assert row["message"] == "Payment recorded and attributed successfully"
    assert row["confirmed"]
    assert row["attempts"] == 1
    assert row["answered_at_ms"] == shop_world.ledger.now_ms()
    assert await shop_world.waits_s() is None


async def test_a_sale_without_a_visitor_is_recorded(world: World) -> None:
    """At once: there is no pageview to wait for."""
    await world.record(metadata={})
    await world.settle(world.forwarder())

    assert await world.standing() == ("done", "recorded_without_visitor", "recorded")
    assert await world.counted() == [("pay_example", False)]
    assert await world.requests(VISITORS) == []


async def test_what_dodo_sent_is_what_datafast_gets(world: World) -> None:
    """The wire's fields, with the exact amount."""
    await world.record(metadata={}, total_amount=1999, currency="EUR")
    await world.settle(world.forwarder(policy=Policy(send_customer=True)))
    (request,) = await world.requests()

    assert json.loads(request["body"]) == {
        "amount": 19.99,
        "currency": "EUR",
        "transaction_id": "pay_example",
        "email": "ada@example.com",
        "name": "Ada Example",
        "customer_id": "cus_example",
        "renewal": False,
        "timestamp": "2026-10-02T09:14:50.118Z",
    }


async def test_a_pageview_that_passed_our_proxy_needs_no_question(world: World) -> None:
    """The ledger saw it go up."""
    visit = visit_from_pageview(PAGEVIEW)
    assert visit is not None
    await world.ledger.write(lambda c: record_visit(c, visit, world.ledger.now_ms()))
    await world.see_page()
    await world.record()
    await world.settle(world.forwarder())

    assert await world.standing() == ("done", "attributed", "attributed")
    assert await world.requests(VISITORS) == []


async def test_test_payments_stay_here(world: World) -> None:
    """DataFast has no test mode."""
    await world.record()
    await world.settle(world.forwarder(policy=Policy(held_for="test_mode")))

    assert await world.standing() == ("held", "test_mode", None)
    assert await world.requests() == []


# --- The visitor DataFast does not know ---------------------------------------------------------


async def test_a_pageview_on_its_way_is_waited_for(world: World) -> None:
    """Nothing is posted before it is there; then the sale is attributed."""
    forwarder = world.forwarder()
    await world.record()
    await forwarder.step()
    first, first_wait_s = await world.standing(), await world.waits_s()
    world.clock.now += 2
    await forwarder.step()
    second_wait_s = await world.waits_s()
    posts = await world.requests()
    await world.see_page()
    await world.settle(forwarder)

    assert first == ("held", "awaiting_pageview", None)
    assert (first_wait_s, second_wait_s) == PAGEVIEW_CHECKS_S[:2]
    assert posts == []
    assert await world.standing() == ("done", "attributed", "attributed")


@pytest.mark.parametrize("stored", [True, False], ids=["DataFast stores it", "DataFast drops it"])
async def test_a_pageview_that_never_comes_ends_in_one_counted_sale(
    tmp_path: Path, stored: bool
) -> None:
    """Ten minutes of waiting, a repeat, and once without the visitor: counted either way."""
    async with open_world(tmp_path, keep_unattributed=stored) as world:
        begun = world.clock.now
        await world.record()
        await world.settle(world.forwarder())
        asked = await world.requests(VISITORS)
        posts = [json.loads(each["body"]) for each in await world.requests()]
        row = await world.row()
        counted = await world.counted()
        sent_at_s = row["first_sent_at_ms"] / 1000 - begun

    named = ["datafast_visitor_id" in each for each in posts]
    assert len(asked) == len(PAGEVIEW_CHECKS_S)
    assert sent_at_s == 600
    assert counted == [("pay_example", False)]
    assert {each["transaction_id"] for each in posts} == {"pay_example"}
    if stored:
        assert named == [True, True]
        assert (row["state"], row["reason"], row["verdict"]) == ("done",) + ("no_pageview",) * 2
    else:
        assert named == [True, True, False]
        assert (row["state"], row["reason"]) == ("done", "recorded_without_visitor")
        assert (row["verdict"], row["visitor_dropped"]) == ("recorded", True)
        assert row["visitor_id"] == VISITOR_ID


async def test_a_pageview_that_comes_after_the_sale_still_attributes_it(tmp_path: Path) -> None:
    """Where DataFast had dropped the first report."""
    async with open_world(tmp_path, keep_unattributed=False) as world:
        forwarder = world.forwarder(pageview_wait_s=0)
        await world.record()
        await forwarder.step()
        first, wait_s = await world.standing(), await world.waits_s()
        await world.see_page()
        await world.settle(forwarder)
        last, counted = await world.standing(), await world.counted()

    assert first == ("done", "no_pageview", "no_pageview")
    assert wait_s == RECHECK_S
    assert last == ("done", "attributed", "attributed")
    assert counted == [("pay_example", True)]


@pytest.mark.parametrize("mode", ["500", "429", "reset", "html", "redirect", "timeout"])
async def test_a_question_without_an_answer_delays_nothing(world: World, mode: str) -> None:
    """Nobody knows whether waiting would help, so the sale is sent at once."""
    await world.see_page()
    await world.chaos(mode, path=VISITORS)
    await world.record()
    await world.forwarder(deadline_s=1 if mode == "timeout" else PATIENT_S).step()

    assert await world.standing() == ("done", "attributed", "attributed")


async def test_after_the_first_send_nobody_is_asked_again(world: World) -> None:
    """What DataFast may hold already is only ever repeated."""
    await world.chaos("500", path=VISITORS, times=1)
    await world.chaos("reset", path=PAYMENTS, times=1, after=True)
    await world.record()
    await world.settle(world.forwarder())

    assert len(await world.requests(VISITORS)) == 1
    assert await world.standing() == ("done", "duplicate_after_lost_reply", "recorded")


async def test_a_fault_between_repeats_leaves_the_answer_that_was_there(world: World) -> None:
    """The reason that is shown belongs to the verdict, not to the last failure."""
    forwarder = world.forwarder(pageview_wait_s=0)
    await world.record()
    await forwarder.step()
    await world.chaos("500", path=PAYMENTS, times=1)
    world.clock.now += RECHECK_S
    await forwarder.step()
    between = await world.standing()
    await world.settle(forwarder)

    assert between == ("done", "no_pageview", "no_pageview")
    assert await world.standing() == ("done", "no_pageview", "no_pageview")
    assert await world.counted() == [("pay_example", False)]


# --- DataFast's faults --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "standing"),
    [
        ("500", ("ready", "datafast_unavailable", None)),
        ("429", ("ready", "rate_limited", None)),
        ("timeout", ("ready", "datafast_timeout", None)),
        ("drip", ("ready", "datafast_timeout", None)),
        ("reset", ("ready", "datafast_broken", None)),
        ("redirect", ("ready", "redirected", None)),
        ("html", ("done", "reply_html", "unconfirmed")),
        ("empty", ("done", "reply_unreadable", "unconfirmed")),
        ("no_pageview_404", ("done", "no_pageview", "no_pageview")),
        ("no_pageview_200", ("done", "no_pageview", "no_pageview")),
    ],
)
async def test_a_fault_has_its_state_and_ends_in_one_counted_sale(
    world: World, mode: str, standing: tuple[str, str, str | None]
) -> None:
    """Whatever DataFast does once, and whether it had stored the sale or not."""
    await world.see_page()
    await world.chaos(mode, path=PAYMENTS, times=1)
    await world.record()
    quick = mode in ("timeout", "drip")
    await world.forwarder(deadline_s=SHORT_S if quick else PATIENT_S).step()
    after_the_fault = await world.standing()
    await world.settle(world.forwarder(), within_s=2000)
    state, _, verdict = await world.standing()

    assert after_the_fault == standing
    assert (state, verdict is None) == ("done", False)
    assert [each for each, _ in await world.counted()] == ["pay_example"]


@pytest.mark.parametrize("mode", ["500", "timeout", "drip", "reset"])
async def test_an_answer_lost_after_the_sale_was_stored_is_a_duplicate_later(
    world: World, mode: str
) -> None:
    """It was ours: recorded, and counted once."""
    await world.record(metadata={})
    await world.chaos(mode, path=PAYMENTS, times=1, after=True)
    quick = mode in ("timeout", "drip")
    await world.forwarder(deadline_s=SHORT_S if quick else PATIENT_S).step()
    await world.settle(world.forwarder())

    assert await world.standing() == ("done", "duplicate_after_lost_reply", "recorded")
    assert await world.counted() == [("pay_example", False)]
    assert len(await world.requests()) == 2


async def test_a_sale_that_somebody_else_reported_is_told_as_such(world: World) -> None:
    """DataFast's own card in Dodo's dashboard, say, beside the kit."""
    report = {"amount": 29, "currency": "USD", "transaction_id": "pay_example"}
    headers = {"authorization": f"Bearer {API_KEY}"}
    await world.datafast.post("http://df" + PAYMENTS, json=report, headers=headers)
    await world.record(metadata={})
    await world.settle(world.forwarder())

    assert await world.standing() == ("done", "duplicate", "duplicate")


async def test_a_refused_sale_is_parked_with_datafasts_words(world: World) -> None:
    """It would be refused again, so a person is to look."""
    await world.record(metadata={"datafast_visitor_id": VISITOR_ID})
    await world.forwarder(policy=Policy(held_for="test_mode")).step()
    await world.change(state="ready", due_at_ms=0, currency="usd")
    await world.settle(world.forwarder(pageview_wait_s=0))

    assert await world.standing() == ("parked", "rejected", "rejected")
    assert (await world.row())["message"] == "currency must be an ISO 4217 code."
    assert await world.waits_s() is None


async def test_a_sale_that_is_refused_for_having_no_visitor_is_not_counted(world: World) -> None:
    """It is nowhere, so a person has to look, and its refund must not be sent alone."""

    async def require(_request: Request) -> Response:
        words = {"code": 400, "message": "datafast_visitor_id is required"}
        return JSONResponse({"status": "error", "error": words}, 400)

    async with in_process(Starlette(routes=[Route(PAYMENTS, require, methods=["POST"])])) as app:
        strict = replace(world, datafast=app)
        await strict.record(metadata={})
        await strict.settle(strict.forwarder())

    assert await world.standing() == ("parked", "rejected", "rejected")


async def test_a_rate_limit_slows_the_whole_lane(world: World) -> None:
    """Not one row: until the moment that DataFast named nothing is sent at all."""
    forwarder = world.forwarder(concurrency=1)
    for number in range(3):
        await world.record(payment_id=f"pay_{number}", metadata={})
    await world.chaos("429", times=1)
    await forwarder.step()
    limited = await world.standing("pay_0")
    for passed_s in (1, 30, 28):
        world.clock.now += passed_s
        assert not await forwarder.step()
    posts = await world.requests()
    await world.settle(forwarder)

    assert limited == ("ready", "rate_limited", None)
    assert len(posts) == 1
    assert sorted(each for each, _ in await world.counted()) == ["pay_0", "pay_1", "pay_2"]


async def test_a_refused_key_pauses_the_lane_and_burns_nothing(world: World) -> None:
    """One report looks every quarter of an hour whether it is mended."""
    wrong = world.forwarder(key="df_wrong", concurrency=1)
    for number in range(5):
        await world.record(payment_id=f"pay_{number}", metadata={})
    await wrong.step()
    first = len(await world.requests())
    for _ in range(3):
        world.clock.now += PAUSE_S
        await wrong.step()
    lane = await world.ledger.read(lambda c: lanes.find_lane(c, wrong.pace.lane))
    row = await world.row("pay_0")

    assert first == 1
    assert len(await world.requests()) == 4
    assert lane is not None
    assert lane["paused_reason"] == "key_refused"
    assert (row["state"], row["reason"], row["verdict"]) == ("ready", "key_refused", None)
    assert row["attempts"] == 0


async def test_a_report_that_finds_its_lane_closed_waits_with_the_lane_alone(world: World) -> None:
    """Another key has another lane, and the report goes there at once."""
    await world.record(metadata={})
    wrong = world.forwarder(key="df_wrong", owner="late")
    now_ms = world.ledger.now_ms()
    await world.ledger.write(partial(map_stored_events, policy=Policy(), now_ms=now_ms))
    claim = partial(
        claims.claim_deliveries,
        lane=wrong.pace.lane,
        owner=wrong.owner,
        per_minute=50.0,
        limit=1,
        lease_ms=60_000,
        now_ms=now_ms,
    )
    [claimed] = await world.ledger.write(claim)
    closed = partial(lanes.pause, lane=wrong.pace.lane, reason="key_refused")
    await world.ledger.write(partial(closed, not_before_ms=now_ms + int(PAUSE_S * 1000)))
    sender = Sender(world.ledger, wrong.lookups, wrong.datafast, wrong.pace, wrong.owner)
    await sender.deliver(claimed)
    put_back = await world.row()
    await world.forwarder().step()

    assert (put_back["state"], put_back["reason"], put_back["attempts"]) == ("ready", "queued", 0)
    assert (await world.standing())[0] == "done"


async def test_a_changed_key_goes_on_without_loss(world: World) -> None:
    """At once: the pause belongs to the old key, whether a report met it or came later."""
    for number in range(5):
        await world.record(payment_id=f"pay_{number}", metadata={})
    await world.forwarder(key="df_wrong").step()
    standings = [await world.standing(f"pay_{number}") for number in range(5)]
    await world.forwarder().step()

    assert ("ready", "key_refused", None) in standings
    assert {reason for _, reason, _ in standings} <= {"key_refused", "queued"}
    assert sorted(await world.counted()) == [(f"pay_{number}", False) for number in range(5)]
    assert {(await world.standing(f"pay_{number}"))[0] for number in range(5)} == {"done"}


async def test_a_key_that_is_right_again_lets_all_go_on(world: World) -> None:
    """After the one that looked."""
    forwarder = world.forwarder(concurrency=1)
    for number in range(5):
        await world.record(payment_id=f"pay_{number}", metadata={})
    await world.chaos("redirect", times=1)
    await forwarder.step()
    paused = await world.ledger.read(lambda c: lanes.find_lane(c, forwarder.pace.lane))
    world.clock.now += PAUSE_S
    await world.settle(forwarder)
    resumed = await world.ledger.read(lambda c: lanes.find_lane(c, forwarder.pace.lane))

    assert paused is not None
    assert resumed is not None
    assert (paused["paused_reason"], resumed["paused_reason"]) == ("redirected", None)
    assert len(await world.counted()) == 5


async def test_three_days_of_silence_park_a_sale(world: World) -> None:
    """Waiting longer each time, an hour at most; then a person is to look."""
    forwarder = world.forwarder()
    begun = world.clock.now
    await world.record(metadata={})
    await world.chaos("500")
    await world.settle(forwarder, within_s=HORIZON_S * 2)
    row = await world.row()

    assert (row["state"], row["reason"], row["verdict"]) == ("parked", "horizon", None)
    assert HORIZON_S < world.clock.now - begun < HORIZON_S + 3600
    assert row["attempts"] < claims.MAX_ATTEMPTS


async def test_datafast_back_after_three_days_less_an_hour_gets_everything(world: World) -> None:
    """Nothing is lost inside the horizon, and nothing counts twice."""
    forwarder = world.forwarder()
    for number in range(2):
        await world.record(payment_id=f"pay_{number}", metadata={})
    await world.chaos("500")
    end = world.clock.now + HORIZON_S - 3600
    await world.settle(forwarder, within_s=HORIZON_S - 3600)
    world.clock.now = end
    await world.chaos("off")
    await world.settle(forwarder, within_s=3600)

    assert sorted(await world.counted()) == [("pay_0", False), ("pay_1", False)]


async def test_a_key_refused_for_three_days_leaves_the_time_to_try(world: World) -> None:
    """What waited for it is not given up at the first fault after that."""
    await world.record(metadata={})
    await world.forwarder(key="df_wrong").step()
    world.clock.now += HORIZON_S + 1
    await world.chaos("500", times=5)
    await world.settle(world.forwarder())

    assert await world.standing() == ("done", "recorded_without_visitor", "recorded")


async def test_an_unforeseen_error_is_logged_and_tried_again(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """A key that no header can hold, say; the worker lives on."""
    await world.record(metadata={})
    await world.forwarder(key="df_ü").step()
    failed = await world.standing()
    await world.settle(world.forwarder())

    assert failed == ("ready", "unexpected_error", None)
    assert "unforeseen error" in caplog.text
    assert await world.counted() == [("pay_example", False)]


# --- Dodo's part --------------------------------------------------------------------------------


async def test_a_payment_that_dodo_does_not_know_is_parked(shop_world: World) -> None:
    """A dashboard's example is signed like a real event."""
    await shop_world.record(source="webhook", metadata={})
    await shop_world.settle(shop_world.forwarder())

    assert await shop_world.standing() == ("parked", "not_at_dodo", None)
    assert await shop_world.requests() == []


@pytest.mark.parametrize("mode", ["500", "429", "html", "reset", "timeout"])
async def test_dodo_out_of_reach_is_asked_again(shop_world: World, mode: str) -> None:
    """Nothing unproven is sent; later the sale counts."""
    await shop_world.buy()
    await shop_world.dodo.post(
        "http://dodo/_sandbox/chaos", json={"mode": mode, "method": "GET", "times": 1}
    )
    await shop_world.forwarder(deadline_s=SHORT_S if mode == "timeout" else PATIENT_S).step()
    rows = await shop_world.ledger.read(
        lambda c: c.execute(select(schema.deliveries.c.reason)).scalars().all()
    )
    posts = await shop_world.requests()
    await shop_world.settle(shop_world.forwarder(pageview_wait_s=0))

    assert rows == ["dodo_unreachable"]
    assert posts == []
    assert len(await shop_world.counted()) == 1


async def test_57_a_lookup_that_fails_each_time_stops_nothing_else(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A bug that one answer meets: its message waits longer each time, and sales go on."""

    def stumble(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("kit.lookups.Lookups.resolve", stumble)
    moment = datetime.fromtimestamp(world.clock.now, UTC)
    refund = json.dumps(fixtures.load("refund.succeeded", payment_id="pay_elsewhere")).encode()
    await world.ledger.record(Signed("m_refund", moment, refund))
    forwarder = world.forwarder()
    for _ in range(3):
        await forwarder.step()
        world.clock.now += 2
    await world.record(metadata={})
    await world.settle(forwarder, within_s=60)
    [waiting] = await world.ledger.read(
        lambda c: (
            c.execute(select(schema.events).where(schema.events.c.due_at_ms.is_not(None)))
            .mappings()
            .all()
        )
    )

    assert await world.counted() == [("pay_example", False)]
    assert (waiting["webhook_id"], waiting["state"]) == ("m_refund", "waiting")
    assert waiting["attempts"] > 2
    assert "unforeseen error" in caplog.text


async def test_an_answer_that_comes_too_late_leaves_what_was_read_meanwhile(
    shop_world: World,
) -> None:
    """The sale's own message, say, while Dodo was asked about the payment of a refund."""
    now_ms = shop_world.ledger.now_ms()
    read = partial(map_stored_events, policy=Policy(), now_ms=now_ms)
    moment = datetime.fromtimestamp(shop_world.clock.now, UTC)
    refund = json.dumps(fixtures.load("refund.succeeded", payment_id="pay_example")).encode()
    await shop_world.ledger.record(Signed("m_refund", moment, refund))
    await shop_world.ledger.write(read)
    [waiting] = await shop_world.ledger.read(partial(events.waiting_events, now_ms=now_ms))
    await shop_world.record(metadata={})
    for _ in range(2):
        await shop_world.ledger.write(read)
    await shop_world.forwarder().lookups.resolve(waiting)
    query = select(schema.events.c.state).where(schema.events.c.webhook_id == "m_refund")

    assert waiting["state"] == "waiting"
    assert await shop_world.ledger.read(lambda c: c.scalar(query)) == "mapped"


async def test_what_is_read_is_not_asked_about_for_ever(shop_world: World) -> None:
    """However its moment came to stay: one answer of Dodo's ends it, whatever that says."""
    await shop_world.record(metadata={})
    forwarder = shop_world.forwarder()
    await forwarder.step()
    due = update(schema.events).values(due_at_ms=shop_world.ledger.now_ms())
    await shop_world.ledger.write(lambda c: c.execute(due))
    await forwarder.step()

    assert (await shop_world.ledger.read(find_duties)).lookup_due_ms is None
    assert not await forwarder.step()


# --- Crashes and company ------------------------------------------------------------------------


async def cut_off_after_the_post(world: World, forwarder: Forwarder) -> None:
    """Stop a worker between DataFast's taking the sale and the answer."""
    await world.chaos("timeout", path=PAYMENTS, times=1, after=True)
    step = asyncio.create_task(forwarder.step())
    await eventually(world.has_counted)
    step.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await step


async def test_a_worker_killed_between_post_and_verdict_sends_again(world: World) -> None:
    """After its lease, and DataFast counts it once."""
    await world.record(metadata={})
    await cut_off_after_the_post(world, world.forwarder())
    left = await world.standing()
    await world.settle(world.forwarder())

    assert left[0] == "sending"
    assert await world.standing() == ("done", "duplicate_after_lost_reply", "recorded")
    assert await world.counted() == [("pay_example", False)]
    assert len(await world.requests()) == 2


async def test_a_lease_holds_until_its_end(world: World) -> None:
    """Another worker leaves the row alone, and takes it the moment it may."""
    await world.record(metadata={})
    await cut_off_after_the_post(world, world.forwarder())
    other = world.forwarder()
    world.clock.now += LEASE_S - 1
    too_early = await other.step()
    world.clock.now += 1
    taken = await other.step()

    assert (too_early, taken) == (False, True)
    assert (await world.row())["attempts"] == 2


async def test_a_worker_that_comes_too_late_changes_nothing(world: World) -> None:
    """It was paused past its lease, and its answer was another one."""
    await world.record(metadata={})
    await world.chaos("timeout", path=PAYMENTS, times=1, after=True)
    late = asyncio.create_task(world.forwarder(deadline_s=1).step())
    await eventually(world.has_counted)
    world.clock.now += LEASE_S
    await world.forwarder().step()
    before = await world.row()
    await late

    assert before["reason"] == "duplicate_after_lost_reply"
    assert await world.row() == before


async def test_a_row_that_kills_its_worker_each_time_comes_to_an_end(world: World) -> None:
    """Parked for a person; what waits behind it flows."""
    await world.record(payment_id="pay_poison", metadata={})
    await world.forwarder(policy=Policy(held_for="test_mode")).step()
    await world.change(state="ready", due_at_ms=0, attempts=claims.MAX_ATTEMPTS - 1)
    await cut_off_after_the_post(world, world.forwarder())
    await world.record(payment_id="pay_behind", metadata={})
    world.clock.now += LEASE_S
    await world.settle(world.forwarder())

    assert await world.standing("pay_poison") == ("parked", "too_many_attempts", None)
    assert (await world.standing("pay_behind"))[0] == "done"


async def test_two_workers_share_the_work(world: World) -> None:
    """Each row has one owner, each sale counts once, and none is posted twice."""
    for number in range(30):
        await world.record(payment_id=f"pay_{number}", metadata={})
    workers = [world.forwarder(per_minute=6000, owner=name) for name in ("one", "two")]
    while any(await asyncio.gather(*(each.step() for each in workers))):
        world.clock.now += 1

    assert len(await world.counted()) == 30
    assert len(await world.requests()) == 30


# --- Pace ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("visitors", [False, True], ids=["without visitors", "with visitors"])
async def test_the_rate_limit_is_never_met(tmp_path: Path, visitors: bool) -> None:
    """60 calls a minute, questions about visitors among them; each sale counts once."""
    async with open_world(tmp_path) as world:
        await world.see_page()
        sales = 40 if visitors else 75
        for number in range(sales):
            metadata = {"datafast_visitor_id": VISITOR_ID} if visitors else {}
            await world.record(payment_id=f"pay_{number}", metadata=metadata)
        begun = world.clock.now
        await world.settle(world.forwarder())
        taken_s = world.clock.now - begun
        calls = await world.requests() + await world.requests(VISITORS)
        counted = await world.counted()

    assert {each["status"] for each in calls} == {200}
    assert len(counted) == sales
    assert 60 < taken_s < 110


@pytest.mark.parametrize("per_minute", [1, 3, 4, 19])
async def test_the_narrowest_pace_sends_everything(world: World, per_minute: int) -> None:
    """Also a sale that needs two calls, where hardly one may follow another at once."""
    await world.see_page()
    for number in range(2):
        await world.record(payment_id=f"pay_{number}", metadata={"datafast_visitor_id": VISITOR_ID})
    await world.record(payment_id="pay_2", metadata={})
    await world.settle(world.forwarder(per_minute=per_minute))

    assert sorted(await world.counted()) == [("pay_0", True), ("pay_1", True), ("pay_2", False)]


async def test_a_backlog_drains_and_each_sale_counts_once(world: World) -> None:
    """While DataFast fails now and then, before or after it has stored a sale."""
    ids = [f"pay_{number}" for number in range(36)]
    for number, payment_id in enumerate(ids):
        await world.record(payment_id=payment_id, metadata={})
        mode = ("500", "reset", "html", "empty")[number % 4]
        times = 3 if mode in ("500", "reset") else 1
        if number % 3 == 0:
            await world.chaos(mode, transaction_id=payment_id, times=times, after=number % 2 == 0)
    await world.settle(world.forwarder(per_minute=60_000))
    states = {(await world.standing(each))[0] for each in ids}

    assert sorted(each for each, _ in await world.counted()) == sorted(ids)
    assert states == {"done"}


# --- The running worker -------------------------------------------------------------------------


@asynccontextmanager
async def running(forwarder: Forwarder) -> AsyncIterator["asyncio.Task[None]"]:
    """Run a worker, and stop it as the app does."""
    task = asyncio.create_task(forwarder.run())
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_a_new_message_wakes_the_worker(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not wait for its next look, which here never comes."""
    monkeypatch.setattr("kit.forwarder.POLL_S", 3600)
    await world.record(payment_id="pay_before", metadata={})
    async with running(world.forwarder(per_minute=6000)):
        await eventually(world.has_counted)
        for number in range(5):
            await world.record(payment_id=f"pay_{number}", metadata={})
            await eventually(partial(world.has_counted, number + 2))

    assert len(await world.requests()) == 6


async def test_a_full_worker_takes_more_when_it_has_a_hand_free(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More waits than it may send at once."""
    monkeypatch.setattr("kit.forwarder.POLL_S", 3600)
    for number in range(10):
        await world.record(payment_id=f"pay_{number}", metadata={})
    async with running(world.forwarder(concurrency=2, per_minute=6000)):
        await eventually(partial(world.has_counted, 10))

    assert len(await world.requests()) == 10


async def test_what_comes_due_is_seen_by_looking(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Time passes without a message."""
    monkeypatch.setattr("kit.forwarder.POLL_S", 0.02)
    await world.chaos("500", times=1)
    await world.record(metadata={})
    async with running(world.forwarder()):
        await eventually(partial(world.is_said, "datafast_unavailable"))
        world.clock.now += 2
        await eventually(world.has_counted)

    assert len(await world.requests()) == 2


async def test_a_clock_that_was_years_ahead_puts_nothing_off_until_then(
    world: World,
) -> None:
    """Neither a report that was to be tried again, nor the lane that was to wait a moment."""
    forwarder = world.forwarder(per_minute=6000)
    world.clock.now += 10 * 365 * 86_400
    await world.record(metadata={})
    await world.chaos("429", times=1)
    await forwarder.step()
    waiting = await world.standing()
    world.clock.now -= 10 * 365 * 86_400
    restarted = world.forwarder(per_minute=6000)
    await world.ledger.write(restarted._take_over)
    await restarted.step()

    assert waiting[0] == "ready"
    assert await world.counted() == [("pay_example", False)]


async def test_a_cancelled_worker_stops_at_once(world: World) -> None:
    """In the middle of a call; the sale is sent again by the next one, without waiting."""
    await world.record(metadata={})
    await world.chaos("timeout", path=PAYMENTS, times=1, after=True)
    clock = asyncio.get_running_loop().time
    async with running(world.forwarder(deadline_s=60)):
        await eventually(world.has_counted)
        begun = clock()
    stopped_s = clock() - begun
    left = await world.standing()
    if world.ledger.shared:  # where nobody can know that its owner is gone, but by its lease
        world.clock.now += LEASE_S
    async with running(world.forwarder()):
        await eventually(partial(world.is_said, "duplicate_after_lost_reply"))

    assert stopped_s < PATIENT_S / 4
    assert left[0] == "sending"
    assert await world.standing() == ("done", "duplicate_after_lost_reply", "recorded")
    assert await world.counted() == [("pay_example", False)]


async def test_a_stopped_worker_finishes_what_it_has_begun(world: World) -> None:
    """It claims nothing more, and leaves no lease behind."""
    for number in range(30):
        await world.record(payment_id=f"pay_{number}", metadata={})
    forwarder = world.forwarder(concurrency=1, per_minute=6000)
    task = asyncio.create_task(forwarder.run())
    await eventually(world.is_sending)
    forwarder.stop()
    await task
    states = [(await world.standing(f"pay_{number}"))[0] for number in range(30)]

    assert "sending" not in states
    assert "ready" in states


async def test_a_stopped_worker_gives_back_what_takes_too_long(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever comes next need not wait for the lease to run out."""
    monkeypatch.setattr("kit.forwarder.FAREWELL_S", 0.05)
    await world.record(metadata={})
    await world.chaos("timeout", path=PAYMENTS, times=1, after=True)
    forwarder = world.forwarder()
    task = asyncio.create_task(forwarder.run())
    await eventually(world.has_counted)
    forwarder.stop()
    await task
    left = await world.standing()
    await world.settle(world.forwarder())

    assert left[0] == "ready"
    assert await world.standing() == ("done", "duplicate_after_lost_reply", "recorded")
    assert await world.counted() == [("pay_example", False)]


async def test_a_worker_drops_what_is_too_old_and_still_ends_in_order(world: World) -> None:
    """Beside its work, and for as long as it runs."""
    await world.record(metadata={})
    await world.settle(world.forwarder())
    world.clock.now += 91 * 86_400
    forwarder = world.forwarder()
    forwarder.retention_days = 90
    task = asyncio.create_task(forwarder.run())

    async def dropped() -> bool:
        query = select(schema.events.c.body)
        return await world.ledger.read(lambda c: c.scalar(query)) is None

    await eventually(dropped)
    forwarder.stop()
    await task

    assert (await world.standing())[0] == "done"


async def logged(caplog: pytest.LogCaptureFixture, words: str) -> bool:
    """Tell whether something was logged."""
    return words in caplog.text


@on_sqlite
async def test_an_unavailable_ledger_is_waited_for(
    world: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The worker does not die of it."""
    monkeypatch.setattr("kit.forwarder.POLL_S", 0.02)
    await world.ledger.write(lambda c: c.exec_driver_sql("PRAGMA busy_timeout = 10").scalar())
    await world.record(metadata={})
    lock = sqlite3.connect(tmp_path / "kit.db", isolation_level=None)
    with contextlib.closing(lock):
        lock.execute("BEGIN IMMEDIATE")
        async with running(world.forwarder()) as task:
            await eventually(lambda: logged(caplog, "waiting for the ledger"))
            alive = not task.done()
            lock.execute("ROLLBACK")
            await eventually(partial(world.is_said, "recorded_without_visitor"))

    assert alive


@on_sqlite
async def test_a_verdict_that_cannot_be_written_is_asked_for_again(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The disk filled between the post and its answer: the effect repeats, and counts once."""
    await world.ledger.write(lambda c: c.exec_driver_sql("PRAGMA busy_timeout = 10").scalar())
    await world.record(metadata={})
    await world.chaos("timeout", path=PAYMENTS, times=1, after=True)
    lock = sqlite3.connect(tmp_path / "kit.db", isolation_level=None)
    with contextlib.closing(lock):
        step = asyncio.create_task(world.forwarder(deadline_s=1).step())
        await eventually(world.has_counted)
        lock.execute("BEGIN IMMEDIATE")
        await step
        lock.execute("ROLLBACK")
    left = await world.standing()
    await world.settle(world.forwarder())

    assert left[0] == "sending"
    assert "not written" in caplog.text
    assert await world.standing() == ("done", "duplicate_after_lost_reply", "recorded")
    assert await world.counted() == [("pay_example", False)]
