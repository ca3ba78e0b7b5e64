"""How objects looked before Dodo added fields: bodies as older accounts may still get them.

First sight of each field in the SDK's history: versions 1.111.0 of August 2026 and before. No
version number of webhook bodies is documented, so nobody can say that these are gone.
"""

from typing import Any

_SINCE_AUGUST_2026 = {
    "payment": {
        "charge_type",
        "includes_usage",
        "is_multi_subscription",
        "service_periods",
        "subscription_ids",
    },
    "subscription": {"past_due_ends_at", "payment_id"},
}
_SINCE_SEPTEMBER_2025 = {
    "payment": {
        "checkout_session_id",
        "custom_field_responses",
        "invoice_url",
        "is_update_payment_method",
        "payment_provider",
        "retry_attempt",
    },
    "subscription": {"custom_field_responses"},
}
SHAPES = ("current", "2026-07", "2025-08")


def shaped(kind: str, document: dict[str, Any], shape: str) -> dict[str, Any]:
    """Return an object as it looked at the end of that month; "current" changes nothing."""
    if shape == "current":
        return document
    absent = set(_SINCE_AUGUST_2026.get(kind, ()))
    if shape == "2025-08":
        absent |= _SINCE_SEPTEMBER_2025.get(kind, set())
    return {field: value for field, value in document.items() if field not in absent}
