"""
The continuity matrix: whether the visitor of the landing page stands in DataFast's books, in each
circumstance, and if not, at which hop the visitor was lost.

In every cell the sale is paid and reported: analytics never stops one.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from playwright.sync_api import Request, expect
from starlette.applications import Starlette
from starlette.requests import Request as Asked
from starlette.responses import HTMLResponse
from starlette.routing import Route

from e2e.conftest import NO_TLS, Console, Demo, Lab
from e2e.product import Products
from e2e.test_script import serving_alone
from kit.lab import scenarios
from kit.lab.gather import BUYER, CAMPAIGN
from kit.lab.report import Report
from kit.lab.scenarios import PLANTED
from kit.lab.stage import Stage
from kit.lab.visit import Visit
from tests.shops.small import Make, open_small_shop

BLOCKED = "ERR_BLOCKED_BY_CLIENT|ERR_FAILED"
REFUSED = "status of 40"
COOKIE, ORDER, SENT = "Visitor cookie", "Visitor cookie at checkout", "Pageview to DataFast"
BOOKS = "Payment at DataFast"

only_chromium = pytest.mark.usefixtures("only_chromium")


def assert_kept(report: Report) -> None:
    """Say that the report of the payment names the visitor who landed, as DataFast confirms."""
    assert (report.outcome, report.lost_at) == ("kept", None), report.hops
    assert report.expected == "kept"
    assert report.hop(ORDER).seen == report.visitor_id
    assert report.hop(BOOKS).seen == report.visitor_id
    assert report.hop(BOOKS).reason == "attributed"


def assert_lost(report: Report, at: str, because: str) -> None:
    """Say where and why the visitor was lost, and that the sale was counted all the same."""
    assert (report.outcome, report.lost_at) == ("lost", at), report.hops
    assert report.expected == "lost"
    assert report.hop(at).reason == because
    assert report.hop(at).fix
    assert report.hop(BOOKS).reason != "not_reported"


def assert_nobody(report: Report, script: str) -> None:
    """Say that there never was a visitor, and that the sale was counted all the same."""
    assert (report.outcome, report.lost_at, report.visitor_id) == ("none", None, None), report.hops
    assert report.expected == "none"
    assert report.hop("Script on the page").reason == script
    assert report.hop(ORDER).reason == "absent"
    assert report.hop(BOOKS).reason == "recorded_without_visitor"


def orders(demo: Demo, visitor_id: str | None) -> int:
    """Return how many checkout sessions were opened at Dodo for a visitor."""
    posted = [
        json.loads(each["body"])["metadata"]
        for each in demo.at_dodo("requests", path="/checkouts")
        if each["method"] == "POST"
    ]
    return sum(metadata.get("datafast_visitor_id") == visitor_id for metadata in posted)


# The usual ways


def test_a_first_visit(lab: Lab) -> None:
    """One id stands in cookie, metadata and report; the buyer sees the receipt."""
    visit = lab.visit("first visit")
    visit.sale()
    report = lab.report(visit)
    visit.page.reload()

    assert_kept(report)
    assert [hop.tone for hop in report.hops] == ["ok"] * len(report.hops)
    expect(visit.page.get_by_role("heading", level=1)).to_contain_text("Thank you")
    expect(visit.page.locator("main")).to_contain_text(str(report.visitor_id))


def test_a_returning_visitor(lab: Lab) -> None:
    """A new session of a known browser is the same visitor, with the first campaign."""
    report = lab.play(scenarios.RETURNING)
    pages = lab.at().datafast.pageviews(str(report.visitor_id))  # type: ignore[union-attr]

    assert_kept(report)
    assert CAMPAIGN in pages[0]
    assert "utm_source=search" in "".join(pages)


def test_bought_in_a_second_tab(lab: Lab) -> None:
    """Tabs share the cookie."""
    assert_kept(lab.play(scenarios.SECOND_TAB))


def test_back_from_the_checkout_and_buying_again(lab: Lab) -> None:
    """The form that the back button brings back leads to the same checkout session."""
    report = lab.play(scenarios.BACK_BUTTON)

    assert_kept(report)
    assert orders(lab.demo, report.visitor_id) == 1


def test_back_into_a_page_that_was_kept_alive(lab: Lab) -> None:
    """What the back-forward cache revives holds the old form: it is the same order."""
    report = lab.play(scenarios.KEPT_ALIVE)

    assert_kept(report)
    assert orders(lab.demo, report.visitor_id) == 1


def test_a_double_click(lab: Lab) -> None:
    """Two submits of one form are one order at Dodo."""
    report = lab.play(scenarios.DOUBLE_CLICK)

    assert_kept(report)
    assert orders(lab.demo, report.visitor_id) == 1


def test_a_private_window(lab: Lab) -> None:
    """It is a visitor of its own, and stays that one."""
    assert_kept(lab.play(scenarios.PRIVATE_WINDOW))


# Domains


@pytest.fixture
def campaign_page(made_up: Demo) -> Iterator[int]:
    """Serve, under any name, a page with DataFast's script as it is: a marketing site."""

    async def page(_request: Asked) -> HTMLResponse:
        return HTMLResponse(
            '<!doctype html><html lang="en"><title>Maps</title><link rel="icon" href="data:,">'
            '<script defer data-website-id="dfid_sandbox" data-domain="contour.test" '
            f'src="{made_up.datafast}/js/script.js"></script><h1>Maps for people</h1></html>'
        )

    with serving_alone(Starlette(routes=[Route("/", page)])) as port:
        yield port


