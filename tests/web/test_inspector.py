"""The inspector: who is let in, and what is shown there."""

import html
import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.web.conftest import (
    DATAFAST_KEY,
    EMAIL,
    NAME,
    NOW,
    VISITOR,
    Clock,
    Shop,
    eventually,
    nobody,
    open_shop,
    payment_event,
)

pytestmark = pytest.mark.anyio

TOKEN = "planted-inspector-token-of-32-characters"
NEW_TOKEN = "another-inspector-token-of-32-characters"
PAGES = ("/inspector", "/inspector.json")


async def statuses(client: httpx.AsyncClient, **headers: str) -> list[int]:
    """Return what the page and its twin answer."""
    return [(await client.get(path, headers=headers)).status_code for path in PAGES]


# Who is let in


@pytest.mark.parametrize(
    ("peer", "host", "extra", "admitted"),
    [
        pytest.param("127.0.0.1", "127.0.0.1:8000", {}, True, id="127.0.0.1"),
        pytest.param("127.0.0.1", "localhost:8000", {}, True, id="localhost"),
        pytest.param("127.9.9.9", "shop.localhost", {}, True, id="a-localhost-name"),
        pytest.param("::1", "127.0.0.1", {}, True, id="ipv6-peer"),
        pytest.param("192.0.2.1", "127.0.0.1:8000", {}, False, id="peer-elsewhere"),
        pytest.param("10.0.0.1", "localhost", {}, False, id="peer-next-door"),
        pytest.param("127.0.0.1", "shop.example", {}, False, id="public-host"),
        pytest.param("127.0.0.1", "", {}, False, id="no-host"),
        *(
            pytest.param("127.0.0.1", "127.0.0.1:8000", {name: "x"}, False, id=name)
            for name in (
                "forwarded",
                "x-forwarded-for",
                "x-forwarded-host",
                "x-forwarded-proto",
                "x-real-ip",
                "cf-connecting-ip",
                "cf-ray",
                "via",
                "true-client-ip",
            )
        ),
    ],
)
@pytest.mark.parametrize("token", [None, TOKEN], ids=["no-token-set", "token-set"])
async def test_without_a_token_only_this_machine_looks(
    tmp_path: Path,
    peer: str,
    host: str,
    extra: dict[str, str],
    admitted: bool,
    token: str | None,
) -> None:
    """Peer and Host are loopback and nothing forwarded it: behind a tunnel every peer is."""
    async with (
        open_shop(
            tmp_path,
            dodo=nobody,
            datafast=nobody,
            KIT_BASE_URL="https://shop.example",
            KIT_INSPECTOR_TOKEN=token,
        ) as shop,
        shop.browser(address=peer) as browser,
    ):
        answers = [await browser.get(path, headers={"host": host} | extra) for path in PAGES]

    assert [answer.is_success for answer in answers] == [admitted, admitted]
    assert {answer.status_code for answer in answers} <= {200, 400, 401}
    assert admitted or "journeys" not in "".join(answer.text for answer in answers)


@pytest.mark.parametrize(
    ("authorization", "admitted"),
    [
        (f"Bearer {TOKEN}", True),
        (f"bearer  {TOKEN} ", True),
        (f"Bearer {TOKEN}x", False),
        (f"Bearer {TOKEN[:-1]}", False),
        ("Bearer ", False),
        ("Bearer", False),
        (TOKEN, False),
        (f"Basic {TOKEN}", False),
        ("Bearer é", False),
    ],
)
async def test_a_bearer_token_opens_it_from_anywhere(
    tmp_path: Path, *, authorization: str, admitted: bool
) -> None:
    """The whole token, and nothing like it."""
    async with (
        open_shop(tmp_path, dodo=nobody, datafast=nobody, KIT_INSPECTOR_TOKEN=TOKEN) as shop,
        shop.browser(address="192.0.2.1") as browser,
    ):
        headers = [(b"authorization", authorization.encode("latin-1"))]
        answers = [await browser.get(path, headers=headers) for path in PAGES]

    assert {answer.status_code for answer in answers} == {200 if admitted else 401}


