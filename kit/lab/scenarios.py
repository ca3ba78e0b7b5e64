"""
The circumstances in which a visitor may be lost, played on any shop.

What a scenario expects holds for a shop that reads the cookie on its server, serves script and
events from its own host, and strips the return address; without a continuity cookie.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from kit.lab.findings import Outcome
from kit.lab.gather import CAMPAIGN
from kit.lab.report import Report
from kit.lab.seen import VISITOR_COOKIE
from kit.lab.stage import Stage
from kit.lab.visit import Visit

SCRIPT: Final = re.compile(r"/js/script(\.\w+)?\.js(\?|$)")
EVENTS: Final = re.compile(r"/api/events(\?|$)")
DATAFAST_HOSTS: Final = re.compile(r"^https?://([^/]*\.)?datafa(\.st|st\.)")
"""What a block list names: DataFast's own host, and that of its stand-in."""

PLANTED: Final = "0b8e6c1e-2d1c-4f0a-9f2e-6a4f1f4d7c11"
SLOW_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """One circumstance: its name in the matrix, how it should end, and how it is played."""

    name: str
    expected: Outcome
    play: Callable[[Visit], None]
    options: Mapping[str, Any] = field(default_factory=dict)
    """Playwright's options for the visitor's context."""


def play(scenario: Scenario, stage: Stage) -> Report:
    """Play a scenario to its end and report it."""
    visit = Visit(stage, scenario.name, scenario.expected).enter(**scenario.options)
    scenario.play(visit)
    return visit.report()


def _returning(visit: Visit) -> None:
    """Come back in a new session, half an hour later or more: its cookie is gone by then."""
    visit.land()
    visit.context.clear_cookies(name="datafast_session_id")
    visit.page.close()
    visit.page = visit.context.new_page()
    visit.land("utm_source=search")
    visit.buy()
    visit.pay()


def _second_tab(visit: Visit) -> None:
    visit.land()
    visit.page = visit.context.new_page()
    visit.page.goto(visit.stage.shop.product_url or visit.stage.shop.url)
    visit.press()
    visit.pay()


def _back_button(visit: Visit) -> None:
    visit.land()
    visit.buy()
    visit.page.go_back()
    visit.press()
    visit.pay()


def _kept_alive(visit: Visit) -> None:
    """
    Buy twice from one living page, as somebody does whom the back-forward cache brought back.

    Chromium's headless shell has no such cache (measured with 156), so the first checkout goes to
    a tab of its own instead, and the page is told that it was revived.
    """
    visit.land()
    visit.open_product()
    visit.page.evaluate("document.querySelectorAll('form, a').forEach(it => it.target = '_blank')")
    visit.press()
    if visit.stage.is_checkout(visit.page.url):
        visit.page.go_back()
    visit.page.evaluate("document.querySelectorAll('form, a').forEach(it => it.target = '')")
    visit.page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))")
    visit.press()
    visit.pay()


def _double_click(visit: Visit) -> None:
    visit.land()
    visit.open_product()
    visit.press(clicks=2)
    visit.pay()


def _private_window(visit: Visit) -> None:
    """Know the shop from a usual window, and buy in a private one: that is another visitor."""
    visit.land()
    private = visit.visitor_id
    visit.forget()
    visit.enter()
    visit.sale()
    if visit.visitor_id == private:
        raise AssertionError("a private window shared the usual one's cookies")


def _script_blocked(visit: Visit) -> None:
    visit.block(SCRIPT)
    visit.sale()


def _hosts_blocked(visit: Visit) -> None:
    visit.block(DATAFAST_HOSTS)
    visit.sale()


def _events_blocked(visit: Visit) -> None:
    visit.block(EVENTS)
    visit.sale()


def _script_slow(visit: Visit) -> None:
    """Read on while the script is under way."""
    visit.hold(SCRIPT)
    visit.land(settle=False)
    visit.page.wait_for_timeout(SLOW_S * 1000)
    visit.release()
    visit.settle()
    visit.buy()
    visit.pay()


def _script_late(visit: Visit) -> None:
    """Buy before the script has come; it is there when the buyer returns."""
    visit.hold(SCRIPT)
    visit.land(settle=False)
    visit.buy()
    visit.release()
    visit.pay()
    visit.settle()


def _cookies_cleared(visit: Visit) -> None:
    visit.land()
    visit.context.clear_cookies(name=re.compile("^datafast_"))
    visit.buy()
    visit.pay()