@only_chromium
def test_landing_on_one_subdomain_and_buying_on_another(
    lab: Lab, made_up: Demo, campaign_page: int, console: Console
) -> None:
    """The cookie belongs to the root domain, so the shop's server gets it."""
    console.expect(NO_TLS)
    visit = lab.visit("landed on a subdomain, bought on another", at=lab.at(made_up))
    visit.land(url=f"http://www.contour.test:{campaign_page}/")
    visit.buy()
    visit.pay()
    report = lab.report(visit)

    assert_kept(report)
    assert report.hop(COOKIE).seen == f"{report.visitor_id} for .contour.test"


@only_chromium
def test_a_data_domain_with_www_and_the_tool_says_why(lab: Lab, console: Console) -> None:
    """The cookie of www stays there; the report names the setting and the remedy."""
    console.expect(REFUSED)
    make = Make("shop.contour.test", "www.contour.test", landing_host="www.contour.test")
    with open_small_shop(make) as shop:
        visit = lab.visit("data-domain with www", at=lab.at(shop), expected="lost")
        visit.sale()
        report = lab.report(visit)

    assert_lost(report, COOKIE, "cookie_out_of_reach")
    assert report.hop(COOKIE).expected == "shop.contour.test"
    assert report.hop("Domain of the script").reason == "script_domain_foreign"
    assert "root domain" in str(report.hop("Domain of the script").fix)
    assert report.hop(ORDER).reason == "visitor_replaced"


@only_chromium
def test_a_link_hands_the_visitor_over_to_another_domain(lab: Lab) -> None:
    """Two root domains of one website: the parameters of the link bridge what no cookie can."""
    make = Make(
        "shop.contour.test",
        "contour.test",
        landing_host="contour-maps.test",
        allowed_hostnames="contour.test",
        additional_domains=("contour-maps.test",),
    )
    with open_small_shop(make) as shop:
        visit = lab.visit("handed over to another domain", at=lab.at(shop))
        visit.land()
        visit.page.get_by_role("link", name="Maps").click()
        visit.page.wait_for_url("**/maps")
        visit.press()
        visit.pay()
        report = lab.report(visit)

    assert_kept(report)
    assert "_df_vid" not in str(report.hop(SENT).seen)


# The script and its events


def test_the_script_blocked_by_its_name(lab: Lab, console: Console) -> None:
    """A blocker that knows the path costs the attribution, never the sale or its total."""
    console.expect(BLOCKED)
    report = lab.play(scenarios.SCRIPT_BLOCKED)

    assert_nobody(report, "script_blocked")


def test_datafasts_hosts_blocked_with_the_proxy(lab: Lab) -> None:
    """A block list names hosts, and the shop's own is on none."""
    assert_kept(lab.play(scenarios.HOSTS_BLOCKED))


def test_datafasts_hosts_blocked_without_the_proxy(lab: Lab, console: Console) -> None:
    """A shop that loads the script from DataFast has no visitor then."""
    console.expect(BLOCKED)
    with open_small_shop() as shop:
        name = "DataFast's hosts blocked, no proxy"
        scenario = replace(scenarios.HOSTS_BLOCKED, name=name, expected="none")
        report = lab.play(scenario, lab.at(shop))

    assert_nobody(report, "script_blocked")


