"""The hosted page in a frame of the shop, and the script that opens it."""

import json
import re
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

pytestmark = pytest.mark.anyio

BUYER = {"email": "ada@example.com", "name": "Ada Example"}
SHOP = "http://shop.localhost:8000"


async def open_session(dodo: httpx.AsyncClient, **fields: Any) -> str:
    """Open a session and return the path of its page in the overlay."""
    order = {
        "product_cart": [{"product_id": "pdt_coastline", "quantity": 1}],
        "return_url": f"{SHOP}/orders/abc",
    }
    response = await dodo.post("/checkouts", json=order | fields)
    return "/overlay" + urlsplit(str(response.json()["checkout_url"])).path


async def test_only_the_shop_may_frame_the_page(dodo: httpx.AsyncClient) -> None:
    """The page outside the overlay stays unframed."""
    path = await open_session(dodo)
    framed = await dodo.get(path)
    whole = await dodo.get(path.removeprefix("/overlay"))

    assert f"frame-ancestors {SHOP}" in framed.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in whole.headers["content-security-policy"]
    assert framed.text == whole.text


async def test_without_a_return_url_nobody_may_frame_it(dodo: httpx.AsyncClient) -> None:
    """There is no shop to name."""
    response = await dodo.get(await open_session(dodo, return_url=None))

    assert "frame-ancestors 'none'" in response.headers["content-security-policy"]


async def test_paying_asks_the_shops_page_to_go_on(dodo: httpx.AsyncClient) -> None:
    """The frame may not navigate it: a message names the return address, to the shop alone."""
    path = await open_session(dodo, return_url=f"{SHOP}/thanks?q=</script>")
    response = await dodo.post(path, data=BUYER | {"outcome": "succeeded"})
    call = re.search(r"parent\.postMessage\((.*), (\"[^\"]*\")\)</script>", response.text)

    assert call is not None
    message, target = json.loads(call[1]), json.loads(call[2])
    back = urlsplit(message["data"]["message"]["redirect_to"])
    assert message["event_type"] == "checkout.redirect"
    assert target == SHOP
    assert back.geturl().startswith(f"{SHOP}/thanks?")
    assert dict(parse_qsl(back.query))["status"] == "succeeded"
    assert response.text.count("</script>") == 1
    assert "script-src 'nonce-" in response.headers["content-security-policy"]


async def test_a_declined_card_stays_in_the_frame(dodo: httpx.AsyncClient) -> None:
    """The buyer may try again there."""
    response = await dodo.post(await open_session(dodo), data=BUYER | {"outcome": "failed"})

    assert response.status_code == 200
    assert "postMessage" not in response.text
    assert f"frame-ancestors {SHOP}" in response.headers["content-security-policy"]


async def test_the_script_is_served(dodo: httpx.AsyncClient) -> None:
    """Under the global that the official package makes."""
    response = await dodo.get("/overlay.js")

    assert response.headers["content-type"].startswith("text/javascript")
    assert "window.DodoPaymentsCheckout" in response.text


async def test_a_session_id_has_the_length_that_the_official_script_takes(
    dodo: httpx.AsyncClient,
) -> None:
    """25 characters with its prefix (package dodopayments-checkout 1.9.9)."""
    session_id = (await open_session(dodo)).rpartition("/")[2]

    assert re.fullmatch(r"cks_[A-Za-z0-9_-]{21}", session_id)
