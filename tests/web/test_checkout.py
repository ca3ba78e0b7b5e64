"""`POST /checkout`: one form, one order, one session at Dodo, whatever the browser sends."""

import asyncio
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from itsdangerous import TimestampSigner, URLSafeTimedSerializer
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from kit.web import forms
from kit.web.guard import Limit
from kit.web.storefront.catalogue import DEMO_CATALOGUE, Product
from tests.web.conftest import (
    CHECKOUT_ORIGIN,
    COOKIE_KEY,
    ORIGIN,
    VISITOR,
    Clock,
    Shop,
    eventually,
    open_shop,
    payment_event,
)

pytestmark = pytest.mark.anyio

HOUR_S = 3600
PAGE_ID = "0d6b2f1c-1111-5222-8333-444455556666"
SESSION = "s2f0c8a52-7d0e-4c5b-9a53-2f6f1f3f9b22"


async def attempts_left_open(shop: Shop) -> list[str]:
    """Return the attempts that still lead to an order."""
    return [row["attempt_key"] for row in await shop.rows("checkouts") if row["attempt_key"]]


async def test_a_buyer_is_sent_to_dodo_with_the_visitor_in_the_metadata(shop: Shop) -> None:
    """The order ref, the visitor and the session are all that is added."""
    shop.http.cookies.set("datafast_visitor_id", VISITOR)
    shop.http.cookies.set("datafast_session_id", SESSION)
    answer = await shop.buy()
    [body] = await shop.opened()
    [order] = await shop.rows("checkouts")

    assert answer.status_code == 303
    assert answer.headers["location"] == f"{CHECKOUT_ORIGIN}/session/{order['dodo_session_id']}"
    assert answer.headers["cache-control"] == "no-store"
    assert body == {
        "product_cart": [{"product_id": "pdt_coastline", "quantity": 1}],
        "metadata": {
            "datafast_visitor_id": VISITOR,
            "datafast_session_id": SESSION,
            "order_ref": order["order_ref"],
        },
        "return_url": f"{ORIGIN}/orders/{order['order_ref']}",
        "cancel_url": f"{ORIGIN}/products/coastline-atlas",
    }


@pytest.mark.parametrize(
    ("posted", "reason", "visitor_id"),
    [
        pytest.param(PAGE_ID, "captured", PAGE_ID, id="any-version"),
        pytest.param(VISITOR, "captured", VISITOR, id="version-4"),
        pytest.param("", "absent", None, id="script-not-there-yet"),
        pytest.param(None, "absent", None, id="another-page"),
        pytest.param("hash:0123", "cookieless_format", None, id="unknown-format"),
        pytest.param(PAGE_ID.upper(), "cookieless_format", None, id="upper-case"),
        pytest.param(f"{PAGE_ID}<script>", "cookieless_format", None, id="longer"),
    ],
)
async def test_without_cookies_the_page_says_who_is_buying(
    tmp_path: Path, posted: str | None, reason: str, visitor_id: str | None
) -> None:
    """In cookieless mode the form is the one source; a cookie left over from before is none."""
    async with open_shop(tmp_path, KIT_COOKIELESS="1") as shop:
        shop.http.cookies.set("datafast_visitor_id", VISITOR.replace("1f", "2f"))
        page = (await shop.http.get("/products/coastline-atlas")).text
        form = {"product": "coastline-atlas", "attempt": await shop.attempt()}
        fields = form if posted is None else form | {"datafast_visitor_id": posted}
        answer = await shop.http.post("/checkout", data=fields)
        [order] = await shop.rows("checkouts")
        [body] = await shop.opened()
        await shop.http.get(f"/orders/{order['order_ref']}")
        [returned] = await shop.rows("checkouts")

    assert answer.status_code == 303
    assert 'src="/js/script.cookieless.js"' in page
    assert '<input type="hidden" name="datafast_visitor_id" id="page-visitor">' in page
    assert (order["capture_reason"], order["capture_source"]) == (reason, "page")
    assert order["visitor_id"] == body["metadata"].get("datafast_visitor_id") == visitor_id
    assert returned["return_visitor_id"] is None


