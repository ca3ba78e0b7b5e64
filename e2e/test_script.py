"""
The stand-in for DataFast's script, in a real browser: what the kit's other journeys rely on.

Pages are answered by the test itself, so they may have any host name; the events of the journeys
that name a server go to a running stand-in for DataFast.
"""

import contextlib
import json
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import BrowserContext, Page, Request
from playwright.sync_api import Route as Intercepted
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Route

from kit.lab.neighbours import ask
from kit.sandbox.datafast import create_datafast
from kit.sandbox.live import serving
from kit.sandbox.script import SOURCE

WEBSITE_ID = "dfid_contourtest000000001"
UUID_V4 = "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
KNOWN = "0b8e6c1e-2d1c-4f0a-9f2e-6a4f1f4d7c11"
KNOWN_SESSION = "s3f0c6c52-9d1b-4a77-8a11-5f2d8d0c9e21"
DAY_S = 86_400
SHOP = "http://shop.contour.test"


@dataclass  # without slots: Playwright keeps a note on the object whose method is a handler
class Site:
    """All hosts of the browser: one page everywhere, the script, and an ingest that remembers."""

    attributes: dict[str, str] = field(default_factory=dict)
    script_url: str = "/js/script.js"
    script: str = SOURCE.read_text(encoding="utf-8")
    body: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)
    posted_to: list[str] = field(default_factory=list)

    def answer(self, route: Intercepted) -> None:
        """Answer one request of the browser."""
        url = urlsplit(route.request.url)
        if url.path == "/api/events":
            if route.request.method == "POST":
                self.events.append(json.loads(route.request.post_data or "{}"))
                self.posted_to.append(f"{url.scheme}://{url.netloc}")
            headers = {
                "access-control-allow-origin": "*",
                "access-control-allow-headers": "content-type",
            }
            route.fulfill(status=200, headers=headers, json={"success": True})
        elif url.path.startswith("/js/"):
            variant = url.path.removeprefix("/js/script").removesuffix("js").strip(".")
            source = self.script.replace("__VARIANT__", variant)
            route.fulfill(status=200, content_type="text/javascript", body=source)
        elif url.path == "/favicon.ico":
            route.fulfill(status=204)
        else:
            route.fulfill(status=200, content_type="text/html", body=self.html())

    def html(self) -> str:
        """Return the page with the script's tag in its head."""
        attributes = {"website-id": WEBSITE_ID, "domain": "contour.test"} | self.attributes
        data = " ".join(f'data-{name}="{value}"' for name, value in attributes.items())
        tag = f'<script defer {data} src="{self.script_url}"></script>'
        return f"<!doctype html><title>Contour</title>{tag}<h1>Contour</h1>{self.body}"

    def types(self) -> list[str]:
        """Return the types of the events so far."""
        return [event["type"] for event in self.events]


@pytest.fixture
def site(context: BrowserContext) -> Site:
    """Answer every request of this visitor's browser."""
    site = Site()
    context.route("**/*", site.answer)
    return site


def cookies(context: BrowserContext) -> dict[str, Any]:
    """Return the browser's cookies by name."""
    return {cookie["name"]: cookie for cookie in context.cookies()}


def settle(page: Page) -> None:
    """Send a goal and wait for its answer: everything the page sent before has then arrived."""
    page.evaluate("new Promise(done => datafast('settled', {}, done))")


def is_pageview(request: Request) -> bool:
    """Say whether a request of the browser reports a pageview."""
    return request.url.endswith("/api/events") and '"type":"pageview"' in (request.post_data or "")


def test_cookies_are_set_within_the_page_load(
    page: Page, context: BrowserContext, site: Site
) -> None:
    """When the page has loaded, the four cookies have their documented form and nothing more."""
    now = page.evaluate("Date.now() / 1000")
    page.goto(f"{SHOP}/")
    found = cookies(context)

    year, half_hour = now + 365 * DAY_S, now + 1800
    expected = {
        "datafast_visitor_id": (UUID_V4, year),
        "datafast_session_id": (f"s{UUID_V4}", half_hour),
        "datafast_visitor_first_seen_at": (r"20\d\d-\d\d-\d\dT\d\d%3A\d\d%3A\d\d\.\d{3}Z", year),
        "datafast_visitor_session_count": ("1", year),
    }
    assert found.keys() == expected.keys()
    for name, (form, expires) in expected.items():
        cookie = found[name]
        assert re.fullmatch(form, cookie["value"]), name
        assert cookie["expires"] == pytest.approx(expires, abs=60), name
        assert cookie["domain"] == ".contour.test"
        assert cookie["path"] == "/"
        assert cookie["sameSite"] == "Lax"
        assert (cookie["httpOnly"], cookie["secure"]) == (False, False)
    assert site.types() == ["pageview"]


