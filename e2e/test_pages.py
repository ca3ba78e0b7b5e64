"""Each page in a real browser: for everybody, in light and dark, from phone to desktop."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from e2e.accessibility import SCHEMES, violations
from e2e.conftest import Console, Demo, NewContext
from e2e.product import Products
from e2e.test_journey import buy, journey, land, pay, visitor_cookie
from tests.servers import between, serving

WIDTHS = {"phone": 360, "desktop": 1280}
# The browser's own measure, of shifts that nobody's input caused; good is 0.1, ours is none.
SHIFTS = """() => new Promise((done) => {
  let sum = 0
  const watcher = new PerformanceObserver((list) => list.getEntries().forEach(add))
  const add = (entry) => { if (!entry.hadRecentInput) sum += entry.value }
  watcher.observe({ type: "layout-shift", buffered: true })
  requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(() => {
    watcher.takeRecords().forEach(add)
    done(sum)
  })))
})"""
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@dataclass(frozen=True, slots=True)
class Sold:
    """A sale, its buyer's cookies, and a checkout that is still open."""

    demo: Demo
    cookies: Any
    order_ref: str
    payment_id: str
    session: str


@pytest.fixture(scope="module")
def sold(demo: Demo, browser: Browser) -> Iterator[Sold]:
    """Sell a map and take a subscription, once for all pages."""
    context = browser.new_context()
    context.set_default_timeout(10_000)
    page = context.new_page()
    land(page, demo)
    visitor_cookie(context, demo)
    buy(page, demo, "map-club")
    pay(page, demo)
    buy(page, demo, "coastline-atlas")
    order_ref = pay(page, demo)
    payment_id = journey(demo, order_ref)["payment_id"]
    buy(page, demo, "studio")
    yield Sold(demo, context.storage_state(), order_ref, payment_id, page.url)
    context.close()


@pytest.fixture(scope="module")
def asking(products: Products) -> Demo:
    """Run a shop that asks before it counts."""
    return products.running(KIT_CONSENT="required", KIT_CONTINUITY="1")


PAGES: dict[str, Callable[[Sold], str]] = {
    "catalogue": lambda sold: f"{sold.demo.shop}/",
    "product": lambda sold: f"{sold.demo.shop}/products/studio",
    "receipt": lambda sold: f"{sold.demo.shop}/orders/{sold.order_ref}",
    "problem": lambda sold: f"{sold.demo.shop}/products/none",
    "hosted": lambda sold: sold.session,
    "desk": lambda sold: f"{sold.demo.dodo}/_sandbox/desk",
    "trouble": lambda sold: f"{sold.demo.dodo}/_sandbox/trouble",
    "inspector": lambda sold: f"{sold.demo.shop}/inspector",
    "filtered": lambda sold: f"{sold.demo.shop}/inspector?state=parked&currency=JPY",
    "journey": lambda sold: f"{sold.demo.shop}/inspector/journeys/order:{sold.order_ref}",
    "attribution": lambda sold: f"{sold.demo.shop}/inspector/attribution",
    "news": lambda sold: f"{sold.demo.shop}/inspector/news",
    "inspector problem": lambda sold: f"{sold.demo.shop}/inspector/find?q=nothing",
    "sign-in": lambda sold: f"{sold.demo.shop}/inspector/attribution",
}
ELSEWHERE = {"x-forwarded-for": "203.0.113.9"}


def look(page: Page, url: str) -> dict[str, Any]:
    """Open a page at each width in each colour scheme, and measure it."""
    found: dict[str, Any] = {"overflow": {}, "shift": {}, "violations": set()}
    for screen, width in WIDTHS.items():
        page.set_viewport_size({"width": width, "height": 800})
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            page.goto(url)
            found["shift"][screen, scheme] = page.evaluate(SHIFTS)
            found["overflow"][screen, scheme] = page.evaluate(OVERFLOW)
        found["violations"] |= violations(page)
    return found


