"""The first-party proxy: what goes up, what comes back, and what never does."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from kit.web import proxy
from kit.web.proxy import hosts_matcher
from tests.web.conftest import (
    DOMAIN,
    ORIGIN,
    VISITOR,
    WEBSITE_ID,
    Clock,
    Shop,
    eventually,
    nobody,
    open_shop,
)

pytestmark = pytest.mark.anyio

SCRIPT = b"/* the script */"
SERVERS_ID = "0d6b2f1c-1111-5222-8333-444455556666"
AGENT = "Mozilla/5.0 (test)"


def pageview(**changes: Any) -> dict[str, Any]:
    """Return an event as the script sends it."""
    return {
        "websiteId": WEBSITE_ID,
        "domain": DOMAIN,
        "href": f"{ORIGIN}/?utm_source=newsletter",
        "referrer": None,
        "viewport": {"width": 1200, "height": 800},
        "visitorId": VISITOR,
        "sessionId": f"s{VISITOR}",
        "type": "pageview",
    } | changes


@dataclass(slots=True)
class Upstream:
    """A DataFast that keeps what reaches it and answers as it is told."""

    answers: list[Response] = field(default_factory=list)
    seen: list[tuple[str, str, list[tuple[str, str]], bytes]] = field(default_factory=list)

    def app(self) -> Starlette:
        """Return the app; whatever path is asked for, it answers."""
        return Starlette(routes=[Route("/{path:path}", self.answer, methods=["GET", "POST"])])

    async def answer(self, request: Request) -> Response:
        """Keep one request."""
        url = f"{request.url.path}?{request.url.query}"
        self.seen.append((request.method, url, request.headers.items(), await request.body()))
        if self.answers:
            return self.answers.pop(0)
        return Response(SCRIPT, media_type="text/javascript", headers={"etag": '"v1"'})


@pytest.fixture
def upstream() -> Upstream:
    """Give a test its own DataFast."""
    return Upstream()


@pytest.fixture
async def proxied(tmp_path: Path, clock: Clock, upstream: Upstream) -> AsyncIterator[Shop]:
    """Run a shop in front of it."""
    async with open_shop(tmp_path, clock=clock, dodo=nobody, datafast=upstream.app()) as running:
        yield running


# Events: what goes up


async def test_exactly_five_headers_of_an_event_go_up(proxied: Shop, upstream: Upstream) -> None:
    """The shop's session, keys and whatever else a browser holds stay here."""
    planted = {
        "user-agent": AGENT,
        "accept-language": "fr",
        "origin": ORIGIN,
        "content-type": "application/json",
        "authorization": "Bearer planted",
        "cookie": "session=planted; datafast_visitor_id=planted",
        "x-planted": "planted",
        "x-datafast-real-ip": "203.0.113.9",
        "x-forwarded-for": "203.0.113.9",
        "forwarded": "for=203.0.113.9",
        "referer": f"{ORIGIN}/orders/planted",
        "x-csrf-token": "planted",
    }
    await proxied.http.post("/api/events", json=pageview(), headers=planted)
    [(method, path, headers, body)] = upstream.seen

    assert (method, path, json.loads(body)) == ("POST", "/api/events?", pageview())
    assert dict(headers) == {
        "user-agent": AGENT,
        "accept-language": "fr",
        "origin": ORIGIN,
        "content-type": "application/json",
        "x-datafast-real-ip": "127.0.0.1",
        # What HTTP itself needs.
        "host": "127.0.0.1:8002",
        "accept": "*/*",
        "accept-encoding": "identity",
        "content-length": str(len(body)),
    }


@pytest.mark.parametrize("headers", [{}, {"origin": "null"}], ids=["none", "null"])
async def test_an_event_without_an_origin_gets_the_shops_own(
    proxied: Shop, upstream: Upstream, headers: dict[str, str]
) -> None:
    """DataFast refuses one without; a page that hides its referrer sends a null."""
    await proxied.http.post("/api/events", json=pageview(), headers=headers)

    assert dict(upstream.seen[0][2])["origin"] == ORIGIN


@pytest.mark.parametrize("name", ["user-agent", "origin", "accept-language", "content-type"])
async def test_a_header_beyond_ascii_is_left_out(
    proxied: Shop, upstream: Upstream, name: str
) -> None:
    """Some phones name themselves so; it is no error of ours."""
    answer = await proxied.http.post(
        "/api/events", content=json.dumps(pageview()), headers=[(name.encode(), b"\xe9\xff")]
    )

    assert answer.status_code == 200
    assert "é" not in dict(upstream.seen[0][2]).get(name, "")


