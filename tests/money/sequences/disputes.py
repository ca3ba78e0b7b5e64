"""Money taken back by the bank: once, whatever its stages and whatever was refunded before."""

from kit.ledger.policy import Policy
from tests.money.messages import ADA, BEA, Message, disputed, refunded, sold
from tests.money.rows import Checkout, Pass, Sequence, Stands, back, new

SALE = new("pay_1", "29")
SWAP = "refund and dispute may swap: whichever is read first takes, the other has what is left"
YEN, DINARS = sold(total=3300, currency="JPY"), sold(total=8750, currency="KWD")


def read_as(amount: object, taken: str, how: str) -> Sequence:
    """Return a lost dispute whose amount is understood."""
    return Sequence(
        name=f"dispute of {how}",
        steps=(sold(), disputed(amount=amount)),
        reports=(SALE, back("dp_1", taken)),
    )


def unclear(amount: object, how: str) -> Sequence:
    """Return a lost dispute whose amount could mean two things, or nothing."""
    return Sequence(
        name=f"dispute of {how}",
        steps=(sold(), disputed(amount=amount)),
        reports=(SALE,),
        left={"lost dp_1": "parked dispute_amount_unclear"},
    )


def stage(kind: str) -> Sequence:
    """Return a dispute that takes nothing."""
    message = disputed(kind=kind)
    return Sequence(
        name=f"dispute {kind}",
        steps=(sold(), message),
        reports=(SALE,),
        left={message.id: "skipped event_not_money"},
    )


def both(
    name: str, first: Message, second: Message, taken: dict[str, str], left: str | None = None
) -> Sequence:
    """Return a refund and a dispute of one sale, in this order."""
    return Sequence(
        name=name,
        steps=(sold(), first, second),
        reports=(SALE, *(back(id_, amount) for id_, amount in taken.items())),
        left={second.id: left} if left else {},
        ordered=SWAP,
    )


