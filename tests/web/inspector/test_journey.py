"""The page of one journey: why it stands as it does, and the raw messages and reports behind it."""

import html
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from kit.hops import REASONS
from tests.web.conftest import (
    DATAFAST_KEY,
    DODO_KEY,
    EMAIL,
    NAME,
    ORIGIN,
    SECRET,
    VISITOR,
    Shop,
    eventually,
    open_shop,
    payment_event,
)
from tests.web.inspector.conftest import both, fill, land, sell, words

pytestmark = pytest.mark.anyio


async def test_the_page_and_its_twin_tell_the_same_story(shop: Shop) -> None:
    """Verdict and why, hops, report, message, headers and body."""
    journey = await sell(shop)
    page, data = await both(shop, journey["path"])
    text = words(page)
    [report], [message] = data["reports"], data["messages"]

    assert data["journey"] == journey
    assert (report["transaction_id"], report["amount"]) == (journey["payment_id"], "29.00")
    assert message["headers"] == {"webhook-id": "msg_1", "webhook-timestamp": "1790856000"}
    assert message["type"] == "payment.succeeded"
    for reason in (journey["reason"], report["reason"], message["reason"]):
        assert REASONS[reason].sentence in text
    for value in (*message["headers"].values(), report["message"], journey["visitor_id"]):
        assert value in text
    assert message["body"] in page
    assert message["body_sha256"] in text
    assert [hop["name"] for hop in journey["hops"]] == re.findall(r"<h3>([^<]+)</h3>", page)


@pytest.mark.parametrize("send_customer", ["0", "1"])
async def test_a_journey_shows_its_body_without_the_person(
    tmp_path: Path, send_customer: str
) -> None:
    """Not in the body, not in the report, not in a command, and no secret in any of it."""
    async with open_shop(tmp_path, KIT_SEND_CUSTOMER=send_customer) as shop:
        journey = await sell(shop)
        page, data = await both(shop, journey["path"])
    [message] = data["messages"]
    shown = page + json.dumps(data)

    assert json.loads(message["body"])["data"]["customer"]["email"] == "•••"
    assert json.loads(message["body"])["data"]["total_amount"] == 2900
    for secret in (EMAIL, NAME, "69001", DODO_KEY, DATAFAST_KEY, SECRET):
        assert secret not in shown


async def test_a_report_can_be_copied_as_curl(shop: Shop) -> None:
    """What a shell would send is what was sent, with the key in a variable."""
    journey = await sell(shop)
    _, data = await both(shop, journey["path"])
    [report] = data["reports"]
    [sent] = await shop.at_datafast("requests", path="/api/v1/payments", method="POST")
    command = shlex.split(report["curl"].replace("\\\n", " "))
    payment = shlex.split(data["look_up"]["payment"].replace("\\\n", " "))
    visitor = shlex.split(data["look_up"]["visitor"].replace("\\\n", " "))

    assert command[:4] == ["curl", "-X", "POST", "http://127.0.0.1:8002/api/v1/payments"]
    assert "Authorization: Bearer $DATAFAST_API_KEY" in command
    assert json.loads(command[-1]) == json.loads(sent["body"])
    assert payment[1] == f"http://127.0.0.1:8001/payments/{journey['payment_id']}"
    assert payment[-1] == "Authorization: Bearer $DODO_PAYMENTS_API_KEY"
    assert visitor[1] == f"http://127.0.0.1:8002/api/v1/visitors/{VISITOR}"


async def test_an_account_token_names_its_website_in_the_command(tmp_path: Path) -> None:
    """Else the call that is copied would be refused."""
    website = "0123456789abcdef01234567"
    async with open_shop(
        tmp_path, DATAFAST_API_KEY="dft_planted-token", DATAFAST_API_WEBSITE_ID=website
    ) as shop:
        await fill(shop, 3)
        _, listed = await both(shop, "/inspector", {"state": "done"})
        _, data = await both(shop, listed["journeys"][0]["path"])

    assert f"/api/v1/payments?websiteId={website}'" in data["reports"][0]["curl"]
    assert "planted" not in json.dumps(data)


async def test_a_body_that_was_dropped_is_said_to_be(shop: Shop) -> None:
    """Retention leaves the message, its fingerprint and its size unknown."""
    journey = await sell(shop)
    await shop.ledger.write(
        lambda connection: connection.exec_driver_sql("UPDATE events SET body = NULL")
    )
    page, data = await both(shop, journey["path"])
    [message] = data["messages"]

    assert (message["body"], message["body_bytes"]) == (None, None)
    assert "KIT_RETENTION_DAYS" in message["body_missing"]
    assert message["body_missing"] in words(page)


