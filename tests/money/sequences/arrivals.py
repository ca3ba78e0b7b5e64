"""How messages come: twice, under another id, of an unknown kind, while Dodo does not answer."""

from kit.sandbox import fixtures
from tests.money.messages import (
    BEA,
    Message,
    day,
    disputed,
    other,
    refunded,
    sold,
    subscribed,
)
from tests.money.rows import Dodo, Pass, Sequence, Stands, back, new, trial

SALE = new("pay_1", "29")
MONEY = {
    "payment.succeeded",
    "refund.succeeded",
    "dispute.lost",
    "dispute.accepted",
    "subscription.active",
}
UNKNOWN = Message("unknown", "payment.succeeded", {}, day(1), new_type="payment.captured")

SEQUENCES = (
    Sequence(name="a sale twice", steps=(sold(), sold()), reports=(SALE,)),
    Sequence(
        name="a sale under two ids",
        steps=(sold(), sold(id="other")),
        reports=(SALE,),
    ),
    Sequence(
        name="a sale under another id once it is sent",
        steps=(sold(), Pass(60), sold(id="other")),
        reports=(SALE,),
    ),
    Sequence(
        name="a sale under another id with another amount: the first stays",
        steps=(sold(), sold(total=2800, id="other")),
        reports=(SALE,),
        ordered="the first message decides",
    ),
    Sequence(
        name="the second message names the visitor before anything is sent",
        steps=(sold(visitor=None), sold(visitor=BEA, id="other")),
        reports=(new("pay_1", "29", by=BEA),),
    ),
    Sequence(
        name="a refund under two ids",
        steps=(sold(), refunded(), refunded(id="other"), refunded()),
        reports=(SALE, back("ref_1", "29")),
    ),
    Sequence(
        name="a partial refund under another id once it is sent",
        steps=(
            sold(),
            refunded(amount=2000, is_partial=True),
            Pass(60),
            refunded(amount=2000, is_partial=True, id="other"),
        ),
        reports=(SALE, back("ref_1", "20")),
    ),
    Sequence(
        name="a lost dispute under two ids",
        steps=(sold(), disputed(), disputed(id="other"), disputed()),
        reports=(SALE, back("dp_1", "29")),
    ),
    Sequence(
        name="a trial under two ids",
        steps=(subscribed(trial_days=7), subscribed(trial_days=7, id="other")),
        reports=(trial("sub_1"),),
    ),
    Sequence(
        name="every other message of the SDK",
        steps=tuple(
            other(event_type) for event_type in fixtures.event_types() if event_type not in MONEY
        ),
        left={
            event_type: "skipped event_not_money"
            for event_type in fixtures.event_types()
            if event_type not in MONEY
        },
    ),
    Sequence(
        name="a kind of message nobody knows",
        steps=(UNKNOWN, sold()),
        reports=(SALE,),
        left={"unknown": "skipped event_unknown"},
        drift=frozenset({("type", "payment.captured")}),
    ),
    Sequence(
        name="a field nobody knows",
        steps=(sold(extra={"loyalty_points": 12}),),
        reports=(SALE,),
        drift=frozenset({("field", "loyalty_points")}),
    ),
    Sequence(
        name="Dodo is away: the sale waits, and goes on",
        steps=(
            Dodo(reachable=False),
            sold(),
            Pass(7200),
            Stands("pay_1", "ready dodo_unreachable"),
            Dodo(reachable=True),
        ),
        reports=(SALE,),
    ),
    Sequence(
        name="Dodo is away: a refund's payment is looked up later",
        steps=(
            Dodo(reachable=False),
            refunded(),
            Pass(7200),
            Stands("refund ref_1", "waiting awaiting_payment"),
            Dodo(reachable=True),
            Pass(7200),
            Stands("ref_1", "held awaiting_sale"),
            sold(),
        ),
        reports=(SALE, back("ref_1", "29")),
    ),
    Sequence(
        name="Dodo is away: the sale's own message ends the wait of its refund",
        steps=(
            Dodo(reachable=False),
            refunded(),
            Pass(60),
            sold(),
            Pass(60),
            Stands("ref_1", "held awaiting_sale"),
            Dodo(reachable=True),
        ),
        reports=(SALE, back("ref_1", "29")),
    ),
    Sequence(
        name="Dodo is away: a trial waits, and goes on",
        steps=(
            Dodo(reachable=False),
            subscribed(trial_days=7),
            Pass(60),
            Stands("trial_sub_1", "ready dodo_unreachable"),
            Dodo(reachable=True),
        ),
        reports=(trial("sub_1"),),
    ),
    Sequence(
        name="Dodo is away for four days: the sale waits for a person",
        steps=(Dodo(reachable=False), sold(), Pass(96 * 3600), Dodo(reachable=True)),
        left={"pay_1": "parked horizon"},
    ),
)
