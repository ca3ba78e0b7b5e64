"""Continuity, consent and cookieless mode, in a real browser: what its cookies and storage hold."""

import json
import re
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from e2e.accessibility import violations
from e2e.conftest import Demo, NewContext, eventually
from e2e.product import Products
from e2e.test_journey import UUID4, buy, checkouts_of, hop, journey, land, pay, visitor_cookie

YES, NO = "Yes, count it", "No, do not"
WITHDRAW, AFTER_ALL = "Stop counting me", "Count my visits after all"


@pytest.fixture(scope="module")
def asking(products: Products) -> Demo:
    """Run a shop that keeps a continuity cookie, of those who agreed."""
    return products.running(KIT_CONSENT="required", KIT_CONTINUITY="1")


@pytest.fixture(scope="module")
def cookieless(products: Products) -> Demo:
    """Run a shop that sets no cookie to know anybody by."""
    return products.running(KIT_COOKIELESS="1")


def agree(context: BrowserContext, demo: Demo) -> None:
    """Be a visitor who said yes on an earlier day."""
    context.add_cookies([{"name": "kit_consent", "value": "given", "url": demo.shop}])


def names(context: BrowserContext) -> set[str]:
    """Return the names of the browser's cookies."""
    return {str(cookie["name"]) for cookie in context.cookies()}


def measured(context: BrowserContext) -> set[str]:
    """Return the names of those that know the visitor."""
    return {name for name in names(context) if name.startswith(("datafast_", "kit_visitor"))}


def pageviews(demo: Demo, visitor_id: str) -> list[dict[str, Any]]:
    """Return the events of a visitor that reached DataFast."""
    return [
        json.loads(each["body"])
        for each in demo.at_datafast("requests", visitor_id=visitor_id, path="/api/events")
    ]


def forget_script_cookies(context: BrowserContext) -> None:
    """Do what Safari does after a week: what scripts have written is gone."""
    context.clear_cookies(name=re.compile("datafast_.*"))


def copied(context: BrowserContext) -> None:
    """Wait until the server has its copy."""
    eventually(
        lambda: "kit_visitor" in names(context), what="the copy is set", page=context.pages[0]
    )


def test_the_script_takes_the_restored_cookie_over(
    context: BrowserContext, page: Page, asking: Demo
) -> None:
    """A visitor whose script cookies were deleted comes back as the same one, and buys so."""
    agree(context, asking)
    land(page, asking)
    visitor_id = visitor_cookie(context, asking)
    copied(context)
    forget_script_cookies(context)
    page.goto(f"{asking.shop}/products/gulf-chart")
    seen = page.evaluate("document.cookie")
    expect(page.get_by_role("button", name=re.compile("Buy"))).to_be_visible()
    views = eventually(
        lambda: pageviews(asking, visitor_id)[1:], what="the second pageview", page=page
    )
    buy(page, asking, "gulf-chart")
    account = journey(asking, pay(page, asking))

    assert f"datafast_visitor_id={visitor_id}" in seen
    assert "kit_visitor" not in seen
    assert "/products/gulf-chart" in views[0]["href"]
    assert visitor_cookie(context, asking) == visitor_id
    assert (account["verdict"], account["visitor_id"]) == ("attributed", visitor_id)


def test_a_button_pressed_after_the_cookie_went_still_names_the_visitor(
    context: BrowserContext, page: Page, asking: Demo
) -> None:
    """The page stood open meanwhile; the inspector tells what saved the sale."""
    agree(context, asking)
    land(page, asking)
    visitor_id = visitor_cookie(context, asking)
    copied(context)
    page.goto(f"{asking.shop}/products/coastline-atlas")
    page.wait_for_load_state("networkidle")
    forget_script_cookies(context)
    page.get_by_role("button", name=re.compile("Buy")).click()
    page.wait_for_url(f"{asking.dodo}/session/**")
    account = journey(asking, pay(page, asking))

    assert hop(account, "Visitor cookie at checkout")["reason"] == "restored"
    assert (account["verdict"], account["visitor_id"]) == ("attributed", visitor_id)


