"""One-time sales: figures, currencies and what is no sale."""

from typing import Any

from kit.ledger.policy import Policy
from tests.money.messages import BEA, OLDEST, Message, sold
from tests.money.rows import Checkout, Report, Sequence, new

GROSS, NET, SETTLEMENT = Policy(), Policy(basis="net"), Policy(basis="settlement")
# A real charge in rupees, settled in dollars (amounts only).
RUPEES: dict[str, Any] = {
    "settlement_amount": 3422,
    "settlement_tax": 522,
    "settlement_currency": "USD",
}
IN_DOLLARS: dict[str, Any] = {
    "settlement_amount": 2310,
    "settlement_tax": 210,
    "settlement_currency": "USD",
}
UNSETTLED = ("settlement_amount", "settlement_tax", "settlement_currency")


def figure(
    name: str, message: Message, amount: str, currency: str, policy: Policy = GROSS
) -> Sequence:
    """Return a sequence of one sale and its one report."""
    return Sequence(
        name=name, steps=(message,), reports=(new("pay_1", amount, currency),), policy=policy
    )


def nothing(name: str, message: Message, left: str, *, policy: Policy = GROSS) -> Sequence:
    """Return a sequence of one message that becomes nothing."""
    return Sequence(name=name, steps=(message,), left={message.id: left}, policy=policy)


BOTH: tuple[Report, ...] = (new("pay_1", "29"), new("pay_2", "5", by=BEA))

SEQUENCES = (
    figure("a sale in dollars", sold(), "29", "USD"),
    figure("a sale in yen", sold(total=3300, currency="JPY"), "3300", "JPY"),
    figure("a sale in dinars", sold(total=8750, currency="KWD"), "8.75", "KWD"),
    figure("a sale in ariary, sent as it is", sold(total=3300, currency="MGA"), "3300", "MGA"),
    figure("net, in dollars", sold(tax=483), "24.17", "USD", NET),
    figure("net, in yen", sold(total=3300, tax=300, currency="JPY"), "3000", "JPY", NET),
    figure("net, in dinars", sold(total=8750, tax=1250, currency="KWD"), "7.5", "KWD", NET),
    figure("net, without a tax", sold(tax=None), "29", "USD", NET),
    figure(
        "settlement, of rupees",
        sold(total=321356, tax=49020, currency="INR", **RUPEES),
        "29",
        "USD",
        SETTLEMENT,
    ),
    figure(
        "settlement, of yen",
        sold(total=3300, tax=300, currency="JPY", **IN_DOLLARS),
        "21",
        "USD",
        SETTLEMENT,
    ),
    figure(
        "settlement, of dinars",
        sold(total=8750, tax=1250, currency="KWD", **IN_DOLLARS),
        "21",
        "USD",
        SETTLEMENT,
    ),
    figure("settlement, without its tax", sold(settlement_tax=None), "29", "USD", SETTLEMENT),
    figure("a sale whose status is null", sold(status=None), "29", "USD"),
    figure("a sale in the oldest form", sold(without=OLDEST), "29", "USD"),
    figure(
        "a late message that shows a partial refund",
        sold(refund_status="partial"),
        "29",
        "USD",
    ),
    figure("a late message that shows a full refund", sold(refund_status="full"), "29", "USD"),
    Sequence(
        name="a sale without a visitor",
        steps=(sold(visitor=None),),
        reports=(new("pay_1", "29", by=None),),
    ),
    Sequence(
        name="two buyers",
        steps=(sold(), sold("pay_2", 500, visitor=BEA)),
        reports=BOTH,
    ),
    Sequence(
        name="declined, processing and paid",
        steps=(
            sold(kind="failed", status="failed"),
            sold(kind="processing", status="processing"),
            sold(),
        ),
        reports=(new("pay_1", "29"),),
        left={
            "failed pay_1": "skipped event_not_money",
            "processing pay_1": "skipped event_not_money",
        },
    ),
    nothing(
        "processing alone",
        sold(kind="processing", status="processing"),
        "skipped event_not_money",
    ),
    nothing("cancelled", sold(kind="cancelled", status="cancelled"), "skipped event_not_money"),
    nothing(
        "succeeded, but the latest state says otherwise",
        sold(status="processing"),
        "skipped status_not_succeeded",
    ),
    nothing("a discount of 100 %", sold(total=0), "skipped zero_amount"),
    nothing(
        "a card update",
        sold(total=100, is_update_payment_method=True),
        "skipped payment_method_update",
    ),
    nothing("all of it tax", sold(total=580, tax=580), "skipped zero_amount", policy=NET),
    nothing("a currency nobody knows", sold(currency="XXX"), "parked unknown_currency"),
    nothing("an amount that is text", sold(total="2900"), "parked amount_invalid"),
    nothing("a tax above the total", sold(tax=2901), "parked amount_invalid", policy=NET),
    nothing("no payment id", sold(payment_id=None, id="nameless"), "skipped no_payment_id"),
    nothing(
        "another brand",
        sold(brand_id="brnd_other"),
        "skipped other_brand",
        policy=Policy(brands=frozenset({"brnd_contour"})),
    ),
    figure(
        "a brand that counts",
        sold(),
        "29",
        "USD",
        Policy(brands=frozenset({"brnd_contour"})),
    ),
    figure(
        "a message of the oldest form names no brand",
        sold(without=OLDEST),
        "29",
        "USD",
        Policy(brands=frozenset({"brnd_contour"})),
    ),
    Sequence(
        name="settlement read from Dodo",
        steps=(sold(total=321356, tax=49020, currency="INR", without=UNSETTLED, **RUPEES),),
        reports=(new("pay_1", "29"),),
        policy=SETTLEMENT,
    ),
    Sequence(
        name="settlement in the second message",
        steps=(sold(without=UNSETTLED, id="first"), sold(tax=400, id="second")),
        at_dodo=(sold(tax=400),),
        reports=(new("pay_1", "25"),),
        policy=SETTLEMENT,
    ),
    Sequence(
        name="settlement that Dodo does not have either",
        steps=(sold(without=UNSETTLED),),
        at_dodo=(sold(settlement_amount=None, settlement_currency=None),),
        left={"succeeded pay_1": "parked settlement_missing"},
        policy=SETTLEMENT,
    ),
    Sequence(
        name="settlement in none of two messages, nor at Dodo",
        steps=(sold(without=UNSETTLED, id="first"), sold(without=UNSETTLED, id="second")),
        at_dodo=(sold(settlement_amount=None, settlement_currency=None),),
        left={"first": "parked settlement_missing", "second": "parked settlement_missing"},
        policy=SETTLEMENT,
    ),
    Sequence(
        name="no payment of this account",
        steps=(sold(),),
        absent=frozenset({"pay_1"}),
        left={"pay_1": "parked not_at_dodo"},
    ),
    Sequence(
        name="a payment of our own checkout needs no proof",
        steps=(Checkout(), sold(session="cks_1")),
        absent=frozenset({"pay_1"}),
        reports=(new("pay_1", "29"),),
    ),
    Sequence(
        name="test mode",
        steps=(sold(),),
        left={"pay_1": "held test_mode"},
        policy=Policy(held_for="test_mode"),
    ),
)
