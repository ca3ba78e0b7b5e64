"""What every page carries, the failing ones too."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from kit.web.storefront.catalogue import DEMO_CATALOGUE, Product
from tests.web.conftest import CHECKOUT_ORIGIN, WEBSITE_ID, Shop, nobody, open_shop

pytestmark = pytest.mark.anyio

BROKEN = Product("broken", "pdt_x", "Broken", "", 100, "XXX")
GOOD = {
    "index": "/",
    "product": "/products/coastline-atlas",
    "order": "/orders/{ref}",
    "inspector": "/inspector",
}
FAILING = {
    "404": ("GET", "/nothing", 404),
    "404-product": ("GET", "/products/nothing", 404),
    "404-static": ("GET", "/static/nothing.css", 404),
    "404-order": ("GET", "/orders/x", 404),
    "405": ("POST", "/", 405),
    "405-checkout": ("GET", "/checkout", 405),
    "413": ("POST", "/checkout", 413),
    "400": ("POST", "/inspector/signin", 400),
    "500": ("GET", "/products/broken", 500),
}


@pytest.fixture
async def broken_shop(tmp_path: Path) -> AsyncIterator[Shop]:
    """Run a shop one of whose products cannot be shown."""
    async with open_shop(
        tmp_path,
        dodo=nobody,
        datafast=nobody,
        catalogue={**DEMO_CATALOGUE, "broken": BROKEN},
    ) as running:
        yield running


async def fetch(shop: Shop, path: str) -> httpx.Response:
    """Open a page; `{ref}` stands for an order of this browser."""
    if "{ref}" in path:
        await shop.buy()
        [order] = await shop.rows("checkouts")
        path = path.replace("{ref}", order["order_ref"])
    return await shop.http.get(path)


def directives(answer: httpx.Response) -> dict[str, list[str]]:
    """Read a Content-Security-Policy."""
    parts = [part.split() for part in answer.headers["content-security-policy"].split(";")]
    return {name: values for name, *values in parts}


def assert_guarded(answer: httpx.Response) -> None:
    """Assert the headers that every answer of the pages carries."""
    policy = directives(answer)
    [script] = policy["script-src"]

    assert policy == {
        "default-src": ["'none'"],
        "img-src": ["'self'", "data:"],
        "style-src": ["'self'"],
        "script-src": [script],
        "connect-src": ["'self'"],
        "form-action": ["'self'", CHECKOUT_ORIGIN],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
    }
    assert re.fullmatch(r"'nonce-[A-Za-z0-9_-]{22}'", script)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "strict-origin-when-cross-origin"
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert "geolocation=()" in answer.headers["permissions-policy"]
    assert "server" not in answer.headers


@pytest.mark.parametrize("path", GOOD.values(), ids=GOOD.keys())
async def test_a_page_allows_its_own_scripts_and_nothing_else(shop: Shop, path: str) -> None:
    """Every script tag carries the nonce of its own answer; there is no inline code or style."""
    answer = await fetch(shop, path)
    nonce = directives(answer)["script-src"][0].removeprefix("'nonce-").removesuffix("'")
    tags = re.findall(r"<script[^>]*>", answer.text)

    assert_guarded(answer)
    assert answer.status_code == 200
    assert all(f'nonce="{nonce}"' in tag and " src=" in tag for tag in tags)
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", answer.text)
    assert "private" in answer.headers["cache-control"]


@pytest.mark.parametrize(("method", "path", "status"), FAILING.values(), ids=FAILING.keys())
async def test_a_failing_page_carries_the_same_headers_and_tells_no_internals(
    broken_shop: Shop, method: str, path: str, status: int
) -> None:
    """Whatever went wrong, its page is no way in."""
    body = b"x" * 9000 if status == 413 else b"%" if status == 400 else None
    answer = await broken_shop.http.request(method, path, content=body)

    assert_guarded(answer)
    assert answer.status_code == status
    assert not re.search(
        r"Traceback|\.py\b|kit\.web|starlette|sqlite|Unknown|Exception", answer.text, re.IGNORECASE
    )


async def test_a_nonce_is_used_once(shop: Shop) -> None:
    """Also by concurrent requests of one page."""
    nonces = {directives(await shop.http.get("/"))["script-src"][0] for _ in range(20)}

    assert len(nonces) == 20


@pytest.mark.parametrize("path", GOOD.values(), ids=GOOD.keys())
async def test_a_page_loads_nothing_from_a_third_party(shop: Shop, path: str) -> None:
    """Scripts, images and styles come from this host, by paths."""
    page = (await fetch(shop, path)).text
    sources = re.findall(r'(?:src|srcset|href|action)="([^"]*)"', page)

    assert sources
    assert all(source == "" or source[0] in "/#" for source in sources)
    assert not any(source.startswith("//") for source in sources)
    assert not re.search(r"https?://", page)


@pytest.mark.parametrize(
    ("base_url", "allowed"),
    [
        pytest.param("http://shop.localhost:8000", True, id="localhost-name"),
        pytest.param("http://127.0.0.1:8000", True, id="127.0.0.1"),
        pytest.param("http://[::1]:8000", True, id="ipv6"),
        pytest.param("https://shop.example", False, id="public"),
        pytest.param("https://localhost.example", False, id="looks-local"),
    ],
)
async def test_the_script_tag_says_what_the_script_needs(
    tmp_path: Path, *, base_url: str, allowed: bool
) -> None:
    """The root domain; payments are ours to report; loopback speaks only where it is the shop."""
    async with open_shop(tmp_path, KIT_BASE_URL=base_url, DATAFAST_DOMAIN="shop.example") as shop:
        page = (await shop.http.get("/")).text
    [tag] = re.findall(r"<script[^>]*>", page)
    attributes = dict(re.findall(r'([\w-]+)="([^"]*)"', tag))
    del attributes["nonce"]

    assert attributes == {
        "data-website-id": WEBSITE_ID,
        "data-domain": "shop.example",
        "data-disable-payments": "true",
        "src": "/js/script.js",
    } | ({"data-allow-localhost": "true"} if allowed else {})


@pytest.mark.parametrize(
    ("website_id", "domain"), [(None, "shop.localhost"), (WEBSITE_ID, None), (None, None)]
)
async def test_without_its_settings_there_is_no_script_tag(
    tmp_path: Path, website_id: str | None, domain: str | None
) -> None:
    """A tag that cannot work is worse than none."""
    async with open_shop(tmp_path, DATAFAST_WEBSITE_ID=website_id, DATAFAST_DOMAIN=domain) as shop:
        page = (await shop.http.get("/")).text

    assert "<script" not in page


async def test_settings_cannot_break_out_of_the_tag(tmp_path: Path) -> None:
    """They are attributes, whatever they hold."""
    async with open_shop(tmp_path, DATAFAST_WEBSITE_ID='"><script>x</script>') as shop:
        page = (await shop.http.get("/")).text

    assert "<script>x" not in page


async def test_forms_may_lead_to_every_checkout_host(tmp_path: Path) -> None:
    """Browsers hold the redirect after a post against the policy."""
    hosts = "https://*.dodopayments.com pay.example"
    async with open_shop(tmp_path, KIT_CHECKOUT_HOSTS=hosts) as shop:
        answer = await shop.http.get("/")

    assert directives(answer)["form-action"] == ["'self'", *hosts.split()]


@pytest.mark.parametrize(
    ("base_url", "expected"),
    [("https://shop.example", "max-age=31536000"), ("http://shop.localhost", None)],
)
async def test_https_is_kept_where_it_is(
    tmp_path: Path, base_url: str, expected: str | None
) -> None:
    """On http the header would mean nothing."""
    async with open_shop(tmp_path, KIT_BASE_URL=base_url) as shop:
        answer = await shop.http.get("/")

    assert answer.headers.get("strict-transport-security") == expected


@pytest.mark.parametrize(
    ("host", "served"),
    [
        ("shop.example", True),
        ("SHOP.example:8443", True),
        ("127.0.0.1:1", True),
        ("evil.example", False),
        ("shop.example.evil.example", False),
        ("shop.example@evil.example", False),
        ("evil.example/shop.example", False),
        ("127.0.0.1:x", False),
        ("127.0.0.1:[", False),
        ("shop.example/../", False),
        ("shop.example?x", False),
        ("shop.example#", False),
        ("[::1", False),
        ("a b", False),
        ("", False),
    ],
)
async def test_pages_answer_to_the_shops_own_name(
    tmp_path: Path, *, host: str, served: bool
) -> None:
    """A Host header is input; it must not steer an address or a redirect."""
    async with open_shop(
        tmp_path, dodo=nobody, datafast=nobody, KIT_BASE_URL="https://shop.example"
    ) as shop:
        answers = [
            await shop.http.get(path, headers={"host": host})
            for path in ("/", "/orders/x?y", "/orders/x/", "/inspector")
        ]

    assert {answer.status_code == 400 for answer in answers} == {not served}
    assert "evil" not in "".join(answer.headers.get("location", "") for answer in answers)


async def test_a_shop_that_exists_gets_no_storefront(tmp_path: Path) -> None:
    """`kit serve` has no catalogue: no product page and no checkout."""
    async with open_shop(tmp_path, catalogue=None) as shop:
        paths = ("/", "/products/coastline-atlas", "/orders/ord_" + "0" * 32)
        answers = [(await shop.http.get(path)).status_code for path in paths]
        checkout = await shop.http.post("/checkout")
        inspector = await shop.http.get("/inspector")

    assert answers == [404, 404, 404]
    assert checkout.status_code == 404
    assert inspector.status_code == 200
