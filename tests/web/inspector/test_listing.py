"""The list of journeys: what is shown, filtered and found, on the page and in its twin."""

import html
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kit.hops import REASONS
from tests.ledger.store import DAY_MS
from tests.web.conftest import (
    DATAFAST_KEY,
    EMAIL,
    NAME,
    NOW,
    VISITOR,
    Clock,
    Shop,
    eventually,
    open_shop,
    payment_event,
)
from tests.web.inspector.conftest import NOW_MS, both, fill, sell, words

pytestmark = pytest.mark.anyio


async def test_the_page_and_its_twin_tell_the_same_story(shop: Shop) -> None:
    """Every hop, total and value of the JSON stands on the page."""
    journey = await sell(shop)
    page, data = await both(shop, "/inspector")
    shown = dict(re.findall(r"<dt>(\w+)</dt><dd>(?:<a [^>]*>)?(\d+)", page))

    assert journey["source"] == "newsletter"
    assert "$29.00" in page
    assert [journey["title"]] == re.findall(r"<h3>([^<]+)</h3>", page)
    assert [hop["name"] for hop in journey["hops"]] == re.findall(r"<h4>([^<]+)</h4>", page)
    assert all(hop["sentence"] in page for hop in journey["hops"])
    assert all((hop["seen"] or "") in page for hop in journey["hops"])
    assert {name.lower(): int(count) for name, count in shown.items()} == {
        "orders": 1,
        "paid": 1,
        "attributed": 1,
        "recorded": 0,
        "waiting": 0,
        "parked": 0,
    }
    assert data["totals"] == {"orders": 1, "paid": 1, "attributed": 1}
    assert data["alarms"] == []
    assert data["refused_webhooks"] == []
    assert data["filter"] == {}


async def test_a_row_shows_the_whole_route_at_a_glance(shop: Shop) -> None:
    """One mark for each hop, told in words to whoever does not see them."""
    journey = await sell(shop)
    page, _ = await both(shop, "/inspector")
    [(label, marks)] = re.findall(
        r'class="strip" role="img" aria-label="([^"]+)">(.*?)</span>', page
    )

    assert label == f"{len(journey['hops'])} passed"
    assert re.findall(r'class="(\w+)"', marks) == [hop["tone"] for hop in journey["hops"]]


@pytest.mark.parametrize("send_customer", ["0", "1"])
async def test_neither_holds_a_name_an_address_or_a_body(
    tmp_path: Path, send_customer: str
) -> None:
    """Not even when the shop sends them to DataFast."""
    async with open_shop(tmp_path, KIT_SEND_CUSTOMER=send_customer) as shop:
        await sell(shop)
        page, data = await both(shop, "/inspector")
        [received] = await shop.at_datafast("payments")

    assert (received["email"] == EMAIL) is (send_customer == "1")
    for text in (page, json.dumps(data)):
        assert EMAIL not in text
        assert NAME not in text
        assert "card_last_four" not in text
        assert "69001" not in text  # of the billing address


async def test_what_visitors_write_is_shown_as_text(shop: Shop) -> None:
    """Campaign names and event types come from strangers."""
    script = "<script>alert(1)</script>"
    event = {
        "type": "pageview",
        "visitorId": VISITOR,
        "websiteId": "dfid_shoptest",
        "domain": "shop.localhost",
        "sessionId": "s1",
        "href": f"http://shop.localhost/{script}?utm_source={script}",
    }
    await shop.http.post("/api/events", json=event)
    await shop.webhook({"type": script, "data": {}}, id="msg_script")

    async def arrived() -> bool:
        text = (await shop.http.get("/inspector.json")).text
        return text.count("alert(1)") >= 2 and "event_waiting" not in text

    await eventually(arrived)
    page = (await shop.http.get("/inspector")).text

    assert script not in page
    assert "alert(1)" in page


async def test_older_journeys_are_on_the_next_page(shop: Shop, clock: Clock) -> None:
    """Twenty-five at a time, each once, newest first."""
    for number in range(60):
        clock.now = NOW + number
        event = {"type": "payment.failed", "data": {"payment_id": f"pay_{number}"}}
        await shop.webhook(event, id=f"msg_{number}", at=clock.now)

    async def read() -> bool:
        return all(row["state"] != "stored" for row in await shop.rows("events"))

    await eventually(read)
    data = (await shop.http.get("/inspector.json")).json()
    keys, pages = [each["key"] for each in data["journeys"]], 1
    while data["next_before"] is not None:
        query = {"before": data["next_before"]}
        data = (await shop.http.get("/inspector.json", params=query)).json()
        keys += [each["key"] for each in data["journeys"]]
        pages += 1
    first = (await shop.http.get("/inspector")).text
    [older] = re.findall(r'rel="next" href="([^"]+)"', first)
    second = (await shop.http.get(html.unescape(older))).text

    assert pages == 3
    assert keys == [f"payment:pay_{number}" for number in reversed(range(60))]
    assert re.findall(r"<h3>Payment pay_(\d+)</h3>", first + second) == [
        str(number) for number in reversed(range(10, 60))
    ]
    assert 'rel="prev"' not in first
    assert 'rel="prev" href="/inspector"' in second


