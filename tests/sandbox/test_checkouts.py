"""What `POST /checkouts` takes and refuses."""

from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.anyio

CART = [{"product_id": "pdt_coastline", "quantity": 1}]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"metadata": {f"key-{n}": "x" * 500 for n in range(50)}},
        {"metadata": {"a" * 40: "", "number": 1.5, "flag": True}},
        {"customer": {"email": "ada@example.com", "name": "Ada"}},
        {"return_url": "http://shop.localhost:8000/orders/abc?x=1"},
        {"some_new_field": {"of": "Dodo"}},
    ],
    ids=["cart only", "largest metadata", "value types", "customer", "return_url", "unknown field"],
)
async def test_accepted(dodo: httpx.AsyncClient, fields: dict[str, Any]) -> None:
    """Requests within the documented limits open a session."""
    response = await dodo.post("/checkouts", json={"product_cart": CART} | fields)

    answer = response.json()
    assert response.status_code == 200, answer
    assert answer["session_id"].startswith("cks_")
    assert answer["checkout_url"] == (
        f"http://checkout.localhost:8001/session/{answer['session_id']}"
    )


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"product_cart": []}, 422, "INVALID_REQUEST_BODY"),
        ({"product_cart": None}, 422, "INVALID_REQUEST_BODY"),
        ({"product_cart": CART * 21}, 422, "INVALID_REQUEST_BODY"),
        ({"product_cart": [{"product_id": "pdt_coastline"}]}, 422, "INVALID_REQUEST_BODY"),
        (
            {"product_cart": [{"product_id": "pdt_coastline", "quantity": True}]},
            422,
            "INVALID_REQUEST_BODY",
        ),
        ({"product_cart": [{"product_id": "pdt_none", "quantity": 1}]}, 404, "NOT_FOUND"),
        (
            {"product_cart": [*CART, {"product_id": "pdt_tokyo", "quantity": 1}]},
            422,
            "INVALID_REQUEST_BODY",
        ),
        ({"metadata": {f"k{n}": "" for n in range(51)}}, 400, "MAXIMUM_KEYS_REACHED"),
        ({"metadata": {"k" * 41: ""}}, 422, "INVALID_REQUEST_BODY"),
        ({"metadata": {"a.b": ""}}, 422, "INVALID_REQUEST_BODY"),
        ({"metadata": {"k": "x" * 501}}, 422, "INVALID_REQUEST_BODY"),
        ({"metadata": {"k": None}}, 422, "INVALID_REQUEST_BODY"),
        ({"metadata": {"k": ["x"]}}, 422, "INVALID_REQUEST_BODY"),
        ({"return_url": "/orders/abc"}, 422, "INVALID_REQUEST_BODY"),
        ({"return_url": "http://a;script-src *"}, 422, "INVALID_REQUEST_BODY"),
        ({"cancel_url": "javascript:alert(1)"}, 422, "INVALID_REQUEST_BODY"),
        ({"customer": {"name": "Ada"}}, 422, "INVALID_REQUEST_BODY"),
        ({"customer": {"customer_id": "cus_none"}}, 404, "NOT_FOUND"),
        ({"subscription_data": {"trial_period_days": -1}}, 422, "INVALID_REQUEST_BODY"),
        ({"billing_address": {"country": "France"}}, 422, "INVALID_REQUEST_BODY"),
    ],
)
async def test_refused(
    dodo: httpx.AsyncClient, fields: dict[str, Any], status: int, code: str
) -> None:
    """Everything outside the limits is refused with Dodo's error body, and opens nothing."""
    response = await dodo.post("/checkouts", json={"product_cart": CART} | fields)
    opened = await dodo.get("/_sandbox/checkouts")

    assert response.status_code == status
    assert response.json().keys() == {"code", "message"}
    assert response.json()["code"] == code
    assert opened.json() == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"text"', b"[" * 100_000])
async def test_a_body_that_is_no_object_is_refused(dodo: httpx.AsyncClient, body: bytes) -> None:
    """Broken JSON is the caller's mistake, never a 500."""
    response = await dodo.post("/checkouts", content=body)

    assert response.status_code == 422
    assert response.json()["code"] == "INVALID_REQUEST_BODY"


@pytest.mark.parametrize("header", [None, "Bearer wrong", "test-api-key"])
async def test_the_key_is_checked(dodo: httpx.AsyncClient, header: str | None) -> None:
    """Without the right bearer key there is only 401."""
    del dodo.headers["authorization"]
    headers = {} if header is None else {"authorization": header}
    response = await dodo.post("/checkouts", json={"product_cart": CART}, headers=headers)

    assert response.status_code == 401
    assert response.json()["code"] == "UNAUTHORIZED"


@pytest.mark.parametrize("path", ["/nothing", "/checkouts/cks_none", "/payments/pay_none"])
async def test_not_found_has_the_error_body(dodo: httpx.AsyncClient, path: str) -> None:
    """Unknown paths and objects answer like the API."""
    response = await dodo.get(path)

    assert response.status_code == 404
    assert response.json()["code"] == "NOT_FOUND"


async def test_requests_are_shown_without_the_key(dodo: httpx.AsyncClient) -> None:
    """The journal says whether the key was right and never repeats it."""
    visitor_id = "0b8e6c1e-2d1c-4f0a-9f2e-6a4f1f4d7c11"
    metadata = {"datafast_visitor_id": visitor_id}
    await dodo.post("/checkouts", json={"product_cart": CART, "metadata": metadata})
    await dodo.post("/checkouts", json={"product_cart": CART}, headers={"authorization": "x"})
    everything = await dodo.get("/_sandbox/requests")
    of_visitor = await dodo.get("/_sandbox/requests", params={"visitor_id": visitor_id})

    shown = [request["headers"]["authorization"] for request in everything.json()]
    assert shown == ["right", "wrong"]
    assert [request["status"] for request in everything.json()] == [200, 401]
    assert len(of_visitor.json()) == 1
    assert of_visitor.json()[0]["path"] == "/checkouts"
    assert "test-api-key" not in everything.text


async def test_documents_are_filtered(dodo: httpx.AsyncClient) -> None:
    """A test finds its own session by its visitor, wherever that is kept, and by any field."""
    visitor_id = "0b8e6c1e-2d1c-4f0a-9f2e-6a4f1f4d7c11"
    metadata = {"datafast_visitor_id": visitor_id}
    mine = await dodo.post("/checkouts", json={"product_cart": CART, "metadata": metadata})
    await dodo.post("/checkouts", json={"product_cart": CART})
    session_id = mine.json()["session_id"]

    for query in ({"visitor_id": visitor_id}, {"session_id": session_id}):
        found = (await dodo.get("/_sandbox/checkouts", params=query)).json()
        assert [session["session_id"] for session in found] == [session_id]
    assert (await dodo.get("/_sandbox/sessions")).status_code == 404


async def test_reset_forgets(dodo: httpx.AsyncClient) -> None:
    """After a reset there is no session, request or rule."""
    await dodo.post("/checkouts", json={"product_cart": CART})
    await dodo.post("/_sandbox/chaos", json={"path": "/checkouts", "mode": "500"})
    await dodo.post("/_sandbox/reset")

    for page in ("checkouts", "requests", "chaos"):
        assert (await dodo.get(f"/_sandbox/{page}")).json() == []
