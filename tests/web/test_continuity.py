"""The continuity cookie: what is kept, what is restored, and what never becomes the copy."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from itsdangerous import URLSafeSerializer
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from kit.web.consent import ConsentRule
from kit.web.continuity import LIFE_S, MAX_LINKED, Continuity
from tests.web.conftest import COOKIE_KEY, DOMAIN, NOW, VISITOR, Clock, Shop, open_shop

pytestmark = pytest.mark.anyio

OTHER = VISITOR.replace("1f", "2f", 1)
PLANTED = VISITOR.replace("1f", "66", 1)
KEY, OLD_KEY = "newest-key-of-thirty-two-characters", "older-key-of-thirty-two-characters-"
COPY = "__Host-kit_visitor"
DAY_S = 24 * 3600


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: its cookies by name, as written, and what the app behind was shown."""

    response: httpx.Response
    lines: list[str]
    seen: Mapping[str, Any]

    def line(self, name: str) -> list[str]:
        """Return the parts of the one line that sets a cookie."""
        [line] = [line for line in self.lines if line.startswith(f"{name}=")]
        return line.split("; ")

    def value(self, name: str) -> str:
        """Return the value that a cookie was given."""
        return self.line(name)[0].partition("=")[2]

    def names(self) -> list[str]:
        """Return the names of the cookies set."""
        return [line.partition("=")[0] for line in self.lines]


@dataclass(slots=True)
class Site:
    """A page of some other shop, with the middleware before it."""

    clock: Clock = field(default_factory=Clock)
    keys: tuple[str, ...] = (KEY,)
    domain: str = "example.com"
    base_url: str = "https://shop.example.com"
    consent: ConsentRule = field(default_factory=ConsentRule)
    headers: dict[str, str] = field(default_factory=dict)

    async def ask(
        self, path: str = "/", *, cookies: str = "", method: str = "GET", **headers: str
    ) -> Answer:
        """Ask for a page with these cookies, as a browser on the shop's host."""
        transport = httpx.ASGITransport(app=self._app())
        sent = {"host": "shop.example.com", **headers} | ({"cookie": cookies} if cookies else {})
        async with httpx.AsyncClient(transport=transport, base_url=self.base_url) as client:
            response = await client.request(method, path, headers=sent)
        return Answer(response, response.headers.get_list("set-cookie"), response.json())

    async def copy(self, visitor_id: str = VISITOR) -> str:
        """Return the copy's cookie after a page that a visitor asked for."""
        name = COPY if self.base_url.startswith("https") else "kit_visitor"
        return f"{name}={(await self.ask(cookies=known(visitor_id))).value(name)}"

    def _app(self) -> Starlette:
        async def page(request: Request) -> Response:
            shown = {
                "cookie": request.headers.get("cookie"),
                "restored": getattr(request.state, "visitor_restored", False),
            }
            return JSONResponse(shown, headers={"cache-control": "public", **self.headers})

        return Starlette(
            routes=[Route("/{path:path}", page, methods=["GET", "POST"])],
            middleware=[
                Middleware(
                    Continuity,
                    keys=self.keys,
                    domain=self.domain,
                    base_url=self.base_url,
                    consent=self.consent,
                    clock=self.clock,
                )
            ],
        )


@pytest.fixture
def site() -> Site:
    """Give a test its own site."""
    return Site()


def known(visitor_id: str) -> str:
    """Return DataFast's cookie."""
    return f"datafast_visitor_id={visitor_id}"


def signed(value: object, *, key: str = KEY, salt: str = "kit.continuity") -> str:
    """Sign a copy as the kit does."""
    return f"{COPY}={URLSafeSerializer(key, salt=salt).dumps(value)!s}"


def held(answer: Answer) -> dict[str, Any]:
    """Return what a copy that was set says."""
    return dict(URLSafeSerializer(KEY, salt="kit.continuity").loads(answer.value(COPY)))


# Keeping