async def test_a_posted_visitor_counts_in_cookieless_mode_alone(shop: Shop) -> None:
    """Everywhere else the cookie is the source, and a form can hold anything."""
    page = (await shop.http.get("/products/coastline-atlas")).text
    form = {"product": "coastline-atlas", "attempt": await shop.attempt()}
    await shop.http.post("/checkout", data=form | {"datafast_visitor_id": VISITOR})
    [order] = await shop.rows("checkouts")
    [body] = await shop.opened()

    assert "page-visitor" not in page
    assert (order["visitor_id"], order["capture_reason"]) == (None, "absent")
    assert VISITOR not in str(body)


@pytest.mark.parametrize("slug", DEMO_CATALOGUE)
async def test_every_product_of_the_demo_can_be_bought(shop: Shop, slug: str) -> None:
    """The two price lists name the same products."""
    answer = await shop.buy(product=slug)

    assert answer.status_code == 303


# Faults of Dodo's


@pytest.mark.parametrize(
    ("mode", "calls"),
    [
        pytest.param("429", 1, id="429"),
        pytest.param("500", 2, id="500"),
        pytest.param("timeout", 2, id="timeout"),
        pytest.param("reset", 2, id="reset"),
        pytest.param("html", 1, id="html"),
        pytest.param("empty", 1, id="empty"),
        pytest.param("redirect", 1, id="redirect"),
    ],
)
async def test_52_a_failing_dodo_is_a_page_that_says_so_within_the_deadline(
    tmp_path: Path, mode: str, calls: int, caplog: pytest.LogCaptureFixture
) -> None:
    """No stack, at most one retry, and the same form works once Dodo does."""
    async with open_shop(tmp_path, dodo_deadline_s=0.4) as shop:
        attempt = await shop.attempt()
        await shop.chaos(shop.dodo, mode=mode, match={"path": "/checkouts"})
        began = time.monotonic()
        answer = await shop.buy(attempt=attempt)
        took_s = time.monotonic() - began
        tried = len(await shop.opened())
        await shop.chaos(shop.dodo, mode="off")
        healed = await shop.buy(attempt=attempt)
        sessions = await shop.at_dodo("checkouts")

    assert answer.status_code == 502
    assert "The checkout could not be opened" in answer.text
    assert answer.headers["retry-after"] == "10"
    assert "Traceback" not in answer.text + caplog.text
    assert took_s < 2
    assert tried == calls
    assert healed.status_code == 303
    assert len(sessions) == 1


async def test_52_one_failure_is_retried_without_the_buyer_noticing(shop: Shop) -> None:
    """One try more is what a person has patience for."""
    await shop.chaos(shop.dodo, mode="500", times=1, match={"path": "/checkouts"})
    answer = await shop.buy()

    assert answer.status_code == 303
    assert len(await shop.opened()) == 2
    assert len(await shop.at_dodo("checkouts")) == 1


async def test_an_unavailable_ledger_is_503_and_opens_nothing_at_dodo(shop: Shop) -> None:
    """An order that cannot be written down is not begun."""
    attempt = await shop.attempt()
    await asyncio.to_thread(shop.ledger.close)
    answer = await shop.buy(attempt=attempt)

    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "10"
    assert await shop.opened() == []


def answering(document: Any) -> Starlette:
    """Return a Dodo that answers every checkout with one document."""

    async def checkout(_request: Request) -> Response:
        return JSONResponse(document)

    return Starlette(routes=[Route("/checkouts", checkout, methods=["POST"])])


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/session/cks_1",
        f"{CHECKOUT_ORIGIN}.evil.example/session/cks_1",
        f"{CHECKOUT_ORIGIN}@evil.example/session/cks_1",
        "https://checkout.localhost:8001/session/cks_1",
        "http://checkout.localhost/session/cks_1",
        "//evil.example/session/cks_1",
        "/session/cks_1",
        "javascript:alert(1)",
        f"{CHECKOUT_ORIGIN}\\@evil.example",
        f"{CHECKOUT_ORIGIN}/\r\nset-cookie: a=b",
        "",
        None,
    ],
)
async def test_a_checkout_address_that_is_not_dodos_is_refused(
    tmp_path: Path, url: str | None
) -> None:
    """Dodo's answer is input too. Nothing is left behind that blocks the next try."""
    dodo = answering({"session_id": "cks_1", "checkout_url": url})
    async with open_shop(tmp_path, dodo=dodo) as shop:
        answer = await shop.buy()
        open_attempts = await attempts_left_open(shop)

    assert answer.status_code == 502
    assert "location" not in answer.headers
    assert "evil" not in answer.text
    assert open_attempts == []


