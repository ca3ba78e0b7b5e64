"""A shop as the laboratory sees it: where visitors land, and how they buy."""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from playwright.sync_api import Locator, Page

from kit.lab.hosts import is_local

DODO_HOST: Final = re.compile(r"(?:.+\.)?dodopayments\.com")
_BUY_WORDS: Final = re.compile(
    r"\b(buy|order now|check ?out|subscribe|purchase|get (it|started)|start\b.*\btrial|pay)\b",
    re.IGNORECASE,
)
_SUBMITS: Final = ":is(button, input[type=submit])"
# Looked for in this order; a form that posts to a checkout says most plainly what its button does.
_GUESSES: Final = (
    f"form[action*='checkout' i] {_SUBMITS}",
    f"form[action*='buy' i] {_SUBMITS}",
    "a[href*='checkout' i]",
)


@dataclass(frozen=True, slots=True)
class Shop:
    """
    A running shop.

    `url` is where visitors land. `product_url` is the page with the buy button, if that is another;
    `buy` is a CSS selector of the button, its form or link, guessed when it is None. `domain` is
    the root domain that DataFast was told, None where that is not known. `brings` are cookies that
    visitors have from before: a consent, say.
    """

    url: str
    product_url: str | None = None
    buy: str | None = None
    domain: str | None = None
    brings: tuple[tuple[str, str], ...] = ()

    @property
    def host(self) -> str:
        """The host that takes the order."""
        return urlsplit(self.product_url or self.url).hostname or ""

    @property
    def cookie_domain(self) -> str:
        """Where the script's cookies belong: the domain; on a developer's machine the host."""
        return self.host if self.domain is None or is_local(self.host) else f".{self.domain}"


def find_buy_button(page: Page, selector: str | None) -> Locator | None:
    """Return the button or link that buys: the one that is named, else the likeliest; or None."""
    if selector is not None:
        named = page.locator(selector).first
        if not named.count():
            return None
        within = named.locator(_SUBMITS).first
        return within if within.count() else named
    by_name = [page.get_by_role(role, name=_BUY_WORDS) for role in ("button", "link")]
    for found in (*(page.locator(guess) for guess in _GUESSES), *by_name):
        if found.count():
            return found.first
    return None