async def test_a_visitor_is_copied_into_a_cookie_that_no_script_reads(site: Site) -> None:
    """Signed, for a year, bound to the host, and DataFast's own cookie is left alone."""
    answer = await site.ask(cookies=f"theme=dark; {known(VISITOR)}")

    assert answer.line(COPY)[1:] == [
        f"Max-Age={LIFE_S}",
        "Path=/",
        "SameSite=Lax",
        "Secure",
        "HttpOnly",
    ]
    assert held(answer) == {"visitor": [VISITOR, int(NOW)], "linked": []}
    assert answer.names() == [COPY]
    assert answer.response.headers["cache-control"] == "no-store"
    assert answer.seen == {"cookie": f"theme=dark; {known(VISITOR)}", "restored": False}


async def test_on_loopback_the_copy_is_neither_secure_nor_prefixed(site: Site) -> None:
    """Browsers refuse both over plain http."""
    site.base_url = "http://127.0.0.1:8000"
    answer = await site.ask(cookies=known(VISITOR), host="127.0.0.1:8000")

    assert answer.line("kit_visitor")[1:] == [
        f"Max-Age={LIFE_S}",
        "Path=/",
        "SameSite=Lax",
        "HttpOnly",
    ]


async def test_a_visitor_who_is_copied_already_costs_nothing(site: Site) -> None:
    """No cookie is set and the page stays as cacheable as it was."""
    copy = await site.copy()
    site.clock.now += 30 * DAY_S
    answer = await site.ask(cookies=f"{known(VISITOR)}; {copy}")

    assert answer.lines == []
    assert answer.response.headers["cache-control"] == "public"


async def test_a_valid_cookie_always_wins_and_becomes_the_copy(site: Site) -> None:
    """Another id is another first capture."""
    copy = await site.copy()
    site.clock.now += 30 * DAY_S
    answer = await site.ask(cookies=f"{known(OTHER)}; {copy}")

    assert held(answer)["visitor"] == [OTHER, int(site.clock.now)]
    assert answer.names() == [COPY]
    assert answer.seen["cookie"].startswith(known(OTHER))


@pytest.mark.parametrize("value", ["", "x", VISITOR.upper(), VISITOR[:-1], "<script>"])
async def test_what_is_no_visitor_id_is_never_copied(site: Site, value: str) -> None:
    """The script would replace it as well."""
    assert (await site.ask(cookies=known(value))).lines == []


# Restoring


async def test_a_lost_cookie_is_restored_as_the_script_writes_it(site: Site) -> None:
    """Same name, the root domain, Lax, readable by the script; the app sees it in this request."""
    copy = await site.copy()
    answer = await site.ask(cookies=f"theme=dark; {copy}")

    assert answer.line("datafast_visitor_id") == [
        known(VISITOR),
        f"Max-Age={LIFE_S}",
        "Path=/",
        "SameSite=Lax",
        "Domain=example.com",
    ]
    assert answer.names() == ["datafast_visitor_id"]
    assert answer.seen == {"cookie": f"theme=dark; {copy}; {known(VISITOR)}", "restored": True}


async def test_an_answer_that_restores_is_kept_by_no_cache(site: Site) -> None:
    """A CDN would hand one visitor's id to everybody, also where it has headers of its own."""
    site.headers = {
        "expires": "Fri, 01 Jan 2100 00:00:00 GMT",
        "cdn-cache-control": "max-age=600",
        "surrogate-control": "max-age=600",
    }
    answer = await site.ask(cookies=await site.copy())

    assert answer.response.headers["cache-control"] == "no-store"
    assert not set(site.headers) & set(answer.response.headers)


@pytest.mark.parametrize(
    ("host", "domain", "expected"),
    [
        ("shop.example.com", "example.com", "example.com"),
        ("example.com", "example.com", "example.com"),
        ("SHOP.example.com:8443", "example.com", "example.com"),
        ("shop.example.com", "www.example.com", "shop.example.com"),
        ("notexample.com", "example.com", "notexample.com"),
        ("shop.localhost:8000", "shop.localhost", None),
        ("localhost", "localhost", None),
        ("shop.local", "shop.local", None),
        ("127.0.0.1:8000", "127.0.0.1", None),
        ("192.168.1.20", "192.168.1.20", None),
        ("[::1]:8000", "example.com", None),
        ("[2001:db8::1]", "example.com", None),
        ("evil.com; HttpOnly", "example.com", None),
        ("shop.example.com.", "example.com", None),
    ],
)
async def test_the_cookies_domain_is_the_scripts(
    host: str, domain: str, expected: str | None
) -> None:
    """The root of DATAFAST_DOMAIN, the host where it lies outside, none on localhost or an IP."""
    site = Site(domain=domain, base_url="http://127.0.0.1:8000")
    answer = await site.ask(cookies=await site.copy(), host=host)
    domains = [part for part in answer.line("datafast_visitor_id") if part.startswith("Domain")]

    assert domains == ([f"Domain={expected}"] if expected else [])