# Cookies


@pytest.mark.parametrize(
    ("cookie", "visitor_id", "reason"),
    [
        pytest.param(None, None, "absent", id="none"),
        pytest.param("datafast_visitor_id=<script>", None, "malformed", id="hostile"),
        pytest.param("datafast_visitor_id=" + "a" * 7000, None, "malformed", id="long"),
        pytest.param(f"datafast_visitor_id={VISITOR}%0d%0aX: y", None, "malformed", id="newline"),
        pytest.param(f"xdatafast_visitor_id={VISITOR}", None, "absent", id="suffix-of-a-name"),
        pytest.param(
            f"datafast_visitor_id=zzz; datafast_visitor_id={VISITOR}", VISITOR, "captured", id="two"
        ),
        pytest.param(
            f"datafast_visitor_id={VISITOR}; "
            "datafast_visitor_id=2f0c8a52-7d0e-4c5b-9a53-2f6f1f3f9b11",
            VISITOR,
            "captured",
            id="two-valid-first-wins",
        ),
        pytest.param(
            f'a="; b; =; kit_orders="x; datafast_visitor_id={VISITOR}; ;;',
            VISITOR,
            "captured",
            id="broken-neighbours",
        ),
    ],
)
async def test_53_the_checkout_works_whatever_the_cookies_are(
    shop: Shop, cookie: str | None, visitor_id: str | None, reason: str
) -> None:
    """What is no visitor id is dropped with its reason; Dodo gets no key for it."""
    attempt = await shop.attempt()
    answer = await shop.buy(attempt=attempt, **({"cookie": cookie} if cookie else {}))
    [body] = await shop.opened()
    [order] = await shop.rows("checkouts")

    assert answer.status_code == 303
    assert body["metadata"].get("datafast_visitor_id") == visitor_id
    assert set(body["metadata"]) <= {"datafast_visitor_id", "order_ref"}
    assert (order["visitor_id"], order["capture_reason"]) == (visitor_id, reason)


# What a form may not do


async def test_54_a_form_names_a_product_and_nothing_else(shop: Shop) -> None:
    """Price, quantity, addresses and metadata come from the server, whatever is posted."""
    attempt = await shop.attempt()
    hostile = {
        "product": "coastline-atlas",
        "attempt": attempt,
        "amount": "1",
        "price": "1",
        "quantity": "100",
        "product_id": "pdt_club",
        "return_url": "https://evil.example/",
        "cancel_url": "//evil.example",
        "metadata[datafast_visitor_id]": VISITOR,
        "datafast_visitor_id": VISITOR,
        "order_ref": "ord_" + "0" * 32,
        "discount_code": "FREE",
    }
    answer = await shop.http.post("/checkout?return_url=https://evil.example", data=hostile)
    [body] = await shop.opened()

    assert answer.status_code == 303
    assert set(body) == {"product_cart", "metadata", "return_url", "cancel_url"}
    assert body["product_cart"] == [{"product_id": "pdt_coastline", "quantity": 1}]
    assert set(body["metadata"]) == {"order_ref"}
    assert body["metadata"]["order_ref"] != hostile["order_ref"]
    assert "evil" not in json.dumps(body)


async def test_54_the_return_address_is_not_built_from_the_host_header(shop: Shop) -> None:
    """Another name of this machine is served, and still does not become an address."""
    attempt = await shop.attempt()
    answer = await shop.buy(attempt=attempt, host="other.localhost:1")
    [body] = await shop.opened()

    assert answer.status_code == 303
    assert body["return_url"].startswith(f"{ORIGIN}/orders/ord_")


def old_attempt(age_s: int, *, key: str = COOKIE_KEY, value: object = "a" * 32) -> str:
    """Sign an attempt as the shop did some time ago."""

    class Earlier(TimestampSigner):
        def get_timestamp(self) -> int:
            return int(time.time()) - age_s

    serializer = URLSafeTimedSerializer(key, salt="kit.attempt", signer=Earlier)
    return str(serializer.dumps(value))


