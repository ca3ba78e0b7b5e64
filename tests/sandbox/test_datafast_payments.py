"""DataFast's payments API: what counts, what is refused, and what is only seemingly accepted."""

from typing import Any

import httpx
import pytest

from kit.sandbox.datafast import create_datafast

pytestmark = pytest.mark.anyio

VISITOR_ID = "0b8e6c1e-2d1c-4f0a-9f2e-6a4f1f4d7c11"
PAYMENT = {"amount": 29.0, "currency": "USD", "transaction_id": "pay_1"}
ATTRIBUTABLE = PAYMENT | {"datafast_visitor_id": VISITOR_ID}
PAGEVIEW = {
    "websiteId": "dfid_contourtest000000001",
    "domain": "contour.example",
    "visitorId": VISITOR_ID,
    "sessionId": "s3f0c6c52-9d1b-4a77-8a11-5f2d8d0c9e21",
    "href": "https://contour.example/",
    "type": "pageview",
}


async def see_page(datafast: httpx.AsyncClient) -> None:
    """Send the visitor's first pageview."""
    headers = {"origin": "https://contour.example"}
    await datafast.post("/api/events", json=PAGEVIEW, headers=headers)


async def counted(datafast: httpx.AsyncClient) -> list[Any]:
    """Return transaction id, amount and attribution of what counts."""
    payments = (await datafast.get("/_sandbox/payments")).json()
    return [(one["transaction_id"], one["amount"], one["attributed"]) for one in payments]


async def test_a_known_visitor_is_attributed(datafast: httpx.AsyncClient) -> None:
    """The answer repeats the transaction id and says attributed."""
    await see_page(datafast)
    response = await datafast.post("/api/v1/payments", json=ATTRIBUTABLE)

    assert response.status_code == 200
    assert response.json() == {
        "message": "Payment recorded and attributed successfully",
        "transaction_id": "pay_1",
    }
    assert await counted(datafast) == [("pay_1", "29.0", True)]


async def test_without_a_visitor_it_is_recorded(datafast: httpx.AsyncClient) -> None:
    """A sale nobody can attribute still counts."""
    response = await datafast.post("/api/v1/payments", json=PAYMENT)

    assert response.json() == {"message": "Payment recorded", "transaction_id": "pay_1"}
    assert await counted(datafast) == [("pay_1", "29.0", False)]


async def test_a_repetition_never_counts_twice(datafast: httpx.AsyncClient) -> None:
    """The second report of an id is answered 200 and changes nothing."""
    await datafast.post("/api/v1/payments", json=PAYMENT)
    response = await datafast.post("/api/v1/payments", json=PAYMENT | {"amount": 58})

    assert response.status_code == 200
    assert response.json()["message"] == "Payment already recorded"
    assert await counted(datafast) == [("pay_1", "29.0", False)]


@pytest.mark.parametrize("keep", [True, False], ids=["stored", "dropped"])
async def test_a_visitor_without_pageview_is_not_attributed(
    datafast_options: dict[str, Any], keep: bool
) -> None:
    """200 without the transaction id; sent again without the visitor it counts once, either way."""
    app = create_datafast(**datafast_options | {"keep_unattributed": keep})
    headers = {"authorization": "Bearer test-api-key"}
    transport = httpx.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://df", headers=headers) as datafast,
    ):
        first = await datafast.post("/api/v1/payments", json=ATTRIBUTABLE)
        after_first = await counted(datafast)
        second = await datafast.post("/api/v1/payments", json=PAYMENT)
        after_second = await counted(datafast)

    assert first.status_code == 200
    assert first.json() == {"message": f"First event not found for visitor {VISITOR_ID}"}
    assert after_first == ([("pay_1", "29.0", False)] if keep else [])
    assert second.json()["message"] == ("Payment already recorded" if keep else "Payment recorded")
    assert after_second == [("pay_1", "29.0", False)]


@pytest.mark.parametrize(
    ("mode", "status", "message"),
    [
        ("no_pageview_200", 200, lambda body: body["message"]),
        ("no_pageview_404", 404, lambda body: body["error"]["message"]),
    ],
)
async def test_a_missing_pageview_can_be_played(
    datafast: httpx.AsyncClient, mode: str, status: int, message: Any
) -> None:
    """Chaos chooses the answer for one transaction, for as often as it says."""
    await see_page(datafast)
    match = {"transaction_id": "pay_2"}
    await datafast.post("/_sandbox/chaos", json={"match": match, "mode": mode, "times": 1})
    other = await datafast.post("/api/v1/payments", json=ATTRIBUTABLE)
    refused = await datafast.post(
        "/api/v1/payments", json=ATTRIBUTABLE | {"transaction_id": "pay_2"}
    )

    assert other.json()["transaction_id"] == "pay_1"
    assert refused.status_code == status
    assert message(refused.json()) == f"First event not found for visitor {VISITOR_ID}"
    assert (await datafast.get("/_sandbox/chaos")).json() == []