@pytest.mark.parametrize(
    ("trusted", "peer", "forwarded", "expected"),
    [
        pytest.param("", "198.51.100.7", "203.0.113.9", "198.51.100.7", id="nobody-trusted"),
        pytest.param("10.0.0.0/8", "10.1.2.3", "203.0.113.9", "203.0.113.9", id="one-hop"),
        pytest.param(
            "10.0.0.0/8", "10.1.2.3", "1.1.1.1, 203.0.113.9", "203.0.113.9", id="spoofed-before"
        ),
        pytest.param(
            "10.0.0.0/8", "10.1.2.3", "203.0.113.9, 10.9.9.9", "203.0.113.9", id="two-hops"
        ),
        pytest.param("10.0.0.0/8", "10.1.2.3", "10.5.5.5", "10.5.5.5", id="all-inside"),
        pytest.param("10.0.0.0/8", "10.1.2.3", "garbage", "10.1.2.3", id="garbage"),
        pytest.param("10.0.0.0/8", "10.1.2.3", "", "10.1.2.3", id="empty"),
        pytest.param("10.0.0.0/8", "198.51.100.7", "203.0.113.9", "198.51.100.7", id="stranger"),
        pytest.param("::1 10.0.0.0/8", "::1", "2001:db8::5", "2001:db8::5", id="ipv6"),
        pytest.param("10.0.0.0/8", "10.1.2.3", "203.0.113.9:4711", "203.0.113.9", id="port"),
        pytest.param("10.0.0.0/8", "10.1.2.3", "[2001:db8::5]:1", "2001:db8::5", id="ipv6-port"),
        pytest.param(
            "10.0.0.0/8", "::ffff:10.1.2.3", "::ffff:203.0.113.9", "203.0.113.9", id="mapped"
        ),
    ],
)
async def test_the_real_address_comes_from_trusted_hops_only(
    tmp_path: Path, upstream: Upstream, trusted: str, peer: str, forwarded: str, expected: str
) -> None:
    """`X-Forwarded-For` is read from its end, for as long as its writers are trusted."""
    async with (
        open_shop(
            tmp_path, dodo=nobody, datafast=upstream.app(), KIT_TRUSTED_PROXIES=trusted
        ) as shop,
        shop.browser(address=peer) as browser,
    ):
        headers = {"x-forwarded-for": forwarded, "x-datafast-real-ip": "8.8.8.8"}
        await browser.post("/api/events", json=pageview(), headers=headers)

    assert dict(upstream.seen[0][2])["x-datafast-real-ip"] == expected


@pytest.mark.parametrize(
    ("referrer", "expected"),
    [
        ("http://checkout.localhost:8001/session/cks_1", None),
        ("https://CHECKOUT.localhost/x?y#z", None),
        ("https://news.example/", "https://news.example/"),
        ("https://checkout.localhost.evil.example/", "https://checkout.localhost.evil.example/"),
        ("http://[", "http://["),
        ("", ""),
        (7, 7),
    ],
)
async def test_a_buyer_who_returns_is_no_traffic_from_the_payment_page(
    proxied: Shop, upstream: Upstream, referrer: object, expected: object
) -> None:
    """A referrer on Dodo's hosts becomes null; every other stays as it is."""
    await proxied.http.post("/api/events", json=pageview(referrer=referrer))

    assert json.loads(upstream.seen[0][3]) == pageview(referrer=expected)


@pytest.mark.parametrize(
    ("url", "matches"),
    [
        ("https://test.checkout.dodopayments.com/x", True),
        ("https://dodopayments.com/", False),
        ("https://evildodopayments.com/", False),
        ("https://a.dodopayments.com.evil.example/", False),
        ("https://pay.example:8443/", True),
        ("nonsense", False),
    ],
)
def test_hosts_are_matched_as_a_policy_does(url: str, *, matches: bool) -> None:
    """A star stands for at least one label."""
    matcher = hosts_matcher(("https://*.dodopayments.com", "pay.example"))

    assert matcher(url) is matches


