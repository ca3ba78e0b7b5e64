"""The laboratory itself: how it finds its way in a shop it has never seen, and what it keeps."""

import re
import zipfile
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from e2e.conftest import NewContext
from kit.lab.evidence import Contexts, how_to_open
from kit.lab.scout import Way, find_way
from kit.lab.shop import Shop, find_buy_button
from kit.lab.stage import Patience, Stage
from kit.lab.visit import Visit

SHOP = "http://shop.localhost"
HURRY = Patience(script_s=0.2, button_s=0.2, page_s=1, report_s=0.2)


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ('<form action="/search"><button>Go</button></form><button>Buy now</button>', "Buy now"),
        (
            '<button>Subscribe</button><form action="/checkout"><button>Go on</button></form>',
            "Go on",
        ),
        ('<form action="/checkout"><input type="submit" value="Order"></form>', "Order"),
        ('<a href="/cart">Cart</a><a href="/checkout?p=1">Take it</a>', "Take it"),
        ('<a href="/x">Purchase</a>', "Purchase"),
        ("<button>Start 14-day free trial</button>", "Start 14-day free trial"),
        ("<button>Get started</button>", "Get started"),
    ],
)
def test_the_buy_button_is_guessed(page: Page, html: str, expected: str) -> None:
    """A form that leads to a checkout says most; after it, what the button is called."""
    page.set_content(html)
    found = find_buy_button(page, None)

    assert found is not None
    assert expected in (found.inner_text(), found.get_attribute("value"))


@pytest.mark.parametrize("selector", ["#order", "#order button", "text=Go on"])
def test_a_form_that_is_named_is_sent_by_its_button(page: Page, selector: str) -> None:
    """Whoever names the form wants the order."""
    page.set_content('<button>Buy</button><form id="order"><p>Yes</p><button>Go on</button></form>')
    found = find_buy_button(page, selector)

    assert found is not None
    expect(found).to_have_text("Go on")


def test_the_page_with_the_button_is_found_among_the_links(context: BrowserContext) -> None:
    """Of the shop's own pages the likelier ones are looked at; nobody else's is opened."""
    asked: list[str] = []
    pages = {
        "/": '<a href="/about">About</a><a href="https://else.test/buy">Else</a>'
        '<a href="/products/one#top">One</a><a href="/products/two">Two</a>',
        "/products/two": "<form action='/x'><button> Buy\n now</button></form>",
    }

    def answer(route: Route) -> None:
        path = urlsplit(route.request.url).path
        asked.append(route.request.url)
        route.fulfill(content_type="text/html", body=pages.get(path, "<h1>Nothing</h1>"))

    context.route("**/*", answer)
    way = find_way(context.new_page(), Shop(f"{SHOP}/"), within_s=0.1)

    assert way == Way(f"{SHOP}/products/two", "Buy now")
    assert [url for url in asked if "favicon" not in url] == [
        f"{SHOP}/",
        f"{SHOP}/products/one",
        f"{SHOP}/products/two",
    ]


def test_a_product_page_that_is_named_is_the_only_one_looked_at(context: BrowserContext) -> None:
    """Without a button there, there is none."""
    context.route("**/*", lambda route: route.fulfill(body="<a href='/buy'>Buy</a>"))
    shop = Shop(f"{SHOP}/", f"{SHOP}/pricing", buy="#none")

    assert find_way(context.new_page(), shop, within_s=0.1) is None


def test_a_named_button_is_not_replaced_by_a_guess(page: Page) -> None:
    """Whoever names one wants that one."""
    page.set_content('<button>Buy</button><a id="other" href="/x">Other</a>')
    named, missing = find_buy_button(page, "#other"), find_buy_button(page, "#none")

    assert named is not None
    expect(named).to_have_text("Other")
    assert missing is None


def visit_to(new_context: NewContext, html: str) -> Visit:
    """Visit a shop of one page, beside Dodo's own checkout."""

    def answer(route: Route) -> None:
        body = html if route.request.url.startswith(SHOP) else "<title>Dodo</title>"
        route.fulfill(content_type="text/html", body=body)

    def open_context(**options: object) -> object:
        context = new_context(**options)
        context.route("**/*", answer)
        return context

    stage = Stage(Shop(f"{SHOP}/"), open_context, patience=HURRY)  # type: ignore[arg-type]
    return Visit(stage, "one page").enter()


def test_a_shop_without_a_button_is_told_so(new_context: NewContext) -> None:
    """With what to name."""
    visit = visit_to(new_context, "<h1>Maps</h1>")
    visit.land()
    bought = visit.buy()
    hop = visit.report().hops[-1]

    assert bought is False
    assert (hop.reason, hop.tone) == ("buy_button_missing", "lost")


def test_a_button_that_leads_nowhere_is_told_so(new_context: NewContext) -> None:
    """The order did not come to Dodo."""
    visit = visit_to(new_context, "<form><button>Buy</button></form>")
    visit.land()
    bought = visit.buy()
    report = visit.report()

    assert bought is False
    assert report.hop("Visitor cookie at checkout").reason == "checkout_not_reached"
    assert report.hop("Metadata sent to Dodo").reason == "no_session"


def test_nothing_is_paid_at_the_real_dodo(new_context: NewContext) -> None:
    """The journey ends before its page, and what follows is not observable."""
    asked: list[str] = []
    link = "https://test.checkout.dodopayments.com/session/cks_1"
    visit = visit_to(new_context, f'<a href="{link}">Buy</a>')
    visit.context.on("request", lambda request: asked.append(f"{request.method} {request.url}"))
    visit.land()
    visit.buy()
    visit.pay()
    report = visit.report()

    assert [each for each in asked if "dodopayments" in each] == [f"GET {link}"]
    assert report.hop("Payment").reason == "not_observable"
    assert report.observable is False


def test_a_failed_journey_leaves_a_trace_that_opens(browser: Browser, tmp_path: Path) -> None:
    """With snapshots and requests of every context, and a picture of each page."""
    contexts = Contexts(browser)
    for _ in range(2):
        contexts.open().new_page().set_content("<h1>Contour</h1>")
    traces = contexts.close(tmp_path / "kept")
    nothing = contexts.close()

    assert traces == [tmp_path / "kept/trace.zip", tmp_path / "kept/2/trace.zip"]
    assert nothing == []
    for trace in traces:
        names = set(zipfile.ZipFile(trace).namelist())
        assert {"trace.trace", "trace.network"} <= names
        assert (trace.parent / "page.png").stat().st_size > 0
    assert re.search(r"playwright show-trace \S+trace\.zip$", how_to_open(traces[0]))
