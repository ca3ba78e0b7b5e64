"""The inspector in a browser: live, with and without scripts, and what a person does there."""

import re
from urllib.parse import urlsplit

from playwright.sync_api import Page, expect

from e2e.conftest import Demo, NewContext, eventually
from e2e.test_journey import buy, journey, land, pay, reports, visitor_cookie


def sell(page: Page, demo: Demo, product: str = "coastline-atlas") -> str:
    """Sell something to a fresh visitor and return the order ref."""
    land(page, demo)
    visitor_cookie(page.context, demo)
    buy(page, demo, product)
    return pay(page, demo)


def test_a_sale_appears_while_somebody_looks(new_context: NewContext, demo: Demo) -> None:
    """Nothing is loaded again: what was open stays open, and what was typed stays typed."""
    first = sell(new_context().new_page(), demo)
    journey(demo, first)
    watcher = new_context().new_page()
    watcher.goto(f"{demo.shop}/inspector")
    opened = watcher.locator(f"#order-{first.replace('_', '-')}")
    expect(opened).to_have_attribute("open", "")
    expect(watcher.locator("#live")).to_have_text("live")
    watcher.get_by_label("Find any id").fill("half an id")
    loads: list[str] = []
    watcher.on("load", lambda _: loads.append("again"))
    second = sell(new_context().new_page(), demo, "gulf-chart")
    fresh = watcher.locator(f"#order-{second.replace('_', '-')}")
    expect(fresh).to_contain_text("attributed", timeout=15_000)

    assert loads == []
    expect(opened).to_have_attribute("open", "")
    expect(fresh).not_to_have_attribute("open", "")
    expect(watcher.get_by_label("Find any id")).to_have_value("half an id")


def test_a_journey_is_followed_on_its_own_page(new_context: NewContext, demo: Demo) -> None:
    """From the checkout to DataFast's answer, hop by hop, without a reload."""
    buyer = new_context().new_page()
    land(buyer, demo)
    visitor_cookie(buyer.context, demo)
    buy(buyer, demo, "coastline-atlas")
    newest = demo.inspector()["journeys"][0]
    watcher = new_context().new_page()
    watcher.goto(f"{demo.shop}{newest['path']}")
    verdict = watcher.locator("#verdict")
    expect(verdict).to_contain_text("unpaid")
    pay(buyer, demo)
    expect(verdict).to_contain_text("attributed", timeout=15_000)

    expect(watcher.locator("#hops")).to_contain_text("DataFast's answer")
    expect(watcher).to_have_title(re.compile("attributed"))


def test_a_page_that_nobody_sees_holds_no_connection(page: Page, demo: Demo) -> None:
    """A browser has few for each site; it is opened again when somebody looks."""
    page.add_init_script(
        """
        window.opened = []
        const Real = window.EventSource
        window.EventSource = class extends Real {
          constructor(...words) { super(...words); window.opened.push(this) }
        }
        window.pretend = (hidden) => {
          Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden })
          document.dispatchEvent(new Event("visibilitychange"))
        }
        """
    )
    page.goto(f"{demo.shop}/inspector")
    expect(page.locator("#live")).to_have_text("live")
    page.evaluate("pretend(true)")
    hidden = page.evaluate("opened.map((each) => each.readyState)")
    page.evaluate("pretend(false)")
    expect(page.locator("#live")).to_have_text("live")

    assert hidden == [2]
    assert page.evaluate("opened.length") == 2


def test_a_command_is_copied_whole(new_context: NewContext, demo: Demo) -> None:
    """With the variable for the key, ready for a shell."""
    context = new_context(permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    order_ref = sell(page, demo)
    journey(demo, order_ref)
    page.goto(f"{demo.shop}/inspector/journeys/order:{order_ref}")
    page.get_by_role("group").filter(has_text="As curl").locator("summary").click()
    box = page.locator(".code").filter(has_text="$DATAFAST_API_KEY").first
    box.get_by_role("button", name="Copy").click()
    expect(box.get_by_role("button")).to_have_text("Copied")
    copied = str(page.evaluate("navigator.clipboard.readText()"))

    assert copied == box.locator("pre").text_content()
    assert copied.startswith("curl -X POST ")
    assert "Bearer $DATAFAST_API_KEY" in copied


def test_without_scripts_everything_is_there(new_context: NewContext, demo: Demo) -> None:
    """Filters, pages, the journey, and a replay with a look before it."""
    order_ref = sell(new_context().new_page(), demo)
    payment_id = journey(demo, order_ref)["payment_id"]
    page = new_context(java_script_enabled=False).new_page()
    page.goto(f"{demo.shop}/inspector")
    page.get_by_label("State").select_option("attributed")
    page.get_by_label("Currency").select_option("USD")
    page.get_by_role("button", name="Filter").click()
    query = urlsplit(page.url).query
    page.get_by_label("Find any id").fill(payment_id)
    page.get_by_role("button", name="Find").click()
    found = urlsplit(page.url).path
    before = len(reports(demo, payment_id))
    page.get_by_role("button", name=f"Replay… {payment_id}").click()
    expect(page.get_by_role("table")).to_contain_text("posted to DataFast again")
    page.get_by_role("button", name="Do it").click()
    back = urlsplit(page.url).path
    sent = eventually(
        lambda: len(reports(demo, payment_id)) > before, what="the report is sent again"
    )
    counted = demo.at_datafast("payments", transaction_id=payment_id)

    assert "state=attributed" in query
    assert "currency=USD" in query
    assert found == back == f"/inspector/journeys/order:{order_ref}"
    assert sent
    assert len(counted) == 1
    expect(page.locator("#live")).to_have_text("not live")
