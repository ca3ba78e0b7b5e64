"""The key at DataFast: a delete of nothing, and every answer to it."""

from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse, RedirectResponse, Response

from kit.checks.datafast_account import check_datafast
from tests.checks.conftest import World, answering, app, reasons

pytestmark = pytest.mark.anyio


def error(status: int, message: str = "no") -> JSONResponse:
    """Build DataFast's own error."""
    envelope = {"status": "error", "error": {"code": status, "message": message}}
    return JSONResponse(envelope, status)


async def test_the_right_key(world: World, datafast: Starlette) -> None:
    """The stand-in answers 404 as DataFast does."""
    world.datafast = datafast

    assert reasons(await check_datafast(world.setup())) == ["datafast_writable"]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (error(404, "Transaction not found"), "datafast_writable"),
        (error(401), "key_refused"),
        (error(403), "key_forbidden"),
        (JSONResponse({"error": "Not found"}, 404), "wrong_address"),
        (Response("<!doctype html><h1>Not found</h1>", 404), "wrong_address"),
        (Response("<!doctype html>", 410), "wrong_address"),
        (RedirectResponse("https://elsewhere.example/", 302), "redirected"),
        (JSONResponse({"limit": 60, "remaining": 0, "reset": 1}, 429), "rate_limited"),
        (error(500), "datafast_silent"),
        (Response("<h1>Bad gateway</h1>", 502), "datafast_silent"),
        (error(400, "Bad filter"), "datafast_unclear"),
        # Nothing was there to delete, so a success is no word of DataFast's.
        (JSONResponse({"status": "success", "data": []}), "datafast_unclear"),
        (Response("<!doctype html><h1>Sign in</h1>"), "datafast_unclear"),
    ],
)
async def test_each_answer_is_told_apart(world: World, answer: Response, expected: str) -> None:
    """Only a 404 in DataFast's own form proves that the key may write."""
    world.datafast = app({"/api/v1/payments": answering(answer)})

    assert reasons(await check_datafast(world.setup())) == [expected]


async def test_nobody_there(world: World) -> None:
    """No network, or a wrong name."""
    assert reasons(await check_datafast(world.setup())) == ["datafast_silent"]


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, {"transaction_id"}),
        (
            {"DATAFAST_API_KEY": "dft_x", "DATAFAST_API_WEBSITE_ID": "6650c0ffee6650c0ffee6650"},
            {"transaction_id", "websiteId"},
        ),
    ],
)
async def test_no_other_filter_is_ever_sent(
    world: World, environ: dict[str, Any], expected: set[str]
) -> None:
    """Any other would delete a visitor's whole revenue; the id is another one each time."""
    world.datafast = app({"/api/v1/payments": answering(error(404))})
    setup = world.setup(**environ)
    await check_datafast(setup)
    await check_datafast(setup)
    ids = [request.url.params["transaction_id"] for request in world.asked]

    assert all(set(request.url.params) == expected for request in world.asked)
    assert all(request.method == "DELETE" for request in world.asked)
    assert all(each.startswith("kit-doctor-") for each in ids)
    assert len(set(ids)) == 2


async def test_without_a_key_nobody_is_asked(world: World) -> None:
    """It says what it needs."""
    [hop] = await check_datafast(world.setup(DATAFAST_API_KEY=None))

    assert (hop.reason, hop.seen) == ("not_checked", "needs DATAFAST_API_KEY")
    assert world.asked == []
