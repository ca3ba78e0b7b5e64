"""First charges and later ones: told apart by what was paid before, in whatever order they come."""

from typing import Any

from tests.money.messages import OLDEST, YOUNG, Message, sold, subscribed
from tests.money.rows import Checkout, Dodo, Pass, Sequence, Stands, new, renewal

BOTH = (new("pay_1", "9"), renewal("pay_2", "9"))


def charge(payment_id: str, on: float, charge: str | None = "renewal", **changes: Any) -> Message:
    """Return a charge of 9.00 for the subscription."""
    usual: dict[str, Any] = {"total": 900, "sub": "sub_1", "charge": charge}
    return sold(payment_id, on=on, **usual | changes)


FIRST = charge("pay_1", 1, "new")

SEQUENCES = (
    Sequence(name="a first charge", steps=(FIRST,), reports=(new("pay_1", "9"),)),
    Sequence(
        name="four messages of a first charge",
        steps=(
            FIRST,
            subscribed(),
            subscribed(kind="renewed", payment_id="pay_1"),
            subscribed(kind="updated"),
        ),
        reports=(new("pay_1", "9"),),
        left={
            "active sub_1": "skipped event_not_money",
            "renewed sub_1": "skipped event_not_money",
            "updated sub_1": "skipped event_not_money",
        },
    ),
    Sequence(name="a renewal", steps=(FIRST, charge("pay_2", 31)), reports=BOTH),
    Sequence(
        name="three renewals",
        steps=(FIRST, charge("pay_2", 31), charge("pay_3", 61), charge("pay_4", 91)),
        reports=(*BOTH, renewal("pay_3", "9"), renewal("pay_4", "9")),
    ),
    Sequence(
        name="a renewal that arrives first and is sent first",
        steps=(charge("pay_2", 31), Pass(60), FIRST),
        reports=BOTH,
    ),
    Sequence(
        name="a renewal that failed and was retried",
        steps=(
            FIRST,
            charge("pay_2", 31, kind="failed", charge="renewal", status="failed"),
            charge("pay_3", 33, retry_attempt=1),
        ),
        reports=(new("pay_1", "9"), renewal("pay_3", "9")),
        left={"failed pay_2": "skipped event_not_money"},
    ),
    Sequence(
        name="a first charge that failed and was retried",
        steps=(
            charge("pay_1", 1, "new", kind="failed", status="failed"),
            charge("pay_2", 2, None, retry_attempt=1, without=YOUNG),
        ),
        reports=(new("pay_2", "9"),),
        left={"failed pay_1": "skipped event_not_money"},
    ),
    Sequence(
        name="older form: a first charge",
        steps=(charge("pay_1", 1, None, without=YOUNG),),
        reports=(new("pay_1", "9"),),
    ),
    Sequence(
        name="older form: a renewal",
        steps=(charge("pay_1", 1, None, without=YOUNG), charge("pay_2", 31, None, without=YOUNG)),
        reports=BOTH,
    ),
    Sequence(
        name="oldest form: a renewal",
        steps=(charge("pay_1", 1, None, without=OLDEST), charge("pay_2", 31, None, without=OLDEST)),
        reports=BOTH,
    ),
    Sequence(
        name="older form: a retried renewal",
        steps=(
            charge("pay_1", 1, None, without=YOUNG),
            charge("pay_2", 33, None, retry_attempt=2, without=YOUNG),
        ),
        reports=BOTH,
    ),
    Sequence(
        name="older form: only Dodo knows the first charge",
        steps=(charge("pay_2", 5, None, without=YOUNG),),
        at_dodo=(charge("pay_1", -25, None),),
        reports=(renewal("pay_2", "9"),),
    ),
    Sequence(
        name="only Dodo knows the first charge",
        steps=(charge("pay_2", 5),),
        at_dodo=(charge("pay_1", -25, "new"),),
        reports=(renewal("pay_2", "9"),),
    ),
    Sequence(
        name="called a renewal, but nothing was paid before",
        steps=(charge("pay_2", 5),),
        at_dodo=(charge("pay_1", -25, "new", status="failed"),),
        reports=(new("pay_2", "9"),),
    ),
    Sequence(
        name="a later charge at Dodo makes no renewal of the first",
        steps=(charge("pay_1", 1, None, without=YOUNG),),
        at_dodo=(charge("pay_2", 31),),
        reports=(new("pay_1", "9"),),
    ),
    Sequence(
        name="two charges of one moment: the ids decide",
        steps=(charge("pay_1", 1, None), charge("pay_2", 1, None)),
        reports=BOTH,
    ),
    Sequence(
        name="a hundred and twenty earlier attempts at Dodo",
        steps=(charge("pay_2", 5, None),),
        at_dodo=(
            charge("pay_1", -25, "new"),
            *(charge(f"pay_f{number}", -20, status="failed") for number in range(120)),
        ),
        reports=(renewal("pay_2", "9"),),
    ),
    Sequence(
        name="a plan change",
        steps=(FIRST, charge("pay_2", 9, "plan_change", total=1500)),
        reports=(new("pay_1", "9"), renewal("pay_2", "15")),
    ),
    Sequence(
        name="a plan change that costs nothing",
        steps=(FIRST, charge("pay_2", 9, "plan_change", total=0)),
        reports=(new("pay_1", "9"),),
        left={"succeeded pay_2": "skipped zero_amount"},
    ),
    Sequence(
        name="a plan change inside a free trial",
        steps=(charge("pay_1", 1, "new", total=0), charge("pay_2", 3, "plan_change", total=1500)),
        reports=(new("pay_2", "15"),),
        left={"succeeded pay_1": "skipped zero_amount"},
    ),
    Sequence(
        name="on demand: mandate, first charge, second charge",
        steps=(
            charge("pay_1", 1, "new", total=0),
            charge("pay_2", 4, "on_demand"),
            charge("pay_3", 8, "on_demand", total=1234),
        ),
        reports=(new("pay_2", "9"), renewal("pay_3", "12.34")),
        left={"succeeded pay_1": "skipped zero_amount"},
    ),
    Sequence(
        name="several subscriptions in one payment",
        steps=(
            charge("pay_1", 1, "new", total=2400, sub=("sub_1", "sub_2")),
            charge("pay_2", 31, None, sub="sub_2", without=("charge_type",)),
        ),
        reports=(new("pay_1", "24"), renewal("pay_2", "9")),
    ),
    Sequence(
        name="several subscriptions, one of them paid before",
        steps=(FIRST, charge("pay_2", 31, "renewal", sub=("sub_1", "sub_2"), total=1800)),
        reports=(new("pay_1", "9"), renewal("pay_2", "18")),
    ),
    Sequence(
        name="two subscriptions of one buyer are two beginnings",
        steps=(FIRST, charge("pay_2", 2, None, sub="sub_2")),
        reports=(new("pay_1", "9"), new("pay_2", "9")),
    ),
    Sequence(
        name="a card update is no earlier charge",
        steps=(
            charge("pay_1", 1, "new", total=100, is_update_payment_method=True),
            charge("pay_2", 31),
        ),
        reports=(new("pay_2", "9"),),
        left={"succeeded pay_1": "skipped payment_method_update"},
    ),
    Sequence(
        name="a card update that only Dodo knows is no earlier charge",
        steps=(charge("pay_2", 5),),
        at_dodo=(charge("pay_1", -5, None, total=100, is_update_payment_method=True),),
        reports=(new("pay_2", "9"),),
    ),
    Sequence(
        name="a first charge whose status is null in the message",
        steps=(charge("pay_1", 1, "new", status=None), charge("pay_2", 31, None, without=YOUNG)),
        at_dodo=(FIRST,),
        reports=BOTH,
    ),
    Sequence(
        name="a first charge whose status is null proves a renewal by itself",
        steps=(
            Checkout(),
            charge("pay_1", 1, "new", status=None, session="cks_1"),
            Dodo(reachable=False),
            charge("pay_2", 31, None, session="cks_1", without=YOUNG),
        ),
        reports=BOTH,
    ),
    Sequence(
        name="a renewal by UPI: processing for two days",
        steps=(
            FIRST,
            charge("pay_2", 31, kind="processing", status="processing"),
            charge("pay_2", 31),
        ),
        reports=BOTH,
        left={"processing pay_2": "skipped event_not_money"},
    ),
    Sequence(
        name="renewals in yen",
        steps=(
            charge("pay_1", 1, "new", currency="JPY"),
            charge("pay_2", 31, None, currency="JPY", without=YOUNG),
        ),
        reports=(new("pay_1", "900", "JPY"), renewal("pay_2", "900", "JPY")),
    ),
    Sequence(
        name="an unproven renewal waits for Dodo",
        steps=(
            Dodo(reachable=False),
            charge("pay_2", 5, None, without=YOUNG),
            Pass(600),
            Stands("pay_2", "ready dodo_unreachable"),
            Dodo(reachable=True),
        ),
        at_dodo=(charge("pay_1", -25, "new"),),
        reports=(renewal("pay_2", "9"),),
    ),
    Sequence(
        name="after three days without Dodo charge_type decides",
        steps=(
            Checkout(),
            charge("pay_1", 1, "new", total=0, session="cks_1"),
            Dodo(reachable=False),
            charge("pay_2", 5, session="cks_1"),
            Pass(73 * 3600),
            Dodo(reachable=True),
        ),
        reports=(renewal("pay_2", "9"),),
        left={"succeeded pay_1": "skipped zero_amount"},
    ),
    Sequence(
        name="after three days without Dodo, older form: retry_attempt decides",
        steps=(
            Checkout(visitor=None, reason="declined"),
            Dodo(reachable=False),
            charge("pay_2", 5, None, session="cks_1", visitor=None, without=YOUNG),
            charge("pay_3", 4, None, session="cks_1", visitor=None, retry_attempt=1, without=YOUNG),
            Pass(73 * 3600),
            Dodo(reachable=True),
        ),
        reports=(renewal("pay_2", "9", by=None), renewal("pay_3", "9", by=None)),
    ),
    Sequence(
        name="dunning, pause and cancellation carry no money",
        steps=(
            FIRST,
            subscribed(kind="on_hold", on=31),
            subscribed(kind="past_due", on=31),
            subscribed(kind="paused", on=33),
            subscribed(kind="unpaused", on=34),
            subscribed(kind="cancelled", on=40),
        ),
        reports=(new("pay_1", "9"),),
        left={
            f"{kind} sub_1": "skipped event_not_money"
            for kind in ("on_hold", "past_due", "paused", "unpaused", "cancelled")
        },
    ),
)