async def test_a_body_that_cannot_be_read_is_not_shown(shop: Shop) -> None:
    """It may hold anything; its size and fingerprint tell which one it is."""
    await shop.webhook("<html>ada@example.com</html>", id="msg_odd")

    async def read() -> bool:
        return bool((await shop.rows("events"))[0]["state"] == "unreadable")

    await eventually(read)
    page, data = await both(shop, "/inspector/journeys/message:msg_odd")
    [message] = data["messages"]

    assert (message["body"], message["body_bytes"]) == (None, 28)
    assert "no JSON" in message["body_missing"]
    assert "ada@example.com" not in page + json.dumps(data)
    assert "Unreadable message" in page
    assert str(REASONS["not_json"].fix) in words(page)


async def test_other_orders_of_a_visitor_are_linked(shop: Shop) -> None:
    """From one sale to the next."""
    await sell(shop)
    await shop.buy(product="gulf-chart")
    first, second = sorted(await shop.rows("checkouts"), key=lambda row: row["created_at_ms"])[:2]
    page, data = await both(shop, f"/inspector/journeys/order:{first['order_ref']}")

    assert data["orders"] == [second["order_ref"]]
    assert f'href="/inspector/journeys/order:{second["order_ref"]}"' in page


async def test_a_visit_is_a_journey_with_one_hop(shop: Shop) -> None:
    """Somebody came, from somewhere."""
    await land(shop)

    async def landed() -> Any:
        return (await shop.journeys()) or None

    [journey] = await eventually(landed)
    page, data = await both(shop, journey["path"])

    assert journey["key"] == f"visit:{VISITOR}"
    assert (data["reports"], data["messages"]) == ([], [])
    assert "newsletter" in words(page)
    assert "Reports to DataFast" not in page


@pytest.mark.parametrize(
    "key",
    [
        *("order:ord_none", "payment:pay_none", "message:msg_none", f"visit:{VISITOR}"),
        *("order", "order:", ":x", "nonsense:x", "order:%00", "order:..%2F..", "order:<script>"),
    ],
)
async def test_a_journey_that_there_is_not_is_not_found(shop: Shop, key: str) -> None:
    """404 in both forms, in the one shape."""
    page = await shop.http.get(f"/inspector/journeys/{key}", headers={"accept": "text/html"})
    twin = await shop.http.get(f"/inspector/journeys/{key}.json")

    assert (page.status_code, twin.status_code) == (404, 404)
    assert set(twin.json()) == {"ok", "status", "error", "fix"}
    assert "<script>x" not in page.text


async def test_a_key_with_signs_has_an_address_that_leads_to_it(shop: Shop) -> None:
    """An id is printable ASCII at least, and may hold what means something in an address."""
    odd = "pay_a/b?c#d e%f&g"
    await shop.webhook({"type": "payment.failed", "data": {"payment_id": odd}}, id="msg_odd")

    async def listed() -> list[dict[str, Any]] | None:
        found = await shop.journeys()
        return found if found and found[0]["verdict"] == "skipped" else None

    [journey] = await eventually(listed)
    _, data = await both(shop, journey["path"])
    listing, _ = await both(shop, "/inspector")

    assert data["journey"]["payment_id"] in (None, odd)
    assert data["journey"]["key"] == f"payment:{odd}"
    assert f'href="{journey["path"]}"' in listing


# What a person may do


def forms(page: str) -> list[dict[str, str]]:
    """Return the hidden fields of every form that acts."""
    found = re.findall(
        r'<form method="post" action="/inspector/actions">(.*?)</form>', page, re.DOTALL
    )
    pattern = r'<input type="hidden" name="(\w+)" value="([^"]*)">'
    return [
        {name: html.unescape(value) for name, value in re.findall(pattern, form)} for form in found
    ]


async def press(shop: Shop, form: dict[str, str]) -> Any:
    """Press a button as a browser does."""
    browser = {"accept": "text/html", "origin": ORIGIN, "sec-fetch-site": "same-origin"}
    return await shop.http.post("/inspector/actions", data=form, headers=browser)