@pytest.mark.parametrize(
    ("product", "attempt"),
    [
        pytest.param("nosuch", None, id="unknown-product"),
        pytest.param("", None, id="empty-product"),
        pytest.param("../coastline-atlas", None, id="path"),
        pytest.param("coastline-atlas", "", id="no-token"),
        pytest.param("coastline-atlas", "a" * 32, id="unsigned-token"),
        pytest.param("coastline-atlas", "é☃", id="token-beyond-ascii"),
        pytest.param("coastline-atlas", old_attempt(25 * HOUR_S), id="expired-token"),
        pytest.param("coastline-atlas", old_attempt(0, key="k" * 35), id="other-key"),
        pytest.param("coastline-atlas", old_attempt(0, value=["a"]), id="signed-but-no-attempt"),
        pytest.param(
            "coastline-atlas",
            URLSafeTimedSerializer(COOKIE_KEY, salt="kit.orders").dumps("a" * 32),
            id="token-of-another-purpose",
        ),
    ],
)
async def test_a_form_that_is_not_ours_is_out_of_date(
    shop: Shop, product: str, attempt: str | None
) -> None:
    """400 and a way on; Dodo is not asked."""
    form = {
        "product": product,
        "attempt": await shop.attempt() if attempt is None else attempt,
    }
    answer = await shop.http.post("/checkout", data=form)

    assert answer.status_code == 400
    assert "out of date" in answer.text
    assert await shop.opened() == []


async def test_a_tampered_token_is_out_of_date(shop: Shop) -> None:
    """One changed character anywhere spoils the signature."""
    attempt = await shop.attempt()
    tampered = [
        attempt[:place] + ("A" if attempt[place] != "A" else "B") + attempt[place + 1 :]
        for place in (0, len(attempt) // 2, len(attempt) - 2)
    ]
    answers = [await shop.buy(attempt=each) for each in tampered]

    assert [answer.status_code for answer in answers] == [400, 400, 400]
    assert await shop.opened() == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param(b"\xff\xfe", 400, id="not-ascii"),
        pytest.param(b"product", 400, id="no-value"),
        pytest.param(b"&".join(b"a%d=1" % n for n in range(21)), 400, id="21-fields"),
        pytest.param(b"", 400, id="empty"),
        pytest.param(b'{"product": "coastline-atlas"}', 400, id="json"),
        pytest.param(b"a=" + b"1" * 8191, 413, id="8-kB-and-one"),
    ],
)
async def test_a_body_that_is_no_form_is_refused(shop: Shop, body: bytes, status: int) -> None:
    """Before anything is looked up or written."""
    answer = await shop.http.post("/checkout", content=body)

    assert answer.status_code == status
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert await shop.rows("checkouts") == []


async def test_50_a_form_that_does_not_come_is_given_up(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """408 after the deadline, here shortened from ten seconds by its module constant."""
    monkeypatch.setattr(forms, "BODY_DEADLINE_S", 0.05)
    request = shop.http.build_request(
        "POST", "/checkout", content=b"", headers={"content-type": "text/plain"}
    )
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/checkout",
        "query_string": b"",
        "headers": [(b"host", request.url.netloc)],
        "client": ("127.0.0.1", 1),
    }
    await shop.app(scope, receive, send)

    assert sent[0]["status"] == 408


@pytest.mark.parametrize("path", ["/checkout?product=coastline-atlas&attempt=x", "/checkout"])
async def test_no_get_opens_a_session(shop: Shop, path: str) -> None:
    """A link or an image must not place an order."""
    answer = await shop.http.get(path)

    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert await shop.opened() == []