def test_the_events_blocked(lab: Lab, console: Console) -> None:
    """The cookie is there and DataFast never heard of it: the sale counts, without a visitor."""
    console.expect(BLOCKED)
    report = lab.play(scenarios.EVENTS_BLOCKED)

    assert_lost(report, SENT, "pageview_blocked")
    assert report.hop(ORDER).reason == "captured"
    assert report.hop(BOOKS).reason == "no_pageview"


def test_a_script_that_is_five_seconds_late(lab: Lab) -> None:
    """Who reads on is known by the time of the order."""
    assert_kept(lab.play(scenarios.SCRIPT_SLOW))


def test_buying_before_the_script_has_loaded(lab: Lab) -> None:
    """The order carried nobody, and the report says that the script came too late."""
    report = lab.play(scenarios.SCRIPT_LATE)

    assert_lost(report, "Script on the page", "script_late")
    assert report.hop(ORDER).reason == "absent"
    assert report.hop(BOOKS).reason == "recorded_without_visitor"


def test_javascript_off(lab: Lab) -> None:
    """Pages, checkout and receipt are plain forms and links."""
    report = lab.play(scenarios.NO_JAVASCRIPT)

    assert_nobody(report, "script_off")
    assert report.hop("Return from Dodo's page").reason == "returned"


# Cookies


def test_cookies_cleared_on_the_way(lab: Lab) -> None:
    """The next page makes another visitor, who gets the sale."""
    report = lab.play(scenarios.COOKIES_CLEARED)

    assert_lost(report, ORDER, "visitor_replaced")
    assert report.hop(BOOKS).reason == "reported_other_visitor"


def test_a_cookie_that_expires_on_the_way(lab: Lab) -> None:
    """As above: an expired cookie is none."""
    report = lab.play(scenarios.COOKIE_EXPIRED)

    assert_lost(report, ORDER, "visitor_replaced")


def test_a_malformed_cookie(lab: Lab) -> None:
    """The script replaces what is no visitor id, and nobody hears of it."""
    report = lab.play(scenarios.MALFORMED)

    assert_kept(report)
    assert "alert(1)" not in json.dumps(lab.demo.at_dodo("requests", path="/checkouts"))


def test_a_malformed_cookie_and_no_script(lab: Lab, console: Console) -> None:
    """What is no visitor id reaches neither Dodo nor DataFast, and the sale goes on."""
    console.expect(BLOCKED)
    visit = lab.visit("malformed cookie, script blocked", expected="none")
    visit.plant("'><script>alert(1)</script>")
    visit.block(scenarios.SCRIPT)
    visit.sale()
    report = lab.report(visit)

    assert (report.outcome, report.visitor_id) == ("none", None)
    assert report.hop(ORDER).reason == "malformed"
    assert report.hop(BOOKS).reason == "recorded_without_visitor"
    assert "alert(1)" not in json.dumps(lab.demo.at_dodo("requests", path="/checkouts"))


@only_chromium
def test_a_broken_cookie_before_the_scripts_own(lab: Lab, made_up: Demo, console: Console) -> None:
    """Code that writes the cookie for one host makes the script find another visitor each time."""
    console.expect(NO_TLS)
    report = lab.play(scenarios.SHADOWED, lab.at(made_up))

    assert_lost(report, ORDER, "cookie_shadowed")


def test_an_oversized_cookie(lab: Lab) -> None:
    """Four thousand letters are no visitor id either."""
    assert_kept(lab.play(scenarios.OVERSIZED))


def test_two_cookies_of_the_name(lab: Lab) -> None:
    """Script and server take the same one: the first of the header."""
    report = lab.play(scenarios.DUPLICATE)

    assert_kept(report)
    assert report.visitor_id == PLANTED


def test_somebody_elses_id_in_the_link(lab: Lab) -> None:
    """The script takes it, and nothing tells it from the visitor's own."""
    report = lab.play(scenarios.HOSTILE)

    assert_kept(report)
    assert report.visitor_id == PLANTED


# The way back


def test_a_return_without_cookies(lab: Lab) -> None:
    """The payment carries the visitor; the page tells a stranger only that it is paid."""
    visit = lab.visit("returned without cookies")
    scenarios.WITHOUT_COOKIES_BACK.play(visit)
    report = lab.report(visit)
    visit.page.reload()
    visit.page.get_by_text("This order is paid").wait_for()
    text = visit.page.locator("main").inner_text()

    assert_kept(report)
    assert str(report.visitor_id) not in text
    assert "$29" not in text


def test_paid_and_returned_in_another_browser(lab: Lab) -> None:
    """The phone pays what the desk ordered: it is the desk's visitor."""
    assert_kept(lab.play(scenarios.OTHER_BROWSER))


