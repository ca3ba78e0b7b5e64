"""Whatever a signed message holds, the ledger reads it, and the messages beside it too."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.money.harness import Shop
from tests.money.messages import Message, day, sold
from tests.money.rows import Sequence, new
from tests.money.test_orders import ORDERS

pytestmark = pytest.mark.anyio

# Lone surrogates, NUL and numbers past 64 bits are all JSON; a database takes none of them.
TEXTS = st.one_of(
    st.text(max_size=8),
    st.sampled_from(["pay_1", "sub_1", "ref_1", "\ud800", "\x00", "USD", "XXX", "2900", "9" * 40]),
)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-(10**20), 10**20), TEXTS)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=4,
)
FIELDS = {
    "payment.succeeded": (
        "payment_id", "status", "total_amount", "tax", "currency", "metadata", "customer",
        "created_at", "charge_type", "subscription_id", "subscription_ids", "settlement_amount",
        "checkout_session_id", "brand_id", "retry_attempt", "is_update_payment_method",
    ),
    "payment.processing": ("payment_id", "status", "total_amount", "currency", "created_at"),
    "refund.succeeded": (
        "refund_id", "payment_id", "amount", "currency", "is_partial", "status", "created_at",
        "brand_id", "customer",
    ),
    "dispute.lost": ("dispute_id", "payment_id", "amount", "currency", "created_at"),
    "dispute.won": ("dispute_id", "payment_id", "amount", "currency"),
    "subscription.active": (
        "subscription_id", "trial_period_days", "trial_amount", "currency", "created_at",
        "metadata", "payment_id",
    ),
    "abandoned_checkout.recovered": ("payment_id", "recovered_payment_id"),
}  # fmt: skip


@st.composite
def hostile(draw: st.DrawFn) -> Message:
    """Draw a message with some of its fields replaced by anything."""
    event_type = draw(st.sampled_from(sorted(FIELDS)))
    names = draw(st.lists(st.sampled_from(FIELDS[event_type]), max_size=4, unique=True))
    extra: dict[str, Any] = {name: draw(VALUES) for name in names}
    if "payment_id" not in extra and draw(st.booleans()):
        extra["payment_id"] = "pay_1"
    return Message(f"hostile {event_type}", event_type, {}, day(2), extra=extra)


@ORDERS
@given(message=hostile())
async def test_no_message_stops_the_ledger(shop: Shop, message: Message) -> None:
    """The hostile one is settled, and the sale that came with it is reported."""
    sale = sold("pay_9", visitor=None)
    result = await shop.play(Sequence(name="hostile", steps=(sold(), message, sale)))
    how = result.left.get(message.id, "mapped")

    assert new("pay_9", "29", by=None) in result.reports
    assert how.split()[0] in ("mapped", "skipped", "parked", "unreadable")
    assert not [left for left in result.left.values() if "unexpected" in left]
