"""The official SDK drives the stand-in, and its models read every answer strictly."""

from typing import Any

import dodopayments
import httpx
import pydantic
import pytest
from dodopayments import AsyncDodoPayments
from dodopayments.types import (
    CheckoutSessionResponse,
    CheckoutSessionStatus,
    Payment,
    PaymentListResponse,
    Product,
    ProductListResponse,
    Subscription,
    SubscriptionListResponse,
    WebhookDetails,
)

pytestmark = pytest.mark.anyio

VISITOR_ID = "0b8e6c1e-2d1c-4f0a-9f2e-6a4f1f4d7c11"
BUYER = {"email": "ada@example.com", "name": "Ada Example", "outcome": "succeeded"}


@pytest.fixture
def sdk(dodo: httpx.AsyncClient) -> AsyncDodoPayments:
    """Build the SDK on the in-process client."""
    return AsyncDodoPayments(
        bearer_token="test-api-key",
        base_url="http://sandbox.localhost",
        http_client=dodo,
        max_retries=0,
    )


async def buy(sdk: AsyncDodoPayments, dodo: httpx.AsyncClient, product_id: str) -> str:
    """Pay for one product; returns the session's id."""
    session = await sdk.checkout_sessions.create(
        product_cart=[{"product_id": product_id, "quantity": 1}],
        metadata={"datafast_visitor_id": VISITOR_ID},
        return_url="http://shop.localhost:8000/orders/abc",
    )
    await dodo.post(f"/session/{session.session_id}", data=BUYER)
    return session.session_id


async def test_a_sale_can_be_followed_with_the_sdk(
    sdk: AsyncDodoPayments, dodo: httpx.AsyncClient
) -> None:
    """Session, payment and their metadata are found by the ids that lead from one to the next."""
    session_id = await buy(sdk, dodo, "pdt_tokyo")
    session = await sdk.checkout_sessions.retrieve(session_id)
    payment = await sdk.payments.retrieve(session.payment_id or "")

    assert session.payment_status == "succeeded"
    assert session.customer_email == "ada@example.com"
    assert (payment.total_amount, payment.tax, payment.currency) == (3300, 550, "JPY")
    assert (payment.settlement_amount, payment.settlement_currency) == (2310, "USD")
    assert payment.metadata == {"datafast_visitor_id": VISITOR_ID}
    assert payment.checkout_session_id == session_id
    assert payment.charge_type is None


async def test_a_subscription_can_be_followed_with_the_sdk(
    sdk: AsyncDodoPayments, dodo: httpx.AsyncClient
) -> None:
    """The first charge is new and names its subscription, which has the metadata too."""
    await buy(sdk, dodo, "pdt_club")
    [item] = (await sdk.payments.list(page_number=0)).items
    subscription = await sdk.subscriptions.retrieve(item.subscription_id or "")
    of_subscription = await sdk.payments.list(
        subscription_id=subscription.subscription_id, page_number=0
    )

    assert item.charge_type == "new"
    assert subscription.status == "active"
    assert subscription.metadata == {"datafast_visitor_id": VISITOR_ID}
    assert [found.payment_id for found in of_subscription.items] == [item.payment_id]


async def test_pages_start_at_zero(sdk: AsyncDodoPayments, dodo: httpx.AsyncClient) -> None:
    """Walking pages from 0 finds each payment once, and then an empty page."""
    for _ in range(3):
        await buy(sdk, dodo, "pdt_coastline")
    pages = [
        [
            payment.payment_id
            for payment in (await sdk.payments.list(page_number=n, page_size=2)).items
        ]
        for n in range(3)
    ]

    assert [len(page) for page in pages] == [2, 1, 0]
    assert len({payment_id for page in pages for payment_id in page}) == 3


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({}, 2),
        ({"status": "succeeded"}, 2),
        ({"status": "failed"}, 0),
        ({"customer_id": "cus_none"}, 0),
        ({"product_id": "pdt_tokyo"}, 1),
        ({"currency": "USD"}, 1),
        ({"created_at_gte": "2026-10-01T12:30:00Z"}, 1),
        ({"created_at_lte": "2026-10-01T12:30:00Z"}, 1),
    ],
)
async def test_payments_are_filtered(
    sdk: AsyncDodoPayments,
    dodo: httpx.AsyncClient,
    clock: Any,
    filters: dict[str, Any],
    found: int,
) -> None:
    """Each documented filter narrows the list."""
    await buy(sdk, dodo, "pdt_coastline")
    clock.now += 3600
    await buy(sdk, dodo, "pdt_tokyo")
    page = await sdk.payments.list(page_number=0, **filters)

    assert len(page.items) == found