@pytest.mark.parametrize(
    "body", [b"", b"\xff", b"[" * 10_000, b"[]", b"null", b'{"referrer": ' + b"9" * 5000 + b"}"]
)
async def test_a_body_that_is_no_event_goes_up_as_it_is(
    proxied: Shop, upstream: Upstream, body: bytes
) -> None:
    """What an event is, DataFast decides; nothing of it is kept here."""
    answer = await proxied.http.post("/api/events", content=body)

    assert answer.status_code == 200
    assert upstream.seen[0][3] == body
    assert await proxied.rows("visits") == []


@pytest.mark.parametrize(("size", "status"), [(65_536, 200), (65_537, 413)])
async def test_an_event_has_at_most_64_kb(
    proxied: Shop, upstream: Upstream, size: int, status: int
) -> None:
    """More is refused, and not sent up."""
    answer = await proxied.http.post("/api/events", content=b" " * size)

    assert answer.status_code == status
    assert len(upstream.seen) == (status == 200)


async def test_an_event_that_does_not_come_is_given_up(
    proxied: Shop, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """408 after the deadline, here shortened from five seconds by its module constant."""
    monkeypatch.setattr(proxy, "BODY_DEADLINE_S", 0.05)
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/api/events",
        "query_string": b"",
        "headers": [(b"host", b"shop.localhost")],
        "client": ("127.0.0.1", 1),
    }
    await proxied.app(scope, receive, send)

    assert sent[0]["status"] == 408
    assert upstream.seen == []


# Events: what comes back


async def test_status_type_and_body_come_back_and_nothing_else(
    proxied: Shop, upstream: Upstream
) -> None:
    """A cookie of DataFast's would be one of the shop's."""
    headers = {
        "set-cookie": "planted=1; Domain=localhost",
        "access-control-allow-origin": "*",
        "location": "https://evil.example/",
        "clear-site-data": '"*"',
        "cache-control": "public, max-age=99",
    }
    upstream.answers = [Response(b'{"a":1}', 202, headers, "application/json")]
    answer = await proxied.http.post("/api/events", json=pageview())

    assert (answer.status_code, answer.content) == (202, b'{"a":1}')
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert not set(answer.headers) & (set(headers) - {"cache-control"})
    assert proxied.http.cookies.get("planted") is None


@pytest.mark.parametrize("status", [302, 400, 403, 404, 429, 500])
async def test_a_refusal_comes_back_and_is_no_visit(
    proxied: Shop, upstream: Upstream, status: int
) -> None:
    """A pageview that DataFast did not take did not happen; a redirect is not followed."""
    upstream.answers = [Response(b"no", status, {"location": "http://evil.example/"})]
    answer = await proxied.http.post("/api/events", json=pageview())
    await proxied.http.post("/api/events", json=pageview(visitorId=VISITOR.replace("1f", "2f")))
    visits = await eventually(lambda: proxied.rows("visits"))

    assert answer.status_code == status
    assert "location" not in answer.headers
    assert len(upstream.seen) == 2
    assert [visit["visitor_id"] for visit in visits] == [VISITOR.replace("1f", "2f")]


async def test_an_answer_of_more_than_64_kb_is_cut(proxied: Shop, upstream: Upstream) -> None:
    """503, as for no answer."""
    upstream.answers = [Response(b"x" * 65_537)]
    answer = await proxied.http.post("/api/events", json=pageview())

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


# Visits


