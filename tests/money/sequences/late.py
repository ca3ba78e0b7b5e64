"""Late attribution: the cookie was missing at checkout, and the buyer's own browser may have it."""

from kit.ledger.policy import Policy
from tests.money.messages import ADA, BEA, refunded, sold
from tests.money.rows import Checkout, Pass, Return, Sequence, Stands, back, new

LOST = Checkout(visitor=None)
PAID = sold(visitor=None, session="cks_1")
HELD = Stands("pay_1", "held awaiting_return")
ANONYMOUS, ATTRIBUTED = (new("pay_1", "29", by=None),), (new("pay_1", "29"),)

SEQUENCES = (
    Sequence(
        name="held, and joined on return",
        steps=(LOST, PAID, Pass(30), HELD, Return(ADA)),
        reports=ATTRIBUTED,
    ),
    Sequence(
        name="held, and let go by a return without a visitor",
        steps=(
            LOST,
            PAID,
            Pass(30),
            HELD,
            Return(),
            Pass(1),
            Stands("pay_1", "done recorded_without_visitor"),
        ),
        reports=ANONYMOUS,
    ),
    Sequence(
        name="held, and let go when nobody returns",
        steps=(
            LOST,
            PAID,
            Pass(599),
            HELD,
            Pass(2),
            Stands("pay_1", "done recorded_without_visitor"),
        ),
        reports=ANONYMOUS,
    ),
    Sequence(
        name="a malformed cookie is held too",
        steps=(Checkout(visitor=None, reason="malformed"), PAID, Pass(30), HELD, Return(ADA)),
        reports=ATTRIBUTED,
    ),
    Sequence(
        name="who declined is never held",
        steps=(
            Checkout(visitor=None, reason="declined"),
            PAID,
            Pass(1),
            Stands("pay_1", "done recorded_without_visitor"),
        ),
        reports=ANONYMOUS,
    ),
    Sequence(
        name="a sale without a checkout of ours is never held",
        steps=(sold(visitor=None), Pass(1), Stands("pay_1", "done recorded_without_visitor")),
        reports=ANONYMOUS,
    ),
    Sequence(
        name="a sale with a visitor is never held",
        steps=(LOST, sold(session="cks_1"), Pass(1), Stands("pay_1", "done attributed")),
        reports=ATTRIBUTED,
    ),
    Sequence(
        name="the return comes before the webhook",
        steps=(LOST, Return(ADA), PAID, Pass(1), Stands("pay_1", "done attributed")),
        reports=ATTRIBUTED,
    ),
    Sequence(
        name="a return without a visitor before the webhook",
        steps=(LOST, Return(), PAID, Pass(1), Stands("pay_1", "done recorded_without_visitor")),
        reports=ANONYMOUS,
    ),
    Sequence(
        name="a return that comes too late changes nothing",
        steps=(LOST, PAID, Pass(601), Return(ADA)),
        reports=ANONYMOUS,
    ),
    Sequence(
        name="another browser joins nothing",
        steps=(LOST, PAID, Pass(30), Return(BEA, own_browser=False)),
        reports=ANONYMOUS,
    ),
    Sequence(
        name="the checkout's visitor wins over the return's",
        steps=(Checkout(visitor=ADA), Return(BEA), sold(visitor=None, session="cks_1")),
        reports=ATTRIBUTED,
    ),
    Sequence(
        name="no hold is wanted",
        steps=(LOST, PAID, Pass(1), Stands("pay_1", "done recorded_without_visitor")),
        reports=ANONYMOUS,
        policy=Policy(hold_s=0),
    ),
    Sequence(
        name="a refund of a held sale waits, and follows its visitor",
        steps=(
            LOST,
            PAID,
            refunded(on=1),
            Pass(30),
            Stands("ref_1", "held awaiting_sale"),
            Return(ADA),
        ),
        reports=(*ATTRIBUTED, back("ref_1", "29")),
    ),
    Sequence(
        name="a refund of a sale that was joined follows its visitor",
        steps=(LOST, PAID, Return(ADA), Pass(60), refunded()),
        reports=(*ATTRIBUTED, back("ref_1", "29")),
    ),
    Sequence(
        name="the second message of a held sale names the visitor",
        steps=(LOST, PAID, Pass(30), HELD, sold(session="cks_1", id="second"), Pass(600)),
        reports=ATTRIBUTED,
    ),
)
