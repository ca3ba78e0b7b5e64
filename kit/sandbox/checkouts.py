"""Read what a shop posts to `POST /checkouts`, as strictly as Dodo's reference states it.

Source of the limits: docs.dodopayments.com, checkout sessions and metadata pages, 2026.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kit.sandbox.products import Product
from kit.sandbox.refusals import ApiError

MAX_CART_LINES = 20
MAX_QUANTITY = 10_000
MAX_TRIAL_DAYS = 10_000
MAX_METADATA_KEYS = 50
METADATA_KEY = re.compile(r"[A-Za-z0-9_-]{1,40}")
MAX_METADATA_VALUE = 500
# No quotes, commas or semicolons in the host: the origin goes into a Content-Security-Policy.
ABSOLUTE_URL = re.compile(r"https?://[^\s/?#,;'\"\\]+(?:[/?#]\S*)?")
EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
COUNTRY = re.compile(r"[A-Z]{2}")


@dataclass(frozen=True, slots=True)
class Order:
    """A checkout request that passed."""

    cart: list[dict[str, Any]]
    metadata: dict[str, Any] = field(default_factory=dict)
    customer: dict[str, str] = field(default_factory=dict)
    billing: dict[str, Any] | None = None
    return_url: str | None = None
    cancel_url: str | None = None
    trial_period_days: int | None = None
    on_demand: int | None = None
    """What an on-demand subscription takes at the checkout, in minor units; None for others."""


def read_order(document: Any, products: Mapping[str, Product]) -> Order:
    """Validate a parsed request body; unknown fields are ignored, as Dodo does.

    Raises ApiError: 422 INVALID_REQUEST_BODY, 400 MAXIMUM_KEYS_REACHED, 404 NOT_FOUND for a
    product. `null` in metadata is refused: the type forbids it and Dodo's reaction is unknown.
    """
    if not isinstance(document, dict):
        raise _invalid("The body must be a JSON object.")
    cart = _cart(document.get("product_cart"), products)
    return Order(
        cart=cart,
        metadata=read_metadata(document.get("metadata")),
        customer=_customer(document.get("customer")),
        billing=_billing(document.get("billing_address")),
        return_url=_url(document.get("return_url"), "return_url"),
        cancel_url=_url(document.get("cancel_url"), "cancel_url"),
        trial_period_days=_trial(document.get("subscription_data")),
        on_demand=_on_demand(document.get("subscription_data"), cart, products),
    )


def _cart(lines: Any, products: Mapping[str, Product]) -> list[dict[str, Any]]:
    if not isinstance(lines, list) or not 1 <= len(lines) <= MAX_CART_LINES:
        raise _invalid(f"product_cart must be a list of 1 to {MAX_CART_LINES} items.")
    cart = []
    for line in lines:
        if not isinstance(line, dict) or not isinstance(line.get("product_id"), str):
            raise _invalid("Each item of product_cart needs a product_id.")
        quantity = line.get("quantity")
        if type(quantity) is not int or not 1 <= quantity <= MAX_QUANTITY:
            raise _invalid(f"quantity must be a whole number from 1 to {MAX_QUANTITY}.")
        if line["product_id"] not in products:
            raise ApiError(404, f"Product {line['product_id']} not found.", code="NOT_FOUND")
        cart.append({"product_id": line["product_id"], "quantity": quantity})
    if len({products[line["product_id"]].currency for line in cart}) > 1:
        raise _invalid("All products of a cart must have one currency.")
    return cart


def read_metadata(metadata: Any) -> dict[str, Any]:
    """Return metadata that keeps to Dodo's limits; none is an empty one. Raises ApiError."""
    if metadata is None:
        return {}
    if not isinstance(metadata, dict):
        raise _invalid("metadata must be an object.")
    if len(metadata) > MAX_METADATA_KEYS:
        message = f"metadata holds at most {MAX_METADATA_KEYS} keys."
        raise ApiError(400, message, code="MAXIMUM_KEYS_REACHED")
    for key, value in metadata.items():
        if not METADATA_KEY.fullmatch(key):
            raise _invalid(f"metadata key {key!r}: at most 40 of A-Z, a-z, 0-9, _ and -.")
        if isinstance(value, str):
            if len(value) > MAX_METADATA_VALUE:
                raise _invalid(f"metadata.{key} is longer than {MAX_METADATA_VALUE} characters.")
        elif not isinstance(value, int | float) or not math.isfinite(value):
            raise _invalid(f"metadata.{key} must be a string, a number or a boolean.")
    return metadata


def _customer(customer: Any) -> dict[str, str]:
    if customer is None:
        return {}
    if not isinstance(customer, dict):
        raise _invalid("customer must be an object.")
    if isinstance(customer.get("customer_id"), str):
        return {"customer_id": customer["customer_id"]}
    email = customer.get("email")
    if not isinstance(email, str) or not EMAIL.fullmatch(email):
        raise _invalid("customer needs a customer_id or an email.")
    name = customer.get("name")
    if name is not None and not isinstance(name, str):
        raise _invalid("customer.name must be a string.")
    return {"email": email, "name": name or ""}


def _billing(address: Any) -> dict[str, Any] | None:
    if address is None:
        return None
    country = address.get("country") if isinstance(address, dict) else None
    if not isinstance(country, str) or not COUNTRY.fullmatch(country):
        raise _invalid("billing_address.country must be an ISO 3166 code of two letters.")
    return {name: address.get(name) for name in ("country", "city", "state", "street", "zipcode")}


def _url(url: Any, name: str) -> str | None:
    if url is None:
        return None
    if not isinstance(url, str) or not ABSOLUTE_URL.fullmatch(url):
        raise _invalid(f"{name} must be an absolute http or https URL.")
    return url


def _trial(subscription: Any) -> int | None:
    if subscription is None:
        return None
    if not isinstance(subscription, dict):
        raise _invalid("subscription_data must be an object.")
    days = subscription.get("trial_period_days")
    if days is not None and (type(days) is not int or not 0 <= days <= MAX_TRIAL_DAYS):
        raise _invalid(f"trial_period_days must be from 0 to {MAX_TRIAL_DAYS}.")
    return days


def _on_demand(
    subscription: Any, cart: list[dict[str, Any]], products: Mapping[str, Product]
) -> int | None:
    """Return what the first charge takes: nothing for a mandate alone."""
    terms = subscription.get("on_demand") if isinstance(subscription, dict) else None
    if terms is None:
        return None
    if not isinstance(terms, dict) or not isinstance(terms.get("mandate_only"), bool):
        raise _invalid("on_demand.mandate_only must be true or false.")
    recurring = [line for line in cart if products[line["product_id"]].interval]
    if len(recurring) != 1:
        raise _invalid("An on-demand checkout has exactly one subscription.")
    if terms["mandate_only"]:
        return 0
    price = terms.get("product_price")
    if price is None:
        quantity: int = recurring[0]["quantity"]
        return products[recurring[0]["product_id"]].price_minor * quantity
    if type(price) is not int or price < 0:
        raise _invalid("on_demand.product_price must be a whole number of minor units.")
    return price


def _invalid(message: str) -> ApiError:
    return ApiError(422, message, code="INVALID_REQUEST_BODY")
