"""The shop's page as its first visitor gets it."""

from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from kit.checks.page import check_page
from tests.checks.conftest import DATAFAST, SHOP, Handler, World, answering, app, reasons
from tests.web.conftest import open_shop

pytestmark = pytest.mark.anyio

SCRIPT = answering(Response("(function () {})()", media_type="text/javascript"))
REFUSED = answering(
    JSONResponse({"status": "error", "error": {"code": 404, "message": "No website."}}, 404)
)
FINE = ["script_tagged", "cookie_reaches_server", "script_served", "events_pass", "policy_allows"]


def html(
    *,
    src: str = "/js/script.js",
    website: str = "dfid_planted",
    domain: str = "shop.localhost",
    more: str = 'data-disable-payments="true" data-allow-localhost="true"',
) -> str:
    """Write a page with a tag."""
    return (
        f'<!doctype html><title>Maps</title><script defer data-website-id="{website}" '
        f'data-domain="{domain}" {more} src="{src}"></script>'
    )


def shop(page: str | Response, *, script: Handler = SCRIPT, events: Handler = REFUSED) -> Starlette:
    """Serve a page, its script and a place for its events."""
    first = HTMLResponse(page) if isinstance(page, str) else page
    return app({"/": answering(first), "/js/script.js": script, "/api/events": events})


async def test_the_kits_own_storefront(tmp_path: Path, world: World) -> None:
    """Consent asked for or not, with a script that consent opens."""
    for consent in ("off", "required"):
        folder = tmp_path / consent
        folder.mkdir()
        names: dict[str, Any] = {"DATAFAST_DOMAIN": "shop.localhost", "KIT_CONSENT": consent}
        async with open_shop(folder, **names, KIT_BASE_URL=SHOP) as running:
            world.shop = running.app
            setup = world.setup(**names, DATAFAST_WEBSITE_ID="dfid_shoptest")

            assert reasons(await check_page(setup)) == FINE, consent


@pytest.mark.parametrize(
    ("page", "place", "expected"),
    [
        (html(), 0, "script_tagged"),
        (html(website="dfid_other"), 0, "script_other_website"),
        (html(more='data-allow-localhost="true"'), 0, "script_guesses_payments"),
        (html(more='data-disable-payments="true"'), 0, "script_silent_here"),
        (html() + html(), 0, "script_twice"),
        (html(domain="shop.example.com"), 1, "script_domain_foreign"),
        (html(domain=""), 1, "script_domain_foreign"),
        (html(domain="localhost"), 1, "script_domain_other"),
        (html(src="/js/other.js"), 2, "script_unserved"),
        (html(src=f"{DATAFAST}/js/script.js"), 2, "script_unserved"),
        (html(src="https://datafa.st/js/script.js"), 2, "script_unserved"),
    ],
)
async def test_what_is_wrong_with_a_tag(world: World, page: str, place: int, expected: str) -> None:
    """Named one by one, whatever else is right."""
    world.shop = shop(page)

    assert reasons(await check_page(world.setup()))[place] == expected


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        ("example.com", "cookie_reaches_server"),
        ("www.example.com", "script_domain_narrow"),
        ("example.org", "script_domain_foreign"),
    ],
)
async def test_a_page_apart_from_the_kits_server(world: World, domain: str, expected: str) -> None:
    """Beside a shop that exists: the page is on www, the receiver on another host."""
    world.shop = shop(html(domain=domain))
    setup = world.setup(
        page="http://www.example.com:8000/",
        KIT_BASE_URL="https://pay.example.com",
        DATAFAST_DOMAIN=domain,
    )

    assert reasons(await check_page(setup))[1] == expected


async def test_a_domain_of_one_host_beside_a_server_on_another(world: World) -> None:
    """No www, and still too narrow."""
    world.shop = shop(html(domain="shop.example.com"))
    setup = world.setup(
        page="http://shop.example.com:8000/",
        KIT_BASE_URL="https://pay.example.com",
        DATAFAST_DOMAIN=None,
    )

    assert reasons(await check_page(setup))[1] == "script_domain_narrow"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (None, "page_silent"),
        (Response("nothing here", 404), "page_unnamed"),
        (JSONResponse({"name": "api"}), "page_unnamed"),
        (RedirectResponse("/"), "page_unnamed"),
        (HTMLResponse("<h1>Maps</h1>"), "script_missing"),
        (HTMLResponse("<script>window.datafast = 1</script>"), "script_injected"),
    ],
)
async def test_a_page_without_a_tag(world: World, answer: Response | None, expected: str) -> None:
    """A shop without its page at KIT_BASE_URL names one."""
    if answer is not None:
        world.shop = shop(answer)

    assert reasons(await check_page(world.setup())) == [expected]