def test_the_pageview_carries_what_the_cookies_say(
    page: Page, context: BrowserContext, site: Site
) -> None:
    """Visitor, session, address and campaign reach the ingest of the page's own origin."""
    page.goto(f"{SHOP}/maps?utm_source=newsletter&gclid=abc")
    settle(page)

    event, found = site.events[0], cookies(context)
    assert event["visitorId"] == found["datafast_visitor_id"]["value"]
    assert event["sessionId"] == found["datafast_session_id"]["value"]
    assert event["href"] == f"{SHOP}/maps?utm_source=newsletter&gclid=abc"
    assert event["adClickIds"] == {"gclid": "abc"}
    assert event["visitorSessionNumber"] == 1
    assert (event["websiteId"], event["domain"]) == (WEBSITE_ID, "contour.test")
    assert site.posted_to[0] == SHOP


@pytest.mark.parametrize("host", ["shop.localhost:8000", "localhost:8000", "127.0.0.1:8000"])
def test_on_localhost_cookies_belong_to_the_host(
    page: Page, context: BrowserContext, site: Site, host: str
) -> None:
    """With leave to track localhost, cookies carry no Domain."""
    site.attributes = {"allow-localhost": "true"}
    page.goto(f"http://{host}/")

    assert cookies(context)["datafast_visitor_id"]["domain"] == host.partition(":")[0]


def test_a_page_outside_the_domain_keeps_its_own_cookies(
    page: Page, context: BrowserContext, site: Site
) -> None:
    """A wrong data-domain falls back to the page's host."""
    site.attributes = {"domain": "other.test"}
    page.goto(f"{SHOP}/")

    assert cookies(context)["datafast_visitor_id"]["domain"] == ".shop.contour.test"


@pytest.mark.parametrize("host", ["shop.localhost:8000", "localhost", "127.0.0.1", "shop.local"])
def test_silent_on_localhost(page: Page, context: BrowserContext, site: Site, host: str) -> None:
    """Without leave there is no cookie and no event on a developer's machine."""
    page.goto(f"http://{host}/")
    page.evaluate("datafast('goal')")

    assert cookies(context) == {}
    assert site.events == []


def test_silent_for_who_opted_out(page: Page, context: BrowserContext, site: Site) -> None:
    """The documented localStorage flag ends tracking; callbacks still hear 200."""
    page.add_init_script("localStorage.setItem('datafast_ignore', 'true')")
    page.goto(f"{SHOP}/")
    status = page.evaluate("new Promise(done => datafast('goal', {}, done))")

    assert status == {"status": 200}
    assert cookies(context) == {}
    assert site.events == []


@pytest.mark.parametrize(("debug", "events"), [("false", 0), ("true", 1)])
def test_frames_track_in_debug_only(
    page: Page, context: BrowserContext, site: Site, debug: str, events: int
) -> None:
    """A page inside an iframe is nobody's visit."""
    site.attributes = {"debug": debug}
    context.route(
        "http://frame.test/",
        lambda route: route.fulfill(
            content_type="text/html", body=f'<!doctype html><iframe src="{SHOP}/"></iframe>'
        ),
    )
    page.goto("http://frame.test/")
    frame = page.frames[1]
    frame.wait_for_function("!!window.datafast")
    if events:
        settle_frame = frame.evaluate("new Promise(done => datafast('goal', {}, done))")
        assert settle_frame == {"status": 200}

    assert site.types().count("pageview") == events


@pytest.mark.parametrize("value", ["abc", "0b8e6c1e-2d1c-1f0a-9f2e-6a4f1f4d7c11", "%00", ""])
def test_a_malformed_visitor_id_is_replaced(
    page: Page, context: BrowserContext, site: Site, value: str
) -> None:
    """Whatever is not a UUID v4 gives way to a fresh one."""
    context.add_cookies(
        [{"name": "datafast_visitor_id", "value": value, "domain": ".contour.test", "path": "/"}]
    )
    page.goto(f"{SHOP}/")

    assert re.fullmatch(UUID_V4, cookies(context)["datafast_visitor_id"]["value"])
    assert len([c for c in context.cookies() if c["name"] == "datafast_visitor_id"]) == 1


def test_a_known_visitor_is_kept_and_not_prolonged(
    page: Page, context: BrowserContext, site: Site
) -> None:
    """The id stays with its first expiry; a new session counts one more."""
    expires = page.evaluate("Math.round(Date.now() / 1000)") + 5 * DAY_S
    known = {"datafast_visitor_id": KNOWN, "datafast_visitor_session_count": "4"}
    context.add_cookies(
        [
            {
                "name": name,
                "value": value,
                "domain": ".contour.test",
                "path": "/",
                "expires": expires,
            }
            for name, value in known.items()
        ]
    )
    page.goto(f"{SHOP}/")
    found = cookies(context)

    assert found["datafast_visitor_id"]["value"] == KNOWN
    assert found["datafast_visitor_id"]["expires"] == pytest.approx(expires, abs=1)
    assert found["datafast_visitor_session_count"]["value"] == "5"