def test_cookies_that_come_back_from_another_site(lab: Lab) -> None:
    """From Dodo's site Lax cookies return, the order's and the visitor's; Strict ones do not."""
    visit = lab.visit("returned from another site")
    planted = [("strict", "Strict"), ("lax", "Lax")]
    visit.context.add_cookies(
        [
            {"name": name, "value": "1", "url": visit.stage.shop.url, "sameSite": policy}  # type: ignore[typeddict-item]
            for name, policy in planted
        ]
    )
    visit.sale()
    [back] = [
        request
        for request in visit.watch.requests
        if request.is_navigation_request() and "/orders/" in request.url and "?" in request.url
    ]
    headers = back.all_headers()
    returned = set(re.findall(r"(\w+)=", headers["cookie"]))
    report = lab.report(visit)

    assert_kept(report)
    assert headers["sec-fetch-site"] == "cross-site"
    assert {"lax", "kit_orders", "datafast_visitor_id"} <= returned
    assert "strict" not in returned


def test_an_order_id_in_the_address(lab: Lab) -> None:
    """The script takes it for another provider's payment, unless its tag forbids that."""
    visit = lab.visit("order_id in the address")
    visit.sale()
    visit.page.goto(f"{lab.demo.shop}/?order_id=o-1&checkout_id=c-1&session_id=cs_1")
    visit.settle()
    report = lab.report(visit)

    assert_kept(report)
    assert "Payments in the browser" not in [hop.name for hop in report.hops]


def test_an_order_id_in_the_return_address_of_a_shop_that_forgot(lab: Lab) -> None:
    """Without data-disable-payments the payment is looked up at another provider."""
    make = Make(return_query="order_id=o-1", clean_return=False, disable_payments=False)
    with open_small_shop(make) as shop:
        visit = lab.visit("order_id in the return address, payments not disabled", at=lab.at(shop))
        visit.sale()
        visit.settle()
        report = lab.report(visit)

    assert_kept(report)
    assert report.hop("Payments in the browser").reason == "payment_guessed"
    assert "data-disable-payments" in str(report.hop("Payments in the browser").fix)


def test_the_buyers_e_mail_in_the_return_address(lab: Lab) -> None:
    """It is gone before any script can read it: no request of a page tells anybody."""
    visit = lab.visit("e-mail in the return address")
    visit.sale()
    visit.settle()
    told = [text for request in visit.watch.requests for text in _told(request)]
    report = lab.report(visit)

    assert_kept(report)
    assert "?" not in visit.page.url
    assert not [text for text in told if BUYER in text or "ada%40" in text]
    # The way back from the payment page is no traffic source either.
    assert "checkout.localhost" not in json.dumps(
        [
            each["body"]
            for each in lab.demo.at_datafast(
                "requests", visitor_id=str(report.visitor_id), path="/api/events"
            )
        ]
    )


def _told(request: Request) -> Iterator[str]:
    """Yield what a request tells a server beside its own address: body and referrer."""
    if "/session/" not in request.url:
        yield request.headers.get("referer", "")
        yield request.post_data or ""


def test_a_return_page_that_keeps_the_e_mail_is_found_out(lab: Lab) -> None:
    """The visitor is kept, and the report names the leak."""
    with open_small_shop(Make(clean_return=False)) as shop:
        visit = lab.visit("e-mail in the return address, not taken off", at=lab.at(shop))
        visit.sale()
        report = lab.report(visit)

    assert_kept(report)
    assert report.hop("Address of the return page").reason == "return_leaks"


def test_the_overlay_checkout(lab: Lab) -> None:
    """Dodo's page in a frame, opened by a script: the order's own request carries the cookie."""
    with open_small_shop(Make(overlay=True)) as shop:
        visit = lab.visit("overlay checkout", at=lab.at(shop))
        visit.sale()
        report = lab.report(visit)

    assert_kept(report)
    assert report.hop("Return from Dodo's page").reason == "returned"


# What the server may add: the continuity cookie, consent, and no cookies at all


@pytest.fixture(scope="session")
def asking(products: Products) -> Demo:
    """Run a shop that keeps a continuity cookie, of those who agreed."""
    return products.running(KIT_CONSENT="required", KIT_CONTINUITY="1")


