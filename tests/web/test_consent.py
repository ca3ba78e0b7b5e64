"""Consent: nothing before a yes, everything away after a no, and a form that needs no script."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import HTTPConnection

from kit.ledger.tombstones import is_forgotten
from kit.web.consent import DATAFAST_COOKIES, ConsentRule
from kit.web.storefront.consent import ANSWER_LIFE_S
from tests.web.conftest import (
    DOMAIN,
    ORIGIN,
    VISITOR,
    WEBSITE_ID,
    Shop,
    eventually,
    open_shop,
)

pytestmark = pytest.mark.anyio

SESSION = f"s{VISITOR}"
MEASURED = f"datafast_visitor_id={VISITOR}; datafast_session_id={SESSION}"
GIVEN, REFUSED = "kit_consent=given", "kit_consent=refused"


@pytest.fixture
async def asking(tmp_path: Path) -> AsyncIterator[Shop]:
    """Run a shop that measures nobody who has not agreed."""
    async with open_shop(tmp_path, KIT_CONSENT="required", KIT_CONTINUITY="1") as running:
        yield running


def pageview() -> dict[str, Any]:
    """Return an event as the script sends it."""
    return {
        "websiteId": WEBSITE_ID,
        "domain": DOMAIN,
        "href": f"{ORIGIN}/",
        "visitorId": VISITOR,
        "sessionId": SESSION,
        "type": "pageview",
    }


def lines(answer: httpx.Response) -> list[str]:
    """Return the cookies that an answer sets, as written."""
    return list(answer.headers.get_list("set-cookie"))


def ended(answer: httpx.Response) -> set[str]:
    """Return the names of the cookies that an answer ends."""
    return {line.partition("=")[0] for line in lines(answer) if "Max-Age=0" in line}


async def answer_form(shop: Shop, choice: str, **fields: str) -> httpx.Response:
    """Press a button of the form."""
    return await shop.http.post("/consent", data={"choice": choice, **fields})


# How an answer reads


@pytest.mark.parametrize(
    ("cookies", "state"),
    [
        ("", "not_asked"),
        ("kit_consent=given", "given"),
        ("a=b; kit_consent=given; c", "given"),
        ("kit_consent=refused", "refused"),
        ("kit_consent=", "refused"),
        ("kit_consent=GIVEN", "refused"),
        ("kit_consent=given2", "refused"),
        ("kit_consent=given; kit_consent=refused", "refused"),
        ("kit_consent=given; kit_consent=given", "given"),
        ("x_kit_consent=given", "not_asked"),
        ("kit_consent", "not_asked"),
    ],
)
def test_an_answer_is_read_from_one_cookie(cookies: str, state: str) -> None:
    """Its name matches whole, its value too, and two that differ are a no."""
    asked = HTTPConnection({"type": "http", "headers": [(b"cookie", cookies.encode())]})

    assert ConsentRule(required=True).state(asked) == state
    assert ConsentRule(required=True).permits(asked) is (state == "given")
    assert ConsentRule().state(asked) == "not_asked"
    assert ConsentRule().permits(asked)


@pytest.mark.parametrize(
    ("accepted", "value", "yes"),
    [
        ("1", "1", True),
        ("1", "0", False),
        ("*statistics:true*", "{stamp:%27x%27%2Cstatistics:true%2Cver:1}", True),
        ("*statistics:true*", "%7Bstatistics%3Atrue%7D", True),
        ("*statistics:true*", "{statistics:false}", False),
        ("*C0002:1*", "groups=C0001%3A1%2CC0002%3A1", True),
        ("*C0002:1*", "groups=C0001%3A1%2CC0002%3A0", False),
        ("a.b", "axb", False),
    ],
)
def test_a_consent_managers_cookie_can_be_told(accepted: str, value: str, *, yes: bool) -> None:
    """A star stands for the rest of it, and percent signs are read through."""
    assert ConsentRule(required=True, accepted=accepted).accepts(value) is yes


@given(accepted=st.text("ab*", min_size=1, max_size=8), value=st.text("ab\n", max_size=12))
def test_a_star_stands_for_anything(accepted: str, value: str) -> None:
    """Also for nothing, and for a new line."""
    pattern = re.escape(accepted).replace(r"\*", ".*")
    fits = re.fullmatch(pattern, value, re.DOTALL) is not None

    assert ConsentRule(required=True, accepted=accepted).accepts(value) is fits


def test_no_cookie_takes_long_to_read() -> None:
    """Whoever writes the cookie chooses what is compared; a header holds 16 kB of it."""
    rule = ConsentRule(required=True, accepted="*stat:1*mark:1*pref:1*")
    began = time.process_time()
    accepted = rule.accepts("stat:1" * 1300 + "mark:1" * 1300)

    assert accepted is False
    assert time.process_time() - began < 1


# Before it is given


@pytest.mark.parametrize("answer", ["", REFUSED])
async def test_without_consent_there_is_no_script_no_event_and_no_visit(
    asking: Shop, answer: str
) -> None:
    """Neither in the page nor at the proxy, nor in the ledger."""
    headers = {"cookie": f"{answer}; {MEASURED}"}
    page = await asking.http.get("/products/coastline-atlas", headers=headers)
    script = await asking.http.get("/js/script.js", headers=headers)
    event = await asking.http.post("/api/events", json=pageview(), headers=headers)

    assert "/js/script" not in page.text
    assert WEBSITE_ID not in page.text
    assert (script.status_code, script.content) == (200, b"")
    assert script.headers["cache-control"] == "no-store"
    assert (event.status_code, event.content) == (204, b"")
    assert await asking.at_datafast("requests") == []
    assert await asking.rows("visits") == []


async def test_with_consent_everything_is_as_without_the_question(asking: Shop) -> None:
    """Script, event, visit; but no shared cache hands the script to who has not agreed."""
    asking.http.cookies.set("kit_consent", "given")
    page = await asking.http.get("/")
    script = await asking.http.get("/js/script.js")
    event = await asking.http.post("/api/events", json=pageview())
    [visit] = await eventually(lambda: asking.rows("visits"))

    assert 'src="/js/script.js"' in page.text
    assert b"datafast_visitor_id" in script.content
    assert script.headers["cache-control"] == "private, no-cache"
    assert event.status_code == 200
    assert visit["visitor_id"] == VISITOR


@pytest.mark.parametrize(
    ("answer", "reason", "consent"),
    [("", "declined", "not_asked"), (REFUSED, "declined", "refused"), (GIVEN, "captured", "given")],
)
async def test_an_order_keeps_what_its_buyer_had_answered(
    asking: Shop, answer: str, reason: str, consent: str
) -> None:
    """And names a visitor only after a yes; it is sold either way."""
    checkout = await asking.buy(cookie=f"{answer}; {MEASURED}")
    [order] = await asking.rows("checkouts")
    [body] = await asking.opened()
    measured = VISITOR if consent == "given" else None

    assert checkout.status_code == 303
    assert (order["capture_reason"], order["consent"]) == (reason, consent)
    assert order["visitor_id"] == measured
    assert body["metadata"].get("datafast_visitor_id") == measured
    assert (VISITOR in str(body)) is (consent == "given")


async def test_an_order_of_a_shop_that_asks_nobody_says_so(shop: Shop) -> None:
    """A cookie of that name means nothing there."""
    await shop.buy(cookie=f"{REFUSED}; {MEASURED}")
    [order] = await shop.rows("checkouts")

    assert (order["consent"], order["visitor_id"]) == ("not_asked", VISITOR)


@pytest.mark.parametrize(
    ("answer", "returned"), [("", None), (REFUSED, None), (GIVEN, VISITOR)], ids=str
)
async def test_the_way_back_shows_a_visitor_only_after_a_yes(
    asking: Shop, answer: str, returned: str | None
) -> None:
    """The return page reads no more than the checkout does."""
    await asking.buy()
    [order] = await asking.rows("checkouts")
    mine = f"kit_orders={asking.http.cookies['kit_orders']}"
    asking.http.cookies.clear()
    await asking.http.get(
        f"/orders/{order['order_ref']}?status=succeeded",
        headers={"cookie": f"{mine}; {answer}; {MEASURED}"},
    )
    [order] = await asking.rows("checkouts")

    assert order["returned_at_ms"] is not None
    assert order["return_visitor_id"] == returned


# The form


@pytest.mark.parametrize("path", ["/", "/products/coastline-atlas", "/nothing", "/caf%C3%A9"])
async def test_every_page_asks_whoever_was_not_asked(asking: Shop, path: str) -> None:
    """A plain form with both answers; it leads back to where it stood, campaign and all."""
    page = (await asking.http.get(f"{path}?utm_source=news&x=%22%3E")).text
    form = re.search(r'<form id="consent-form".*?</form>', page, re.DOTALL)
    assert form is not None

    assert 'method="post" action="/consent"' in form[0]
    assert re.findall(r'name="choice" value="(\w+)"', form[0]) == ["given", "refused"]
    assert f'name="back" value="{path}?utm_source=news&amp;x=%22%3E"' in form[0]
    assert 'data-consent="not_asked"' in page
    assert 'id="consent-choice"' not in page


@pytest.mark.parametrize(("answer", "offered"), [(GIVEN, "refused"), (REFUSED, "given")])
async def test_every_page_offers_the_other_answer_afterwards(
    asking: Shop, answer: str, offered: str
) -> None:
    """Taking consent back is as easy as giving it."""
    page = (await asking.http.get("/", headers={"cookie": answer})).text
    form = re.search(r'<form id="consent-change".*?</form>', page, re.DOTALL)
    assert form is not None

    assert re.findall(r'name="choice" value="(\w+)"', form[0]) == [offered]
    assert 'id="consent"' not in page
    assert f'data-consent="{answer.partition("=")[2]}"' in page


@pytest.mark.parametrize("path", ["/inspector", "/"])
async def test_nobody_is_asked_where_nothing_is_measured(
    asking: Shop, tmp_path: Path, path: str
) -> None:
    """Not in the inspector, and not in a shop without a script tag."""
    (tmp_path / "other").mkdir()
    async with open_shop(
        tmp_path / "other", KIT_CONSENT="required", DATAFAST_WEBSITE_ID=None
    ) as without:
        page = (await (asking if path == "/inspector" else without).http.get(path)).text

    assert "consent" not in page.replace("if you agree", "")


async def test_a_shop_that_asks_nobody_shows_no_form(shop: Shop) -> None:
    """And has no such page."""
    page = (await shop.http.get("/")).text

    assert "consent" not in page
    assert (await answer_form(shop, "given")).status_code == 404


async def test_a_consent_manager_asks_itself(tmp_path: Path) -> None:
    """A value with a star is not ours to write; what it says is followed all the same."""
    async with open_shop(
        tmp_path,
        KIT_CONSENT="required",
        KIT_CONSENT_COOKIE="CookieConsent",
        KIT_CONSENT_VALUE="*statistics:true*",
    ) as shop:
        asked = (await shop.http.get("/")).text
        agreed = await shop.http.get("/", headers={"cookie": "CookieConsent={statistics:true}"})
        form = await answer_form(shop, "given")

    assert "<form" not in asked
    assert "/js/script.js" not in asked
    assert "/js/script.js" in agreed.text
    assert form.status_code == 404


async def test_a_yes_is_kept_for_half_a_year_and_leads_back(asking: Shop) -> None:
    """The next page has the script."""
    answer = await answer_form(asking, "given", back="/products/studio?utm_source=news")
    page = await asking.http.get(answer.headers["location"])

    assert answer.status_code == 303
    assert answer.headers["location"] == "/products/studio?utm_source=news"
    assert answer.headers["cache-control"] == "no-store"
    assert lines(answer) == [
        f"kit_consent=given; Max-Age={ANSWER_LIFE_S}; Path=/; SameSite=Lax",
    ]
    assert "/js/script.js" in page.text


async def test_the_answers_cookie_is_the_one_that_is_configured(tmp_path: Path) -> None:
    """Name and value as a consent manager may have them; on https it is secure."""
    async with open_shop(
        tmp_path,
        KIT_BASE_URL="https://shop.example.com",
        DATAFAST_DOMAIN="example.com",
        KIT_CONSENT="required",
        KIT_CONSENT_COOKIE="analytics",
        KIT_CONSENT_VALUE="1",
    ) as shop:
        answer = await answer_form(shop, "given")
        page = await shop.http.get("/")

    assert lines(answer)[0].startswith("analytics=1; ")
    assert lines(answer)[0].endswith("; Secure")
    assert "/js/script.js" in page.text


async def test_a_script_gets_the_tag_instead_of_a_redirect(asking: Shop) -> None:
    """It puts DataFast's script into the page, whose referrer is still the visitor's own."""
    headers = {"accept": "application/json"}
    given = await asking.http.post("/consent", data={"choice": "given"}, headers=headers)
    refused = await asking.http.post("/consent", data={"choice": "refused"}, headers=headers)

    assert given.json() == {
        "consent": "given",
        "tag": {
            "data-website-id": WEBSITE_ID,
            "data-domain": DOMAIN,
            "data-disable-payments": "true",
            "data-allow-localhost": "true",
            "src": "/js/script.js",
        },
    }
    assert refused.json() == {"consent": "refused", "tag": None}


@pytest.mark.parametrize(
    "back",
    [
        "",
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example/",
        "\\/evil.example",
        "/a\\b",
        "/ a",
        "/é",
        "/\r\nx: y",
        "javascript:alert(1)",
        "products",
    ],
)
async def test_the_way_back_stays_in_this_shop(asking: Shop, back: str) -> None:
    """No open redirect: what is no path of ours is the front page."""
    answer = await answer_form(asking, "given", back=back)

    assert answer.headers["location"] == "/"


@pytest.mark.parametrize(
    ("data", "headers"),
    [
        ({"choice": "maybe"}, {}),
        ({}, {}),
        ({"choice": "given"}, {"origin": "https://evil.example"}),
        ({"choice": "given"}, {"sec-fetch-site": "cross-site"}),
    ],
    ids=["another-word", "nothing", "another-origin", "another-site"],
)
async def test_nobody_else_can_agree_for_a_visitor(
    asking: Shop, data: dict[str, str], headers: dict[str, str]
) -> None:
    """Another site's form changes nothing, and no other word is an answer."""
    answer = await asking.http.post("/consent", data=data, headers=headers)

    assert answer.status_code == 400
    assert lines(answer) == []


