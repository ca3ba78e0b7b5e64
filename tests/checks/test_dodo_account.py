"""The account at Dodo: the key, the shop's endpoint, and the card beside it."""

from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response

from kit.checks.dodo_account import check_dodo
from kit.ledger.policy import EVENTS_READ
from tests.checks.conftest import (
    DODO,
    ENVIRON,
    OTHER_SECRET,
    SECRET,
    SHOP,
    World,
    answering,
    app,
    reasons,
)

pytestmark = pytest.mark.anyio

OURS = f"{SHOP}/webhooks/dodo"
CARD = "https://datafa.st/api/v1/payments"
FINE = ["dodo_key_accepted", "endpoint_ready", "secret_fits", "card_absent"]


async def endpoint(dodo: Starlette, **fields: Any) -> str:
    """Make a webhook endpoint and return its secret."""
    headers = {"authorization": f"Bearer {ENVIRON['DODO_PAYMENTS_API_KEY']}"}
    transport = httpx.ASGITransport(app=dodo)
    async with httpx.AsyncClient(transport=transport, base_url=DODO, headers=headers) as client:
        made = (await client.post("/webhooks", json=fields)).raise_for_status().json()["id"]
        return str((await client.get(f"/webhooks/{made}/secret")).json()["secret"])


async def without_first(dodo: Starlette) -> None:
    """Take the shop's first endpoint away."""
    headers = {"authorization": f"Bearer {ENVIRON['DODO_PAYMENTS_API_KEY']}"}
    transport = httpx.ASGITransport(app=dodo)
    async with httpx.AsyncClient(transport=transport, base_url=DODO, headers=headers) as client:
        await client.delete("/webhooks/ep_shop")


async def test_an_account_in_order(world: World, dodo: Starlette) -> None:
    """The endpoint is known by port and path: one name of this machine is as good as another."""
    world.dodo = dodo
    hops = await check_dodo(world.setup())

    assert reasons(hops) == FINE
    assert SECRET not in str(hops)


async def test_nothing_is_changed_there(world: World, dodo: Starlette) -> None:
    """Reads, and one request for a checkout that nobody could open."""
    world.dodo = dodo
    await check_dodo(world.setup())
    posted = [request for request in world.asked if request.method != "GET"]

    assert [(request.url.path, request.content) for request in posted] == [("/checkouts", b"{}")]


async def test_another_secret_than_the_endpoints(world: World, dodo: Starlette) -> None:
    """The most frequent mistake: each endpoint has a secret of its own."""
    world.dodo = dodo
    hops = await check_dodo(world.setup(DODO_PAYMENTS_WEBHOOK_KEY=OTHER_SECRET))

    assert reasons(hops) == [reason.replace("fits", "differs") for reason in FINE]


async def test_while_rotating_one_of_several_is_enough(world: World, dodo: Starlette) -> None:
    """With `whsec_` before it or without."""
    world.dodo = dodo
    keys = f"{OTHER_SECRET},{SECRET.removeprefix('whsec_')}"

    assert reasons(await check_dodo(world.setup(DODO_PAYMENTS_WEBHOOK_KEY=keys))) == FINE


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"filter_types": list(EVENTS_READ)}, "endpoint_ready"),
        ({"filter_types": ["payment.succeeded"]}, "endpoint_without_events"),
        ({"filter_types": ["refund.succeeded"]}, "endpoint_without_payments"),
        ({"disabled": True}, "endpoint_disabled"),
        ({"url": f"{SHOP}/webhooks/other"}, "endpoint_missing"),
        ({"url": "http://shop.localhost:9/webhooks/dodo"}, "endpoint_missing"),
        ({"url": "https://shop.localhost:8000/webhooks/dodo"}, "endpoint_missing"),
    ],
)
async def test_an_endpoint_that_will_not_do(
    world: World, dodo: Starlette, fields: dict[str, Any], expected: str
) -> None:
    """Somewhere else, asleep, or asked for the wrong events."""
    await without_first(dodo)
    secret = await endpoint(dodo, **{"url": OURS} | fields)
    world.dodo = dodo
    hops = await check_dodo(world.setup(DODO_PAYMENTS_WEBHOOK_KEY=secret))

    assert reasons(hops)[1] == expected
    assert ("secret_fits" in reasons(hops)) == expected.startswith(
        ("endpoint_ready", "endpoint_without")
    )


async def test_no_endpoint_at_all(world: World, dodo: Starlette) -> None:
    """What is wanted is told."""
    await without_first(dodo)
    world.dodo = dodo
    hops = await check_dodo(world.setup())

    assert (hops[1].reason, hops[1].seen, hops[1].expected) == (
        "endpoint_missing",
        "no endpoint at all",
        OURS,
    )