async def test_a_report_is_replayed_after_a_look_at_what_would_happen(shop: Shop) -> None:
    """The button says first what it does; the next one does it and leads back."""
    journey = await sell(shop)
    page = (await shop.http.get(journey["path"])).text
    [form] = forms(page)
    planned = await press(shop, form)
    [confirm] = forms(planned.text)
    before = len(await shop.at_datafast("requests", path="/api/v1/payments", method="POST"))
    done = await press(shop, confirm)

    async def sent_again() -> bool:
        sent = await shop.at_datafast("requests", path="/api/v1/payments", method="POST")
        return len(sent) == before + 1

    await eventually(sent_again)
    listing, data = await both(shop, "/inspector")

    assert form | {"id": "x"} == {
        "action": "replay",
        "id": "x",
        "plan": "1",
        "back": journey["path"],
    }
    assert planned.status_code == 200
    assert "posted to DataFast again; its verdict stays" in words(planned.text)
    assert "29.00 USD" in words(planned.text)
    assert "plan" not in confirm
    assert (done.status_code, done.headers["location"]) == (303, journey["path"])
    assert data["interventions"][0]["subject"] == f"id={journey['payment_id']}"
    assert f"Last done by hand: replay id={journey['payment_id']} , 1 changed" in words(listing)


async def test_a_message_is_read_again_from_its_page(shop: Shop) -> None:
    """One that was unclear may be clear by now."""
    await shop.webhook(payment_event(currency="XXX"))

    async def parked() -> bool:
        return [row["state"] for row in await shop.rows("events")] == ["parked"]

    await eventually(parked)
    listing, data = await both(shop, "/inspector", {"state": "parked"})
    [journey] = data["journeys"]
    page = (await shop.http.get(journey["path"])).text
    [form] = forms(page)
    planned = await press(shop, form)
    [released] = forms(listing)

    assert (form["action"], form["id"]) == ("replay", "msg_1")
    assert "1 message read again" in words(planned.text)
    assert (released["action"], released["reason"]) == ("release", "unknown_currency")
    assert '/inspector?state=parked&reason=unknown_currency"' in listing


async def test_what_is_left_alone_is_said_and_cannot_be_confirmed(shop: Shop) -> None:
    """A plan that changes nothing has no button."""
    await sell(shop)
    planned = await press(shop, {"action": "replay", "id": "msg_none", "plan": "1"})
    refused = await press(shop, {"action": "replay", "id": "msg_none"})

    assert "Nothing fits." in planned.text
    assert forms(planned.text) == []
    assert refused.status_code == 409
    assert "neither a report nor a message" in html.unescape(refused.text)


@pytest.mark.parametrize("back", ["https://evil.example/", "//evil.example", "/orders/x", ""])
async def test_an_action_leads_back_into_the_inspector_only(shop: Shop, back: str) -> None:
    """A form is input too."""
    journey = await sell(shop)
    form = {"action": "replay", "id": journey["payment_id"], "back": back}
    answer = await press(shop, form)

    assert (answer.status_code, answer.headers["location"]) == (303, "/inspector")


async def test_a_visitor_who_came_too_late_has_a_button(shop: Shop) -> None:
    """And only then."""
    back = await shop.pay(await shop.buy())
    [payment] = await shop.at_dodo("payments")
    await shop.webhook(payment_event(**payment))

    async def done() -> bool:
        rows = await shop.rows("deliveries")
        return bool(rows) and rows[0]["state"] == "done" and rows[0]["due_at_ms"] is None

    await eventually(done)
    [order] = await shop.rows("checkouts")
    path = f"/inspector/journeys/order:{order['order_ref']}"
    before = forms((await shop.http.get(path)).text)
    await land(shop)
    shop.http.cookies.set("datafast_visitor_id", VISITOR)
    await shop.http.get(back, follow_redirects=True)
    after = forms((await shop.http.get(path)).text)
    [reattribute] = [form for form in after if form["action"] == "reattribute"]
    planned = await press(shop, reattribute)

    assert [form["action"] for form in before] == ["replay"]
    assert reattribute["transaction_id"] == order["payment_id"]
    assert "deleted at DataFast, then reported with its visitor" in words(planned.text)


async def test_an_id_that_postgresql_refuses_is_nobodys(tmp_path: Path, postgres_url: str) -> None:
    """No text column takes a NUL; that is no fault of the database, and nobody is told so."""
    async with open_shop(tmp_path, KIT_DATABASE_URL=postgres_url) as shop:
        looked = [
            await shop.http.get(path)
            for path in ("/inspector/find.json?q=%00", "/inspector/journeys/order:%00.json")
        ]
        replayed = await shop.http.post("/inspector/actions", data={"action": "replay", "id": "\0"})

    assert [answer.status_code for answer in looked] == [404, 404]
    assert replayed.status_code == 400
