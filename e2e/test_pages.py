"""Each page in a real browser: for everybody, in light and dark, from phone to desktop."""

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from e2e.conftest import Console, Demo, NewContext
from e2e.test_journey import buy, journey, land, pay

WIDTHS = {"phone": 360, "desktop": 1280}


def _receipt(page: Page, demo: Demo) -> None:
    land(page, demo)
    buy(page, demo, "coastline-atlas")
    journey(demo, pay(page, demo))
    page.reload()


def _inspector(page: Page, demo: Demo) -> None:
    _receipt(page, demo)
    page.goto(f"{demo.shop}/inspector")


def _hosted(page: Page, demo: Demo) -> None:
    land(page, demo)
    buy(page, demo, "studio")


PAGES: dict[str, Callable[[Page, Demo], object]] = {
    "catalogue": lambda page, demo: page.goto(f"{demo.shop}/"),
    "product": lambda page, demo: page.goto(f"{demo.shop}/products/studio"),
    "hosted": _hosted,
    "receipt": _receipt,
    "inspector": _inspector,
    "desk": lambda page, demo: page.goto(f"{demo.dodo}/_sandbox/desk"),
    "trouble": lambda page, demo: page.goto(f"{demo.dodo}/_sandbox/trouble"),
    "problem": lambda page, demo: page.goto(f"{demo.shop}/products/none"),
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing_and_nothing_overflows(
    new_context: NewContext, demo: Demo, console: Console, name: str, scheme: str
) -> None:
    """No accessibility violation, and no sideways scrolling on a phone or a desktop."""
    if name == "problem":
        console.expect("404")
    page = new_context(color_scheme=scheme).new_page()
    PAGES[name](page, demo)
    overflow = {}
    for screen, width in WIDTHS.items():
        page.set_viewport_size({"width": width, "height": 800})
        overflow[screen] = page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
    violations = Axe().run(page).response["violations"]

    assert [f"{each['id']}: {each['help']}" for each in violations] == []
    assert overflow == dict.fromkeys(WIDTHS, 0)


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
