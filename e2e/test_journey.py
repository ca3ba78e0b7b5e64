"""The journey, from the landing page to DataFast's books, in a real browser."""

import json
import re
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from e2e.conftest import Console, Demo, NewContext, eventually

UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def land(page: Page, demo: Demo, query: str = "?utm_source=newsletter") -> None:
    """Open the shop as a visitor from a campaign."""
    page.goto(f"{demo.shop}/{query}")


def visitor_cookie(context: BrowserContext, demo: Demo) -> str:
    """Wait for the script's cookie and return the visitor id in it."""

    def value() -> str | None:
        cookies = {str(c["name"]): str(c["value"]) for c in context.cookies(demo.shop)}
        return cookies.get("datafast_visitor_id")

    return str(eventually(value, what="the script sets its cookie", page=context.pages[0]))


def buy(page: Page, demo: Demo, product: str) -> str:
    """Press the buy button and return the checkout session's id."""
    page.goto(f"{demo.shop}/products/{product}")
    page.get_by_role("button", name=re.compile("Buy|Subscribe|Start")).click()
    page.wait_for_url(f"{demo.dodo}/session/**")
    return page.url.rpartition("/")[2].partition("?")[0]


def pay(page: Page, demo: Demo) -> str:
    """Pay on the other site, come back, and return the order ref."""
    page.get_by_label(re.compile("E-?mail")).fill("ada@example.com")
    page.get_by_role("button", name=re.compile("^(Pay|Start)")).click()
    page.wait_for_url(f"{demo.shop}/orders/*")
    return page.url.rpartition("/")[2]


def journey(demo: Demo, order_ref: str) -> dict[str, Any]:
    """Return the inspector's account of an order once it waits for nothing any more."""

    def settled() -> dict[str, Any] | None:
        found = demo.journey(order_ref)
        return found if found and found["tone"] != "wait" else None

    found = eventually(settled, what=f"the journey of {order_ref} settles", within_s=15)
    return found or {}


def reports(demo: Demo, transaction_id: str) -> list[dict[str, Any]]:
    """Return the payments that DataFast was told of under an id, as their JSON text reads."""
    received = demo.at_datafast("requests", transaction_id=transaction_id)
    return [
        json.loads(each["body"], parse_float=str, parse_int=str)
        for each in received
        if each["method"] == "POST"
    ]


def hop(account: dict[str, Any], name: str) -> dict[str, Any]:
    """Return one hop of a journey."""
    return dict(next(each for each in account["hops"] if each["name"] == name))


def checkouts_of(demo: Demo, visitor_id: str) -> list[dict[str, Any]]:
    """Return the `POST /checkouts` calls that carried a visitor."""
    received = demo.at_dodo("requests", path="/checkouts")
    bodies = [json.loads(each["body"]) for each in received if each["method"] == "POST"]
    return [body for body in bodies if body["metadata"].get("datafast_visitor_id") == visitor_id]


@pytest.mark.parametrize(
    ("product", "amount", "currency"),
    [
        pytest.param("coastline-atlas", "29", "USD", id="usd"),
        pytest.param("tokyo-line-map", "3300", "JPY", id="jpy"),
        pytest.param("gulf-chart", "8.75", "KWD", id="kwd"),
        pytest.param("map-club", "9", "USD", id="subscription"),
    ],
)
def test_one_visitor_id_stands_at_every_hop_from_cookie_to_report(
    context: BrowserContext, page: Page, demo: Demo, product: str, amount: str, currency: str
) -> None:
    """Cookie, pageview, metadata, webhook, ledger and report hold one id, and the exact amount."""
    land(page, demo)
    visitor_id = visitor_cookie(context, demo)
    session_id = buy(page, demo, product)
    order_ref = pay(page, demo)
    account = journey(demo, order_ref)
    page.reload()  # it looks by itself, every three seconds
    transaction_id = account["payment_id"]
    pageviews = [
        json.loads(each["body"])
        for each in demo.at_datafast("requests", visitor_id=visitor_id, path="/api/events")
    ]
    [checkout] = checkouts_of(demo, visitor_id)
    webhooks = [
        json.loads(each["attempts"][0]["body"])
        for each in demo.at_dodo("deliveries")
        if (each["key"], each["type"]) == (transaction_id, "payment.succeeded")
    ]
    [report] = reports(demo, transaction_id)

    assert UUID4.fullmatch(visitor_id)
    assert {each["visitorId"] for each in pageviews} == {visitor_id}
    assert "utm_source=newsletter" in pageviews[0]["href"]
    assert checkout["metadata"]["order_ref"] == order_ref
    assert [each["data"]["metadata"]["datafast_visitor_id"] for each in webhooks] == [visitor_id]
    assert hop(account, "Metadata sent to Dodo")["seen"] == session_id
    assert (account["verdict"], account["visitor_id"]) == ("attributed", visitor_id)
    assert account["source"] == "newsletter"
    assert (report["amount"], report["currency"]) == (amount, currency)
    assert report["datafast_visitor_id"] == visitor_id
    assert report["renewal"] is False
    expect(page.get_by_role("heading", level=1)).to_contain_text("Thank you", timeout=10_000)