async def test_a_page_and_a_script_behind_redirects(world: World) -> None:
    """As a browser follows them; the page is the one at their end."""
    world.shop = app(
        {
            "/": answering(RedirectResponse("/en", 302)),
            "/en": answering(HTMLResponse(html())),
            "/js/script.js": answering(RedirectResponse("/static/s.js", 308)),
            "/static/s.js": SCRIPT,
            "/api/events": REFUSED,
        }
    )

    assert reasons(await check_page(world.setup())) == FINE


@pytest.mark.parametrize(
    "answer",
    [
        Response("nothing here", 404),
        Response("", media_type="text/javascript"),
        HTMLResponse("<h1>Shop</h1>"),
        RedirectResponse("/"),
    ],
)
async def test_a_script_that_does_not_come(world: World, answer: Response) -> None:
    """A page that stands in for every address is no script, and an empty one does nothing."""
    world.shop = shop(html(), script=answering(answer))

    assert reasons(await check_page(world.setup()))[2] == "script_unserved"


async def test_a_script_from_datafasts_host(world: World) -> None:
    """It works, and blockers know it; its events need no proof."""
    page = html(src="http://datafa.st:8002/js/script.js")
    world.shop, world.datafast = shop(page), app({"/js/script.js": SCRIPT})
    hops = await check_page(world.setup())

    assert reasons(hops) == [*FINE[:2], "script_from_datafast", "policy_allows"]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (JSONResponse({"status": "error", "error": {"code": 400, "message": "x"}}, 400), "pass"),
        (JSONResponse({"status": "error", "error": {"code": 404, "message": "x"}}, 404), "pass"),
        (Response(status_code=204), "pass"),
        (Response("nothing here", 404), "lost"),
        (Response("not like this", 405), "lost"),
        (HTMLResponse("<h1>Shop</h1>"), "lost"),
        (RedirectResponse("/"), "lost"),
        (Response("away", 503), "stuck"),
    ],
)
async def test_where_events_lead(world: World, answer: Response, expected: str) -> None:
    """DataFast's own refusal of an empty event proves the way; anybody else's disproves it."""
    world.shop = shop(html(), events=answering(answer))

    assert reasons(await check_page(world.setup()))[3] == f"events_{expected}"


async def test_the_event_names_nobody(world: World) -> None:
    """Nothing is counted, and it says where it comes from, as DataFast wants."""
    bodies = []

    async def events(request: Request) -> Response:
        bodies.append((await request.body(), request.headers["origin"]))
        return Response(status_code=400)

    world.shop = shop(html(), events=events)
    await check_page(world.setup())

    assert bodies == [(b"{}", SHOP)]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("default-src 'self'", ["policy_allows"]),
        ("script-src 'none'", ["policy_blocks_script"]),
        ("connect-src 'none'", ["policy_blocks_events"]),
        ("form-action 'self'", ["policy_blocks_checkout"]),
        (
            "default-src 'none'; form-action 'none'",
            ["policy_blocks_script", "policy_blocks_events", "policy_blocks_checkout"],
        ),
    ],
)
@pytest.mark.parametrize("place", ["header", "meta"])
async def test_policies(world: World, place: str, policy: str, expected: list[str]) -> None:
    """In a header or in the page; what is needed is told beside what is there."""
    if place == "header":
        page: Response = HTMLResponse(html(), headers={"content-security-policy": policy})
    else:
        page = HTMLResponse(
            f'<meta http-equiv="content-security-policy" content="{policy}">{html()}'
        )
    world.shop = shop(page)
    hops = (await check_page(world.setup()))[4:]

    assert reasons(hops) == expected
    assert all(hop.seen == policy and hop.expected for hop in hops if hop.tone == "lost")
