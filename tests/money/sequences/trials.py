"""Trials: exactly one report, under both documented behaviours, and the first charge is new."""

from kit.ledger.policy import Policy
from tests.money.messages import ADA, YOUNG, sold, subscribed
from tests.money.rows import Checkout, Sequence, new, renewal, trial
from tests.money.sequences.renewals import charge

ZERO = charge("pay_0", 1, "new", total=0)
START = subscribed(trial_days=14)
NO_MONEY = {"succeeded pay_0": "skipped zero_amount"}
AFTER = (charge("pay_1", 15), charge("pay_2", 45))
PAID = (new("pay_1", "9"), renewal("pay_2", "9"))

SEQUENCES = (
    Sequence(
        name="a trial with its payment of nothing",
        steps=(ZERO, START),
        reports=(trial("sub_1"),),
        left=NO_MONEY,
    ),
    Sequence(name="a trial without any payment", steps=(START,), reports=(trial("sub_1"),)),
    Sequence(
        name="the first charge after a trial is new, the next one a renewal",
        steps=(ZERO, START, *AFTER),
        reports=(trial("sub_1"), *PAID),
        left=NO_MONEY,
    ),
    Sequence(
        name="the same without the payment of nothing",
        steps=(START, *AFTER),
        reports=(trial("sub_1"), *PAID),
    ),
    Sequence(
        name="older form: charges after a trial",
        steps=(
            START,
            charge("pay_1", 15, None, without=YOUNG),
            charge("pay_2", 45, None, without=YOUNG),
        ),
        reports=(trial("sub_1"), *PAID),
    ),
    Sequence(
        name="the charge after a trial fails and is retried",
        steps=(
            START,
            charge("pay_1", 15, kind="failed", status="failed"),
            charge("pay_2", 17, retry_attempt=1),
            charge("pay_3", 45),
        ),
        reports=(trial("sub_1"), new("pay_2", "9"), renewal("pay_3", "9")),
        left={"failed pay_1": "skipped event_not_money"},
    ),
    Sequence(
        name="reactivated after the trial",
        steps=(
            START,
            *AFTER,
            subscribed(trial_days=14, created_on=1, on=60, id="again"),
        ),
        reports=(trial("sub_1"), *PAID),
        left={"again": "skipped trial_over"},
    ),
    Sequence(
        name="reactivated inside the trial",
        steps=(START, subscribed(trial_days=14, created_on=1, on=5, id="again")),
        reports=(trial("sub_1"),),
    ),
    Sequence(
        name="reactivated, and the trial is older than the ledger",
        steps=(subscribed(trial_days=14, created_on=-30, on=5),),
        left={"active sub_1": "skipped trial_over"},
    ),
    Sequence(
        name="a trial cut short by a paid change of plan",
        steps=(
            START,
            charge("pay_1", 4, "plan_change"),
            subscribed(trial_days=14, created_on=1, on=6, id="again"),
        ),
        reports=(trial("sub_1"), new("pay_1", "9")),
        left={"again": "skipped trial_over"},
        ordered="the same trial's second message may be read before the charge",
    ),
    Sequence(
        name="a paid trial is a sale",
        steps=(
            charge("pay_1", 1, "new", total=100),
            subscribed(trial_days=14, trial_amount=100),
            charge("pay_2", 15),
        ),
        reports=(new("pay_1", "1"), renewal("pay_2", "9")),
        left={"active sub_1": "skipped paid_trial"},
    ),
    Sequence(
        name="a subscription without a trial",
        steps=(subscribed(),),
        left={"active sub_1": "skipped event_not_money"},
    ),
    Sequence(
        name="a subscription at 100 % discount is no trial",
        steps=(ZERO, subscribed(), charge("pay_1", 31)),
        reports=(new("pay_1", "9"),),
        left=NO_MONEY | {"active sub_1": "skipped event_not_money"},
    ),
    Sequence(
        name="two trials of one buyer",
        steps=(START, subscribed("sub_2", trial_days=7)),
        reports=(trial("sub_1"), trial("sub_2")),
    ),
    Sequence(
        name="a trial in yen",
        steps=(subscribed(trial_days=7, currency="JPY"),),
        reports=(trial("sub_1", "JPY"),),
    ),
    Sequence(
        name="a trial on the settlement basis",
        steps=(ZERO, START),
        reports=(trial("sub_1"),),
        left=NO_MONEY,
        policy=Policy(basis="settlement"),
    ),
    Sequence(
        name="a trial from our checkout, known by its order",
        steps=(Checkout(), subscribed(trial_days=14, visitor=None, order_ref="order-1")),
        reports=(trial("sub_1", by=ADA),),
    ),
    Sequence(
        name="a trial that Dodo does not know",
        steps=(START,),
        absent=frozenset({"sub_1"}),
        left={"trial_sub_1": "parked not_at_dodo"},
    ),
    Sequence(
        name="a trial that ends unpaid",
        steps=(START, subscribed(kind="cancelled", trial_days=14, created_on=1, on=10)),
        reports=(trial("sub_1"),),
        left={"cancelled sub_1": "skipped event_not_money"},
    ),
    Sequence(
        name="a trial and a one-time sale",
        steps=(START, sold("pay_9", 500)),
        reports=(trial("sub_1"), new("pay_9", "5")),
    ),
)