async def test_a_reverse_proxy_that_asks_for_loopback_gets_the_shops_domain(site: Site) -> None:
    """Many pass no `Host` on; then the shop's own address tells the domain."""
    answer = await site.ask(cookies=await site.copy(), host="127.0.0.1:8000")

    assert "Domain=example.com" in answer.line("datafast_visitor_id")


async def test_a_broken_cookie_is_cleared_away_and_restored(site: Site) -> None:
    """Where it stood on the host alone it would hide the restored one from the script."""
    copy = await site.copy()
    answer = await site.ask(cookies=f"datafast_visitor_id=broken; {copy}")
    ended, restored = [line.split("; ") for line in answer.lines]

    assert ended[0] == "datafast_visitor_id="
    assert "Max-Age=0" in ended
    assert not [part for part in ended if part.startswith("Domain")]
    assert restored[0] == known(VISITOR)
    assert answer.seen["cookie"].endswith(known(VISITOR))


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_checkout_sees_the_visitor_whose_cookie_has_just_gone(
    site: Site, method: str
) -> None:
    """The page was open while the browser cleared up: the press of its button still counts."""
    answer = await site.ask("/checkout", cookies=await site.copy(), method=method)

    assert answer.seen["restored"]
    assert answer.seen["cookie"].endswith(known(VISITOR))


# A life of 365 days


async def test_a_life_is_counted_from_the_first_capture_and_never_slides(site: Site) -> None:
    """Each restored cookie ends when the first one would have."""
    copy = await site.copy()
    lives = []
    for _ in range(3):
        site.clock.now += 100 * DAY_S
        answer = await site.ask(cookies=copy)
        lives.append(answer.line("datafast_visitor_id")[1])
        assert answer.names() == ["datafast_visitor_id"]
    site.clock.now += 65 * DAY_S - 1
    last = await site.ask(cookies=copy)
    site.clock.now += 1
    over = await site.ask(cookies=copy)

    assert lives == [f"Max-Age={(365 - 100 * n) * DAY_S}" for n in (1, 2, 3)]
    assert last.line("datafast_visitor_id")[1] == "Max-Age=1"
    assert over.names() == [COPY]
    assert over.line(COPY)[0] == f"{COPY}="
    assert "Max-Age=0" in over.line(COPY)
    assert over.seen["restored"] is False


async def test_a_clock_that_was_set_back_lengthens_no_life(site: Site) -> None:
    """A year at most, whatever the value says."""
    copy = await site.copy()
    site.clock.now -= 1000 * DAY_S
    answer = await site.ask(cookies=copy)

    assert answer.line("datafast_visitor_id")[1] == f"Max-Age={LIFE_S}"


# Keys


async def test_an_older_key_still_reads_and_the_newest_signs_again(site: Site) -> None:
    """With the first capture as it was: a change of keys prolongs nothing."""
    site.keys = (OLD_KEY,)
    copy = await site.copy()
    site.keys = (KEY, OLD_KEY)
    site.clock.now += 40 * DAY_S
    answer = await site.ask(cookies=copy)

    assert answer.value("datafast_visitor_id") == VISITOR
    assert held(answer)["visitor"] == [VISITOR, int(NOW)]
    assert f"Max-Age={325 * DAY_S}" in answer.line(COPY)


async def test_a_key_that_was_retired_reads_nothing(site: Site) -> None:
    """The copy counts as absent."""
    site.keys = (OLD_KEY,)
    copy = await site.copy()
    site.keys = (KEY,)

    assert (await site.ask(cookies=copy)).lines == []


