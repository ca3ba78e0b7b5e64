"""Messages without a person: what Dodo says of the money stays, and nothing else does."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kit.helpers.dodo_datafast import (
    ORDER_REF_KEY,
    VISITOR_COOKIE,
    Event,
    PayloadError,
    Signed,
    read_event,
)

FORGOTTEN = "forgotten"
"""Stands in the metadata where the visitor's id stood, so that a later reading knows it as well."""

# What the kit reads of an object, but for its customer and its metadata. Everything else goes,
# also the fields that Dodo may add some day.
MONEY_FIELDS = frozenset(
    {
        *("payment_id", "recovered_payment_id", "checkout_session_id", "brand_id"),
        *("subscription_id", "subscription_ids", "refund_id", "dispute_id"),
        *("status", "charge_type", "retry_attempt", "is_update_payment_method", "is_partial"),
        *("currency", "total_amount", "tax", "amount"),
        *("settlement_amount", "settlement_tax", "settlement_currency"),
        *("trial_period_days", "trial_amount", "created_at"),
    }
)


def nameless(event: Event) -> Event:
    """Return an event that still says all about its money, and nothing of who paid."""
    metadata = {VISITOR_COOKIE: FORGOTTEN}
    if ORDER_REF_KEY in _metadata(event):
        metadata[ORDER_REF_KEY] = _metadata(event)[ORDER_REF_KEY]
    kept = {name: value for name, value in event.data.items() if name in MONEY_FIELDS}
    return replace(event, data={**kept, "metadata": metadata})


def nameless_body(signed: Signed) -> bytes | None:
    """Return the body of a message that is still to be read, made nameless; None if unreadable."""
    try:
        event = nameless(read_event(signed))
    except PayloadError:
        return None
    envelope = {"type": event.type, "timestamp": event.timestamp.isoformat(), "data": event.data}
    return json.dumps(envelope, default=float).encode()


def _metadata(event: Event) -> Mapping[str, Any]:
    metadata = event.data.get("metadata")
    return metadata if isinstance(metadata, Mapping) else {}