@pytest.mark.parametrize("authorization", ["Bearer ", "Bearer None", "Bearer null", ""])
async def test_where_no_token_is_set_none_opens_it(tmp_path: Path, authorization: str) -> None:
    """And the page says how to set one."""
    async with (
        open_shop(tmp_path) as shop,
        shop.browser(address="192.0.2.1", authorization=authorization) as browser,
    ):
        page, data = [await browser.get(path) for path in PAGES]
        signed_in = await browser.post("/inspector/signin", data={"token": ""})

    assert (page.status_code, data.status_code, signed_in.status_code) == (401, 401, 401)
    assert "set KIT_INSPECTOR_TOKEN" in page.text
    assert data.headers["www-authenticate"] == "Bearer"
    assert data.json()["ok"] is False
    assert "set-cookie" not in signed_in.headers


async def test_signing_in_lets_a_browser_look_until_the_token_changes(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """The cookie is bound to the token: rotating it signs everybody out."""
    folder = tmp_path_factory.mktemp("shop")
    async with (
        open_shop(folder, KIT_INSPECTOR_TOKEN=TOKEN) as shop,
        shop.browser(address="192.0.2.1") as browser,
    ):
        before = await statuses(browser)
        wrong = await browser.post("/inspector/signin", data={"token": "wrong"})
        right = await browser.post("/inspector/signin", data={"token": TOKEN})
        cookie, *attributes = right.headers["set-cookie"].split("; ")
        after = await statuses(browser, cookie=cookie)
        tampered = await statuses(browser, cookie=cookie[:-3] + "AAA")
    async with (
        open_shop(folder, KIT_INSPECTOR_TOKEN=NEW_TOKEN) as shop,
        shop.browser(address="192.0.2.1", cookie=cookie) as browser,
    ):
        rotated = await statuses(browser)
    async with (
        open_shop(folder) as shop,
        shop.browser(address="192.0.2.1", cookie=cookie) as browser,
    ):
        removed = await statuses(browser)

    assert before == tampered == rotated == removed == [401, 401]
    assert after == [200, 200]
    assert (wrong.status_code, "That is not the token" in wrong.text) == (401, True)
    assert (right.status_code, right.headers["location"]) == (303, "/inspector")
    assert set(attributes) == {"HttpOnly", "Max-Age=43200", "Path=/", "SameSite=strict"}
    assert TOKEN not in cookie


async def test_on_https_the_sign_in_cookie_is_bound_to_the_host(tmp_path: Path) -> None:
    """`__Host-` and Secure."""
    async with (
        open_shop(tmp_path, KIT_BASE_URL="https://shop.example", KIT_INSPECTOR_TOKEN=TOKEN) as shop,
        shop.browser(address="192.0.2.1") as browser,
    ):
        answer = await browser.post("/inspector/signin", data={"token": TOKEN})

    assert answer.headers["set-cookie"].startswith("__Host-kit_inspector=")
    assert "; Secure" in answer.headers["set-cookie"]


@pytest.mark.parametrize(
    "headers", [{"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}]
)
async def test_another_site_signs_nobody_in(tmp_path: Path, headers: dict[str, str]) -> None:
    """Not even with the right token."""
    async with open_shop(tmp_path, KIT_INSPECTOR_TOKEN=TOKEN) as shop:
        answer = await shop.http.post("/inspector/signin", data={"token": TOKEN}, headers=headers)

    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


async def test_an_order_cookie_is_no_sign_in(tmp_path: Path) -> None:
    """The same keys sign both, each for its own purpose."""
    async with open_shop(tmp_path, KIT_INSPECTOR_TOKEN=TOKEN) as shop:
        await shop.buy()
        signed = shop.http.cookies["kit_orders"]
        async with shop.browser(address="192.0.2.1", cookie=f"kit_inspector={signed}") as browser:
            answers = await statuses(browser)

    assert answers == [401, 401]


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_looking_is_all_that_can_be_done(shop: Shop, path: str, method: str) -> None:
    """405 with what is allowed."""
    answer = await shop.http.request(method, path)

    assert answer.status_code == 405
    assert "GET" in answer.headers["allow"]


# What is shown


async def sell(shop: Shop) -> dict[str, Any]:
    """Sell one map to a visitor, and wait for DataFast's answer."""
    shop.http.cookies.set("datafast_visitor_id", VISITOR)
    event = {
        "websiteId": "dfid_shoptest",
        "domain": "shop.localhost",
        "href": "http://shop.localhost/?utm_source=newsletter",
        "visitorId": VISITOR,
        "sessionId": f"s{VISITOR}",
        "type": "pageview",
    }
    await shop.http.post("/api/events", json=event)
    await shop.http.get(await shop.pay(await shop.buy()))
    [payment] = await shop.at_dodo("payments")
    await shop.webhook(payment_event(**payment))

    async def attributed() -> dict[str, Any] | None:
        newest = (await shop.journeys())[0]
        return newest if newest["verdict"] == "attributed" else None

    return await eventually(attributed)


async def test_the_page_and_its_twin_tell_the_same_story(shop: Shop) -> None:
    """Every hop, total and value of the JSON stands on the page."""
    journey = await sell(shop)
    page = html.unescape((await shop.http.get("/inspector")).text)
    data = (await shop.http.get("/inspector.json")).json()
    shown = dict(re.findall(r"<dt>(\w+)</dt><dd>(\d+)</dd>", page))

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


@pytest.mark.parametrize("send_customer", ["0", "1"])
async def test_neither_holds_a_name_an_address_or_a_body(
    tmp_path: Path, send_customer: str
) -> None:
    """Not even when the shop sends them to DataFast."""
    async with open_shop(tmp_path, KIT_SEND_CUSTOMER=send_customer) as shop:
        await sell(shop)
        shown = [(await shop.http.get(path)).text for path in PAGES]
        [received] = await shop.at_datafast("payments")

    assert (received["email"] == EMAIL) is (send_customer == "1")
    for text in shown:
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

    async def both() -> bool:
        text = (await shop.http.get("/inspector.json")).text
        return text.count("alert(1)") >= 2 and "event_waiting" not in text

    await eventually(both)
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


@pytest.mark.parametrize("before", ["x", "-1", "1e9", "9" * 16, "٣", "%00", ""])
async def test_a_senseless_page_is_the_first(shop: Shop, before: str) -> None:
    """Anybody who is let in may type anything."""
    await shop.buy()
    answer = await shop.http.get(f"/inspector.json?before={before}")

    assert len(answer.json()["journeys"]) == 1


async def test_a_refused_key_is_an_alarm_that_says_what_to_do(shop: Shop) -> None:
    """All reports wait until it is right; both views say so."""
    async with open_shop_with_wrong_key(shop.file.parent / "other") as other:
        await other.pay(await other.buy())
        [payment] = await other.at_dodo("payments")
        await other.webhook(payment_event(**payment))

        async def alarms() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = (await other.http.get("/inspector.json")).json()["alarms"]
            return found

        [alarm] = await eventually(alarms)
        page = html.unescape((await other.http.get("/inspector")).text)

    assert "refused the key (401)" in alarm["sentence"]
    assert "DATAFAST_API_KEY" in alarm["fix"]
    assert alarm["sentence"] in page
    assert alarm["fix"] in page
    assert DATAFAST_KEY not in page


def open_shop_with_wrong_key(folder: Path) -> Any:
    """Run a shop whose key DataFast does not know."""
    folder.mkdir()
    return open_shop(folder, DATAFAST_API_KEY="df_wrong")


async def test_an_unreadable_ledger_says_so_in_both(shop: Shop) -> None:
    """503, not an empty list."""
    await shop.ledger.write(
        lambda connection: connection.exec_driver_sql("ALTER TABLE visits RENAME TO away")
    )
    page, data = [await shop.http.get(path) for path in PAGES]
    await shop.ledger.write(
        lambda connection: connection.exec_driver_sql("ALTER TABLE away RENAME TO visits")
    )

    assert (page.status_code, data.status_code) == (503, 503)
    assert "The ledger cannot be read" in page.text
    assert data.json() == {"ok": False, "error": "the ledger cannot be read at the moment"}


async def test_neither_is_kept_by_a_cache_or_found_by_a_search_engine(shop: Shop) -> None:
    """It holds orders."""
    page, data = [await shop.http.get(path) for path in PAGES]

    assert {page.headers["cache-control"], data.headers["cache-control"]} == {"private, no-store"}
    assert '<meta name="robots" content="noindex">' in page.text
    assert "data-website-id" not in page.text
    assert json.loads(data.text)["ok"] is True