async def test_a_visit_keeps_where_the_visitor_came_from(proxied: Shop, clock: Clock) -> None:
    """The first landing and the last pageview; of the query, the known fields alone."""
    href = f"{ORIGIN}/products/gulf-chart?utm_source=news&email=planted@example.com&ref=x"
    await proxied.http.post(
        "/api/events", json=pageview(href=href, referrer="https://news.example/planted?q=1")
    )
    clock.now += 60
    await proxied.http.post("/api/events", json=pageview(href=f"{ORIGIN}/later?utm_source=other"))

    async def seen_twice() -> list[dict[str, Any]]:
        rows = await proxied.rows("visits")
        last = rows and rows[0]["last_pageview_at_ms"] == int(clock.now * 1000)
        return rows if last else []

    [visit] = await eventually(seen_twice)

    assert visit["first_seen_at_ms"] == int((clock.now - 60) * 1000)
    assert (visit["landing_path"], visit["referrer_host"]) == (
        "/products/gulf-chart",
        "news.example",
    )
    assert (visit["utm_source"], visit["ref"]) == ("news", "x")
    assert "planted" not in str(visit)


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(pageview(visitorId="x"), id="no-uuid"),
        pytest.param(pageview(visitorId=VISITOR.upper()), id="upper-case"),
        pytest.param(pageview(visitorId=VISITOR.replace("-4c5b-", "-1c5b-")), id="version-1"),
        pytest.param(pageview(visitorId=VISITOR + "<script>"), id="longer"),
        pytest.param(pageview(visitorId=VISITOR + "; <script>"), id="valid-and-more"),
        pytest.param(pageview(visitorId=f" {VISITOR}"), id="space"),
        pytest.param(pageview(visitorId=[VISITOR]), id="list"),
        pytest.param(pageview(visitorId=None), id="null"),
        pytest.param(pageview(type="custom"), id="no-pageview"),
        pytest.param([pageview()], id="no-object"),
    ],
)
async def test_what_is_no_pageview_of_a_valid_visitor_is_no_visit(
    proxied: Shop, event: object
) -> None:
    """Anybody can post here; the ledger keeps only what has the form of a visit."""
    other = VISITOR.replace("1f", "2f")
    await proxied.http.post("/api/events", json=event)
    await proxied.http.post("/api/events", json=pageview(visitorId=other))
    visits = await eventually(lambda: proxied.rows("visits"))

    assert [visit["visitor_id"] for visit in visits] == [other]


@pytest.mark.parametrize(
    ("reply", "visitors"),
    [
        pytest.param({"visitorId": SERVERS_ID}, [SERVERS_ID], id="named"),
        pytest.param({"success": True}, [], id="unnamed"),
        pytest.param({"visitorId": "other-format"}, [], id="another-format"),
        pytest.param([SERVERS_ID], [], id="another-form"),
    ],
)
async def test_a_visit_without_cookies_is_that_of_the_id_datafast_names(
    proxied: Shop, upstream: Upstream, reply: object, visitors: list[str]
) -> None:
    """The page's own id is another one in each event, and nobody's."""
    other = VISITOR.replace("1f", "2f")
    upstream.answers = [Response(json.dumps(reply), media_type="application/json")]
    await proxied.http.post("/api/events", json=pageview(cookieless=True))
    await proxied.http.post("/api/events", json=pageview(visitorId=other))

    async def both() -> list[dict[str, Any]]:
        rows = await proxied.rows("visits")
        return rows if other in [row["visitor_id"] for row in rows] else []

    rows = await eventually(both)

    assert {row["visitor_id"] for row in rows} == {*visitors, other}


@pytest.mark.parametrize("framework", [Starlette, FastAPI])
async def test_the_proxy_serves_a_shop_of_any_kind(
    upstream: Upstream, framework: Callable[[], Starlette]
) -> None:
    """Two routes in somebody else's app: no ledger, no session of theirs upstream."""
    transport = httpx.ASGITransport(app=upstream.app())
    async with httpx.AsyncClient(transport=transport) as client:
        pieces = proxy.Proxy(client, upstream="https://datafast.example", base_url=ORIGIN)
        app = framework()
        app.router.routes.extend(pieces.routes())
        theirs = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=theirs, base_url=ORIGIN) as browser:
            headers = {"cookie": "session=planted", "authorization": "planted"}
            script = await browser.get("/js/script.js", headers=headers)
            event = await browser.post("/api/events", json=pageview(), headers=headers)

    assert (script.content, event.status_code) == (SCRIPT, 200)
    assert len(upstream.seen) == 2
    assert "planted" not in str(upstream.seen)


# The script


@pytest.mark.parametrize("name", ["script.js", "script.cookieless.js", "script.hash.js"])
async def test_the_script_comes_from_this_host(
    proxied: Shop, upstream: Upstream, name: str
) -> None:
    """All three variants, each fetched without a word of the visitor."""
    answer = await proxied.http.get(
        f"/js/{name}?planted=1", headers={"cookie": "planted=1", "user-agent": "planted"}
    )
    [(method, path, headers, body)] = upstream.seen

    assert (answer.status_code, answer.content) == (200, SCRIPT)
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.headers["cache-control"] == "public, max-age=300"
    assert (method, path, body) == ("GET", f"/js/{name}?", b"")
    assert "planted" not in str(headers)