@pytest.mark.parametrize("figure", ["29.00", "3300", "8.750", "1234567.89", "0", "0.10", "12.345"])
async def test_amounts_are_kept_exactly(datafast: httpx.AsyncClient, figure: str) -> None:
    """The stand-in shows the digits that were sent, not a binary neighbour."""
    body = f'{{"amount": {figure}, "currency": "USD", "transaction_id": "pay_1"}}'
    response = await datafast.post("/api/v1/payments", content=body)

    assert response.status_code == 200
    assert await counted(datafast) == [("pay_1", figure, False)]


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": -1},
        {"amount": "29.00"},
        {"amount": True},
        {"amount": None},
        {"amount": 1e300},
        {"currency": "usd"},
        {"currency": None},
        {"transaction_id": ""},
        {"transaction_id": 7},
        {"datafast_visitor_id": "abc"},
        {"datafast_visitor_id": None},
        {"email": None},
        {"renewal": "false"},
        {"timestamp": "yesterday"},
        {"timestamp": None},
    ],
    ids=str,
)
async def test_invalid_reports_are_refused(
    datafast: httpx.AsyncClient, changes: dict[str, Any]
) -> None:
    """Wrong types, negatives and nulls are 400 with the error envelope."""
    response = await datafast.post("/api/v1/payments", json=PAYMENT | changes)

    assert response.status_code == 400
    assert response.json()["status"] == "error"
    assert response.json()["error"].keys() == {"code", "message"}
    assert await counted(datafast) == []


@pytest.mark.parametrize("body", ["", "{", "[]", '{"amount": NaN}', "[" * 100_000])
async def test_a_body_that_is_no_object_is_refused(datafast: httpx.AsyncClient, body: str) -> None:
    """Broken JSON is the caller's mistake, never a 500."""
    response = await datafast.post("/api/v1/payments", content=body)

    assert response.status_code == 400


async def test_the_token_is_checked(datafast: httpx.AsyncClient) -> None:
    """A wrong token is 401 with the envelope."""
    headers = {"authorization": "Bearer wrong"}
    response = await datafast.post("/api/v1/payments", json=PAYMENT, headers=headers)

    assert response.status_code == 401
    assert response.json()["error"]["code"] == 401


async def test_an_account_token_needs_the_website(datafast_options: dict[str, Any]) -> None:
    """A `dft_` token without `websiteId` is refused."""
    app = create_datafast(**datafast_options | {"api_key": "dft_test"})
    headers = {"authorization": "Bearer dft_test"}
    transport = httpx.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://df", headers=headers) as datafast,
    ):
        without = await datafast.post("/api/v1/payments", json=PAYMENT)
        with_website = await datafast.post("/api/v1/payments?websiteId=abc", json=PAYMENT)

    assert (without.status_code, with_website.status_code) == (400, 200)


async def test_a_payment_is_deleted_by_its_transaction(datafast: httpx.AsyncClient) -> None:
    """After a deletion the same id counts anew; a second deletion is 404."""
    await datafast.post("/api/v1/payments", json=PAYMENT)
    query = {"transaction_id": "pay_1"}
    deleted = await datafast.delete("/api/v1/payments", params=query)
    missing = await datafast.delete("/api/v1/payments", params=query)
    again = await datafast.post("/api/v1/payments", json=PAYMENT)

    assert deleted.json()["status"] == "success"
    assert deleted.json()["data"][0]["transaction_id"] == "pay_1"
    assert missing.status_code == 404
    assert again.json()["message"] == "Payment recorded"


async def test_a_visitors_payments_are_deleted_within_a_range(datafast: httpx.AsyncClient) -> None:
    """The sale's own timestamp decides, and other visitors keep theirs."""
    await see_page(datafast)
    for number, moment in enumerate(["2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"]):
        report = ATTRIBUTABLE | {"transaction_id": f"pay_{number}", "timestamp": moment}
        await datafast.post("/api/v1/payments", json=report)
    query = {"datafast_visitor_id": VISITOR_ID, "startAt": "2026-01-15", "endAt": "2026-03-01"}
    await datafast.delete("/api/v1/payments", params=query)
    without_filter = await datafast.delete("/api/v1/payments")

    assert await counted(datafast) == [("pay_0", "29.0", True)]
    assert without_filter.status_code == 400


async def test_sixty_calls_a_minute(datafast: httpx.AsyncClient, clock: Any) -> None:
    """The 61st call is 429 with a plain body whose reset is in milliseconds; a minute heals it."""
    for number in range(60):
        report = PAYMENT | {"transaction_id": f"pay_{number}"}
        response = await datafast.post("/api/v1/payments", json=report)
        assert response.status_code == 200
    refused = await datafast.post("/api/v1/payments", json=PAYMENT | {"transaction_id": "late"})
    clock.now += 60
    accepted = await datafast.post("/api/v1/payments", json=PAYMENT | {"transaction_id": "late"})

    assert refused.status_code == 429
    assert refused.json() == {
        "limit": 60,
        "remaining": 0,
        "reset": 1_790_856_060_000,
    }
    assert refused.headers["x-ratelimit-remaining"] == "0"
    assert "retry-after" not in refused.headers
    assert accepted.status_code == 200
    assert accepted.headers["x-ratelimit-remaining"] == "59"