@pytest.mark.parametrize(
    "cookie",
    [
        pytest.param(f"{COPY}=", id="empty"),
        pytest.param(f"{COPY}={VISITOR}", id="bare-id"),
        pytest.param(f"{COPY}=a.b.c", id="nonsense"),
        pytest.param(signed({"visitor": [VISITOR, int(NOW)]}, key=OLD_KEY), id="unknown-key"),
        pytest.param(
            signed({"visitor": [VISITOR, int(NOW)], "linked": []}, salt="kit.orders"),
            id="another-purpose",
        ),
        pytest.param(signed([VISITOR]), id="another-form"),
        pytest.param(signed({"visitor": VISITOR, "linked": 5}), id="another-version"),
    ],
)
async def test_a_copy_that_is_not_ours_counts_as_absent(site: Site, cookie: str) -> None:
    """Tampering, other keys and other purposes restore nothing and break nothing."""
    alone = await site.ask(cookies=cookie)
    beside = await site.ask(cookies=f"{known(OTHER)}; {cookie}")

    assert "datafast_visitor_id" not in alone.names()
    assert alone.seen["restored"] is False
    assert held(beside)["visitor"] == [OTHER, int(NOW)]


async def test_one_changed_character_is_enough(site: Site) -> None:
    """Nobody can name another visitor in it, nor another day."""
    copy = await site.copy()
    site.clock.now += DAY_S
    restored = {}
    for place in range(len(COPY) + 1, len(copy)):
        changed = copy[:place] + ("A" if copy[place] != "A" else "B") + copy[place + 1 :]
        if lines := (await site.ask(cookies=changed)).lines:
            restored[place] = lines

    # The last digit of a base64 signature has bits that mean nothing.
    assert set(restored) <= {len(copy) - 1}
    assert all(f"Max-Age={LIFE_S - DAY_S}" in lines[0] for lines in restored.values())


@given(cookies=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=200))
def test_no_cookie_header_breaks_a_page(cookies: str) -> None:
    """Whatever a browser sends, it gets its page."""
    answer = anyio.run(lambda: Site().ask(cookies=f"{COPY}={cookies}"))

    assert answer.response.status_code == 200
    assert answer.seen["restored"] is False


# Ids that a link brings


async def test_a_planted_id_never_becomes_the_copy(site: Site) -> None:
    """The script adopts what stands in `_df_vid`; the copy stays what the visitor was before."""
    copy = await site.copy()
    landing = await site.ask(
        f"/?_df_vid={PLANTED}&utm_source=x", cookies=f"{known(VISITOR)}; {copy}"
    )
    marked = f"{COPY}={landing.value(COPY)}"
    later = [
        await site.ask(path, cookies=f"{known(PLANTED)}; {marked}", method=method)
        for path, method in (("/api/events", "POST"), ("/products/x", "GET"), ("/checkout", "POST"))
    ]
    site.clock.now += 8 * DAY_S
    healed = await site.ask(cookies=marked)

    assert held(landing)["visitor"] == [VISITOR, int(NOW)]
    assert [answer.lines for answer in later] == [[], [], []]
    assert healed.value("datafast_visitor_id") == VISITOR


async def test_a_first_visit_by_a_planted_link_seeds_nothing(site: Site) -> None:
    """Nobody is known, nobody becomes known; a visitor of the browser's own does later."""
    landing = await site.ask(f"/?_df_vid={PLANTED}")
    marked = f"{COPY}={landing.value(COPY)}"
    adopted = await site.ask(cookies=f"{known(PLANTED)}; {marked}")
    cleared = await site.ask(cookies=marked)
    own = await site.ask(cookies=f"{known(OTHER)}; {marked}")

    assert held(landing) == {"visitor": None, "linked": [[PLANTED, int(NOW)]]}
    assert adopted.lines == cleared.lines == []
    assert held(own) == {"visitor": [OTHER, int(NOW)], "linked": [[PLANTED, int(NOW)]]}


@pytest.mark.parametrize(
    "query",
    [
        "_df_vid=",
        "_df_vid=nonsense",
        f"_df_vid={VISITOR}",
        f"a=b&_df_vid={PLANTED}",
        f"%5Fdf%5Fvid={PLANTED}",
        f"_df_vid={PLANTED}&_df_vid={VISITOR}",
    ],
)
async def test_a_landing_by_a_decorated_link_seeds_nothing(site: Site, query: str) -> None:
    """However its name is written, and whatever cookie comes along."""
    answer = await site.ask(f"/?{query}", cookies=known(VISITOR))

    assert not [line for line in answer.lines if held(answer)["visitor"] is not None]


