"""`GET /orders/{ref}`: what the return URL may do, and who sees what."""

import asyncio
import json
import logging
from typing import Any

import httpx
import pytest
from itsdangerous import URLSafeTimedSerializer

from tests.web.conftest import (
    COOKIE_KEY,
    EMAIL,
    NAME,
    ORIGIN,
    VISITOR,
    Clock,
    Shop,
    eventually,
    open_shop,
    payment_event,
)

pytestmark = pytest.mark.anyio


async def order_of(shop: Shop) -> dict[str, Any]:
    """Return the only order."""
    [order] = await shop.rows("checkouts")
    return order


async def reports(shop: Shop) -> list[dict[str, Any]]:
    """Return the payments that DataFast was told of."""
    received = await shop.at_datafast("requests", path="/api/v1/payments", method="POST")
    return [json.loads(each["body"], parse_float=str) for each in received]


async def paid_journey(shop: Shop) -> dict[str, Any]:
    """Wait until the newest journey waits for nothing, and return it."""

    async def settled() -> dict[str, Any] | None:
        newest = (await shop.journeys())[0]
        return newest if newest["payment_id"] and newest["tone"] != "wait" else None

    return await eventually(settled)


# The query


@pytest.mark.parametrize(
    "query",
    [
        f"payment_id=pay_1&status=succeeded&email={EMAIL}",
        "x",
        "email=%FF%FE",
        "a=1&" * 500,
        "payment_id=" + "p" * 5000,
        "status=<script>alert(1)</script>",
    ],
)
async def test_a_query_is_taken_off_before_any_page(shop: Shop, query: str) -> None:
    """303 to the bare address, kept by nobody; no script ever sees it."""
    await shop.buy()
    ref = (await order_of(shop))["order_ref"]
    answer = await shop.http.get(f"/orders/{ref}?{query}")

    assert answer.status_code == 303
    assert answer.headers["location"] == f"/orders/{ref}"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.content == b""