def test_a_free_trial_is_reported_once_and_as_no_money(
    context: BrowserContext, page: Page, demo: Demo
) -> None:
    """The mandate charges nothing; what starts is reported as a trial of the same visitor."""
    land(page, demo)
    visitor_id = visitor_cookie(context, demo)
    buy(page, demo, "studio")
    account = journey(demo, pay(page, demo))
    [report] = demo.at_datafast("payments", datafast_visitor_id=visitor_id)

    assert account["verdict"] == "attributed"
    assert hop(account, "payment.succeeded read")["reason"] == "zero_amount"
    assert reports(demo, account["payment_id"]) == []
    assert report["transaction_id"].startswith("trial_")
    assert report["is_free_trial"] is True


def test_a_visitor_whose_pageview_was_blocked_is_waited_for_and_then_dropped(
    context: BrowserContext, page: Page, demo: Demo, console: Console
) -> None:
    """The cookie is there and DataFast has never heard of it: the answer says so."""
    console.expect("ERR_BLOCKED_BY_CLIENT|ERR_FAILED")
    context.route("**/api/events", lambda route: route.abort("blockedbyclient"))
    land(page, demo)
    visitor_id = visitor_cookie(context, demo)
    buy(page, demo, "coastline-atlas")
    order_ref = pay(page, demo)

    def waiting() -> dict[str, Any] | None:
        found = demo.journey(order_ref)
        return found if found and found["reason"] == "awaiting_pageview" else None

    held = eventually(waiting, what="the report waits for a pageview", page=page)

    assert held is not None
    assert held["visitor_id"] == visitor_id
    assert reports(demo, held["payment_id"]) == []


def test_two_concurrent_posts_of_one_form_open_one_checkout_session(
    context: BrowserContext, page: Page, demo: Demo
) -> None:
    """The same attempt token in two tabs at once leads to the same session."""
    land(page, demo)
    visitor_id = visitor_cookie(context, demo)
    page.goto(f"{demo.shop}/products/coastline-atlas")
    form = {
        name: page.locator(f"input[name={name}]").input_value() for name in ("product", "attempt")
    }
    places = page.evaluate(
        """async (form) => {
            const post = () => fetch("/checkout", {
                method: "POST", body: new URLSearchParams(form), redirect: "manual"
            });
            return (await Promise.all([post(), post()])).map((answer) => answer.type);
        }""",
        form,
    )

    assert places == ["opaqueredirect", "opaqueredirect"]
    assert len(checkouts_of(demo, visitor_id)) == 1


def test_another_browser_learns_only_whether_an_order_is_paid(
    page: Page, demo: Demo, new_context: NewContext
) -> None:
    """Who has the link but not the cookie sees no id, no amount and no route."""
    land(page, demo)
    buy(page, demo, "coastline-atlas")
    order_ref = pay(page, demo)
    account = journey(demo, order_ref)
    stranger = new_context().new_page()
    stranger.goto(f"{demo.shop}/orders/{order_ref}")
    text = stranger.locator("main").inner_text()

    assert "This order is paid" in text
    assert account["payment_id"] not in text
    assert "$29.00" not in text
    assert str(account["visitor_id"]) not in stranger.content()


def test_a_declined_card_is_shown_and_the_next_try_is_paid(
    context: BrowserContext, page: Page, demo: Demo
) -> None:
    """A failure is no money, and does not stand in the way of a success."""
    land(page, demo)
    visitor_cookie(context, demo)
    buy(page, demo, "coastline-atlas")
    page.get_by_role("button", name="Decline this card").click()
    page.get_by_text(re.compile("declined|did not", re.IGNORECASE)).first.wait_for()
    account = journey(demo, pay(page, demo))

    assert account["verdict"] == "attributed"
