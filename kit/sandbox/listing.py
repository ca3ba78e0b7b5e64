"""The list answers of Dodo's API: filters, pages from 0, and the fields a list item has."""

from collections.abc import Mapping
from typing import Any

from kit.sandbox.refusals import ApiError
from kit.sandbox.stamps import iso, seconds
from kit.sandbox.store import Document, Store

PAGE_SIZE, MAX_PAGE_SIZE = 10, 100
DAY_S = 86_400.0
LAST_DAY_S = 253_402_214_400.0  # of the year 9999

# What objects have and their list items do not (SDK 1.123.0, *ListResponse types).
NOT_IN_PAYMENT_ITEMS = frozenset(
    {
        "billing",
        "business_id",
        "card_holder_name",
        "card_issuing_country",
        "custom_field_responses",
        "discount_id",
        "discounts",
        "disputes",
        "error_code",
        "error_message",
        "is_update_payment_method",
        "payment_link",
        "payment_method_id",
        "product_cart",
        "refunds",
        "settlement_amount",
        "settlement_currency",
        "settlement_tax",
        "tax",
        "updated_at",
    }
)
NOT_IN_SUBSCRIPTION_ITEMS = frozenset(
    {
        "addons",
        "brand_id",
        "cancellation_comment",
        "cancellation_feedback",
        "credit_entitlement_cart",
        "custom_field_responses",
        "expires_at",
        "meter_credit_entitlement_cart",
        "meters",
    }
)
NOT_IN_REFUND_ITEMS = frozenset({"brand_id", "customer", "metadata"})

# Fields of the object itself, and what takes more to compare.
OWN_FILTERS = ("status", "currency", "brand_id", "dispute_stage", "dispute_status")
FILTERS = (*OWN_FILTERS, "customer_id", "product_id", "subscription_id")


def page(documents: list[Document], query: Mapping[str, str]) -> list[Document]:
    """Filter and cut one page, newest first (Dodo does not document its order).

    Raises ApiError 422 for a page number, page size or moment that is none.
    """
    since_s = _moment(query, "created_at_gte", float("-inf"))
    until_s = _moment(query, "created_at_lte", float("inf"))
    wanted = {name: query[name] for name in FILTERS if name in query}
    matching = [
        document
        for document in reversed(documents)
        if since_s <= seconds(document["created_at"]) <= until_s
        and (not wanted or _matches(document, wanted))
    ]
    number = _number(query, "page_number", default=0)
    size = _number(query, "page_size", default=PAGE_SIZE)
    if not 1 <= size <= MAX_PAGE_SIZE:
        raise ApiError(422, f"page_size must be from 1 to {MAX_PAGE_SIZE}.")
    return matching[number * size : (number + 1) * size]


def listed(store: Store, kind: str, query: Mapping[str, str]) -> list[Document]:
    """Read what a list may hold: whole days, so that a long history is not read for each page.

    Raises ApiError 422 for a moment that is none.
    """
    since_s = _moment(query, "created_at_gte", 0.0)
    until_s = _moment(query, "created_at_lte", LAST_DAY_S)
    # A day more on both sides: a moment's day depends on its offset.
    days = iso(max(since_s - DAY_S, 0.0))[:10], iso(min(until_s + DAY_S, LAST_DAY_S))[:10]
    return store.created(kind, days=days)


def payment_item(payment: Document) -> Document:
    """Return a payment as `GET /payments` lists it."""
    disputes = payment["disputes"]
    return _without(payment, NOT_IN_PAYMENT_ITEMS) | {
        "has_license_key": False,
        "dispute_status": disputes[-1]["dispute_status"] if disputes else None,
    }


def subscription_item(subscription: Document, product_name: str) -> Document:
    """Return a subscription as `GET /subscriptions` lists it."""
    item = _without(subscription, NOT_IN_SUBSCRIPTION_ITEMS)
    return item | {"discounts": [], "product_name": product_name}


def refund_item(refund: Document) -> Document:
    """Return a refund as `GET /refunds` lists it."""
    return _without(refund, NOT_IN_REFUND_ITEMS)


def _without(document: Document, fields: frozenset[str]) -> Document:
    return {field: document[field] for field in document if field not in fields}


def _matches(document: Document, query: Mapping[str, str]) -> bool:
    for name in OWN_FILTERS:
        if name in query and document.get(name) != query[name]:
            return False
    if "customer_id" in query and document["customer"]["customer_id"] != query["customer_id"]:
        return False
    if "product_id" in query and query["product_id"] not in _product_ids(document):
        return False
    if "subscription_id" in query:
        ids = document.get("subscription_ids") or [document.get("subscription_id")]
        return query["subscription_id"] in ids
    return True


def _product_ids(document: Document) -> list[Any]:
    cart = document.get("product_cart") or []
    return [document.get("product_id"), *(line["product_id"] for line in cart)]


def _number(query: Mapping[str, str], name: str, *, default: int) -> int:
    value = query.get(name, str(default))
    if not value.isascii() or not value.isdigit():
        raise ApiError(422, f"{name} must be a whole number from 0.")
    return int(value)


def _moment(query: Mapping[str, str], name: str, default: float) -> float:
    if name not in query:
        return default
    try:
        return seconds(query[name])
    except ValueError:
        raise ApiError(422, f"{name} must be an ISO 8601 moment.") from None