# After a no


async def test_a_refusal_ends_every_cookie_on_the_host_and_the_root_domain(
    tmp_path: Path,
) -> None:
    """All of DataFast's, whether shown or not, one of a later script, and our own copy."""
    async with open_shop(
        tmp_path,
        KIT_BASE_URL="https://shop.example.com",
        DATAFAST_DOMAIN="example.com",
        KIT_CONSENT="required",
        KIT_CONTINUITY="1",
    ) as shop:
        answer = await shop.http.post(
            "/consent",
            data={"choice": "refused"},
            headers={"cookie": f"{GIVEN}; {MEASURED}; datafast_new=1; theme=dark"},
        )
    names = {*DATAFAST_COOKIES, "datafast_new"}
    where = {
        name: [
            line.partition("Domain=")[2] or "host only"
            for line in lines(answer)
            if line.startswith(f"{name}=;")
        ]
        for name in names
    }

    assert ended(answer) == names | {"__Host-kit_visitor"}
    assert where == {name: ["host only", "example.com", "shop.example.com"] for name in names}
    assert lines(answer)[0].startswith("kit_consent=refused; ")
    assert not [line for line in lines(answer) if VISITOR in line]


async def test_a_withdrawal_is_kept_for_what_was_bought_before(asking: Shop) -> None:
    """Dodo's metadata holds the id for years; from here on it goes to nobody."""
    asking.http.headers["cookie"] = f"{GIVEN}; {MEASURED}"
    await answer_form(asking, "refused")
    forgotten = await asking.ledger.read(lambda connection: is_forgotten(connection, VISITOR))

    assert forgotten


