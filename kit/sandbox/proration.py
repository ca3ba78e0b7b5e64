"""What a plan change costs today, by the mode it is billed in."""

from decimal import ROUND_HALF_UP, Decimal

from kit.sandbox.stamps import seconds
from kit.sandbox.store import Document

PRORATION_MODES = (
    "full_immediately",
    "difference_immediately",
    "prorated_immediately",
    "prorated_immediately_keep_cycle",
    "do_not_bill",
)


def plan_charge(subscription: Document, price_minor: int, *, mode: str, at: float) -> int:
    """Return what a change to a price takes at once, in minor units; never less than nothing."""
    difference: int = max(0, price_minor - subscription["recurring_pre_tax_amount"])
    match mode:
        case "full_immediately":
            return price_minor
        case "difference_immediately":
            return difference
        case "do_not_bill":
            return 0
    starts_s = seconds(subscription["previous_billing_date"])
    ends_s = seconds(subscription["next_billing_date"])
    left_s = min(max(0.0, ends_s - at), ends_s - starts_s)
    share = Decimal(difference) * int(left_s) / max(1, int(ends_s - starts_s))
    return int(share.quantize(Decimal(1), rounding=ROUND_HALF_UP))
