"""Whose money it is: from metadata, from this ledger, from Dodo, from nowhere."""

from tests.money.messages import ADA, BEA, disputed, other, recovered, refunded, sold, subscribed
from tests.money.rows import Checkout, Pass, Sequence, back, new, renewal, trial
from tests.money.sequences.disputes import SWAP
from tests.money.sequences.renewals import charge

NOT_MONEY = "skipped event_not_money"

SEQUENCES = (
    Sequence(
        name="the metadata comes before the checkout",
        steps=(Checkout(visitor=BEA), sold(session="cks_1")),
        reports=(new("pay_1", "29", by=ADA),),
    ),
    Sequence(
        name="from the checkout, by its session",
        steps=(Checkout(), sold(visitor=None, session="cks_1")),
        reports=(new("pay_1", "29"),),
    ),
    Sequence(
        name="from the checkout, by its order, older form without a session",
        steps=(
            Checkout(),
            sold(visitor=None, order_ref="order-1", without=("checkout_session_id",)),
        ),
        reports=(new("pay_1", "29"),),
    ),
    Sequence(
        name="a static link names somebody else's order",
        steps=(Checkout(), sold(visitor=None, order_ref="order-1", session="cks_other")),
        reports=(new("pay_1", "29", by=None),),
    ),
    Sequence(
        name="the session decides between two orders",
        steps=(
            Checkout(visitor=ADA),
            Checkout("order-2", "cks_2", BEA),
            sold(visitor=None, order_ref="order-1", session="cks_2"),
        ),
        reports=(new("pay_1", "29", by=BEA),),
    ),
    Sequence(
        name="a visitor id of no form",
        steps=(Checkout(), sold(visitor="undefined", session="cks_1")),
        reports=(new("pay_1", "29"),),
    ),
    Sequence(
        name="a renewal whose metadata came along",
        steps=(charge("pay_1", 1, "new"), charge("pay_2", 31)),
        reports=(new("pay_1", "9"), renewal("pay_2", "9")),
    ),
    Sequence(
        name="a renewal, from the subscription's message",
        steps=(
            charge("pay_1", 1, "new"),
            subscribed(),
            charge("pay_2", 31, visitor=None),
        ),
        reports=(new("pay_1", "9"), renewal("pay_2", "9")),
        left={"active sub_1": NOT_MONEY},
    ),
    Sequence(
        name="a renewal, from the first charge alone",
        steps=(charge("pay_1", 1, "new"), charge("pay_2", 31, visitor=None)),
        reports=(new("pay_1", "9"), renewal("pay_2", "9")),
    ),
    Sequence(
        name="a renewal, from the first charge that is sent already",
        steps=(charge("pay_1", 1, "new"), Pass(60), charge("pay_2", 31, visitor=None)),
        reports=(new("pay_1", "9"), renewal("pay_2", "9")),
    ),
    Sequence(
        name="a renewal, from the checkout of the first charge",
        steps=(
            Checkout(),
            charge("pay_1", 1, "new", visitor=None, session="cks_1"),
            charge("pay_2", 31, visitor=None),
        ),
        reports=(new("pay_1", "9"), renewal("pay_2", "9")),
    ),
    Sequence(
        name="a renewal, from the subscription's order",
        steps=(
            Checkout(),
            subscribed(visitor=None, order_ref="order-1"),
            charge("pay_1", 1, "new", visitor=None),
            charge("pay_2", 31, visitor=None),
        ),
        reports=(new("pay_1", "9"), renewal("pay_2", "9")),
        left={"active sub_1": NOT_MONEY},
    ),
    Sequence(
        name="a renewal, from the subscription at Dodo",
        steps=(charge("pay_2", 5, visitor=None),),
        at_dodo=(charge("pay_1", -25, "new", visitor=None), subscribed(on=-25)),
        reports=(renewal("pay_2", "9"),),
    ),
    Sequence(
        name="a renewal that nobody knows",
        steps=(charge("pay_2", 5, visitor=None),),
        at_dodo=(charge("pay_1", -25, "new", visitor=None), subscribed(visitor=None)),
        reports=(renewal("pay_2", "9", by=None),),
    ),
    Sequence(
        name="a renewal whose subscription Dodo does not have",
        steps=(charge("pay_2", 5, "new", visitor=None),),
        reports=(new("pay_2", "9", by=None),),
    ),
    Sequence(
        name="the second subscription of a payment names the visitor",
        steps=(
            charge("pay_1", 1, "new", total=2400, sub=("sub_1", "sub_2"), visitor=None),
            subscribed("sub_2"),
        ),
        reports=(new("pay_1", "24"),),
        left={"active sub_2": NOT_MONEY},
    ),
    Sequence(
        name="a refund, from the payment's metadata",
        steps=(sold(visitor=BEA), refunded()),
        reports=(new("pay_1", "29", by=BEA), back("ref_1", "29", by=BEA)),
    ),
    Sequence(
        name="a refund, from the checkout",
        steps=(Checkout(visitor=BEA), sold(visitor=None, session="cks_1"), refunded()),
        reports=(new("pay_1", "29", by=BEA), back("ref_1", "29", by=BEA)),
    ),
    Sequence(
        name="a refund of a payment that only Dodo had",
        steps=(refunded(), Pass(60), sold()),
        reports=(new("pay_1", "29"), back("ref_1", "29")),
    ),
    Sequence(
        name="a refund of a renewal whose visitor came from Dodo",
        steps=(charge("pay_2", 5, visitor=None), refunded("pay_2", 900, on=6)),
        at_dodo=(charge("pay_1", -25, "new", visitor=None), subscribed(on=-25)),
        reports=(renewal("pay_2", "9"), back("ref_1", "9")),
    ),
    Sequence(
        name="a dispute of a renewal, from the subscription's message",
        steps=(
            subscribed(),
            charge("pay_1", 1, "new"),
            charge("pay_2", 31, visitor=None),
            disputed("pay_2", "900", on=40),
        ),
        reports=(new("pay_1", "9"), renewal("pay_2", "9"), back("dp_1", "9")),
        left={"active sub_1": NOT_MONEY},
    ),
    Sequence(
        name="a refund of a sale without a visitor",
        steps=(sold(visitor=None), refunded()),
        reports=(new("pay_1", "29", by=None), back("ref_1", "29", by=None)),
    ),
    Sequence(
        name="a recovered checkout, from the abandoned payment",
        steps=(
            sold("pay_1", kind="failed", status="failed"),
            recovered("pay_1", "pay_2"),
            sold("pay_2", on=2, visitor=None),
        ),
        reports=(new("pay_2", "29"),),
        left={"failed pay_1": NOT_MONEY, "recovered pay_1": NOT_MONEY},
    ),
    Sequence(
        name="a recovered checkout, from the order of the abandoned payment",
        steps=(
            Checkout(),
            sold("pay_1", kind="failed", status="failed", visitor=None, session="cks_1"),
            recovered("pay_1", "pay_2"),
            sold("pay_2", on=2, visitor=None),
        ),
        reports=(new("pay_2", "29"),),
        left={"failed pay_1": NOT_MONEY, "recovered pay_1": NOT_MONEY},
    ),
    Sequence(
        name="a recovered checkout, refunded",
        steps=(
            sold("pay_1", kind="failed", status="failed"),
            recovered("pay_1", "pay_2"),
            sold("pay_2", on=2, visitor=None),
            refunded("pay_2"),
        ),
        reports=(new("pay_2", "29"), back("ref_1", "29")),
        left={"failed pay_1": NOT_MONEY, "recovered pay_1": NOT_MONEY},
    ),
    Sequence(
        name="an abandoned checkout that nobody paid",
        steps=(
            sold("pay_1", kind="failed", status="failed"),
            other("abandoned_checkout.detected", payment_id="pay_1"),
        ),
        left={"failed pay_1": NOT_MONEY, "abandoned_checkout.detected": NOT_MONEY},
    ),
    Sequence(
        name="a subscription from landing to dispute",
        steps=(
            Checkout(),
            charge("pay_0", 1, "new", total=0, session="cks_1"),
            subscribed(trial_days=14),
            charge("pay_1", 15, visitor=None),
            charge("pay_2", 45, visitor=None),
            refunded("pay_2", 300, on=50, is_partial=True),
            disputed("pay_2", "900", on=60),
        ),
        reports=(
            trial("sub_1"),
            new("pay_1", "9"),
            renewal("pay_2", "9"),
            back("ref_1", "3"),
            back("dp_1", "6"),
        ),
        left={"succeeded pay_0": "skipped zero_amount"},
        ordered=SWAP,
    ),
)