SEQUENCES = (
    Sequence(
        name="a dispute that is lost",
        steps=(sold(), disputed()),
        reports=(SALE, back("dp_1", "29")),
    ),
    Sequence(
        name="a dispute that is accepted",
        steps=(sold(), disputed(kind="accepted")),
        reports=(SALE, back("dp_1", "29")),
    ),
    Sequence(
        name="a dispute through all its stages to the end",
        steps=(
            sold(),
            disputed(kind="opened", on=5),
            disputed(kind="challenged", on=6),
            disputed(kind="accepted", on=7),
            disputed(on=8),
        ),
        reports=(SALE, back("dp_1", "29")),
        left={
            "opened dp_1": "skipped event_not_money",
            "challenged dp_1": "skipped event_not_money",
        },
    ),
    *(stage(kind) for kind in ("opened", "challenged", "expired", "cancelled", "won")),
    Sequence(
        name="a dispute won after it was lost",
        steps=(sold(), disputed(), disputed(kind="won", on=20)),
        reports=(SALE, back("dp_1", "29")),
        left={"won dp_1": "parked dispute_won_after_reversal"},
        ordered="read first, the win has nothing to undo",
    ),
    read_as("2900", "29", "its total in minor units"),
    read_as("29.00", "29", "its total in major units"),
    read_as("29.0", "29", "its total with one decimal"),
    read_as("29", "29", "its total without decimals"),
    read_as("1450", "14.5", "a part in minor units"),
    read_as(2900, "29", "a whole number"),
    unclear("14.50", "a part in major units"),
    unclear("2901", "more than the sale"),
    unclear("-2900", "less than nothing"),
    unclear("1e3", "a power of ten"),
    unclear("2,900", "a comma"),
    unclear("USD 29", "words"),
    unclear("", "an empty string"),
    unclear("٢٩٠٠", "digits of another script"),
    unclear(None, "null"),
    unclear(29.0, "a fraction"),
    unclear(True, "a truth"),
    Sequence(
        name="a dispute in yen",
        steps=(YEN, disputed(amount="3300", currency="JPY")),
        reports=(new("pay_1", "3300", "JPY"), back("dp_1", "3300", "JPY")),
    ),
    Sequence(
        name="a dispute in dinars",
        steps=(DINARS, disputed(amount="8.750", currency="KWD")),
        reports=(new("pay_1", "8.75", "KWD"), back("dp_1", "8.75", "KWD")),
    ),
    Sequence(
        name="a dispute in another currency",
        steps=(sold(), disputed(currency="EUR")),
        reports=(SALE,),
        left={"lost dp_1": "parked reversal_currency_differs"},
    ),
    Sequence(
        name="a dispute of a payment in a currency nobody knows",
        steps=(sold(currency="XXX"), disputed(currency="XXX")),
        left={
            "succeeded pay_1": "parked unknown_currency",
            "lost dp_1": "parked unknown_currency",
        },
    ),
    both(
        "resolved by RDR, then refunded",
        disputed(on=4, is_resolved_by_rdr=True),
        refunded(on=5),
        {"dp_1": "29"},
        "skipped already_reversed",
    ),
    both(
        "refunded, then resolved by RDR",
        refunded(on=4),
        disputed(on=5, is_resolved_by_rdr=True),
        {"ref_1": "29"},
        "skipped already_reversed",
    ),
    both(
        "a part refunded, then all disputed",
        refunded(amount=1000, is_partial=True),
        disputed(),
        {"ref_1": "10", "dp_1": "19"},
    ),
    both(
        "a part disputed, then all refunded",
        disputed(amount="1000", on=2),
        refunded(),
        {"dp_1": "10", "ref_1": "19"},
    ),
    Sequence(
        name="all disputed and a part refunded",
        steps=(sold(), disputed(), refunded(amount=1000, is_partial=True)),
        reports=(SALE, back("dp_1", "29")),
        left={"refund ref_1": "skipped already_reversed"},
        ordered=SWAP,
    ),
    Sequence(
        name="two disputes and two refunds of one sale",
        steps=(
            sold(),
            refunded(amount=1000, is_partial=True),
            disputed(),
            refunded(amount=500, is_partial=True, refund_id="ref_2"),
            disputed(dispute_id="dp_2"),
        ),
        reports=(SALE, back("ref_1", "10"), back("dp_1", "19")),
        left={
            "refund ref_2": "skipped already_reversed",
            "lost dp_2": "skipped already_reversed",
        },
        ordered=SWAP,
    ),
    Sequence(
        name="disputes are left out",
        steps=(sold(), disputed(kind="opened"), disputed()),
        reports=(SALE,),
        left={
            "opened dp_1": "skipped disputes_ignored",
            "lost dp_1": "skipped disputes_ignored",
        },
        policy=Policy(reverse_disputes=False),
    ),
    Sequence(
        name="disputes are left out, refunds are not",
        steps=(sold(), disputed(), refunded()),
        reports=(SALE, back("ref_1", "29")),
        left={"lost dp_1": "skipped disputes_ignored"},
        policy=Policy(reverse_disputes=False),
    ),
    Sequence(
        name="a dispute waits for its sale",
        steps=(disputed(), Pass(60), Stands("dp_1", "held awaiting_sale"), sold()),
        reports=(SALE, back("dp_1", "29")),
    ),
    Sequence(
        name="a dispute of a sale older than the ledger",
        steps=(disputed(),),
        at_dodo=(sold(on=-40),),
        left={"dp_1": "parked original_not_reported"},
    ),
    Sequence(
        name="a dispute looked up at Dodo: another brand",
        steps=(disputed(),),
        at_dodo=(sold(brand_id="brnd_other"),),
        left={"lost dp_1": "skipped other_brand"},
        policy=Policy(brands=frozenset({"brnd_contour"})),
    ),
    Sequence(
        name="a dispute of a sale that does not count",
        steps=(sold(total=100, is_update_payment_method=True), disputed(amount="100")),
        left={
            "succeeded pay_1": "skipped payment_method_update",
            "lost dp_1": "skipped original_not_counted",
        },
    ),
    Sequence(
        name="a dispute of another brand, which it does not name",
        steps=(sold(brand_id="brnd_other"), disputed()),
        left={
            "succeeded pay_1": "skipped other_brand",
            "lost dp_1": "skipped other_brand",
        },
        policy=Policy(brands=frozenset({"brnd_contour"})),
    ),
    Sequence(
        name="a dispute without an id",
        steps=(sold(), disputed(dispute_id=None, id="nameless")),
        reports=(SALE,),
        left={"nameless": "skipped no_dispute_id"},
    ),
    Sequence(
        name="a dispute finds its visitor through the checkout",
        steps=(Checkout(visitor=BEA), sold(visitor=None, session="cks_1"), disputed()),
        reports=(new("pay_1", "29", by=BEA), back("dp_1", "29", by=BEA)),
    ),
    Sequence(
        name="net: a lost dispute takes back the net",
        steps=(sold(tax=483), disputed()),
        reports=(new("pay_1", "24.17"), back("dp_1", "24.17", by=ADA)),
        policy=Policy(basis="net"),
    ),
)
