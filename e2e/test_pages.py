"""Each page in a real browser: for everybody, in light and dark, from phone to desktop."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from e2e.conftest import Console, Demo, NewContext
from e2e.product import Products
from e2e.test_journey import buy, journey, land, pay, visitor_cookie

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
    """Open a page at each width and measure it."""
    found: dict[str, Any] = {"overflow": {}, "shift": {}, "violations": set()}
    for screen, width in WIDTHS.items():
        page.set_viewport_size({"width": width, "height": 800})
        page.goto(url)
        found["shift"][screen] = page.evaluate(SHIFTS)
        found["overflow"][screen] = page.evaluate(OVERFLOW)
        violations = Axe().run(page).response["violations"]
        found["violations"] |= {f"{each['id']}: {each['help']}" for each in violations}
    return found


def assert_within_limits(found: dict[str, Any]) -> None:
    """Nothing overflows, nothing moves while it loads, and axe finds nothing."""
    assert found == {
        "overflow": dict.fromkeys(WIDTHS, 0),
        "shift": dict.fromkeys(WIDTHS, 0),
        "violations": set(),
    }


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_within_its_limits(
    new_context: NewContext, sold: Sold, console: Console, name: str, scheme: str
) -> None:
    """
    Accessible, still and as wide as its screen, on a phone and on a desktop.

    It asks nobody but its own site, and the browser's console stays empty.
    """
    if name in ("problem", "inspector problem", "sign-in"):
        console.expect("404|401")
    headers = ELSEWHERE if name == "sign-in" else {}
    context = new_context(
        color_scheme=scheme, storage_state=sold.cookies, extra_http_headers=headers
    )
    page = context.new_page()
    asked: set[str] = set()
    page.on("request", lambda request: asked.add(request.url))
    url = PAGES[name](sold)
    site = sold.demo.dodo if url.startswith(sold.demo.dodo) else sold.demo.shop

    assert_within_limits(look(page, url))
    assert {each for each in asked if not each.startswith(f"{site}/")} == set()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_question_for_consent_is_within_its_limits(
    new_context: NewContext, asking: Demo, scheme: str
) -> None:
    """Asked at once, so that nothing moves when it comes; nothing of DataFast is loaded before."""
    page = new_context(color_scheme=scheme).new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    assert_within_limits(look(page, f"{asking.shop}/"))
    assert page.get_by_role("heading", name="May we count your visit?").is_visible()
    assert not [url for url in asked if "/js/script" in url or "/api/events" in url]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_plan_of_an_action_is_within_its_limits(
    new_context: NewContext, sold: Sold, scheme: str
) -> None:
    """It is the answer to a form, so a form asks for it."""
    page = new_context(color_scheme=scheme).new_page()
    page.goto(PAGES["journey"](sold))
    page.get_by_role("button", name=f"Replay… {sold.payment_id}").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Before it is done")
    overflow = {}
    for screen, width in WIDTHS.items():
        page.set_viewport_size({"width": width, "height": 800})
        overflow[screen] = page.evaluate(OVERFLOW)
    violations = Axe().run(page).response["violations"]

    assert overflow == dict.fromkeys(WIDTHS, 0)
    assert [f"{each['id']}: {each['help']}" for each in violations] == []


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