async def test_the_script_is_fetched_once_in_five_minutes(
    proxied: Shop, upstream: Upstream, clock: Clock
) -> None:
    """Then DataFast is asked whether it changed; a 304 lets it live on."""
    for _ in range(3):
        await proxied.http.get("/js/script.js")
    clock.now += 300
    upstream.answers = [Response(status_code=304)]
    again = [await proxied.http.get("/js/script.js") for _ in range(3)]
    conditions = [dict(headers).get("if-none-match") for _, _, headers, _ in upstream.seen]

    assert conditions == [None, '"v1"']
    assert {answer.content for answer in again} == {SCRIPT}


async def test_a_script_without_a_tag_of_its_own_is_told_by_its_content(
    proxied: Shop, upstream: Upstream, clock: Clock
) -> None:
    """Browsers can ask again all the same, and DataFast is asked by the date it gave."""
    date = "Wed, 04 Nov 2026 10:00:00 GMT"
    upstream.answers = [
        Response(SCRIPT, media_type="text/javascript", headers={"last-modified": date}),
        Response(status_code=304),
        Response(SCRIPT + b"//", media_type="text/javascript"),
    ]
    tags = []
    for _ in range(3):
        tags.append((await proxied.http.get("/js/script.js")).headers["etag"])
        clock.now += 300
    tags.append((await proxied.http.get("/js/script.js")).headers["etag"])
    asked = [dict(headers).get("if-modified-since") for _, _, headers, _ in upstream.seen]

    assert asked[:3] == [None, date, date]
    assert tags[0] == tags[1] == tags[2] != tags[3]
    assert re.fullmatch(r'"[0-9a-f]{32}"', tags[0])