async def test_a_page_that_did_not_pass_here_is_known_by_the_scripts_referrer(site: Site) -> None:
    """Where only the proxy is ours, the script's own request names the landing page."""
    landing = f"https://shop.example.com/?_df_vid={PLANTED}"
    script = await site.ask("/js/script.js", referer=landing)
    marked = f"{COPY}={script.value(COPY)}"
    event = await site.ask("/api/events", cookies=f"{known(PLANTED)}; {marked}", method="POST")

    assert held(script)["linked"] == [[PLANTED, int(NOW)]]
    assert event.lines == []


async def test_a_link_back_with_ones_own_id_is_no_plant(site: Site) -> None:
    """Who comes back from another domain of the same website stays who they are."""
    copy = await site.copy()
    answer = await site.ask(f"/?_df_vid={VISITOR}", cookies=f"{known(VISITOR)}; {copy}")

    assert answer.lines == []


async def test_many_links_make_no_large_cookie(site: Site) -> None:
    """The last few count; the script knows one at a time."""
    cookies = ""
    for number in range(10):
        answer = await site.ask(f"/?_df_vid={number}f0c8a52{VISITOR[8:]}", cookies=cookies)
        cookies = f"{COPY}={answer.value(COPY)}"

    assert len(held(answer)["linked"]) == MAX_LINKED
    assert held(answer)["linked"][-1][0].startswith("9f0c8a52")
    assert len(cookies) < 600


async def test_a_marked_link_is_forgotten_when_its_cookie_has_ended(site: Site) -> None:
    """A year later the script's own cookie is gone too."""
    landing = await site.ask(f"/?_df_vid={PLANTED}")
    marked = f"{COPY}={landing.value(COPY)}"
    site.clock.now += LIFE_S
    answer = await site.ask(cookies=marked)

    assert f"Max-Age={LIFE_S}" in landing.line(COPY)
    assert answer.line(COPY)[0] == f"{COPY}="


@pytest.mark.parametrize("referer", ["http://[", "\x7f", "?_df_vid"])
async def test_a_referrer_that_is_no_address_does_no_harm(site: Site, referer: str) -> None:
    """Anybody can send one."""
    assert (await site.ask(cookies=known(VISITOR), referer=referer)).response.status_code == 200


# Consent


@pytest.mark.parametrize("answer", ["", "kit_consent=refused", "kit_consent=maybe"])
async def test_without_consent_nothing_is_kept_or_restored(answer: str) -> None:
    """Off until it is given."""
    copy = await Site().copy()
    site = Site(consent=ConsentRule(required=True))
    kept = await site.ask(cookies=f"{answer}; {known(VISITOR)}")
    restored = await site.ask(cookies=f"{answer}; {copy}")

    assert kept.lines == []
    assert "datafast_visitor_id" not in restored.names()
    assert restored.seen["restored"] is False


async def test_a_refusal_ends_the_copy() -> None:
    """Not being asked yet does not: a lost answer is no withdrawal."""
    copy = await Site().copy()
    site = Site(consent=ConsentRule(required=True))
    refused = await site.ask(cookies=f"kit_consent=refused; {copy}")
    lost = await site.ask(cookies=copy)
    again = await site.ask(cookies=f"kit_consent=given; {copy}")

    assert refused.line(COPY)[:2] == [f"{COPY}=", "Expires=Thu, 01 Jan 1970 00:00:00 GMT"]
    assert lost.lines == []
    assert again.value("datafast_visitor_id") == VISITOR


@pytest.mark.parametrize("own", ["datafast_visitor_id=; Max-Age=0", f"{COPY}=; Max-Age=0"])
async def test_what_the_app_itself_decides_stands(site: Site, own: str) -> None:
    """A withdrawal is answered in a request that still shows the visitor."""
    site.headers = {"set-cookie": own}
    answer = await site.ask(cookies=known(VISITOR))

    assert answer.lines == [own]