async def test_two_endpoints_of_one_shop(world: World, dodo: Starlette) -> None:
    """Each signs with its own secret, and both are needed."""
    second = await endpoint(dodo, url=OURS)
    world.dodo = dodo
    one = await check_dodo(world.setup())
    both = await check_dodo(world.setup(DODO_PAYMENTS_WEBHOOK_KEY=f"{SECRET},{second}"))

    assert "endpoint_twice" in reasons(one)
    assert reasons(one).count("secret_differs") == 1
    assert reasons(both).count("secret_fits") == 2


@pytest.mark.parametrize(
    ("endpoints", "expected"),
    [
        ([], "endpoint_local"),
        ([{"id": "ep_1", "url": OURS}], "endpoint_local"),
        ([{"id": "ep_1", "url": "https://wsserver.dodopayments.tech/x"}], "endpoint_by_cli"),
        (
            [{"id": "ep_1", "url": "https://wsserver.dodopayments.tech/x", "disabled": True}],
            "endpoint_local",
        ),
    ],
    ids=["none", "ours", "listening", "not listening"],
)
async def test_dodo_cannot_reach_this_machine(
    world: World, endpoints: list[dict[str, Any]], expected: str
) -> None:
    """A shop on localhost and the real Dodo, unless Dodo's command line passes webhooks on."""
    listed = JSONResponse({"data": endpoints, "done": True})
    refused = JSONResponse({"code": "INVALID_REQUEST_BODY", "message": "no cart"}, 422)
    world.dodo = app({"/webhooks": answering(listed), "/checkouts": answering(refused)})
    setup = world.setup(DODO_PAYMENTS_BASE_URL="https://dodo.example:8001")

    assert reasons(await check_dodo(setup))[1:] == [expected, "card_absent"]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"filter_types": ["payment.succeeded"]}, ["card_beside"]),
        ({}, ["card_beside", "card_takes_all"]),
        ({"filter_types": ["refund.succeeded"]}, ["card_beside", "card_takes_all"]),
        (
            {"url": "https://datafa.st/api/payments", "filter_types": ["payment.succeeded"]},
            ["card_beside", "card_address_wrong"],
        ),
        ({"disabled": True}, ["card_absent"]),
    ],
)
async def test_the_datafast_card_beside_the_kit(
    world: World, dodo: Starlette, fields: dict[str, Any], expected: list[str]
) -> None:
    """Both report; what the guide's script would do with other events is told too."""
    await endpoint(dodo, **{"url": CARD} | fields)
    world.dodo = dodo

    assert reasons(await check_dodo(world.setup()))[3:] == expected


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (JSONResponse({"code": "UNAUTHORIZED", "message": "no"}, 401), "dodo_key_refused"),
        (JSONResponse({"code": "FORBIDDEN", "message": "no"}, 403), "dodo_key_refused"),
        (Response("<h1>Bad gateway</h1>", 502), "dodo_silent"),
        (Response("not JSON"), "dodo_silent"),
        (None, "dodo_silent"),
    ],
)
async def test_an_account_that_cannot_be_looked_at(
    world: World, answer: Response | None, expected: str
) -> None:
    """A refused key is told from a service that is away."""
    if answer is not None:
        world.dodo = app({"/webhooks": answering(answer)})

    assert reasons(await check_dodo(world.setup())) == [expected]


async def test_a_key_that_only_reads(world: World) -> None:
    """It lists endpoints and may open no checkout; its secrets may be closed to it."""
    listed = JSONResponse({"data": [{"id": "ep_1", "url": OURS}], "done": True})
    refused = JSONResponse({"code": "FORBIDDEN", "message": "no"}, 403)
    world.dodo = app(
        {
            "/webhooks": answering(listed),
            "/checkouts": answering(refused),
            "/webhooks/ep_1/secret": answering(refused),
        }
    )
    hops = await check_dodo(world.setup())

    assert reasons(hops) == ["dodo_key_reads_only", "endpoint_ready", "not_checked", "card_absent"]


async def test_all_pages_of_endpoints_are_read(world: World) -> None:
    """The list goes on where its iterator says."""
    first = {"data": [{"id": "ep_1", "url": "https://a.example"}], "done": False, "iterator": "i1"}
    last = {"data": [{"id": "ep_2", "url": OURS}], "done": True, "iterator": None}
    world.dodo = app(
        {
            "/webhooks": answering(JSONResponse(first), JSONResponse(last)),
            "/checkouts": answering(JSONResponse({"code": "x", "message": "x"}, 422)),
            "/webhooks/ep_2/secret": answering(JSONResponse({"secret": SECRET})),
        }
    )

    assert reasons(await check_dodo(world.setup())) == FINE
    assert "iterator=i1" in str(world.asked[1].url)


async def test_without_a_key_nobody_is_asked(world: World, dodo: Starlette) -> None:
    """It says what it needs."""
    world.dodo = dodo
    [hop] = await check_dodo(world.setup(DODO_PAYMENTS_API_KEY=None))

    assert (hop.reason, hop.seen) == ("not_checked", "needs DODO_PAYMENTS_API_KEY")
    assert world.asked == []