async def test_nobody_waits_for_a_script_that_is_there(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    The page has the last one before DataFast is asked for the next, for up to a day.

    The fetch's deadline is shortened from four seconds by its module constant.
    """
    monkeypatch.setattr(proxy, "SCRIPT_DEADLINE_S", 0.05)
    order: list[str] = []

    async def upstream(scope: Any, receive: Any, send: Any) -> None:
        order.append("asked")
        if len(order) > 1:
            await asyncio.Event().wait()
        await Response(SCRIPT, media_type="text/javascript")(scope, receive, send)

    async def read(app: Any) -> None:
        async def send(message: Any) -> None:
            order.append(message["type"])

        scope = {
            "type": "http",
            "method": "GET",
            "path": "/js/script.js",
            "query_string": b"",
            "headers": [(b"host", b"shop.localhost")],
            "client": ("127.0.0.1", 1),
        }
        await app(scope, None, send)

    async with open_shop(tmp_path, clock=clock, datafast=upstream, dodo=nobody) as shop:
        await shop.http.get("/js/script.js")
        clock.now += 86_399
        await read(shop.app)
        clock.now += proxy.SCRIPT_RETRY_S
        await read(shop.app)

    sent = ["http.response.start", "http.response.body"]
    assert order == ["asked", *sent, "asked", "asked", *sent]


async def test_concurrent_visitors_fetch_the_script_once(proxied: Shop, upstream: Upstream) -> None:
    """A campaign starts: one fetch."""
    await asyncio.gather(*(proxied.http.get("/js/script.js") for _ in range(20)))

    assert len(upstream.seen) == 1


async def test_a_browser_that_has_the_script_is_told_so(proxied: Shop) -> None:
    """304 without a body; another tag gets the script."""
    fresh = await proxied.http.get("/js/script.js", headers={"if-none-match": '"v1"'})
    other = await proxied.http.get("/js/script.js", headers={"if-none-match": '"v0"'})
    through_a_cdn = await proxied.http.get(
        "/js/script.js", headers={"if-none-match": 'W/"v0", W/"v1"'}
    )
    any_tag = await proxied.http.get("/js/script.js", headers={"if-none-match": "*"})

    assert through_a_cdn.status_code == any_tag.status_code == 304
    assert (fresh.status_code, fresh.content, fresh.headers["etag"]) == (304, b"", '"v1"')
    assert (other.status_code, other.content) == (200, SCRIPT)


def _no_script() -> list[Response]:
    return [
        Response(b"<html>", media_type="text/html"),
        Response(b"no", 500, media_type="text/javascript"),
        Response(b"", 302, {"location": "https://evil.example/"}),
        Response(b"x" * (512 * 1024 + 1), media_type="text/javascript"),
        Response(b"", 304),
    ]


@pytest.mark.parametrize("number", range(5), ids=["html", "500", "redirect", "too-large", "304"])
async def test_a_page_gets_the_last_good_script_or_an_empty_one(
    proxied: Shop, upstream: Upstream, clock: Clock, number: int
) -> None:
    """Analytics never breaks a page, and an empty script is not kept by any cache."""
    upstream.answers = [_no_script()[number]]
    first = await proxied.http.get("/js/script.js")
    clock.now += proxy.SCRIPT_RETRY_S
    good = await proxied.http.get("/js/script.js")
    clock.now += 300
    # A 304 now would be an honest answer.
    upstream.answers = [_no_script()[min(number, 3)]]
    later = await proxied.http.get("/js/script.js")

    assert (first.status_code, first.content) == (200, b"")
    assert first.headers["cache-control"] == "no-store"
    assert first.headers["content-type"].startswith("text/javascript")
    assert good.content == later.content == SCRIPT
    assert len(upstream.seen) == 3


async def test_a_silent_datafast_holds_up_one_page_and_not_every_one(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    It is asked again ten seconds later, not by each page in turn.

    The fetch's deadline is shortened from four seconds by its module constant.
    """
    monkeypatch.setattr(proxy, "SCRIPT_DEADLINE_S", 0.05)
    asked = 0

    async def silent(_scope: Any, _receive: Any, _send: Any) -> None:
        nonlocal asked
        asked += 1
        await asyncio.Event().wait()

    async with open_shop(tmp_path, clock=clock, datafast=silent) as shop:
        pages = [shop.http.get("/js/script.js") for _ in range(20)]
        answers = await asyncio.gather(*pages)
        at_once = asked
        clock.now += proxy.SCRIPT_RETRY_S
        await shop.http.get("/js/script.js")

    assert {answer.content for answer in answers} == {b""}
    assert (at_once, asked) == (1, 2)


async def test_a_dead_datafast_breaks_neither_page_nor_event(tmp_path: Path) -> None:
    """Events are asked for again later; the page goes on."""
    async with open_shop(tmp_path, datafast=nobody) as shop:
        script = await shop.http.get("/js/script.js")
        event = await shop.http.post("/api/events", json=pageview())
        checkout = await shop.buy()

    assert (script.status_code, script.content) == (200, b"")
    assert (event.status_code, event.headers["retry-after"]) == (503, "5")
    assert checkout.status_code == 303


# No relay


@pytest.mark.parametrize(
    "path",
    [
        "/js/other.js",
        "/js/",
        "/js/script.js/",
        "/js/..%2fapi%2fv1%2fpayments",
        "/js/%2e%2e/api/v1/payments",
        "/js/https:%2f%2fevil.example",
        "/js/script.js%00",
        "/js/script.js%3fx",
        "/js/SCRIPT.JS",
        "/api/v1/payments",
        "/api/v1/visitors/" + VISITOR,
        "/api/events/x",
        "/api/",
    ],
)
async def test_nothing_else_goes_up(proxied: Shop, upstream: Upstream, path: str) -> None:
    """Two routes and three names are all there is: no open relay, no way to the API."""
    raw = httpx.URL(ORIGIN).copy_with(raw_path=path.encode())
    answers = [await proxied.http.request(method, raw) for method in ("GET", "POST")]

    assert {answer.status_code for answer in answers} <= {307, 404, 405}
    assert upstream.seen == []


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS"])
async def test_events_are_posted(proxied: Shop, upstream: Upstream, method: str) -> None:
    """Any other method is 405."""
    answer = await proxied.http.request(method, "/api/events")

    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert upstream.seen == []


async def test_the_sandbox_counts_what_passed_the_proxy(shop: Shop) -> None:
    """Whole: the kit's own stand-in serves the script and takes the pageview."""
    page = (await shop.http.get("/")).text
    source = re.search(r'src="(/js/[^"]+)"', page)
    assert source is not None
    script = await shop.http.get(source[1])
    answer = await shop.http.post("/api/events", json=pageview())
    [received] = await shop.at_datafast("events")

    assert "datafast_visitor_id" in script.text
    assert answer.json() == {"success": True}
    assert received["visitorId"] == VISITOR
