"""Find out how one buys in a shop that nobody has described."""

import re
import time
from dataclasses import dataclass
from typing import Final
from urllib.parse import urljoin, urlsplit

from playwright.sync_api import Error, Locator, Page

from kit.lab.shop import Shop, find_buy_button

_LIKELY: Final = re.compile(
    r"product|pricing|price|plan|shop|store|buy|order|checkout|item|course|book|template|download",
    re.IGNORECASE,
)
_MOST_PAGES: Final = 6
_LINKS: Final = "links => links.map(link => link.href)"
_POLL_MS: Final = 50


@dataclass(frozen=True, slots=True)
class Way:
    """The page with the buy button, and what is written on it."""

    url: str
    label: str


def find_way(page: Page, shop: Shop, *, within_s: float) -> Way | None:
    """
    Return where the shop sells: on its product page, if that is known, else where visitors land.

    Failing these, on one of the likelier pages that the landing page links to; None when there is
    no button on any. Raises Playwright's Error when the shop does not open.
    """
    start = shop.product_url or shop.url
    page.goto(start)
    found = _look(page, shop.buy, within_s)
    if found is not None or shop.product_url is not None:
        return found
    for url in _links(page, start):
        try:
            page.goto(url)
        except Error:
            continue  # a download, say
        found = _look(page, shop.buy, 0)
        if found is not None:
            return found
    return None


def _look(page: Page, selector: str | None, within_s: float) -> Way | None:
    """Look for a button until one is there: a script may make it."""
    deadline = time.monotonic() + within_s
    while True:
        button = find_buy_button(page, selector)
        if button is not None:
            return Way(page.url, _label(button))
        if time.monotonic() > deadline:
            return None
        page.wait_for_timeout(_POLL_MS)


def _label(button: Locator) -> str:
    return " ".join((button.inner_text() or button.get_attribute("value") or "").split())[:60]


def _links(page: Page, start: str) -> list[str]:
    links: list[str] = page.locator("a[href]").evaluate_all(_LINKS)
    here = urlsplit(start)
    own = dict.fromkeys(
        urljoin(start, link).partition("#")[0]
        for link in links
        if urlsplit(link)[:2] == here[:2] and urlsplit(link).path != here.path
    )
    return [link for link in own if _LIKELY.search(urlsplit(link).path)][:_MOST_PAGES]