def test_navigation_in_the_page_is_a_pageview(page: Page, site: Site) -> None:
    """A new path counts after its debounce; a new query does not."""
    page.goto(f"{SHOP}/")
    settle(page)
    with page.expect_request(is_pageview):
        page.evaluate("history.pushState({}, '', '/maps')")
    page.evaluate("history.pushState({}, '', '/maps?page=2')")
    # Longer than the script's debounce, or this step would be lost in the next one.
    page.wait_for_timeout(200)
    with page.expect_request(is_pageview):
        page.evaluate("history.go(-2)")
    settle(page)

    views = [event["href"] for event in site.events if event["type"] == "pageview"]
    assert views == [f"{SHOP}/", f"{SHOP}/maps", f"{SHOP}/"]


def test_the_same_address_counts_once_a_minute(
    page: Page, context: BrowserContext, site: Site
) -> None:
    """A reload sends no second pageview, and the visitor stays."""
    page.goto(f"{SHOP}/")
    before = cookies(context)["datafast_visitor_id"]["value"]
    page.reload()
    settle(page)

    assert site.types() == ["pageview", "custom"]
    assert cookies(context)["datafast_visitor_id"]["value"] == before


def test_the_hash_variant_counts_hash_routes(page: Page, site: Site) -> None:
    """Only script.hash.js takes a new hash for a new page."""
    site.script_url = "/js/script.hash.js"
    page.goto(f"{SHOP}/#/one")
    settle(page)
    with page.expect_request(is_pageview):
        page.evaluate("location.hash = '#/two'")
    settle(page)

    views = [event["href"] for event in site.events if event["type"] == "pageview"]
    assert views == [f"{SHOP}/#/one", f"{SHOP}/#/two"]


def test_an_identity_is_handed_over_between_domains(
    page: Page, context: BrowserContext, site: Site
) -> None:
    """The receiver takes the four parameters into cookies and strips them from the address."""
    handed = (
        f"_df_vid={KNOWN}&_df_sid={KNOWN_SESSION}"
        "&_df_vfs=2026-01-02T03%3A04%3A05.678Z&_df_vsn=7&keep=1"
    )
    page.goto(f"{SHOP}/?{handed}")
    found = cookies(context)

    assert page.url == f"{SHOP}/?keep=1"
    assert {name: cookie["value"] for name, cookie in found.items()} == {
        "datafast_visitor_id": KNOWN,
        "datafast_session_id": KNOWN_SESSION,
        "datafast_visitor_first_seen_at": "2026-01-02T03%3A04%3A05.678Z",
        "datafast_visitor_session_count": "7",
    }


@pytest.mark.parametrize(
    ("host", "decorated"),
    [("contour-maps.test", True), ("www.contour-maps.test", True), ("checkout.dodo.test", False)],
)
def test_links_to_allowed_hosts_alone_are_decorated(
    page: Page, site: Site, host: str, decorated: bool
) -> None:
    """Another domain of the website gets the identity, a payment provider never does."""
    site.attributes = {"allowed-hostnames": "contour-maps.test"}
    site.body = f'<a href="http://{host}/">There</a>'
    page.goto(f"{SHOP}/")
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.get_by_role("link").click()
    page.wait_for_url(f"http://{host}/**")

    [landing] = [
        url
        for url in requests
        if url.startswith(f"http://{host}/")
        and "/js/" not in url
        and "/api/" not in url
        and "favicon" not in url
    ]
    assert ("_df_vid=" in landing) is decorated


@pytest.mark.parametrize(
    ("query", "extra"),
    [
        ("session_id=cs_test_1", {"stripe_session_id": "cs_test_1"}),
        ("checkout_id=anything", {"polar_checkout_id": "anything"}),
        ("order_id=o-1", {"lemonsqueezy_order_id": "o-1"}),
        ("session_id=cks_1", None),
    ],
)
@pytest.mark.parametrize("disabled", [False, True])
def test_payments_are_guessed_from_the_address_unless_disabled(
    page: Page, site: Site, query: str, extra: dict[str, str] | None, disabled: bool
) -> None:
    """The trap for shops that report payments themselves, and the attribute that closes it."""
    if disabled:
        site.attributes = {"disable-payments": "true"}
    page.goto(f"{SHOP}/thanks?{query}")
    settle(page)

    guessed = [event["extraData"] for event in site.events if event["type"] == "payment"]
    assert guessed == ([] if disabled or extra is None else [extra])