def assert_within_limits(found: dict[str, Any]) -> None:
    """Nothing overflows, nothing moves while it loads, and axe finds nothing."""
    screens = [(screen, scheme) for screen in WIDTHS for scheme in SCHEMES]
    assert found == {
        "overflow": dict.fromkeys(screens, 0),
        "shift": dict.fromkeys(screens, 0),
        "violations": set(),
    }


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_within_its_limits(
    new_context: NewContext, sold: Sold, console: Console, name: str
) -> None:
    """
    Accessible, still and as wide as its screen, on a phone and on a desktop, in light and dark.

    It asks nobody but its own site, and the browser's console stays empty.
    """
    if name in ("problem", "inspector problem", "sign-in"):
        console.expect("404|401")
    headers = ELSEWHERE if name == "sign-in" else {}
    context = new_context(storage_state=sold.cookies, extra_http_headers=headers)
    page = context.new_page()
    asked: set[str] = set()
    page.on("request", lambda request: asked.add(request.url))
    url = PAGES[name](sold)
    site = sold.demo.dodo if url.startswith(sold.demo.dodo) else sold.demo.shop

    assert_within_limits(look(page, url))
    assert {each for each in asked if not each.startswith(f"{site}/")} == set()


def test_the_question_for_consent_is_within_its_limits(page: Page, asking: Demo) -> None:
    """Asked at once, so that nothing moves when it comes; nothing of DataFast is loaded before."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    assert_within_limits(look(page, f"{asking.shop}/"))
    assert page.get_by_role("heading", name="May we count your visit?").is_visible()
    assert not [url for url in asked if "/js/script" in url or "/api/events" in url]


def in_pieces(_request: Request, response: Response) -> Response:
    """Send a page as a slow line does, so that the browser could paint it before it is whole."""
    if not response.headers["content-type"].startswith("text/html"):
        return response
    body, size = bytes(response.body), 400

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), size):
            yield body[start : start + size]
            await asyncio.sleep(0.03)

    return StreamingResponse(pieces(), media_type="text/html")


def test_a_page_that_comes_in_pieces_does_not_move(page: Page, asking: Demo) -> None:
    """Header and hero would: they are laid out by what is in them."""
    shift = {}
    with serving(between(asking.shop_local, answer=in_pieces)) as url:
        for screen, width in WIDTHS.items():
            page.set_viewport_size({"width": width, "height": 800})
            page.goto(url)
            shift[screen] = page.evaluate(SHIFTS)

    assert shift == dict.fromkeys(WIDTHS, 0)


def test_the_plan_of_an_action_is_within_its_limits(page: Page, sold: Sold) -> None:
    """It is the answer to a form, so a form asks for it."""
    page.goto(PAGES["journey"](sold))
    page.get_by_role("button", name=f"Replay… {sold.payment_id}").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Before it is done")
    overflow = {}
    for screen, width in WIDTHS.items():
        page.set_viewport_size({"width": width, "height": 800})
        overflow[screen] = page.evaluate(OVERFLOW)

    assert overflow == dict.fromkeys(WIDTHS, 0)
    assert violations(page) == set()


def test_pages_ask_nobody_but_the_shop(page: Page, demo: Demo) -> None:
    """Script, events, styles and pictures are all first-party."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    land(page, demo)
    page.goto(f"{demo.shop}/products/tokyo-line-map")
    page.wait_for_load_state("networkidle")

    assert [url for url in asked if not url.startswith(demo.shop)] == []


def test_the_keyboard_alone_buys_a_map(page: Page, demo: Demo) -> None:
    """The skip link is first, the focus is visible, and Enter presses the button."""
    page.goto(f"{demo.shop}/products/coastline-atlas")
    page.keyboard.press("Tab")
    first = page.evaluate("document.activeElement.textContent.trim()")
    page.get_by_role("button").first.focus()
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{demo.dodo}/session/**")

    assert first == "Skip to the content"
    assert outline != "none"