def _cookie_expired(visit: Visit) -> None:
    visit.land()
    for cookie in visit.context.cookies():
        if cookie.get("name") == VISITOR_COOKIE:
            visit.plant(str(cookie.get("value")), domain=str(cookie.get("domain")), lives_s=1)
    visit.until(lambda: not visit.cookies(), within_s=5)
    visit.buy()
    visit.pay()


def _malformed(visit: Visit) -> None:
    visit.plant("'><script>alert(1)</script>")
    visit.sale()


def _oversized(visit: Visit) -> None:
    visit.plant("f" * 3_900)
    visit.sale()


def _duplicate(visit: Visit) -> None:
    """Hold two cookies of the name, and take as the visitor the one that is sent first."""
    visit.plant(PLANTED)
    visit.plant("00000000-0000-4000-8000-000000000000", domain=f".{visit.stage.shop.host}")
    visit.sale()


def _shadowed(visit: Visit) -> None:
    """Have a broken cookie of one host, which the browser sends before the domain's."""
    visit.plant("of-somebody-elses-making", domain=visit.stage.shop.host)
    visit.sale()


def _hostile(visit: Visit) -> None:
    """Follow a link that hands over somebody else's visitor id: the script takes it."""
    visit.land(f"{CAMPAIGN}&_df_vid={PLANTED}")
    visit.buy()
    visit.pay()


def _without_cookies_back(visit: Visit) -> None:
    visit.land()
    visit.buy()
    visit.context.clear_cookies()
    visit.pay()


def _other_browser(visit: Visit) -> None:
    """Open the checkout's link on the phone, and pay there."""
    visit.land()
    visit.buy()
    phone = visit.another()
    phone.goto(visit.page.url)
    visit.pay(page=phone)


FIRST_VISIT = Scenario("first visit", "kept", Visit.sale)
RETURNING = Scenario("returning visitor", "kept", _returning)
SECOND_TAB = Scenario("bought in a second tab", "kept", _second_tab)
BACK_BUTTON = Scenario("back from the checkout, and again", "kept", _back_button)
KEPT_ALIVE = Scenario("back from the back-forward cache", "kept", _kept_alive)
DOUBLE_CLICK = Scenario("double click on the buy button", "kept", _double_click)
PRIVATE_WINDOW = Scenario("private window", "kept", _private_window)
SCRIPT_BLOCKED = Scenario("script blocked by its name", "none", _script_blocked)
HOSTS_BLOCKED = Scenario("DataFast's hosts blocked", "kept", _hosts_blocked)
EVENTS_BLOCKED = Scenario("events blocked", "lost", _events_blocked)
SCRIPT_SLOW = Scenario("script slow by 5 s", "kept", _script_slow)
SCRIPT_LATE = Scenario("bought before the script had loaded", "lost", _script_late)
COOKIES_CLEARED = Scenario("cookies cleared on the way", "lost", _cookies_cleared)
COOKIE_EXPIRED = Scenario("cookie expired on the way", "lost", _cookie_expired)
MALFORMED = Scenario("malformed cookie", "kept", _malformed)
OVERSIZED = Scenario("oversized cookie", "kept", _oversized)
DUPLICATE = Scenario("two cookies of the name", "kept", _duplicate)
SHADOWED = Scenario("broken cookie before the script's", "lost", _shadowed)
"""Where cookies have a Domain, so not on localhost."""
HOSTILE = Scenario("somebody else's id in the link", "kept", _hostile)
NO_JAVASCRIPT = Scenario("JavaScript off", "none", Visit.sale, {"java_script_enabled": False})
WITHOUT_COOKIES_BACK = Scenario("returned without cookies", "kept", _without_cookies_back)
OTHER_BROWSER = Scenario("paid and returned in another browser", "kept", _other_browser)

SCENARIOS: Final = (
    FIRST_VISIT,
    RETURNING,
    SECOND_TAB,
    BACK_BUTTON,
    KEPT_ALIVE,
    DOUBLE_CLICK,
    PRIVATE_WINDOW,
    SCRIPT_BLOCKED,
    HOSTS_BLOCKED,
    EVENTS_BLOCKED,
    SCRIPT_SLOW,
    SCRIPT_LATE,
    COOKIES_CLEARED,
    COOKIE_EXPIRED,
    MALFORMED,
    OVERSIZED,
    DUPLICATE,
    HOSTILE,
    NO_JAVASCRIPT,
    WITHOUT_COOKIES_BACK,
    OTHER_BROWSER,
)
"""Those that any shop can be put through."""