async def test_what_the_return_url_tells_of_the_buyer_is_kept_nowhere(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    """Dodo appends the e-mail; neither the database nor any log holds it."""
    caplog.set_level(logging.DEBUG)
    back = await shop.pay(await shop.buy())
    answer = await shop.http.get(back)
    await shop.http.get(answer.headers["location"])
    await asyncio.to_thread(shop.ledger.close)
    kept = b"".join(path.read_bytes() for path in shop.file.parent.glob("shop.db*"))
    # The test's own browser logs the addresses that it opens.
    logged = "".join(
        record.getMessage() for record in caplog.records if not record.name.startswith("httpx")
    )

    assert "planted.buyer" in back
    assert b"planted.buyer" not in kept
    assert b"pay_" in kept
    assert "planted.buyer" not in logged


async def test_a_claim_is_not_a_link(shop: Shop) -> None:
    """Anybody can write `status=succeeded` into an address; the order stays pending."""
    await shop.webhook(payment_event(payment_id="pay_of_somebody_else"))
    await shop.buy()
    ref = (await order_of(shop))["order_ref"]
    query = "payment_id=pay_of_somebody_else&status=succeeded"
    page = await shop.http.get(f"/orders/{ref}?{query}", follow_redirects=True)
    order = await order_of(shop)

    assert "Waiting for word of your payment" in page.text
    assert (order["claimed_payment_id"], order["claimed_status"]) == (
        "pay_of_somebody_else",
        "succeeded",
    )
    assert (order["payment_id"], order["payment_status"]) == (None, None)


@pytest.mark.parametrize(
    ("query", "claimed"),
    [
        ("payment_id=pay_1&status=succeeded", ("pay_1", "succeeded")),
        ("payment_id=pay%00_1&status=a%0ab", (None, None)),
        ("payment_id=" + "p" * 129, (None, None)),
        ("payment_id=é&status=", (None, None)),
    ],
)
async def test_a_claim_is_kept_only_if_it_has_the_form_of_an_id(
    shop: Shop, query: str, claimed: tuple[str | None, str | None]
) -> None:
    """It is shown to nobody yet, and still may not be anything."""
    await shop.buy()
    await shop.http.get(f"/orders/{(await order_of(shop))['order_ref']}?{query}")
    order = await order_of(shop)

    assert (order["claimed_payment_id"], order["claimed_status"]) == claimed


async def test_the_first_return_is_the_one_that_counts(shop: Shop, clock: Clock) -> None:
    """A second look at an old link changes nothing."""
    await shop.buy()
    ref = (await order_of(shop))["order_ref"]
    await shop.http.get(f"/orders/{ref}?payment_id=pay_1")
    first = await order_of(shop)
    clock.now += 100
    await shop.http.get(f"/orders/{ref}?payment_id=pay_2")

    assert await order_of(shop) == first


@pytest.mark.parametrize(
    "path",
    [
        "/orders/ord_" + "0" * 32,
        "/orders/ord_" + "0" * 31,
        "/orders/ORD_" + "0" * 32,
        "/orders/%00",
        "/orders/é",
        "/orders/ord_" + "0" * 32 + "%0a",
    ],
)
async def test_an_address_of_no_order_is_404(shop: Shop, path: str) -> None:
    """With a query, without, and whatever it looks like."""
    plain = await shop.http.get(path)
    queried = await shop.http.get(f"{path}?email={EMAIL}", follow_redirects=True)

    assert (plain.status_code, queried.status_code) == (404, 404)
    assert "email" not in str(queried.url)


@pytest.mark.parametrize(
    "path", ["/orders//evil.example?x", "//evil.example/orders/?x", "/orders/..%2f..%2fx?x"]
)
async def test_no_path_becomes_a_redirect_to_another_host(shop: Shop, path: str) -> None:
    """A slash too many is not a host."""
    raw = httpx.URL(ORIGIN).copy_with(raw_path=path.encode())
    answer = await shop.http.get(raw)

    assert not answer.headers.get("location", "/").startswith(("//", "http://evil"))
    assert answer.status_code in (303, 307, 404)


# The state


async def test_a_paid_order_shows_its_route(shop: Shop) -> None:
    """The webhook settles it; the buyer sees the amount and every hop."""
    checkout = await shop.buy()
    back = await shop.pay(checkout)
    [payment] = await shop.at_dodo("payments")
    await shop.webhook(payment_event(**payment))
    await paid_journey(shop)
    page = (await shop.http.get(back, follow_redirects=True)).text

    assert "Thank you" in page
    assert "$29.00" in page
    assert "data-refresh" not in page
    assert EMAIL not in page


async def test_a_declined_payment_is_said_to_have_failed(shop: Shop) -> None:
    """To the buyer; a stranger learns whether it is paid, and nothing else."""
    checkout = await shop.buy()
    await shop.pay(checkout, outcome="failed")
    [payment] = await shop.at_dodo("payments")
    await shop.webhook(payment_event(**payment) | {"type": "payment.failed"})

    async def failed() -> bool:
        return bool((await order_of(shop))["payment_status"])

    await eventually(failed)
    path = f"/orders/{(await order_of(shop))['order_ref']}"
    async with shop.browser() as stranger:
        seen = (await stranger.get(path)).text

    assert "did not go through" in (await shop.http.get(path)).text
    assert "Waiting for word of this payment" in seen


async def test_a_late_failure_does_not_take_a_payment_back(shop: Shop) -> None:
    """Messages come in any order."""
    await shop.pay(await shop.buy())
    [payment] = await shop.at_dodo("payments")
    await shop.webhook(payment_event(**payment))
    failed = payment_event(**payment | {"status": "failed"}) | {"type": "payment.failed"}
    await shop.webhook(failed, id="msg_2")

    async def both_read() -> bool:
        return all(row["state"] != "stored" for row in await shop.rows("events"))

    await eventually(both_read)

    assert (await order_of(shop))["payment_status"] == "succeeded"


async def test_a_missing_webhook_is_made_up_for_by_asking_dodo(shop: Shop, clock: Clock) -> None:
    """Asked once in twenty seconds; when the webhook comes after all, it is one report still."""
    back = await shop.pay(await shop.buy())
    path = (await shop.http.get(back)).headers["location"]
    session_id = (await order_of(shop))["dodo_session_id"]

    async def asked() -> int:
        return len(await shop.at_dodo("requests", path=f"/checkouts/{session_id}"))

    clock.now += 19.9
    await shop.http.get(path)
    early = await asked()
    clock.now += 0.2
    waiting = (await shop.http.get(path)).text
    once = await asked()
    await asyncio.gather(*(shop.http.get(path) for _ in range(5)))
    still_once = await asked()
    journey = await paid_journey(shop)
    page = (await shop.http.get(path)).text
    [payment] = await shop.at_dodo("payments")
    late = await shop.webhook(payment_event(**payment), id="msg_late", at=clock.now)

    async def all_read() -> bool:
        events = await shop.rows("events")
        return len(events) == 2 and all(row["state"] == "mapped" for row in events)

    await eventually(all_read)
    [report] = await reports(shop)

    assert "Waiting" in waiting
    assert (early, once, still_once) == (0, 1, 1)
    assert journey["payment_id"] == report["transaction_id"] == payment["payment_id"]
    assert [hop["reason"] for hop in journey["hops"]].count("read_from_api") == 1
    assert "Thank you" in page
    assert late.json() == {"status": "accepted"}
    assert len(await shop.rows("deliveries")) == 1


async def test_an_unpaid_order_is_asked_about_every_twenty_seconds(
    shop: Shop, clock: Clock
) -> None:
    """However often the page is loaded, and by however many."""
    await shop.buy()
    order = await order_of(shop)
    path = f"/orders/{order['order_ref']}"
    await shop.http.get(f"{path}?status=succeeded")
    for _ in range(30):
        clock.now += 2
        await shop.http.get(path)
    asked = await shop.at_dodo("requests", path=f"/checkouts/{order['dodo_session_id']}")

    assert len(asked) == 3
    assert (await order_of(shop))["payment_status"] is None


@pytest.mark.parametrize("mode", ["429", "500", "reset", "html", "empty"])
async def test_a_failing_dodo_leaves_the_order_waiting(
    shop: Shop, clock: Clock, mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The page is shown all the same, and the next turn asks again."""
    back = await shop.pay(await shop.buy())
    path = (await shop.http.get(back)).headers["location"]
    session_id = (await order_of(shop))["dodo_session_id"]
    await shop.chaos(shop.dodo, mode=mode, times=1, match={"path": f"/checkouts/{session_id}"})
    clock.now += 20
    broken = await shop.http.get(path)
    clock.now += 20
    await shop.http.get(path)
    journey = await paid_journey(shop)

    assert broken.status_code == 200
    assert "Waiting" in broken.text
    assert "Dodo not asked" in caplog.text
    assert journey["payment_id"] is not None


async def test_an_unreadable_ledger_is_a_page_that_says_the_payment_is_safe(shop: Shop) -> None:
    """503, not an empty receipt."""
    await shop.buy()
    ref = (await order_of(shop))["order_ref"]
    await shop.ledger.write(
        lambda connection: connection.exec_driver_sql("ALTER TABLE checkouts RENAME TO away")
    )
    answer = await shop.http.get(f"/orders/{ref}")
    returning = await shop.http.get(f"/orders/{ref}?status=succeeded")
    await shop.ledger.write(
        lambda connection: connection.exec_driver_sql("ALTER TABLE away RENAME TO checkouts")
    )

    assert answer.status_code == 503
    assert "Your payment is safe" in answer.text
    assert answer.headers["retry-after"] == "10"
    assert returning.status_code == 303


# Whose order it is


async def test_a_stranger_sees_whether_it_is_paid_and_nothing_else(shop: Shop) -> None:
    """No product, no amount, no visitor, no hop."""
    shop.http.cookies.set("datafast_visitor_id", VISITOR)
    checkout = await shop.buy()
    path = f"/orders/{(await order_of(shop))['order_ref']}"
    async with shop.browser() as stranger:
        before = (await stranger.get(path)).text
        await shop.pay(checkout)
        [payment] = await shop.at_dodo("payments")
        await shop.webhook(payment_event(**payment))

        async def known() -> bool:
            return bool((await order_of(shop))["payment_status"] == "succeeded")

        await eventually(known)
        after = (await stranger.get(path)).text

    assert "Waiting for word of this payment" in before
    assert "This order is paid" in after
    for secret in ("Coastline", "29.00", VISITOR, payment["payment_id"], 'class="hop', EMAIL, NAME):
        assert secret not in before + after


@pytest.mark.parametrize("part", ["payload", "time", "signature", "other-key", "other-purpose"])
async def test_a_tampered_cookie_is_no_cookie(shop: Shop, part: str) -> None:
    """Somebody else's order cannot be written into one's own cookie."""
    await shop.buy()
    ref = (await order_of(shop))["order_ref"]
    payload, moment, signature = shop.http.cookies["kit_orders"].split(".")
    forged = {
        "payload": f"{payload[:-2]}AA.{moment}.{signature}",
        "time": f"{payload}.zzzzzz.{signature}",
        "signature": f"{payload}.{moment}.{signature[::-1]}",
        "other-key": str(URLSafeTimedSerializer("k" * 35, salt="kit.orders").dumps([ref])),
        "other-purpose": str(URLSafeTimedSerializer(COOKIE_KEY, salt="kit.attempt").dumps([ref])),
    }[part]
    async with shop.browser(cookie=f"kit_orders={forged}") as thief:
        page = await thief.get(f"/orders/{ref}")

    assert page.status_code == 200
    assert "This browser did not place the order" in page.text


@pytest.mark.parametrize("value", ["", "x", "." * 50, "é", '"', "[1]", "a" * 4000])
async def test_a_senseless_cookie_is_ignored(shop: Shop, value: str) -> None:
    """And replaced by the next order."""
    cookie = f"kit_orders={value}".encode()
    attempt = await shop.attempt()
    answer = await shop.http.post(
        "/checkout",
        data={"product": "coastline-atlas", "attempt": attempt},
        headers=[(b"cookie", cookie)],
    )

    assert answer.status_code == 303
    assert "kit_orders=" in answer.headers["set-cookie"]


async def test_a_browser_keeps_its_last_eight_orders(shop: Shop) -> None:
    """The cookie stays small; an older order is a stranger's."""
    for _ in range(9):
        await shop.buy()
    kept = URLSafeTimedSerializer(COOKIE_KEY, salt="kit.orders").loads(
        shop.http.cookies["kit_orders"]
    )
    everyone = {row["order_ref"] for row in await shop.rows("checkouts")}
    [forgotten] = everyone - set(kept)

    assert len(kept) == len(set(kept)) == 8
    assert "did not place" in (await shop.http.get(f"/orders/{forgotten}")).text
    assert "did not place" not in (await shop.http.get(f"/orders/{kept[0]}")).text


async def test_a_new_key_signs_and_the_old_one_still_reads(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Rotation keeps every browser's orders; a key taken away ends them."""
    folder = tmp_path_factory.mktemp("shop")
    new_key = "another-planted-cookie-key-of-32-characters"
    async with open_shop(folder) as shop:
        await shop.buy()
        ref = (await order_of(shop))["order_ref"]
        cookie = shop.http.cookies["kit_orders"]
    async with open_shop(folder, KIT_SECRET_KEY=f"{new_key},{COOKIE_KEY}") as shop:
        headers = {"cookie": f"kit_orders={cookie}"}
        while_both = await shop.http.get(f"/orders/{ref}", headers=headers)
        bought = await shop.buy(attempt=await shop.attempt(), **headers)
        renewed = bought.headers["set-cookie"].partition(";")[0]
    async with open_shop(folder, KIT_SECRET_KEY=new_key) as shop:
        with_old = await shop.http.get(f"/orders/{ref}", headers=headers)
        with_renewed = await shop.http.get(f"/orders/{ref}", headers={"cookie": renewed})

    assert "did not place" not in while_both.text
    assert "did not place" in with_old.text
    assert "did not place" not in with_renewed.text


@pytest.mark.parametrize(
    ("base_url", "name", "secure"),
    [
        pytest.param("http://shop.localhost", "kit_orders", False, id="http"),
        pytest.param("https://shop.example", "__Host-kit_orders", True, id="https"),
        pytest.param("HTTPS://Shop.Example", "__Host-kit_orders", True, id="HTTPS"),
    ],
)
async def test_the_cookie_is_bound_to_this_host_as_far_as_can_be(
    tmp_path_factory: pytest.TempPathFactory, base_url: str, name: str, secure: bool
) -> None:
    """HttpOnly and Lax always; Secure and `__Host-` on https."""
    async with open_shop(tmp_path_factory.mktemp("shop"), KIT_BASE_URL=base_url) as shop:
        answer = await shop.buy()
    cookie, *attributes = answer.headers["set-cookie"].split("; ")

    assert cookie.startswith(f"{name}=")
    assert set(attributes) == {"HttpOnly", "Max-Age=7776000", "Path=/", "SameSite=lax"} | (
        {"Secure"} if secure else set()
    )
