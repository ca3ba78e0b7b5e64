"""How this shop counts, and which messages it takes to count."""

from dataclasses import dataclass

from kit.helpers.dodo_datafast import Basis

EVENTS_READ = (
    *("payment.succeeded", "payment.processing", "payment.failed", "payment.cancelled"),
    *("refund.succeeded", "dispute.lost", "dispute.accepted", "dispute.won"),
    *("subscription.active", "abandoned_checkout.recovered"),
)
"""The types of messages that this ledger needs; it keeps all others too, and counts nothing."""
FOR_A_PERSON = frozenset(
    {
        "amount_invalid",
        "dispute_amount_unclear",
        "dispute_won_after_reversal",
        "mapping_failed",
        "original_unknown",
        "refund_amount_missing",
        "refund_exceeds_sale",
        "reversal_currency_differs",
        "settlement_missing",
        "unknown_currency",
    }
)
"""Skips that somebody should look at: the money is real, and cannot be reported as it stands."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How this shop counts: the settings that decide what becomes of an event."""

    basis: Basis = "gross"
    send_customer: bool = False
    brands: frozenset[str] = frozenset()
    """Brand ids to count; empty counts all."""
    held_for: str | None = None
    """The reason that keeps every delivery from being sent, such as "test_mode"."""
    reverse_disputes: bool = True
    hold_s: float = 600.0
    """How long a sale without a visitor waits for the buyer to come back with one."""
