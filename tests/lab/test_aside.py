"""A browser in a thread of its own, beside a caller who has event loops."""

import asyncio

import pytest
from playwright.sync_api import Browser

from kit.lab.aside import BrowserThread
from kit.lab.engines import find_engines


def test_the_callers_own_event_loops_go_on() -> None:
    """While a sync Playwright lives in this thread, they would not."""

    def title(browser: Browser) -> str:
        page = browser.new_page()
        page.set_content("<title>Contour</title>")
        return page.title()

    async def nothing() -> str:
        return "done"

    with BrowserThread(find_engines(["chromium"])[0]) as aside:
        first = aside.do(title)
        between = asyncio.run(nothing())
        second = aside.do(title)

        with pytest.raises(ZeroDivisionError):
            aside.do(lambda _browser: 1 // 0)

    assert (first, between, second) == ("Contour", "done", "Contour")


def test_a_browser_that_was_not_started_says_so() -> None:
    """The `with` starts it."""
    aside = BrowserThread(find_engines(["chromium"])[0])

    with pytest.raises(RuntimeError, match="use `with`"):
        aside.do(lambda browser: browser.version)