# Whose form it is


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({"sec-fetch-site": "cross-site"}, 403, id="cross-site"),
        pytest.param({"sec-fetch-site": "same-site"}, 403, id="same-site"),
        pytest.param({"sec-fetch-site": "cross-site", "origin": ORIGIN}, 403, id="both"),
        pytest.param({"sec-fetch-site": ""}, 403, id="empty"),
        pytest.param({"origin": "https://evil.example"}, 403, id="foreign-origin"),
        pytest.param({"origin": "null"}, 403, id="origin-null"),
        pytest.param({"origin": f"{ORIGIN}.evil.example"}, 403, id="origin-longer"),
        pytest.param({"origin": f"{ORIGIN}:81"}, 403, id="origin-other-port"),
        pytest.param({"origin": "https://shop.localhost"}, 403, id="origin-other-scheme"),
        pytest.param({"sec-fetch-site": "same-origin"}, 303, id="same-origin"),
        pytest.param({"origin": ORIGIN}, 303, id="our-origin"),
        pytest.param({}, 303, id="no-browser"),
    ],
)
async def test_55_only_a_page_of_this_shop_places_an_order(
    shop: Shop, headers: dict[str, str], status: int
) -> None:
    """A post from another site is 403 before anything happens."""
    attempt = await shop.attempt()
    answer = await shop.buy(attempt=attempt, **headers)

    assert answer.status_code == status
    assert len(await shop.opened()) == (status == 303)


async def test_55_a_flood_is_stopped_before_dodo_is_called(tmp_path: Path, clock: Clock) -> None:
    """One address gets its burst, then a few a minute; others are served."""
    limit = Limit(burst=3, per_minute=6)
    async with open_shop(tmp_path, clock=clock, buyer_limit=limit) as shop:
        answers = [await shop.buy() for _ in range(5)]
        opened = len(await shop.opened())
        attempt = await shop.attempt()
        async with shop.browser(address="192.0.2.7") as other:
            served = await other.post(
                "/checkout", data={"product": "coastline-atlas", "attempt": attempt}
            )
        clock.now += 10
        later = [(await shop.buy()).status_code for _ in range(2)]

    assert [answer.status_code for answer in answers] == [303, 303, 303, 429, 429]
    assert answers[-1].headers["retry-after"] == "60"
    assert opened == 3
    assert served.status_code == 303
    assert later == [303, 429]


async def test_55_all_buyers_together_stay_under_dodos_limit(tmp_path: Path) -> None:
    """Dodo counts the account: many addresses must not stop all sales for longer than a minute."""
    async with open_shop(tmp_path, shop_limit=Limit(burst=2, per_minute=60)) as shop:
        attempts = [await shop.attempt() for _ in range(3)]
        statuses = []
        for number, attempt in enumerate(attempts):
            async with shop.browser(address=f"192.0.2.{number}") as buyer:
                form = {"product": "coastline-atlas", "attempt": attempt}
                statuses.append((await buyer.post("/checkout", data=form)).status_code)

    assert statuses == [303, 303, 429]


async def test_55_a_forged_forwarding_header_buys_no_second_budget(tmp_path: Path) -> None:
    """Only hops that are trusted may name the buyer's address."""
    async with open_shop(tmp_path, buyer_limit=Limit(burst=1, per_minute=1)) as shop:
        statuses = [
            (await shop.buy(**{"x-forwarded-for": f"192.0.2.{number}"})).status_code
            for number in range(2)
        ]

    assert statuses == [303, 429]


# One form, one session


async def test_the_same_form_leads_to_the_same_session(shop: Shop, clock: Clock) -> None:
    """Back and again, hours later, by a double click: one order."""
    attempt = await shop.attempt()
    first = await shop.buy(attempt=attempt)
    clock.now += 22 * HOUR_S
    again = await shop.buy(attempt=attempt)

    assert first.headers["location"] == again.headers["location"]
    assert len(await shop.opened()) == 1


async def test_concurrent_posts_of_one_form_make_one_call(shop: Shop) -> None:
    """The second waits for the session that the first is opening."""
    attempt = await shop.attempt()
    answers = await asyncio.gather(*(shop.buy(attempt=attempt) for _ in range(5)))

    assert {answer.status_code for answer in answers} == {303}
    assert len({answer.headers["location"] for answer in answers}) == 1
    assert len(await shop.opened()) == 1


