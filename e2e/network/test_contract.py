"""
The stand-in script, held to DataFast's own SDK: both run in the same pages, and what the browser
keeps and sends is compared.

The hosted script itself is no open source; the SDK of the same vendor, for the same ingest, is the
nearest that can be run here.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page

from e2e.conftest import NewContext, eventually
from e2e.network.conftest import Sdk
from e2e.test_script import DAY_S, KNOWN, KNOWN_SESSION, SHOP, UUID_V4, Site

# What the SDK keeps and sends beside, for itself and for its mobile builds.
SDK_COOKIES = {"datafast_session_start"}
SDK_FIELDS = {"device"}
# Made anew in each browser, so that only their forms can be equal.
RANDOM = {"visitorId", "sessionId", "visitorFirstSeenAt"}

FORMS = {
    "known visitor": KNOWN,
    "known session": KNOWN_SESSION,
    "visitor": UUID_V4,
    "session": f"s{UUID_V4}",
    "time": r"20\d\d-\d\d-\d\dT\d\d(:|%3A)\d\d(:|%3A)\d\d\.\d{3}Z",
    "count": r"[1-9]\d*",
}


@dataclass(frozen=True, slots=True)
class Kept:
    """What a script leaves in the browser and tells DataFast of one page."""

    cookies: dict[str, tuple[Any, ...]]
    event: dict[str, Any] | None
    stored: dict[str, str]
    address: str


def form(value: str) -> str:
    """Name the form of a value; a count is itself."""
    name = next((name for name, form in FORMS.items() if re.fullmatch(form, value)), value)
    return value if name == "count" else name


def look(page: Page, context: BrowserContext, site: Site) -> Kept:
    """Gather what is there, with forms in the place of what is random."""
    now = page.evaluate("Date.now() / 1000")
    cookies = {
        str(each["name"]): (
            form(str(each["value"])),
            # To the minute, in days: 365 of them, or a 48th of one.
            round((float(each["expires"]) - now) / 60),
            each["domain"],
            each["path"],
            each["sameSite"],
            each["httpOnly"],
            each["secure"],
        )
        for each in context.cookies()
        if each["name"] not in SDK_COOKIES
    }
    views = [event for event in site.events if event["type"] == "pageview"]
    event = None
    if views:
        event = {
            name: form(value) if name in RANDOM else value
            for name, value in views[0].items()
            if name not in SDK_FIELDS
        }
    stored = page.evaluate("Object.fromEntries(Object.entries(sessionStorage))")
    ids = {name: form(value) for name, value in stored.items() if name.endswith("_id")}
    return Kept(cookies, event, ids, page.url)


@dataclass(frozen=True, slots=True)
class Circumstance:
    """A page and a browser in which both scripts have to do the same."""

    url: str = f"{SHOP}/maps"
    attributes: tuple[tuple[str, str], ...] = ()
    cookies: tuple[tuple[str, str], ...] = ()
    script_url: str = "/js/script.js"
    opted_out: bool = False
    speaks: bool = True


HANDED = f"_df_vid={KNOWN}&_df_sid={KNOWN_SESSION}&_df_vfs=2026-01-02T03:04:05.678Z&_df_vsn=7"
OTHER = "3f0c6c52-9d1b-4a77-8a11-5f2d8d0c9e21"
KNOWN_COOKIES = (
    ("datafast_visitor_id", KNOWN),
    ("datafast_visitor_first_seen_at", "2026-01-02T03%3A04%3A05.678Z"),
    ("datafast_visitor_session_count", "4"),
)
CIRCUMSTANCES = {
    "first visit": Circumstance(f"{SHOP}/maps?utm_source=newsletter&gclid=abc&ttclid=d"),
    "known visitor, new session": Circumstance(cookies=KNOWN_COOKIES),
    "known visitor, same session": Circumstance(
        cookies=(
            *KNOWN_COOKIES,
            ("datafast_session_id", KNOWN_SESSION),
            ("datafast_session_start", "{now_ms}"),
        )
    ),
    "known visitor, nothing else": Circumstance(cookies=KNOWN_COOKIES[:1]),
    "malformed visitor": Circumstance(cookies=(("datafast_visitor_id", "abc"),)),
    "visitor of another version": Circumstance(
        cookies=(("datafast_visitor_id", "0b8e6c1e-2d1c-1f0a-9f2e-6a4f1f4d7c11"),)
    ),
    "malformed session": Circumstance(
        cookies=(*KNOWN_COOKIES, ("datafast_session_id", f"x{KNOWN_SESSION}"))
    ),
    "malformed first visit": Circumstance(
        cookies=(*KNOWN_COOKIES[:1], ("datafast_visitor_first_seen_at", "long-ago"))
    ),
    "malformed count": Circumstance(
        cookies=(*KNOWN_COOKIES[:2], ("datafast_visitor_session_count", "many"))
    ),
    "handed over": Circumstance(f"{SHOP}/maps?{HANDED}&keep=1"),
    "handed over to a known visitor": Circumstance(
        f"{SHOP}/maps?_df_vid={OTHER}", cookies=KNOWN_COOKIES
    ),
    "handed over malformed": Circumstance(f"{SHOP}/maps?_df_vid=abc", cookies=KNOWN_COOKIES),
    "handed over a malformed session": Circumstance(
        f"{SHOP}/maps?_df_sid=abc&_df_vfs=never&_df_vsn=-1", cookies=KNOWN_COOKIES
    ),
    "outside the domain": Circumstance(attributes=(("domain", "other.test"),)),
    "root domain": Circumstance("http://contour.test/"),
    "localhost with leave": Circumstance(
        "http://shop.localhost:8000/", attributes=(("allow-localhost", "true"),)
    ),
    "localhost": Circumstance("http://shop.localhost:8000/", speaks=False),
    "loopback": Circumstance("http://127.0.0.1:8000/", speaks=False),
    "local network": Circumstance("http://shop.local/", speaks=False),
    "opted out": Circumstance(opted_out=True, speaks=False),
    "cookieless": Circumstance(script_url="/js/script.cookieless.js"),
}


@pytest.fixture
def run(new_context: NewContext, user_agent: str) -> Callable[[str, Circumstance], Kept]:
    """Run a script in a circumstance, each time in a browser of its own."""

    def run(script: str, circumstance: Circumstance) -> Kept:
        context = new_context(user_agent=user_agent)
        site = Site(dict(circumstance.attributes), circumstance.script_url, script)
        context.route("**/*", site.answer)
        page = context.new_page()
        now = page.evaluate("Date.now()")
        context.add_cookies(
            [
                {
                    "name": name,
                    "value": value.format(now_ms=now),
                    "domain": ".contour.test",
                    "path": "/",
                    "expires": now / 1000 + 5 * DAY_S,
                }
                for name, value in circumstance.cookies
            ]
        )
        if circumstance.opted_out:
            page.add_init_script("localStorage.setItem('datafast_ignore', 'true')")
        page.goto(circumstance.url)
        if circumstance.speaks:
            eventually(lambda: site.events, what="the page is told of", page=page)
        else:
            # Whatever the scripts do when they start is done after these, as is a queue of 50 ms.
            page.evaluate("window.sdk")
            page.wait_for_timeout(100)
        return look(page, context, site)

    return run


@pytest.mark.parametrize("name", CIRCUMSTANCES)
def test_the_stand_in_does_as_the_sdk_does(
    run: Callable[[str, Circumstance], Kept], sdk: Sdk, name: str
) -> None:
    """Cookies with their forms, lifetimes, Domain and path; the pageview's fields; the address."""
    circumstance = CIRCUMSTANCES[name]
    ours = run(Site().script, circumstance)
    theirs = run(sdk.bundle(flushInterval=50), circumstance)

    assert (ours.event is not None) is circumstance.speaks
    assert ours.cookies == theirs.cookies
    assert ours.event == theirs.event
    assert ours.stored == theirs.stored
    assert ours.address == theirs.address