async def test_any_fastapi_shop_can_use_it() -> None:
    """One line, as its docstring says."""
    app = FastAPI()
    app.add_middleware(
        Continuity, keys=[KEY], domain="example.com", base_url="https://shop.example.com"
    )

    @app.get("/")
    async def page(request: Request) -> dict[str, str]:
        return {"cookie": request.headers.get("cookie", "")}

    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(
        transport=transport, base_url="https://shop.example.com"
    ) as browser:
        browser.cookies.set("datafast_visitor_id", VISITOR, domain=".example.com")
        await browser.get("/")
        browser.cookies.delete("datafast_visitor_id", domain=".example.com", path="/")
        answer = await browser.get("/")
    restored = [
        cookie.domain for cookie in browser.cookies.jar if cookie.name == "datafast_visitor_id"
    ]

    assert restored == [".example.com"]
    assert known(VISITOR) in answer.json()["cookie"]


# In the kit's own shop


async def test_a_returning_visitor_is_the_same_buyer(tmp_path: Path) -> None:
    """Seeded by the pageview itself, restored on the next page, captured at the checkout."""
    async with open_shop(tmp_path, KIT_CONTINUITY="1") as shop:
        await shop.http.post(
            "/api/events", json={"type": "pageview"}, headers={"cookie": known(VISITOR)}
        )
        assert list(shop.http.cookies) == ["kit_visitor"]
        page = await shop.http.get("/")
        await shop.buy()
        [order] = await shop.rows("checkouts")
        [hop] = [
            hop
            for hop in (await shop.journeys())[0]["hops"]
            if hop["name"] == "Visitor cookie at checkout"
        ]
        [body] = await shop.opened()

    assert f"datafast_visitor_id={VISITOR}" in page.headers["set-cookie"]
    assert page.headers["cache-control"] == "no-store"
    assert body["metadata"]["datafast_visitor_id"] == VISITOR
    assert (order["capture_reason"], order["capture_source"]) == ("captured", "cookie")
    assert hop["reason"] == "captured"


async def test_a_cookie_that_went_between_page_and_checkout_is_told_as_restored(
    tmp_path: Path,
) -> None:
    """The inspector says which of the two cookies it was."""
    copy = URLSafeSerializer(COOKIE_KEY, salt="kit.continuity").dumps(
        {"visitor": [VISITOR, int(NOW)], "linked": []}
    )
    async with open_shop(tmp_path, KIT_CONTINUITY="1") as shop:
        form = {"product": "coastline-atlas", "attempt": await shop.attempt()}
        await shop.http.post("/checkout", data=form, headers={"cookie": f"kit_visitor={copy!s}"})
        [order] = await shop.rows("checkouts")
        [journey] = await shop.journeys()

    assert (order["visitor_id"], order["capture_source"]) == (VISITOR, "continuity")
    assert "restored" in [hop["reason"] for hop in journey["hops"]]


async def test_without_the_switch_there_is_no_copy(shop: Shop) -> None:
    """It is opt-in: a cookie that lives longer needs a shop that wants it."""
    answers = [
        await shop.http.get("/", headers={"cookie": known(VISITOR)}),
        await shop.http.post("/api/events", json={}, headers={"cookie": known(VISITOR)}),
    ]

    assert [answer.headers.get_list("set-cookie") for answer in answers] == [[], []]


async def test_a_proxy_alone_restores_before_the_script_runs(tmp_path: Path) -> None:
    """`kit serve` sees no page: there the script's own answer carries the cookie."""
    copy = URLSafeSerializer(COOKIE_KEY, salt="kit.continuity").dumps(
        {"visitor": [VISITOR, int(NOW)], "linked": []}
    )
    async with open_shop(tmp_path, catalogue=None, KIT_CONTINUITY="1") as shop:
        first = await shop.http.get("/js/script.js", headers={"cookie": f"kit_visitor={copy!s}"})
        later = await shop.http.get("/js/script.js", headers={"cookie": known(VISITOR)})
        plain = await shop.http.get("/js/script.js")

    assert first.headers["set-cookie"].startswith(known(VISITOR))
    assert f"Domain={DOMAIN}" not in first.headers["set-cookie"]
    assert first.headers["cache-control"] == later.headers["cache-control"] == "no-store"
    assert plain.headers["cache-control"] == "private, no-cache"
    assert json.dumps(first.text) == json.dumps(plain.text)