def test_a_planted_id_is_adopted_by_the_script_and_never_by_the_copy(
    context: BrowserContext, page: Page, asking: Demo
) -> None:
    """Nobody can tell such a link from an honest one; but once its cookie is gone, so is it."""
    planted = "66666666-7d0e-4c5b-9a53-2f6f1f3f9b11"
    agree(context, asking)
    land(page, asking)
    own = visitor_cookie(context, asking)
    copied(context)
    page.goto(f"{asking.shop}/?_df_vid={planted}")
    page.wait_for_function(f"document.cookie.includes('{planted}')")
    page.goto(f"{asking.shop}/products/coastline-atlas")
    page.wait_for_load_state("networkidle")
    adopted = visitor_cookie(context, asking)
    forget_script_cookies(context)
    page.goto(f"{asking.shop}/products/studio")

    assert adopted == planted
    assert visitor_cookie(context, asking) == own


def test_nothing_is_there_before_a_yes_and_everything_after_it(
    context: BrowserContext, page: Page, asking: Demo
) -> None:
    """The answer is taken without loading the page again, so the visit keeps its referrer."""
    loaded: list[str] = []
    page.on("request", lambda request: loaded.append(f"{request.method} {request.url}"))
    page.goto(f"{asking.shop}/?utm_source=newsletter", referer="https://news.example/story")
    page.wait_for_load_state("networkidle")
    before = (names(context), [url for url in loaded if "/js/" in url or "/api/" in url])
    documents = [url for url in loaded if "?utm_source" in url]
    page.get_by_role("button", name=YES).click()
    visitor_id = visitor_cookie(context, asking)
    [view] = eventually(lambda: pageviews(asking, visitor_id), what="the pageview", page=page)

    assert before == (set(), [])
    assert [url for url in loaded if "?utm_source" in url] == documents
    assert "utm_source=newsletter" in view["href"]
    assert view["referrer"] == "https://news.example/story"
    expect(page.get_by_role("status")).to_contain_text("Thank you")
    expect(page.locator("#consent-form")).to_have_count(0)
    assert page.evaluate("document.activeElement.id") == "main"
    buy(page, asking, "coastline-atlas")
    account = journey(asking, pay(page, asking))
    assert (account["verdict"], account["visitor_id"]) == ("attributed", visitor_id)


def test_a_yes_goes_by_the_plain_form_where_the_page_cannot_ask(
    context: BrowserContext, page: Page, asking: Demo
) -> None:
    """What the small script cannot do, the form does; the campaign stays in the address."""
    page.goto(f"{asking.shop}/?utm_source=newsletter")
    page.evaluate("void (window.fetch = () => Promise.reject(new Error('offline')))")
    page.get_by_role("button", name=YES).click()
    visitor_cookie(context, asking)

    assert page.url == f"{asking.shop}/?utm_source=newsletter"
    expect(page.get_by_role("button", name=WITHDRAW)).to_be_visible()


def test_a_withdrawal_takes_every_trace_away_and_can_be_taken_back(
    context: BrowserContext, page: Page, asking: Demo
) -> None:
    """Cookies of the script and of the server, and the flag that its script obeys."""
    agree(context, asking)
    land(page, asking)
    visitor_id = visitor_cookie(context, asking)
    copied(context)
    page.wait_for_load_state("networkidle")
    # One for the root domain, as the script sets it on a real host.
    host = "shop.localhost"
    wide = {"name": "datafast_visitor_id", "value": visitor_id, "domain": f".{host}", "path": "/"}
    context.add_cookies([wide])  # type: ignore[list-item]
    page.get_by_role("button", name=WITHDRAW).click()
    expect(page.get_by_role("button", name=AFTER_ALL)).to_be_visible()
    left, flag = measured(context), page.evaluate("localStorage.getItem('datafast_ignore')")
    stored = page.evaluate("Object.keys(sessionStorage).filter((key) => /^datafast/.test(key))")
    events = len(pageviews(asking, visitor_id))
    buy(page, asking, "coastline-atlas")
    account = journey(asking, pay(page, asking))
    still = (measured(context), len(pageviews(asking, visitor_id)))
    page.goto(f"{asking.shop}/products/studio")
    page.get_by_role("button", name=AFTER_ALL).click()
    again = visitor_cookie(context, asking)

    assert (left, flag, stored) == (set(), "true", [])
    assert still == (set(), events)
    assert hop(account, "Visitor cookie at checkout")["reason"] == "declined"
    assert (account["verdict"], account["visitor_id"]) == ("recorded", None)
    assert UUID4.fullmatch(again)
    assert again != visitor_id
    assert page.evaluate("localStorage.getItem('datafast_ignore')") is None


