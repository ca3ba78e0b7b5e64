"""Bodies as they came, without what says who somebody is."""

import json
import re
from collections.abc import Iterator
from typing import Final

from kit.helpers.dodo_datafast import ORDER_REF_KEY, SESSION_COOKIE, VISITOR_COOKIE

MASK: Final = "•••"

# Values that say nothing of a person. All others are masked, also those of fields that Dodo may add
# some day; true, false and null are shown anyway.
_SHOWN = frozenset(
    {
        *("type", "timestamp", "payload_type", "business_id", "brand_id"),
        *("id", "payment_id", "recovered_payment_id", "checkout_session_id", "customer_id"),
        *("subscription_id", "subscription_ids", "refund_id", "dispute_id", "payout_id"),
        *("product_id", "addon_id", "discount_id", "entitlement_id", "grant_id"),
        *("credit_entitlement_id", "meter_id", "payment_method_id", "invoice_id"),
        *("status", "charge_type", "refund_status", "dispute_stage", "dispute_status"),
        *("trigger_state", "transaction_type", "reference_type", "integration_type", "source"),
        *("abandonment_reason", "revocation_reason", "error_code", "error_message"),
        *("cancelled_by", "cancellation_feedback", "network_reference_type"),
        *("payment_method", "payment_method_type", "payment_provider", "card_network", "card_type"),
        *("three_ds_flow", "three_ds_status", "three_ds_version"),
        *("total_amount", "tax", "amount", "currency", "fee", "refunds", "chargebacks", "price"),
        *("settlement_amount", "settlement_tax", "settlement_currency", "trial_amount"),
        *("recurring_pre_tax_amount", "balance_before", "balance_after"),
        *("overage_before", "overage_after", "quantity", "retry_attempt"),
        "discount_cycles_remaining",
        *("trial_period_days", "payment_frequency_count", "payment_frequency_interval"),
        *("subscription_period_count", "subscription_period_interval"),
        *("instances_count", "activations_limit"),
        *("created_at", "updated_at", "previous_billing_date", "next_billing_date"),
        *("cancelled_at", "paused_at", "expires_at", "abandoned_at", "past_due_ends_at"),
        *("delivered_at", "revoked_at", "start_date", "end_date", "network_reference_updated_at"),
        "country",
    }
)
# Of what a shop writes there itself, only what the kit put in is known.
_SHOWN_METADATA = frozenset({VISITOR_COOKIE, SESSION_COOKIE, ORDER_REF_KEY})

_PIECE = re.compile(r'\s+|"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^\s{}\[\]:,"]+', re.DOTALL)


def masked(body: bytes) -> str | None:
    """
    Return a JSON body in lines, each value as it came, with personal values masked.

    None for a body that is no JSON: nothing tells what in it is personal.
    """
    try:
        text = body.decode()
        json.loads(text)
    except (ValueError, RecursionError):
        return None
    return "".join(_Masking().lines(text))


class _Masking:
    """Goes through a body's pieces and knows under which name each value stands."""

    def __init__(self) -> None:
        self._names: list[str] = []
        """The name of every object and list around, the innermost last."""
        self._objects: list[bool] = []
        self._name = ""

    def lines(self, text: str) -> Iterator[str]:
        pieces = [piece for piece in _PIECE.findall(text) if not piece.isspace()]
        for piece, following in zip(pieces, [*pieces[1:], ""], strict=True):
            if piece in "{[":
                self._names.append(self._name)
                self._objects.append(piece == "{")
                empty = following in ("}", "]")
                yield piece if empty else piece + self._break()
            elif piece in "}]":
                self._name = self._names.pop()
                self._objects.pop()
                # An empty one was opened just before.
                yield piece
            elif piece == ",":
                yield piece + self._break()
            elif piece == ":":
                yield ": "
            elif following == ":":
                self._name = str(json.loads(piece))
                yield piece
            else:
                yield self._value(piece)
            if following in ("}", "]") and piece not in ("{", "["):
                yield self._break(-1)

    def _break(self, change: int = 0) -> str:
        return "\n" + "  " * (len(self._objects) + change)

    def _value(self, piece: str) -> str:
        if piece in ("true", "false", "null"):
            return piece
        # What stands in a list goes by the list's name.
        in_object = bool(self._objects) and self._objects[-1]
        name = self._name if in_object or not self._names else self._names[-1]
        shown = _SHOWN_METADATA if "metadata" in self._names else _SHOWN
        if name in shown and "@" not in piece and "\\" not in piece:
            return piece
        return f'"{MASK}"' if piece.startswith('"') else MASK