async def test_the_twin_of_a_failing_post_fails_with_it(tmp_path: Path) -> None:
    """It does not wait for a session that never comes, and does not open another."""
    async with open_shop(tmp_path, dodo_deadline_s=0.4) as shop:
        await shop.chaos(shop.dodo, mode="timeout", match={"path": "/checkouts"})
        attempt = await shop.attempt()
        answers = await asyncio.gather(*(shop.buy(attempt=attempt) for _ in range(2)))
        tried = len(await shop.opened())

    assert [answer.status_code for answer in answers] == [502, 502]
    assert tried == 2


async def test_another_product_with_the_same_token_is_another_order(shop: Shop) -> None:
    """A token never sells one thing for another."""
    attempt = await shop.attempt()
    for product in ("coastline-atlas", "tokyo-line-map", "coastline-atlas"):
        await shop.buy(product=product, attempt=attempt)
    carts = [body["product_cart"][0]["product_id"] for body in await shop.opened()]

    assert carts == ["pdt_coastline", "pdt_tokyo"]


async def test_an_expired_session_is_replaced(shop: Shop, clock: Clock) -> None:
    """Dodo's sessions live for 24 hours; after 23 a new order begins."""
    attempt = await shop.attempt()
    first = await shop.buy(attempt=attempt)
    clock.now += 23 * HOUR_S
    second = await shop.buy(attempt=attempt)
    orders = await shop.rows("checkouts")

    assert first.headers["location"] != second.headers["location"]
    assert len({order["order_ref"] for order in orders}) == 2


async def test_a_paid_form_buys_again_with_a_new_order(shop: Shop) -> None:
    """A buyer may want a second one."""
    attempt = await shop.attempt()
    first = await shop.buy(attempt=attempt)
    [order] = await shop.rows("checkouts")
    await shop.webhook(
        payment_event(
            checkout_session_id=order["dodo_session_id"],
            metadata={"order_ref": order["order_ref"]},
        )
    )

    async def paid() -> bool:
        [row] = await shop.rows("checkouts")
        return bool(row["payment_status"] == "succeeded")

    await eventually(paid)
    second = await shop.buy(attempt=attempt)

    assert second.status_code == 303
    assert first.headers["location"] != second.headers["location"]
    assert len(await shop.opened()) == 2


async def test_an_order_left_opening_by_a_crash_is_replaced(shop: Shop, clock: Clock) -> None:
    """After fifteen seconds nobody is opening it any more."""
    attempt = await shop.attempt()
    first = await shop.buy(attempt=attempt)
    await shop.ledger.write(
        lambda connection: connection.exec_driver_sql(
            "UPDATE checkouts SET state = 'opening', checkout_url = NULL"
        )
    )
    clock.now += 15
    second = await shop.buy(attempt=attempt)

    assert second.status_code == 303
    assert first.headers["location"] != second.headers["location"]


async def test_a_form_used_for_too_many_orders_is_out_of_date(tmp_path: Path) -> None:
    """A script that reuses one token gets a page, not an error of ours."""
    catalogue = {
        f"p{number}": replace(DEMO_CATALOGUE["coastline-atlas"], slug=f"p{number}")
        for number in range(51)
    }
    limit = Limit(burst=100, per_minute=100)
    async with open_shop(
        tmp_path, catalogue=catalogue, buyer_limit=limit, shop_limit=limit
    ) as shop:
        attempt = await shop.attempt("p0")
        statuses = [
            (await shop.buy(product=slug, attempt=attempt)).status_code for slug in catalogue
        ]

    assert statuses == [303] * 50 + [400]


async def test_attempts_are_never_the_same(shop: Shop) -> None:
    """Two opened pages are two purchases."""
    tokens = [await shop.attempt() for _ in range(3)]
    answers = [await shop.buy(attempt=token) for token in tokens]

    assert len({answer.headers["location"] for answer in answers}) == 3


async def test_a_product_of_an_unknown_currency_says_nothing_of_the_cause(tmp_path: Path) -> None:
    """A 500 carries the same headers as any page, and no word of what happened."""
    broken = Product("x", "pdt_x", "X", "", 100, "XXX")
    async with open_shop(tmp_path, catalogue={"x": broken}) as shop:
        answer = await shop.http.get("/products/x")

    assert answer.status_code == 500
    assert "Something went wrong on our side." in answer.text
    assert "XXX" not in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