def test_who_had_opted_out_by_hand_stays_so_after_a_yes(
    context: BrowserContext, page: Page, asking: Demo
) -> None:
    """DataFast's own flag is not ours to take away."""
    page.add_init_script("localStorage.setItem('datafast_ignore', 'true')")
    land(page, asking)
    page.get_by_role("button", name=YES).click()
    expect(page.get_by_role("status")).to_contain_text("Thank you")
    page.wait_for_load_state("networkidle")

    assert measured(context) == set()


@pytest.mark.parametrize(("choice", "offered"), [(YES, WITHDRAW), (NO, AFTER_ALL)])
def test_the_question_is_answered_without_javascript(
    new_context: NewContext, asking: Demo, choice: str, offered: str
) -> None:
    """Two buttons of one form, and the other answer at the foot of the page."""
    page = new_context(java_script_enabled=False).new_page()
    page.goto(f"{asking.shop}/products/studio?utm_source=newsletter")
    page.get_by_role("button", name=choice).click()

    expect(page.get_by_role("button", name=offered)).to_be_visible()
    assert page.url == f"{asking.shop}/products/studio?utm_source=newsletter"
    assert measured(page.context) == set()


@pytest.mark.parametrize("answer", ["", "given"], ids=["asking", "answered"])
def test_axe_finds_nothing_in_question_and_answer(
    new_context: NewContext, asking: Demo, answer: str
) -> None:
    """No accessibility violation, and no sideways scrolling on a phone."""
    context = new_context(viewport={"width": 360, "height": 800})
    if answer:
        agree(context, asking)
    page = context.new_page()
    land(page, asking)
    overflow = page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )

    assert violations(page) == set()
    assert overflow == 0


def test_without_cookies_the_pages_id_reaches_metadata_and_report(
    context: BrowserContext, page: Page, cookieless: Demo
) -> None:
    """DataFast's server names the visitor, the page hands the name over, no cookie is written."""
    land(page, cookieless)
    page.goto(f"{cookieless.shop}/products/coastline-atlas")
    page.wait_for_function("window.datafast && window.datafast.visitorId")
    visitor_id = str(page.evaluate("window.datafast.visitorId"))
    page.get_by_role("button", name=re.compile("Buy")).click()
    page.wait_for_url(f"{cookieless.dodo}/session/**")
    known_by = measured(context)
    account = journey(cookieless, pay(page, cookieless))
    [checkout] = checkouts_of(cookieless, visitor_id)

    assert known_by == set()
    assert checkout["metadata"]["datafast_visitor_id"] == visitor_id
    assert "datafast_session_id" not in checkout["metadata"]
    assert hop(account, "Pageview")["reason"] == "pageview_passed"
    assert (account["verdict"], account["visitor_id"]) == ("attributed", visitor_id)
    assert account["source"] == "newsletter"


def test_without_cookies_a_press_before_the_script_names_nobody_and_sells(
    context: BrowserContext, page: Page, cookieless: Demo
) -> None:
    """The page has no id to hand over yet."""
    context.route("**/js/script*.js", lambda route: route.fulfill(body="", status=200))
    buy(page, cookieless, "coastline-atlas")
    account = journey(cookieless, pay(page, cookieless))

    assert hop(account, "Visitor cookie at checkout")["reason"] == "absent"
    assert (account["verdict"], account["visitor_id"]) == ("recorded", None)