def at_an_asking_shop(lab: Lab, asking: Demo, *, agreed: bool) -> Stage:
    """Set the stage there, for a visitor who said yes on an earlier day, or has not been asked."""
    stage = lab.at(asking)
    brings = (("kit_consent", "given"),) if agreed else ()
    return replace(stage, shop=replace(stage.shop, brings=brings))


def await_copy(visit: Visit) -> None:
    """Wait until the server keeps its own copy of the visitor id."""
    visit.until(lambda: "kit_visitor" in cookie_names(visit), within_s=5)


def cookie_names(visit: Visit) -> set[str]:
    """Return the names of the browser's cookies."""
    return {str(cookie["name"]) for cookie in visit.context.cookies()}


def test_cookies_cleared_on_the_way_with_a_continuity_cookie(lab: Lab, asking: Demo) -> None:
    """The server's copy brings the visitor back before the script makes another."""
    stage = at_an_asking_shop(lab, asking, agreed=True)
    visit = lab.visit("cookies cleared on the way, continuity cookie", at=stage)
    visit.land()
    await_copy(visit)
    visit.context.clear_cookies(name=re.compile("^datafast_"))
    visit.buy()
    visit.pay()

    assert_kept(lab.report(visit))


def test_a_planted_id_is_gone_when_the_copy_comes_back(lab: Lab, asking: Demo) -> None:
    """The copy is never taken from a link, so clearing the cookies brings the visitor's own."""
    stage = at_an_asking_shop(lab, asking, agreed=True)
    visit = lab.visit("somebody else's id in the link, continuity cookie", at=stage)
    visit.land()
    await_copy(visit)
    visit.page.goto(f"{asking.shop}/?_df_vid={PLANTED}")
    visit.until(lambda: (PLANTED, "shop.localhost") in visit.cookies(), within_s=5)
    visit.context.clear_cookies(name=re.compile("^datafast_"))
    visit.buy()
    visit.pay()
    report = lab.report(visit)

    assert_kept(report)
    assert report.visitor_id != PLANTED


def test_consent_given_late_on_the_landing_page(lab: Lab, asking: Demo) -> None:
    """The script starts with the answer, and still tells of the campaign."""
    visit = lab.visit("consent given late", at=at_an_asking_shop(lab, asking, agreed=False))
    visit.land(settle=False)
    before = visit.cookies()
    visit.page.get_by_role("button", name="Yes, count it").click()
    visit.until(visit.cookies, within_s=5)
    visit.settle()
    visit.buy()
    visit.pay()
    report = lab.report(visit)

    assert before == []
    assert_kept(report)
    assert CAMPAIGN in str(report.hop(SENT).seen)


def test_consent_given_on_the_product_page(lab: Lab, asking: Demo) -> None:
    """The visitor is known from there on; the landing page's campaign was never measured."""
    stage = at_an_asking_shop(lab, asking, agreed=False)
    visit = lab.visit("consent given on the product page", at=stage)
    visit.land(settle=False)
    visit.open_product()
    visit.page.get_by_role("button", name="Yes, count it").click()
    visit.until(visit.cookies, within_s=5)
    visit.settle()
    visit.press()
    visit.pay()
    report = lab.report(visit)

    assert_kept(report)
    assert report.hop("Landing page at DataFast").reason == "landing_unknown"


def test_consent_refused(lab: Lab, asking: Demo) -> None:
    """No script, no cookie, and a sale all the same."""
    stage = at_an_asking_shop(lab, asking, agreed=False)
    visit = lab.visit("consent refused", at=stage, expected="none")
    visit.land(settle=False)
    visit.page.get_by_role("button", name="No, do not").click()
    visit.page.get_by_role("button", name="Count my visits after all").wait_for()
    visit.buy()
    visit.pay()
    report = lab.report(visit)

    assert_nobody(report, "script_missing")
    assert not [name for name in cookie_names(visit) if name.startswith("datafast_")]


def test_without_cookies(lab: Lab, products: Products) -> None:
    """DataFast's server names the visitor, and the page hands the name over with the order."""
    cookieless = products.running(KIT_COOKIELESS="1")
    # The name is made of address and browser: this one is like no other test's.
    visit = lab.visit("cookieless", at=lab.at(cookieless), user_agent="Contour's own browser")
    visit.land()
    visit.open_product()
    visit.until(lambda: visit.page.evaluate("!!window.datafast?.visitorId"), within_s=5)
    visit.press()
    visit.pay()
    report = lab.report(visit)

    assert_kept(report)
    assert report.hop(COOKIE).reason == "cookieless"
    assert not [name for name in cookie_names(visit) if name.startswith("datafast_")]
