"""Who is let into the inspector, and who is not."""

from pathlib import Path

import httpx
import pytest

from tests.web.conftest import Shop, nobody, open_shop

pytestmark = pytest.mark.anyio

TOKEN = "planted-inspector-token-of-32-characters"
NEW_TOKEN = "another-inspector-token-of-32-characters"
PAGES = ("/inspector", "/inspector.json")
EVERY_PAGE = (
    *PAGES,
    "/inspector/attribution",
    "/inspector/attribution.json",
    "/inspector/news",
    "/inspector/news.json",
    "/inspector/journeys/order:ord_x",
    "/inspector/journeys/order:ord_x.json",
    "/inspector/find?q=ord_x",
    "/inspector/find.json?q=ord_x",
)


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
    """
    Peer and Host are loopback and nothing forwarded it: behind a tunnel every peer is.

    A token that is set is asked for everywhere: some proxies leave nothing to know them by.
    """
    admitted = admitted and token is None
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


@pytest.mark.parametrize("path", EVERY_PAGE)
async def test_every_page_asks_for_the_token(tmp_path: Path, path: str) -> None:
    """Also its twin in JSON, its stream, and what it leads to."""
    async with (
        open_shop(tmp_path, dodo=nobody, datafast=nobody, KIT_INSPECTOR_TOKEN=TOKEN) as shop,
        shop.browser(address="192.0.2.1") as browser,
    ):
        page = await browser.get(path, headers={"accept": "text/html"})
        stream = await browser.get(path, headers={"accept": "text/event-stream"})

    assert (page.status_code, stream.status_code) == (401, 401)
    assert stream.json() == {
        "ok": False,
        "status": 401,
        "error": "the inspector asks for its token",
        "fix": "Send KIT_INSPECTOR_TOKEN as a bearer token.",
    }
    assert page.headers["cache-control"] in ("no-store", "private, no-cache")


@pytest.mark.parametrize(
    ("wanted", "goes_to"),
    [
        ("/inspector/attribution?days=7", "/inspector/attribution?days=7"),
        ("/inspector?state=parked&day=2026-10-02", "/inspector?state=parked&day=2026-10-02"),
        ("/inspector/journeys/order:ord_x", "/inspector/journeys/order:ord_x"),
        ("https://evil.example/inspector", "/inspector"),
        ("//evil.example/inspector", "/inspector"),
        ("/inspector.evil.example", "/inspector"),
        ("/inspector\\@evil.example", "/inspector"),
        ("/inspector/\nSet-Cookie: x=y", "/inspector"),
        ("/orders/x", "/inspector"),
        ("", "/inspector"),
    ],
)
async def test_signing_in_leads_to_the_page_that_was_wanted(
    tmp_path: Path, wanted: str, goes_to: str
) -> None:
    """Inside the inspector, and nowhere else."""
    async with (
        open_shop(tmp_path, dodo=nobody, datafast=nobody, KIT_INSPECTOR_TOKEN=TOKEN) as shop,
        shop.browser(address="192.0.2.1") as browser,
    ):
        form = {"token": TOKEN, "next": wanted}
        answer = await browser.post("/inspector/signin", data=form)

    assert (answer.status_code, answer.headers["location"]) == (303, goes_to)


async def test_the_sign_in_form_remembers_where_somebody_wanted_to(tmp_path: Path) -> None:
    """Also after a wrong token."""
    async with (
        open_shop(tmp_path, dodo=nobody, datafast=nobody, KIT_INSPECTOR_TOKEN=TOKEN) as shop,
        shop.browser(address="192.0.2.1", accept="text/html") as browser,
    ):
        first = await browser.get("/inspector?state=parked&currency=JPY")
        form = {"token": "wrong", "next": "/inspector/news"}
        again = await browser.post("/inspector/signin", data=form)

    assert 'name="next" value="/inspector?state=parked&amp;currency=JPY"' in first.text
    assert 'name="next" value="/inspector/news"' in again.text