def test_calls_before_the_script_are_not_lost(page: Page, site: Site) -> None:
    """The queue stub's calls are sent once the script is there."""
    site.body = (
        "<script>window.datafast = window.datafast || function () {"
        "(window.datafast.q = window.datafast.q || []).push(arguments); };"
        "datafast('early', {step: '1'});</script>"
    )
    page.goto(f"{SHOP}/")
    settle(page)

    goals = [event["extraData"] for event in site.events if event["type"] == "custom"]
    assert goals[0] == {"eventName": "early", "step": "1"}
    assert page.evaluate("window.datafast.q") is None


def test_goals_are_declared_in_the_page(page: Page, site: Site) -> None:
    """A click on a marked element is a goal with its parameters."""
    site.body = '<button data-fast-goal="add_to_cart" data-fast-goal-map-name="Gulf">Add</button>'
    page.goto(f"{SHOP}/")
    settle(page)
    page.get_by_role("button").click()
    settle(page)

    goals = [event["extraData"] for event in site.events if event["type"] == "custom"]
    assert goals[1] == {"eventName": "add_to_cart", "map_name": "Gulf"}


@pytest.mark.parametrize(
    ("attributes", "origin"),
    [
        ({"api-url": "/collect/api/events"}, None),
        ({"api-url": "https://a.contour.test/api/events"}, "https://a.contour.test"),
    ],
)
def test_the_ingest_can_be_elsewhere(
    page: Page, site: Site, attributes: dict[str, str], origin: str | None
) -> None:
    """`data-api-url` is a whole address or a path of the page's host."""
    site.attributes = attributes
    with page.expect_request(lambda request: request.url.endswith("/api/events")) as sent:
        page.goto(f"{SHOP}/")

    expected = attributes["api-url"] if origin else SHOP + attributes["api-url"]
    assert sent.value.url == expected


# Against a running stand-in for DataFast


@contextlib.contextmanager
def serving_alone(app: Starlette) -> Iterator[int]:
    """Serve an app on a loopback socket; gives its port."""
    with socket.create_server(("127.0.0.1", 0)) as listening, serving({listening: app}):
        yield listening.getsockname()[1]


@pytest.fixture
def datafast_url() -> Iterator[str]:
    """Run the stand-in; the browser reaches it as `datafast.localhost`."""
    app = create_datafast(
        database=":memory:", api_key="key", website_id=WEBSITE_ID, domain="shop.localhost"
    )
    with serving_alone(app) as port:
        yield f"http://datafast.localhost:{port}"


@dataclass
class Shop:
    """A running page on `shop.localhost`: browsers guard loopback against pages from elsewhere."""

    site: Site
    url: str = ""

    async def page(self, _request: object) -> HTMLResponse:
        """Answer with the site's page."""
        return HTMLResponse(self.site.html())


@pytest.fixture
def shop(datafast_url: str) -> Iterator[Shop]:
    """Run a shop whose page loads the stand-in's script from the stand-in."""
    site = Site(attributes={"domain": "shop.localhost", "allow-localhost": "true"})
    site.script_url = f"{datafast_url}/js/script.js"
    shop = Shop(site)
    with serving_alone(Starlette(routes=[Route("/{path:path}", shop.page)])) as port:
        shop.url = f"http://shop.localhost:{port}"
        yield shop


def at_datafast(datafast_url: str, page: str) -> Any:
    """Return what the stand-in holds."""
    port = urlsplit(datafast_url).port
    return ask(f"http://127.0.0.1:{port}/_sandbox/{page}").json()


def test_events_cross_origins_to_the_stand_in(
    page: Page, context: BrowserContext, shop: Shop, datafast_url: str
) -> None:
    """A page on another site loads the script and its pageview makes the visitor known."""
    with page.expect_response(
        lambda response: "/api/events" in response.url and response.request.method == "POST"
    ) as sent:
        page.goto(f"{shop.url}/?utm_source=newsletter")

    visitor_id = cookies(context)["datafast_visitor_id"]["value"]
    assert sent.value.status == 200
    [visitor] = at_datafast(datafast_url, "visitors")
    assert visitor["visitor_id"] == visitor_id
    assert visitor["first_href"] == f"{shop.url}/?utm_source=newsletter"


def test_cookieless_leaves_no_cookie_and_shows_the_servers_id(
    page: Page, context: BrowserContext, shop: Shop, datafast_url: str
) -> None:
    """The id the server derives is the one the page can hand over; nothing is stored in cookies."""
    shop.site.script_url = f"{datafast_url}/js/script.cookieless.js"
    page.goto(f"{shop.url}/")
    page.wait_for_function("window.datafast && window.datafast.visitorId")

    [visitor] = at_datafast(datafast_url, "visitors")
    assert page.evaluate("window.datafast.visitorId") == visitor["visitor_id"]
    assert cookies(context) == {}
