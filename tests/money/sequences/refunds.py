"""Money given back: in parts, early, late, in doubt, and in the figure the sale was counted in."""

from kit.ledger.policy import Policy
from tests.money.messages import Message, refunded, sold
from tests.money.rows import Dodo, Pass, Sequence, Stands, back, new, renewal
from tests.money.sequences.renewals import FIRST, charge

SALE = new("pay_1", "29")


def in_doubt(name: str, refund: Message, left: str) -> Sequence:
    """Return a sale and a refund that is not reported."""
    return Sequence(name=name, steps=(sold(), refund), reports=(SALE,), left={"refund ref_1": left})


SEQUENCES = (
    Sequence(
        name="a full refund",
        steps=(sold(), refunded()),
        reports=(SALE, back("ref_1", "29")),
    ),
    Sequence(
        name="a partial refund",
        steps=(sold(), refunded(amount=1000, is_partial=True)),
        reports=(SALE, back("ref_1", "10")),
    ),
    Sequence(
        name="two partial refunds",
        steps=(
            sold(),
            refunded(amount=1000, is_partial=True),
            refunded(amount=500, is_partial=True, refund_id="ref_2"),
        ),
        reports=(SALE, back("ref_1", "10"), back("ref_2", "5")),
    ),
    Sequence(
        name="two partial refunds and the rest",
        steps=(
            sold(refund_status="full"),
            refunded(amount=1000, is_partial=True),
            refunded(amount=500, is_partial=True, refund_id="ref_2"),
            refunded(amount=1400, is_partial=True, refund_id="ref_3"),
        ),
        reports=(SALE, back("ref_1", "10"), back("ref_2", "5"), back("ref_3", "14")),
    ),
    Sequence(
        name="more refunded than sold",
        steps=(
            sold(),
            refunded(amount=2000, is_partial=True),
            refunded(amount=1500, is_partial=True, refund_id="ref_2"),
        ),
        reports=(SALE, back("ref_1", "20")),
        left={"refund ref_2": "parked refund_exceeds_sale"},
        ordered="which of the two is too much depends on which is read first",
    ),
    in_doubt("one refund above the sale", refunded(amount=2901), "parked refund_exceeds_sale"),
    Sequence(
        name="a refund before its sale",
        steps=(refunded(), sold()),
        reports=(SALE, back("ref_1", "29")),
    ),
    Sequence(
        name="a refund waits for its sale, an hour long",
        steps=(
            refunded(on=1),
            Pass(3600),
            Stands("ref_1", "held awaiting_sale"),
            sold(on=0.5),
        ),
        reports=(SALE, back("ref_1", "29")),
    ),
    Sequence(
        name="a refund of a sale that is sent already",
        steps=(sold(), Pass(60), refunded()),
        reports=(SALE, back("ref_1", "29")),
    ),
    Sequence(
        name="a refund of nothing sold",
        steps=(sold(total=0), refunded(amount=100)),
        left={
            "succeeded pay_1": "skipped zero_amount",
            "refund ref_1": "skipped original_not_counted",
        },
    ),
    Sequence(
        name="a refund of a sale that cannot be read waits for it",
        steps=(sold(total="2900"), refunded()),
        at_dodo=(sold(),),
        left={"succeeded pay_1": "parked amount_invalid", "ref_1": "held awaiting_sale"},
    ),
    Sequence(
        name="a refund of a sale that one message did not count and another did",
        steps=(sold(status="processing", id="early"), sold(), refunded()),
        at_dodo=(sold(),),
        reports=(SALE, back("ref_1", "29")),
        left={"early": "skipped status_not_succeeded"},
        ordered="between the two, the refund would belong to nothing counted",
    ),
    Sequence(
        name="a refund of a payment that Dodo cannot tell the amount of",
        steps=(refunded(),),
        at_dodo=(sold(total=None),),
        left={"refund ref_1": "parked original_unknown"},
    ),
    Sequence(
        name="a refund of a card update",
        steps=(sold(total=100, is_update_payment_method=True), refunded(amount=100)),
        left={
            "succeeded pay_1": "skipped payment_method_update",
            "refund ref_1": "skipped original_not_counted",
        },
    ),
    Sequence(
        name="a refund before the sale that does not count",
        steps=(
            refunded(),
            Pass(60),
            Stands("ref_1", "held awaiting_sale"),
            sold(status="processing"),
        ),
        at_dodo=(sold(),),
        left={
            "succeeded pay_1": "skipped status_not_succeeded",
            "ref_1": "done original_not_counted",
        },
    ),
    Sequence(
        name="a refund of another brand",
        steps=(sold(brand_id="brnd_other"), refunded(brand_id="brnd_other")),
        left={
            "succeeded pay_1": "skipped other_brand",
            "refund ref_1": "skipped other_brand",
        },
        policy=Policy(brands=frozenset({"brnd_contour"})),
    ),
    Sequence(
        name="a refund of a sale older than the ledger",
        steps=(refunded(on=1),),
        at_dodo=(sold(on=-9),),
        left={"ref_1": "parked original_not_reported"},
    ),
    Sequence(
        name="a refund of a sale that comes from before the ledger after all",
        steps=(refunded(on=1), Pass(60), sold(on=-0.01)),
        reports=(SALE, back("ref_1", "29")),
    ),
    Sequence(
        name="a refund of no payment of this account",
        steps=(refunded(),),
        left={"refund ref_1": "skipped not_at_dodo"},
    ),
    Sequence(
        name="a refund without an amount, of all",
        steps=(sold(), refunded(amount=None)),
        reports=(SALE, back("ref_1", "29")),
    ),
    in_doubt(
        "a refund without an amount, of a part",
        refunded(amount=None, is_partial=True),
        "parked refund_amount_missing",
    ),
    Sequence(
        name="a refund without an amount, after another",
        steps=(
            sold(),
            refunded(amount=900, is_partial=True),
            refunded(amount=None, refund_id="ref_2"),
        ),
        reports=(SALE, back("ref_1", "9")),
        left={"refund ref_2": "parked refund_amount_missing"},
        ordered="read first, the refund without an amount is the only one",
    ),
    Sequence(
        name="a refund without a currency",
        steps=(sold(), refunded(amount=1000, currency=None)),
        reports=(SALE, back("ref_1", "10")),
    ),
    in_doubt(
        "a refund in another currency",
        refunded(amount=2500, currency="EUR"),
        "parked reversal_currency_differs",
    ),
    in_doubt("a refund whose amount is text", refunded(amount="2900"), "parked amount_invalid"),
    in_doubt("a refund of nothing", refunded(amount=0), "skipped zero_amount"),
    Sequence(
        name="a refund whose status is null",
        steps=(sold(), refunded(status=None)),
        reports=(SALE, back("ref_1", "29")),
    ),
    in_doubt("a refund on its way", refunded(status="pending"), "skipped status_not_succeeded"),
    in_doubt("a refund that failed", refunded(kind="failed"), "skipped event_not_money"),
    in_doubt(
        "a refund without an id",
        refunded(refund_id=None, id="refund ref_1"),
        "skipped no_refund_id",
    ),
    Sequence(
        name="a refund of a sale that waits for Dodo waits too",
        steps=(
            Dodo(reachable=False),
            sold(),
            refunded(),
            Pass(300),
            Stands("pay_1", "ready dodo_unreachable"),
            Stands("ref_1", "held awaiting_sale"),
            Dodo(reachable=True),
        ),
        reports=(SALE, back("ref_1", "29")),
    ),
    Sequence(
        name="a refund of a parked sale waits",
        steps=(sold(), refunded()),
        absent=frozenset({"pay_1"}),
        left={"pay_1": "parked not_at_dodo", "ref_1": "held awaiting_sale"},
        ordered="read first, the refund itself finds no payment at Dodo",
    ),
    Sequence(
        name="a refund in test mode",
        steps=(sold(), refunded()),
        left={"pay_1": "held test_mode", "ref_1": "held test_mode"},
        policy=Policy(held_for="test_mode"),
    ),
    Sequence(
        name="a refund in yen",
        steps=(
            sold(total=3300, currency="JPY"),
            refunded(amount=1100, is_partial=True, currency="JPY"),
        ),
        reports=(new("pay_1", "3300", "JPY"), back("ref_1", "1100", "JPY")),
    ),
    Sequence(
        name="a refund in dinars",
        steps=(
            sold(total=8750, currency="KWD"),
            refunded(amount=1251, is_partial=True, currency="KWD"),
        ),
        reports=(new("pay_1", "8.75", "KWD"), back("ref_1", "1.251", "KWD")),
    ),
    Sequence(
        name="a refund of a renewal",
        steps=(FIRST, charge("pay_2", 31), refunded("pay_2", 900, on=32)),
        reports=(new("pay_1", "9"), renewal("pay_2", "9"), back("ref_1", "9")),
    ),
)