async def test_a_withdrawal_is_carried_out_while_the_ledger_is_away(asking: Shop) -> None:
    """In the browser at least; the log says what is missing."""
    await asyncio.to_thread(asking.ledger.close)
    asking.http.headers["cookie"] = f"{GIVEN}; {MEASURED}"
    answer = await answer_form(asking, "refused")

    assert answer.status_code == 303
    assert "datafast_visitor_id" in ended(answer)


async def test_a_refusal_elsewhere_is_carried_out_on_the_next_answer(tmp_path: Path) -> None:
    """A consent manager knows nothing of these cookies; ours alone are ended, and once."""
    async with open_shop(
        tmp_path,
        KIT_CONSENT="required",
        KIT_CONSENT_COOKIE="analytics",
        KIT_CONSENT_VALUE="1",
    ) as shop:
        headers = {"cookie": f"analytics=0; {MEASURED}; theme=dark; datafastish=1"}
        page = await shop.http.get("/", headers=headers)
        clean = await shop.http.get("/", headers={"cookie": "analytics=0; theme=dark"})
        unasked = await shop.http.get("/", headers={"cookie": MEASURED})

    assert ended(page) == {"datafast_visitor_id", "datafast_session_id"}
    assert page.headers["cache-control"] == "no-store"
    assert lines(clean) == lines(unasked) == []


async def test_a_late_event_of_a_refusing_visitor_ends_the_cookie_it_left(asking: Shop) -> None:
    """The script may have written one while its last answer was under way."""
    headers = {"cookie": f"{REFUSED}; datafast_session_id={SESSION}"}
    event = await asking.http.post("/api/events", json=pageview(), headers=headers)

    assert event.status_code == 204
    assert ended(event) == {"datafast_session_id"}


async def test_the_shop_works_the_same_for_who_refuses(asking: Shop) -> None:
    """From the form to the paid order."""
    await answer_form(asking, "refused")
    checkout = await asking.buy()
    back = await asking.pay(checkout)
    receipt = await asking.http.get(back, follow_redirects=True)

    assert receipt.status_code == 200
    assert "Waiting for word" in receipt.text