async def test_an_older_page_keeps_the_filters(shop: Shop) -> None:
    """Leafing through what is unattributed shows nothing else."""
    await fill(shop, 600)
    query = {"unattributed": "1", "currency": "USD"}
    page, data = await both(shop, "/inspector", query)
    [older] = re.findall(r'rel="next" href="([^"]+)"', page)
    _, more = await both(shop, "/inspector", query | {"before": data["next_before"]})

    assert older == (f"/inspector?currency=USD&unattributed=1&before={data['next_before']}")
    assert len(data["journeys"]) == 25
    assert {each["key"] for each in data["journeys"]} & {
        each["key"] for each in more["journeys"]
    } == set()
    assert {each["currency"] for each in [*data["journeys"], *more["journeys"]]} == {"USD"}


@pytest.mark.parametrize("before", ["x", "-1", "1e9", "9" * 16, "٣", "%00", ""])
async def test_a_senseless_page_is_the_first(shop: Shop, before: str) -> None:
    """Anybody who is let in may type anything."""
    await shop.buy()
    answer = await shop.http.get(f"/inspector.json?before={before}")

    assert len(answer.json()["journeys"]) == 1


# Filters


async def test_filters_are_kept_in_the_form_and_offered_with_their_numbers(shop: Shop) -> None:
    """What is chosen is selected; what there is can be chosen."""
    await fill(shop, 200)
    query = {"state": "parked", "reason": "rejected", "currency": "", "unattributed": "1"}
    page, data = await both(shop, "/inspector", query)
    selected = re.findall(r'<option value="([^"]*)" selected>', page)
    offered = dict(re.findall(r'<option value="(\w+)"[^>]*>\w+ \((\d+)\)</option>', page))

    assert data["filter"] == {"state": "parked", "reason": "rejected", "unattributed": "1"}
    assert selected == ["parked", "rejected"]
    assert 'value="1" checked' in page
    assert {each["reason"] for each in data["journeys"]} == {"rejected"}
    assert {name: int(number) for name, number in offered.items()}.items() <= data[
        "reasons"
    ].items()
    assert int(offered["rejected"]) == data["reasons"]["rejected"] >= len(data["journeys"]) > 0
    assert set(data["reasons"]) <= set(REASONS)
    assert 'href="/inspector">Show all' in page


async def test_a_day_is_one_in_utc(shop: Shop) -> None:
    """From midnight to midnight; the days together are all of it."""
    await fill(shop, 60)
    whole = (await shop.http.get("/inspector.json?currency=EUR")).json()["journeys"]
    by_day: list[str] = []
    for number in range(-4, 8):
        day = datetime.fromtimestamp((NOW_MS - number * DAY_MS) / 1000, UTC).date().isoformat()
        _, data = await both(shop, "/inspector", {"currency": "EUR", "day": day})
        by_day += [each["key"] for each in data["journeys"]]

    assert len(whole) > 5
    assert sorted(set(by_day)) == sorted(each["key"] for each in whole)


async def test_nothing_that_fits_is_said_in_words(shop: Shop) -> None:
    """An empty list is no error, and leads back."""
    page, data = await both(shop, "/inspector", {"currency": "KWD"})

    assert data["journeys"] == []
    assert "No journey fits." in page


@pytest.mark.parametrize(
    ("query", "fix"),
    [
        ("state=bogus", "Use one of waiting, held"),
        ("reason=bogus", "Use a code that the pages show."),
        ("currency=usd", "Use three capital letters"),
        ("currency=XXX", "Use three capital letters"),
        ("day=yesterday", "Write it as in 2026-10-02"),
        ("day=2026-02-30", "Write it as in 2026-10-02"),
        ("day=9999-12-31", "Write it as in 2026-10-02"),
        ("day=20261002", "Write it as in 2026-10-02"),
    ],
)
async def test_a_filter_that_there_is_not_is_refused_with_what_there_is(
    shop: Shop, query: str, fix: str
) -> None:
    """In one shape, with the sentence and what to do; and as a page."""
    twin = await shop.http.get(f"/inspector.json?{query}")
    page = await shop.http.get(f"/inspector?{query}")
    said = twin.json()

    assert (twin.status_code, page.status_code) == (400, 400)
    assert set(said) == {"ok", "status", "error", "fix"}
    assert (said["ok"], said["status"]) == (False, 400)
    assert fix in said["fix"]
    assert fix in html.unescape(page.text)
    assert said["error"] in html.unescape(page.text)


# Finding by an id


