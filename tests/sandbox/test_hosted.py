"""The hosted checkout page."""

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

pytestmark = pytest.mark.anyio

RETURN_URL = "http://shop.localhost:8000/orders/abc?lang=en"
BUYER = {"email": "ada@example.com", "name": "Ada Example"}


async def open_session(dodo: httpx.AsyncClient, product_id: str, **fields: Any) -> str:
    """Open a session and return the path of its page."""
    cart = [{"product_id": product_id, "quantity": 1}]
    request = {"product_cart": cart, "return_url": RETURN_URL} | fields
    response = await dodo.post("/checkouts", json=request)
    checkout_url: str = response.json()["checkout_url"]
    return urlsplit(checkout_url).path


@pytest.mark.parametrize(
    ("product_id", "expected"),
    [
        ("pdt_coastline", "open|$29.00|$4.83|USD|0|None|"),
        ("pdt_tokyo", "open|¥3,300|¥550|JPY|0|None|"),
        ("pdt_gulf", "open|KWD 8.750|KWD 1.458|KWD|0|None|"),
        ("pdt_club", "open|$9.00|$1.50|USD|0|per month|"),
        ("pdt_studio", "open|$0.00|None|USD|14|per month|"),
    ],
)
async def test_page_shows_what_is_due(
    dodo: httpx.AsyncClient, product_id: str, expected: str
) -> None:
    """Total, tax, trial and interval are those of the product."""
    response = await dodo.get(await open_session(dodo, product_id))

    assert response.status_code == 200
    assert response.text.startswith(expected)


async def test_policy_lets_the_form_lead_back_to_the_shop(dodo: httpx.AsyncClient) -> None:
    """Scripts are off, inline styles are off, and the redirect after the post may leave."""
    response = await dodo.get(await open_session(dodo, "pdt_coastline"))

    policy = response.headers["content-security-policy"]
    assert "form-action 'self' http://shop.localhost:8000;" in policy
    assert "default-src 'none'" in policy
    assert "style-src 'self'" in policy
    assert "unsafe-inline" not in policy


async def test_paying_once_leads_to_the_return_url(dodo: httpx.AsyncClient) -> None:
    """A one-time payment returns with its id and status beside the query that was there."""
    path = await open_session(dodo, "pdt_coastline")
    response = await dodo.post(path, data=BUYER | {"outcome": "succeeded"})

    location = urlsplit(response.headers["location"])
    query = dict(parse_qsl(location.query))
    assert response.status_code == 303
    assert location.geturl().startswith(RETURN_URL + "&")
    assert query.keys() == {"lang", "payment_id", "status", "email"}
    assert query["status"] == "succeeded"
    assert query["payment_id"].startswith("pay_")
    assert query["email"] == "ada@example.com"


async def test_subscribing_returns_the_subscription(dodo: httpx.AsyncClient) -> None:
    """A subscription returns with its own id and the status "active"."""
    path = await open_session(dodo, "pdt_club")
    response = await dodo.post(path, data=BUYER | {"outcome": "succeeded"})

    query = dict(parse_qsl(urlsplit(response.headers["location"]).query))
    assert query.keys() == {"lang", "subscription_id", "status", "email"}
    assert query["subscription_id"].startswith("sub_")
    assert query["status"] == "active"


async def test_a_session_is_used_once(dodo: httpx.AsyncClient) -> None:
    """The second payment of a session is refused and takes nothing."""
    path = await open_session(dodo, "pdt_coastline")
    await dodo.post(path, data=BUYER | {"outcome": "succeeded"})
    again = await dodo.post(path, data=BUYER | {"outcome": "succeeded"})
    payments = await dodo.get("/payments")

    assert again.status_code == 410
    assert again.text.startswith("paid|")
    assert len(payments.json()["items"]) == 1


async def test_a_declined_card_leaves_the_session_open(dodo: httpx.AsyncClient) -> None:
    """After a decline the page says so, the session shows it, and a second try can succeed."""
    path = await open_session(dodo, "pdt_coastline")
    declined = await dodo.post(path, data=BUYER | {"outcome": "failed"})
    session = await dodo.get(path.replace("/session/", "/checkouts/"))
    paid = await dodo.post(path, data=BUYER | {"outcome": "succeeded"})
    payments = await dodo.get("/payments")

    assert declined.status_code == 200
    assert "|True|cks_" in declined.text
    assert session.json()["payment_status"] == "failed"
    assert paid.status_code == 303
    assert [item["status"] for item in payments.json()["items"]] == ["succeeded", "failed"]


async def test_a_session_expires_after_a_day(dodo: httpx.AsyncClient, clock: Any) -> None:
    """Sessions older than 24 hours take no money."""
    path = await open_session(dodo, "pdt_coastline")
    clock.now += 24 * 3600 + 1
    page = await dodo.get(path)
    paid = await dodo.post(path, data=BUYER | {"outcome": "succeeded"})

    assert (page.status_code, paid.status_code) == (410, 410)
    assert page.text.startswith("expired|")
    assert (await dodo.get("/payments")).json()["items"] == []


async def test_the_form_is_checked(dodo: httpx.AsyncClient) -> None:
    """Without an e-mail address or with an unknown outcome nothing happens."""
    path = await open_session(dodo, "pdt_coastline")
    without_email = await dodo.post(path, data={"outcome": "succeeded"})
    without_outcome = await dodo.post(path, data=BUYER)

    assert (without_email.status_code, without_outcome.status_code) == (422, 422)
    assert (await dodo.get("/payments")).json()["items"] == []


async def test_an_unknown_session_is_404(dodo: httpx.AsyncClient) -> None:
    """A wrong address is no server error."""
    assert (await dodo.get("/session/cks_none")).status_code == 404
    assert (await dodo.post("/session/cks_none")).status_code == 404


async def test_a_trial_charges_nothing_and_starts(dodo: httpx.AsyncClient) -> None:
    """A free trial is a payment of 0 and a subscription that bills in two weeks."""
    path = await open_session(dodo, "pdt_studio", metadata={"order_ref": "o-1"})
    await dodo.post(path, data=BUYER | {"outcome": "succeeded"})
    payment = (await dodo.get("/_sandbox/payments")).json()[0]
    subscription = (await dodo.get("/_sandbox/subscriptions")).json()[0]

    assert (payment["total_amount"], payment["tax"], payment["charge_type"]) == (0, 0, "new")
    assert payment["service_periods"] == []
    assert subscription["trial_period_days"] == 14
    assert subscription["created_at"] == "2026-10-01T12:00:00.000000Z"
    assert subscription["next_billing_date"] == "2026-10-15T12:00:00.000000Z"
    assert subscription["metadata"] == payment["metadata"] == {"order_ref": "o-1"}


async def test_one_customer_for_one_address(dodo: httpx.AsyncClient) -> None:
    """Two purchases with one e-mail address belong to one customer."""
    for _ in range(2):
        path = await open_session(dodo, "pdt_coastline")
        await dodo.post(path, data=BUYER | {"outcome": "succeeded"})
    items = (await dodo.get("/payments")).json()["items"]

    assert items[0]["customer"] == items[1]["customer"]
    assert items[0]["customer"]["customer_id"].startswith("cus_")
