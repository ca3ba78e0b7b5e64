"""Products in the two shapes Dodo's API gives them."""

from kit.sandbox.fixtures import BRAND_ID, BUSINESS_ID
from kit.sandbox.products import Product
from kit.sandbox.store import Document

CATALOGUE_SINCE = "2026-01-05T09:00:00.000000Z"
ONLY_IN_ITEMS = frozenset({"currency", "price", "price_detail", "tax_inclusive"})


def product_object(product: Product) -> Document:
    """Return a product as `GET /products/{id}` answers it."""
    item = product_item(product)
    shared = {field: item[field] for field in item if field not in ONLY_IN_ITEMS}
    return shared | {
        "brand_id": BRAND_ID,
        "credit_entitlements": [],
        "license_key_enabled": False,
        "price": item["price_detail"],
    }


def product_item(product: Product) -> Document:
    """Return a product as `GET /products` lists it."""
    price: Document = {
        "type": "recurring_price" if product.interval else "one_time_price",
        "currency": product.currency,
        "price": product.price_minor,
        "tax_inclusive": True,
        "discount": 0,
        "purchasing_power_parity": False,
    }
    if product.interval:
        price |= {
            "payment_frequency_count": 1,
            "payment_frequency_interval": product.interval,
            "subscription_period_count": 10,
            "subscription_period_interval": "Year",
            "trial_period_days": product.trial_period_days,
        }
    return {
        "product_id": product.product_id,
        "business_id": BUSINESS_ID,
        "name": product.name,
        "description": product.description,
        "image": None,
        "is_recurring": product.interval is not None,
        "currency": product.currency,
        "price": product.price_minor,
        "price_detail": price,
        "tax_category": "digital_products",
        "tax_inclusive": True,
        "entitlements": [],
        "metadata": {},
        "created_at": CATALOGUE_SINCE,
        "updated_at": CATALOGUE_SINCE,
    }