async def test_any_id_of_a_sale_leads_to_its_journey(shop: Shop) -> None:
    """Order, checkout session, payment, message and visitor."""
    journey = await sell(shop)
    [order] = await shop.rows("checkouts")
    ids = (order["order_ref"], order["dodo_session_id"], journey["payment_id"], "msg_1", VISITOR)
    pages = [await shop.http.get("/inspector/find", params={"q": f" {each} "}) for each in ids]
    twin = (await shop.http.get("/inspector/find.json", params={"q": "msg_1"})).json()

    assert {(page.status_code, page.headers["location"]) for page in pages} == {
        (303, journey["path"])
    }
    assert twin == {"ok": True, "key": journey["key"], "path": journey["path"]}


@pytest.mark.parametrize("wanted", ["", "nothing", "%", "x" * 5000, "<script>", "\x00"])
async def test_an_id_of_nothing_is_said_so(shop: Shop, wanted: str) -> None:
    """Without repeating what was typed."""
    page = await shop.http.get("/inspector/find", params={"q": wanted})
    twin = await shop.http.get("/inspector/find.json", params={"q": wanted})

    assert (page.status_code, twin.status_code) == (404, 404)
    assert "Nothing has this id" in page.text
    assert set(twin.json()) == {"ok", "status", "error", "fix"}
    assert "<script>" not in page.text


# What needs a person


async def test_a_refused_key_is_an_alarm_that_says_what_to_do(tmp_path: Path) -> None:
    """All reports wait until it is right; both views say so."""
    async with open_shop(tmp_path, DATAFAST_API_KEY="df_wrong") as other:
        await other.pay(await other.buy())
        [payment] = await other.at_dodo("payments")
        await other.webhook(payment_event(**payment))

        async def alarms() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = (await other.http.get("/inspector.json")).json()["alarms"]
            return found

        [alarm] = await eventually(alarms)
        page, _ = await both(other, "/inspector")

    assert "refused the key (401)" in alarm["sentence"]
    assert "DATAFAST_API_KEY" in alarm["fix"]
    assert alarm["sentence"] in page
    assert alarm["fix"] in page
    assert DATAFAST_KEY not in page


async def test_what_dodo_sends_anew_is_listed(shop: Shop) -> None:
    """A type and a field that this version does not know, since when, on a page of their own."""
    await shop.webhook({"type": "voucher.printed", "data": {}}, id="msg_new")
    await shop.webhook(payment_event() | {"data": payment_event()["data"] | {"halo": 1}})

    async def known() -> bool:
        return len((await shop.http.get("/inspector.json")).json()["drift"]) == 2

    await eventually(known)
    page, data = await both(shop, "/inspector")
    news, twin = await both(shop, "/inspector/news")

    assert sorted(data["drift"]) == ["field halo", "type voucher.printed"]
    assert "type voucher.printed" in page
    assert [(row["kind"], row["name"]) for row in twin["drift"]] == [
        ("type", "voucher.printed"),
        ("field", "halo"),
    ]
    assert "event type" in words(news)
    assert "2026-10-01 12:00:00 UTC" in words(news)


async def test_an_unreadable_ledger_says_so_in_both(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    """503, not an empty list; and the log, to which both lead, says why."""
    await shop.ledger.write(
        lambda connection: connection.exec_driver_sql("ALTER TABLE visits RENAME TO away")
    )
    page, data = [await shop.http.get(path) for path in ("/inspector", "/inspector.json")]
    await shop.ledger.write(
        lambda connection: connection.exec_driver_sql("ALTER TABLE away RENAME TO visits")
    )

    assert (page.status_code, data.status_code) == (503, 503)
    assert "The ledger cannot be read" in page.text
    assert "the ledger cannot be read: no such table: visits" in caplog.text
    assert data.json() == {
        "ok": False,
        "status": 503,
        "error": "The database gave no answer. Webhooks are refused until it does.",
        "fix": "See the server's log and the disk's free space.",
    }


async def test_no_page_is_kept_by_a_cache_or_found_by_a_search_engine(shop: Shop) -> None:
    """They hold orders."""
    journey = await sell(shop)
    for path in ("/inspector", "/inspector/attribution", "/inspector/news", journey["path"]):
        page = await shop.http.get(path)
        twin = await shop.http.get(f"{path}.json")
        asked = await shop.http.get(path, headers={"accept": "application/json"})

        assert page.headers["cache-control"] == twin.headers["cache-control"] == "private, no-store"
        assert '<meta name="robots" content="noindex">' in page.text
        assert "data-website-id" not in page.text
        assert twin.json()["ok"] is True
        assert asked.json() == twin.json()
        assert page.headers["vary"] == "Accept"


@pytest.mark.parametrize("path", ["/inspector/nothing", "/inspector/nothing.json"])
async def test_an_address_of_nothing_answers_in_the_same_shape(shop: Shop, path: str) -> None:
    """Programs get JSON, people a page."""
    answer = await shop.http.get(path, headers={"accept": "application/json"})
    page = await shop.http.get("/inspector/nothing", headers={"accept": "text/html"})

    assert (answer.status_code, page.status_code) == (404, 404)
    assert set(answer.json()) == {"ok", "status", "error", "fix"}
    assert "<h1>Nothing here</h1>" in page.text