async def test_errors_become_the_sdk_exceptions(sdk: AsyncDodoPayments) -> None:
    """The status codes are those the SDK maps."""
    with pytest.raises(dodopayments.NotFoundError):
        await sdk.payments.retrieve("pay_none")
    with pytest.raises(dodopayments.UnprocessableEntityError):
        await sdk.payments.list(page_size=101)
    with pytest.raises(dodopayments.AuthenticationError):
        await sdk.with_options(bearer_token="wrong").products.list()


async def test_products_and_refunds_are_listed(sdk: AsyncDodoPayments) -> None:
    """The catalogue is there, and no refund yet."""
    products = await sdk.products.list(page_number=0)
    refunds = await sdk.refunds.list(page_number=0)

    assert {product.product_id: product.price for product in products.items} == {
        "pdt_coastline": 2900,
        "pdt_tokyo": 3300,
        "pdt_gulf": 8750,
        "pdt_club": 900,
        "pdt_studio": 2400,
        "pdt_kyoto": 1200,
        "pdt_pearl": 2505,
    }
    assert refunds.items == []


async def test_an_endpoint_is_made_read_and_removed(sdk: AsyncDodoPayments) -> None:
    """A write key can register a webhook and fetch its secret."""
    made = await sdk.webhooks.create(
        url="https://shop.example/webhooks/dodo", filter_types=["payment.succeeded"]
    )
    secret = await sdk.webhooks.retrieve_secret(made.id)
    listed = await sdk.webhooks.list()
    await sdk.webhooks.delete(made.id)

    assert secret.secret.startswith("whsec_")
    assert [endpoint.id for endpoint in listed.data] == [made.id]
    assert (await sdk.webhooks.list()).data == []


@pytest.mark.parametrize(
    "endpoint",
    [
        {},
        {"url": "shop.example/hook"},
        {"url": "https://shop.example", "filter_types": "payment.succeeded"},
        {"url": "https://shop.example", "headers": {"x": 1}},
        {"url": "https://shop.example", "headers": {"x": "ü"}},
    ],
    ids=str,
)
async def test_an_endpoint_that_is_none_is_refused(
    dodo: httpx.AsyncClient, endpoint: dict[str, Any]
) -> None:
    """What could never be delivered to is refused at once."""
    response = await dodo.post("/webhooks", json=endpoint)

    assert response.status_code == 422


async def test_every_answer_parses_strictly(
    sdk: AsyncDodoPayments, dodo: httpx.AsyncClient
) -> None:
    """Bodies hold exactly the fields of the SDK's types, with the right types."""
    cart = [{"product_id": "pdt_coastline", "quantity": 2}]
    opened = await dodo.post("/checkouts", json={"product_cart": cart})
    endpoint = await dodo.post("/webhooks", json={"url": "http://shop.localhost/hook"})
    session_ids = [await buy(sdk, dodo, name) for name in ("pdt_gulf", "pdt_club", "pdt_studio")]
    payments = await dodo.get("/payments")
    subscriptions = await dodo.get("/subscriptions")

    def check(model: type[pydantic.BaseModel], body: bytes) -> None:
        parsed = model.model_validate_json(body, strict=True)
        assert not parsed.model_extra
        assert parsed.model_fields_set <= set(model.model_fields)

    def encoded(document: Any) -> bytes:
        return pydantic.TypeAdapter(Any).dump_json(document)

    check(CheckoutSessionResponse, opened.content)
    check(WebhookDetails, endpoint.content)
    check(Product, (await dodo.get("/products/pdt_studio")).content)
    for session_id in session_ids:
        check(CheckoutSessionStatus, (await dodo.get(f"/checkouts/{session_id}")).content)
    for item in (await dodo.get("/products")).json()["items"]:
        check(ProductListResponse, encoded(item))
    for item in payments.json()["items"]:
        check(PaymentListResponse, encoded(item))
        check(Payment, (await dodo.get(f"/payments/{item['payment_id']}")).content)
    for item in subscriptions.json()["items"]:
        check(SubscriptionListResponse, encoded(item))
        path = f"/subscriptions/{item['subscription_id']}"
        check(Subscription, (await dodo.get(path)).content)
