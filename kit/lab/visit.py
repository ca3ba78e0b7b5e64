"""One journey through a shop, step by step, and the report of it."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, Frame, Page, Route

from kit.lab.findings import Outcome, judge, reaches, tell_hops
from kit.lab.gather import BUYER, CAMPAIGN, gather
from kit.lab.report import Report
from kit.lab.seen import VISITOR_COOKIE, VISITOR_ID, ScriptState
from kit.lab.shop import find_buy_button
from kit.lab.stage import Stage
from kit.lab.watch import Watch, is_dodo

if TYPE_CHECKING:
    from playwright._impl._api_structures import SetCookieParam

_POLL_MS = 50
_TAG = """() => {
  const tag = document.querySelector("script[data-website-id]");
  return tag && {src: tag.src, domain: tag.getAttribute("data-domain")};
}"""

Found = TypeVar("Found")


@dataclass(slots=True)
class Visit:
    """A visitor on the way. Steps may be left out, repeated, or done by hand with `page`."""

    stage: Stage
    scenario: str
    expected: Outcome = "kept"
    context: BrowserContext = field(init=False)
    page: Page = field(init=False)
    watch: Watch = field(init=False)
    visitor_id: str | None = None
    """Who the visitor is, once known."""
    cookie_domain: str | None = None
    scripts_run: bool = True
    script: ScriptState | None = None
    tag: dict[str, str | None] = field(default_factory=dict)
    """The script tag's `src` and data-`domain`."""
    landing: str | None = None
    button: bool = True
    returned_to: str | None = None
    pictures: list[Path] = field(default_factory=list)
    _held: list[Route] | None = None

    def __post_init__(self) -> None:
        """Begin with nothing watched; `enter` opens the browser."""
        self.watch = Watch(self.stage.is_checkout)

    def enter(self, **options: object) -> "Visit":
        """Open a fresh context and a page in it, with Playwright's options; watch both."""
        self.scripts_run = bool(options.get("java_script_enabled", True))
        self.context = self.stage.open_context(**options)
        self.watch.attach(self.context)
        shop = self.stage.shop
        self.context.add_cookies([{"name": n, "value": v, "url": shop.url} for n, v in shop.brings])
        self.page = self.context.new_page()
        return self

    def another(self, **options: object) -> Page:
        """Open a page in one more browser of this visitor's, a phone's for example."""
        context = self.stage.open_context(**options)
        self.watch.attach(context)
        return context.new_page()

    # Steps

    def sale(self) -> None:
        """Land, buy, pay and come back."""
        self.land()
        self.buy()
        self.pay()

    def land(self, query: str = CAMPAIGN, *, url: str | None = None, settle: bool = True) -> None:
        """Come from a campaign; with `settle`, stay until the script had its chance."""
        address = url or self.stage.shop.url
        address += ("&" if urlsplit(address).query else "?") + query if query else ""
        self.landing = self.landing or address
        self._go(address)
        if settle:
            self.settle()

    def settle(self) -> None:
        """Wait until the script has set its cookie and told of the page, or cannot any more."""
        self.until(self._settled, self.stage.patience.script_s)
        self.look()
        self.picture("landing")

    def look(self) -> None:
        """Note who the visitor is by now, and how the script fares."""
        found = self.cookies()
        if self.visitor_id is None and found:
            self.visitor_id = found[0][0]
        elif self.visitor_id is None and not self.stage.is_checkout(self.page.url):
            # Cookieless: the page holds what DataFast's server answered.
            self.visitor_id = self.page.evaluate("window.datafast && window.datafast.visitorId")
        domains = [domain for value, domain in found if value == self.visitor_id]
        if domains:
            near = [domain for domain in domains if reaches(domain, self.stage.shop.host)]
            self.cookie_domain = (near or domains)[0]
        if self.script is None or (self.script == "late" and not self.watch.pressed):
            self.script = self.script_state()

    def cookies(self) -> list[tuple[str, str]]:
        """Return the visitor ids in this browser, each with its cookie's Domain."""
        return [
            (str(cookie.get("value")), str(cookie.get("domain")))
            for cookie in self.context.cookies()
            if cookie.get("name") == VISITOR_COOKIE
            and VISITOR_ID.fullmatch(str(cookie.get("value")))
        ]

    def open_product(self) -> None:
        """Go to the page with the buy button, if that is not here."""
        if self.stage.shop.product_url is not None:
            self._go(self.stage.shop.product_url)

    def buy(self) -> bool:
        """Press the buy button and come to the checkout; False if that did not happen."""
        self.open_product()
        return self.press()

    def _go(self, address: str) -> None:
        """Open a page; a script that is held would keep it from ever having loaded."""
        self.page.goto(address, wait_until="load" if self._held is None else "commit")
        self._read_tag()

    def press(self, *, clicks: int = 1) -> bool:
        """Press the buy button of this page and wait for the checkout."""
        selector = self.stage.shop.buy
        button = self.until(
            lambda: find_buy_button(self.page, selector), self.stage.patience.button_s
        )
        self.button = button is not None
        if button is None:
            return False
        self.look()
        self.watch.press()
        button.click(click_count=clicks)
        return self.await_checkout()

    def await_checkout(self) -> bool:
        """Wait until a checkout page is there: in this page, in a frame of it, or in a new tab."""
        self.until(lambda: self._any_till() or self._off_limits(), self.stage.patience.page_s)
        till = self._any_till()
        if till is None:
            return False
        till.wait_for_load_state()
        self.picture("checkout")
        return True

    def pay(self, *, page: Page | None = None) -> None:
        """Pay on the stand-in's page, here or in another browser's `page`, and come back."""
        target = page or self.page
        till = self._till(target)
        if till is None or self.stage.dodo is None or not self.stage.dodo.owns(till.url):
            return
        till.locator("input[name=email]").fill(BUYER)
        so_far = len(self.watch.requests)
        till.locator("button[value=succeeded]").click()
        if self.until(lambda: self.watch.left_checkout(so_far), self.stage.patience.page_s):
            target.wait_for_load_state()
            self.returned_to = target.url.partition("?")[0]

    def _till(self, page: Page) -> Frame | None:
        return next((frame for frame in page.frames if self.stage.is_checkout(frame.url)), None)

    def _any_till(self) -> Frame | None:
        if self.watch.checkout() is None:
            return None
        return next(filter(None, map(self._till, self.context.pages)), None)

    def _off_limits(self) -> bool:
        """Tell whether the order led to Dodo's own page, and this browser does not get there."""
        checkout = self.watch.checkout()
        # A page that was answered is on its way: its frame has the address a moment later.
        return checkout is not None and is_dodo(checkout.url) and self.watch.has_failed(checkout)

    # Circumstances

    def block(self, addresses: re.Pattern[str]) -> None:
        """Refuse these addresses, as a blocker does."""
        self.context.route(addresses, lambda route: route.abort("blockedbyclient"))

    def hold(self, addresses: re.Pattern[str]) -> None:
        """Leave requests for these addresses without an answer, until `release`."""
        held: list[Route] = []

        def keep(route: Route) -> None:
            if self._held is None:
                route.fallback()
            else:
                held.append(route)

        self.context.route(addresses, keep)
        self._held = held

    def release(self) -> None:
        """Let what was held go on, and hold nothing more."""
        held, self._held = self._held or [], None
        for route in held:
            route.fallback()

    def plant(self, value: str, *, domain: str | None = None, lives_s: float = 86_400) -> None:
        """Put a visitor cookie into the browser: where the script's would be, or for a `domain`."""
        place = domain or self.stage.shop.cookie_domain
        where: dict[str, Any] = {"domain": place, "path": "/"}
        cookie = {"name": VISITOR_COOKIE, "value": value, "expires": time.time() + lives_s}
        self.context.add_cookies([cast("SetCookieParam", cookie | where)])

    def forget(self) -> None:
        """Begin again with another visitor; what was seen so far counts no more."""
        self.watch = Watch(self.stage.is_checkout)
        self.visitor_id = self.cookie_domain = self.script = self.landing = None

    def picture(self, name: str) -> None:
        """Take a picture of the page, if pictures of this step are wanted."""
        folder = self.stage.pictures
        if folder is None or name not in self.stage.pictured:
            return
        folder.mkdir(parents=True, exist_ok=True)
        path = (
            folder / f"{_slug(self.scenario)}-{self.stage.script}-{self.stage.browser}-{name}.jpg"
        )
        self.page.screenshot(path=path, type="jpeg", quality=60)
        self.pictures.append(path)

    def report(self) -> Report:
        """Ask what arrived, waiting for the payment's report, and tell the whole journey."""
        self.look()
        seen = gather(self)
        if self.returned_to is not None:
            self.picture("return")
        hops = tell_hops(seen)
        outcome, lost_at = judge(seen, hops)
        return Report(
            scenario=self.scenario,
            browser=self.stage.browser,
            script=self.stage.script,
            outcome=outcome,
            lost_at=lost_at,
            expected=self.expected,
            visitor_id=seen.visitor_id,
            hops=hops,
            pictures=tuple(self.pictures),
        )

    # What the script does

    def _read_tag(self) -> None:
        """Note the script tag of the page, once one was found."""
        if self.tag or not self.scripts_run:
            return
        self.tag = self.page.evaluate(_TAG) or {}

    def script_state(self) -> ScriptState:
        if not self.scripts_run:
            return "off"
        request = self.watch.script(self.tag.get("src"))
        if request is None:
            told = any(event.visitor_id for event in self.watch.page_events())
            return "loaded" if told else "missing"
        if not self.watch.is_over(request):
            return "late"
        status = self.watch.status(request)
        return "loaded" if status is not None and status < 400 else "blocked"

    def _settled(self) -> bool:
        state = self.script_state()
        if state in ("off", "blocked"):
            return True
        events = self.watch.events()
        return bool(events) and all(self.watch.is_over(event) for event in events)

    # Waiting

    def until(self, look: Callable[[], Found], within_s: float) -> Found | None:
        """Return the first true answer, or None; the browser goes on meanwhile."""
        deadline = time.monotonic() + within_s
        while True:
            found = look()
            if found:
                return found
            if time.monotonic() > deadline:
                return None
            self.page.wait_for_timeout(_POLL_MS)


def _slug(text: str) -> str:
    return "-".join("".join(c if c.isalnum() else " " for c in text.lower()).split())
