"""Notice what Dodo sends that this version of the kit does not know: new types, new fields."""

from collections.abc import Sequence

from sqlalchemy import Connection, func, select

from kit.helpers.dodo_datafast import Event
from kit.ledger.facts import identifier
from kit.ledger.rows import Row, insert_or_ignore
from kit.ledger.schema import drift

MAX_KEPT = 200

# The official SDK 1.123.0 (October 2026).
_ACTIONS = {
    "payment": "succeeded failed processing cancelled",
    "refund": "succeeded failed",
    "dispute": "opened expired accepted cancelled challenged won lost",
    "subscription": "active renewed on_hold past_due paused unpaused cancelled failed expired "
    "plan_changed updated update_payment_method",
    "license_key": "created",
    "payout": "created on_hold in_progress failed success",
    "credit": "added deducted expired rolled_over rollover_forfeited overage_charged overage_reset "
    "manual_adjustment balance_low",
    "abandoned_checkout": "detected recovered",
    "dunning": "started recovered",
    "entitlement_grant": "created delivered failed revoked",
}
EVENT_TYPES = frozenset(
    f"{subject}.{action}" for subject, actions in _ACTIONS.items() for action in actions.split()
)
PAYMENT_FIELDS = frozenset(
    {
        *("billing", "brand_id", "business_id", "card_exp_month", "card_exp_year"),
        *("card_holder_name", "card_issuing_country", "card_last_four", "card_network"),
        *("card_type", "charge_type", "checkout_session_id", "created_at", "currency"),
        *("custom_field_responses", "customer", "digital_products_delivered", "discount_id"),
        *("discounts", "disputes", "error_code", "error_message", "includes_usage"),
        *("invoice_id", "invoice_url", "is_multi_subscription", "is_update_payment_method"),
        *("metadata", "payload_type", "payment_id", "payment_link", "payment_method"),
        *("payment_method_id", "payment_method_type", "payment_provider", "product_cart"),
        *("refund_status", "refunds", "retry_attempt", "service_periods", "settlement_amount"),
        *("settlement_currency", "settlement_tax", "status", "subscription_id"),
        *("subscription_ids", "tax", "three_ds_flow", "three_ds_status", "three_ds_version"),
        *("total_amount", "updated_at"),
    }
)


def note_drift(connection: Connection, event: Event, now_ms: int) -> bool:
    """Keep what is new about a message; return whether its very type is unknown."""
    unknown_type = event.type not in EVENT_TYPES
    if unknown_type:
        _keep(connection, "type", event.type, now_ms)
    elif event.type.startswith("payment."):
        for name in event.data.keys() - PAYMENT_FIELDS:
            _keep(connection, "field", name, now_ms)
    return unknown_type


def _keep(connection: Connection, kind: str, name: str, now_ms: int) -> None:
    kept = connection.scalar(select(func.count()).select_from(drift)) or 0
    if identifier(name) is not None and kept < MAX_KEPT:
        connection.execute(
            insert_or_ignore(connection, drift).values(
                kind=kind, name=name, first_seen_at_ms=now_ms
            )
        )


def drifted(connection: Connection) -> Sequence[Row]:
    """Return all that was new, oldest first."""
    return connection.execute(select(drift).order_by(drift.c.first_seen_at_ms)).mappings().all()
