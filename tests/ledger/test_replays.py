"""Send again, read again: what is chosen, what becomes of it, and that the plan says so before."""

from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Connection, event, func, select, update

from kit.ledger.erasure import find_traces, forget, withdraw
from kit.ledger.interventions import note_intervention, recent_interventions
from kit.ledger.policy import Policy
from kit.ledger.replays import (
    LEFT_ALONE,
    READ_AGAIN,
    SENT_AGAIN,
    Line,
    Selection,
    replay,
    report_of,
    survey,
)
from kit.ledger.sales import release_dependents
from kit.ledger.schema import deliveries, events
from tests.ledger.conftest import Message, Store
from tests.ledger.scenes import (
    NOW_MS,
    VISITOR,
    change,
    claim,
    named,
    read_all,
    report,
    sell,
    sent,
)

LATER_MS = NOW_MS + 3_600_000
PARKED = {"state": "parked", "due_at_ms": None, "attempts": 7, "first_sent_at_ms": NOW_MS}


def stand(connection: Connection, transaction_id: str = "pay_1") -> tuple[Any, ...]:
    """Return how a report stands."""
    row = report(connection, transaction_id)
    return tuple(row[name] for name in ("state", "reason", "verdict", "due_at_ms", "attempts"))


@pytest.mark.parametrize(
    ("before", "selection", "fate", "after"),
    [
        pytest.param(
            {"reason": "horizon"},
            Selection(state="parked"),
            "send",
            ("ready", "queued", None, LATER_MS, 0),
            id="given up",
        ),
        pytest.param(
            {"reason": "rejected", "verdict": "rejected"},
            Selection(reason="rejected"),
            "send",
            ("ready", "queued", None, LATER_MS, 0),
            id="refused, so judged anew",
        ),
        pytest.param(
            {"reason": "horizon", "verdict": "unconfirmed"},
            Selection(state="parked"),
            "recheck",
            ("done", "no_echo", "unconfirmed", LATER_MS, 0),
            id="never proven",
        ),
        pytest.param(
            {"reason": "reply_html", "verdict": "unconfirmed"},
            Selection(state="parked"),
            "recheck",
            ("done", "reply_html", "unconfirmed", LATER_MS, 0),
            id="never proven, for a reason that stays",
        ),
        pytest.param(
            {"reason": "horizon", "verdict": "no_pageview", "visitor_dropped": True},
            Selection(state="parked"),
            "recheck",
            ("done", "no_pageview", "no_pageview", LATER_MS, 0),
            id="visitor unknown",
        ),
        pytest.param(
            {"state": "done", "reason": "attributed", "verdict": "attributed"},
            Selection(state="done"),
            "resend",
            ("done", "attributed", "attributed", LATER_MS, 0),
            id="done, and stays so",
        ),
        pytest.param(
            {"state": "held", "reason": "awaiting_return", "due_at_ms": LATER_MS + 9},
            Selection(state="held"),
            "send",
            ("ready", "queued", None, LATER_MS, 0),
            id="waits for its buyer no longer",
        ),
        pytest.param(
            {"state": "held", "reason": "test_mode"},
            Selection(state="held"),
            "send",
            ("ready", "queued", None, LATER_MS, 0),
            id="a test payment that may go",
        ),
        pytest.param(
            {"reason": "horizon", "depends_on": "pay_before_this_ledger"},
            Selection(state="parked"),
            "send",
            ("ready", "queued", None, LATER_MS, 0),
            id="a reversal that a person had let go before",
        ),
        pytest.param(
            {"reason": "delete_refused", "delete_only": True},
            Selection(state="parked"),
            "delete",
            ("ready", "forgetting", None, LATER_MS, 0),
            id="a delete, tried again",
        ),
        pytest.param(
            {"state": "ready", "reason": "datafast_timeout", "due_at_ms": LATER_MS + 9},
            Selection(id="pay_1"),
            "send",
            ("ready", "queued", None, LATER_MS, 0),
            id="one that waits for its next try",
        ),
    ],
)
def test_what_a_replay_makes_of_a_report(
    connection: Connection,
    message: Message,
    store: Store,
    before: dict[str, Any],
    selection: Selection,
    fate: str,
    after: tuple[Any, ...],
) -> None:
    """As the plan has it; attempts and the 72 hours begin anew."""
    sell(connection, message, store, "pay_1")
    change(connection, "pay_1", **PARKED | before)
    was = report(connection, "pay_1")
    planned = survey(connection, selection)
    done = replay(connection, selection, now_ms=LATER_MS)

    assert planned == [Line("report", fate, "sale", was["state"], was["reason"], 1, "USD", "29.00")]
    assert done == (1, 0)
    assert stand(connection) == after
    assert report(connection, "pay_1")["replayed_at_ms"] == LATER_MS


@pytest.mark.parametrize(
    ("before", "selection", "fate"),
    [
        pytest.param(
            {"state": "sending", "owner": "me"}, Selection(id="pay_1"), "sending", id="on its way"
        ),
        pytest.param(
            {"state": "done", "reason": "original_not_counted"},
            Selection(state="done"),
            "final",
            id="not counted",
        ),
        pytest.param(
            {"state": "done", "reason": "deleted_at_datafast", "delete_only": True},
            Selection(reason="deleted_at_datafast"),
            "final",
            id="deleted",
        ),
        pytest.param(
            {"state": "held", "reason": "test_mode"},
            Selection(state="held", holds_test=True),
            "test_mode",
            id="a test payment",
        ),
        pytest.param(
            {"state": "held", "reason": "awaiting_sale", "depends_on": "pay_0"},
            Selection(state="held"),
            "awaiting_sale",
            id="waits for its sale",
        ),
        pytest.param(
            {"reason": "original_not_reported", "depends_on": "pay_0"},
            Selection(state="parked"),
            "original_not_reported",
            id="its sale was never reported",
        ),
    ],
)
def test_what_a_replay_leaves_alone(
    connection: Connection,
    message: Message,
    store: Store,
    before: dict[str, Any],
    selection: Selection,
    fate: str,
) -> None:
    """The plan counts it, and why is a sentence."""
    sell(connection, message, store, "pay_1")
    change(connection, "pay_1", **PARKED | before)
    was = dict(report(connection, "pay_1"))
    [planned] = survey(connection, selection)
    done = replay(connection, selection, now_ms=LATER_MS)

    assert planned.fate == fate
    assert fate in LEFT_ALONE
    assert done == (0, 0)
    assert dict(report(connection, "pay_1")) == was


def sell_and_refund(connection: Connection, message: Message, store: Store) -> None:
    """Have a sale, and a refund that waits for it."""
    sell(connection, message, store, "pay_1")
    store(message("m2", "refund.succeeded", payment_id="pay_1", refund_id="rfnd_1", amount=900))
    read_all(connection)


def test_a_refund_keeps_its_place_behind_the_sale(
    connection: Connection, message: Message, store: Store
) -> None:
    """Both dead: the sale goes first, and the refund once DataFast has it."""
    sell_and_refund(connection, message, store)
    for transaction_id in ("pay_1", "rfnd_1"):
        change(connection, transaction_id, **PARKED, reason="horizon")
    fates = {line.kind: line.fate for line in survey(connection, Selection(state="parked"))}
    done = replay(connection, Selection(state="parked"), now_ms=LATER_MS)
    waiting = stand(connection, "rfnd_1")
    sent(connection, "pay_1")
    release_dependents(connection, ["pay_1"], LATER_MS + 1)

    assert fates == {"sale": "send", "refund": "line_up"}
    assert done == (2, 0)
    assert waiting[:2] == ("held", "awaiting_sale")
    assert stand(connection, "rfnd_1")[0] == "ready"


def test_a_refund_whose_sale_is_reported_goes_at_once(
    connection: Connection, message: Message, store: Store
) -> None:
    """It need not wait for anything."""
    sell_and_refund(connection, message, store)
    sent(connection, "pay_1")
    change(connection, "rfnd_1", **PARKED, reason="horizon")
    replay(connection, Selection(id="rfnd_1"), now_ms=LATER_MS)

    assert stand(connection, "rfnd_1")[:2] == ("ready", "queued")


def test_test_payments_that_may_go_keep_their_order(
    connection: Connection, message: Message, store: Store
) -> None:
    """Held for the test mode, a refund was never lined up behind its sale."""
    store(
        message("m1", payment_id="pay_1"),
        message("m2", "refund.succeeded", payment_id="pay_1", refund_id="rfnd_1", amount=900),
    )
    read_all(connection, Policy(held_for="test_mode"))
    before = [stand(connection, each)[:2] for each in ("pay_1", "rfnd_1")]
    replay(connection, Selection(reason="test_mode"), now_ms=LATER_MS)
    after = [stand(connection, each)[:2] for each in ("pay_1", "rfnd_1")]

    assert before == [("held", "test_mode")] * 2
    assert after == [("ready", "queued"), ("held", "awaiting_sale")]


@pytest.mark.parametrize("overrule", [False, True], ids=["replayed", "released"])
def test_only_a_release_answers_for_what_is_not_proven(
    connection: Connection, message: Message, store: Store, overrule: bool
) -> None:
    """A replay asks Dodo again whether there is such a payment; a release does not."""
    sell(connection, message, store, "pay_1")
    change(connection, "pay_1", **PARKED, reason="not_at_dodo", confirmed=False)
    replay(connection, Selection(reason="not_at_dodo", overrule=overrule), now_ms=LATER_MS)

    assert stand(connection)[:2] == ("ready", "queued")
    assert report(connection, "pay_1")["confirmed"] is overrule


def test_a_reversal_without_a_reported_sale_goes_by_release_alone(
    connection: Connection, message: Message, store: Store
) -> None:
    """A person says that the sale is in DataFast by another way."""
    sell_and_refund(connection, message, store)
    change(connection, "rfnd_1", **PARKED, reason="original_not_reported")
    replayed = replay(connection, Selection(state="parked"), now_ms=LATER_MS)
    selection = Selection(state="parked", reason="original_not_reported", overrule=True)
    released = replay(connection, selection, now_ms=LATER_MS)

    assert (replayed, released) == ((0, 0), (1, 0))
    assert stand(connection, "rfnd_1")[:2] == ("ready", "queued")


def test_rows_are_chosen_by_state_reason_and_time(
    connection: Connection, message: Message, store: Store
) -> None:
    """Each end of the time is exact: from, and before."""
    for number in range(4):
        sell(connection, message, store, f"pay_{number}")
        reason = "horizon" if number < 3 else "too_many_attempts"
        change(connection, f"pay_{number}", **PARKED, reason=reason, created_at_ms=NOW_MS + number)
    chosen = Selection(reason="horizon", since_ms=NOW_MS + 1, until_ms=NOW_MS + 2)
    done = replay(connection, chosen, now_ms=LATER_MS)
    states = [stand(connection, f"pay_{number}")[0] for number in range(4)]

    assert done == (1, 0)
    assert states == ["parked", "ready", "parked", "parked"]
    assert str(chosen) == f"reason=horizon since_ms={NOW_MS + 1} until_ms={NOW_MS + 2}"


def state_of(connection: Connection, webhook_id: str) -> tuple[str, str, bool]:
    """Return how a message stands, and whether Dodo was asked about it."""
    query = select(events.c.state, events.c.reason, events.c.looked_up)
    row = connection.execute(query.where(events.c.webhook_id == webhook_id)).one()
    return row.state, row.reason, row.looked_up


def test_messages_are_read_again(connection: Connection, message: Message, store: Store) -> None:
    """Parked ones by their state, skipped ones when their reason is named."""
    store(message("m1", currency="XXX"), message("m2", brand_id="brnd_other"))
    read_all(connection, Policy(brands=frozenset({"brnd_contour"})))
    before = [state_of(connection, each)[:2] for each in ("m1", "m2")]
    by_state = replay(connection, Selection(state="parked"), now_ms=LATER_MS)
    by_reason = replay(connection, Selection(reason="other_brand"), now_ms=LATER_MS)
    read_all(connection, Policy())

    assert before == [("parked", "unknown_currency"), ("skipped", "other_brand")]
    assert (by_state, by_reason) == ((0, 1), (0, 1))
    assert state_of(connection, "m2") == ("mapped", "mapped", False)


def test_a_message_that_waits_for_dodo_is_looked_up_now(
    connection: Connection, message: Message, store: Store
) -> None:
    """The one thing that its replay can do."""
    store(message("m1", "refund.succeeded", payment_id="pay_0"))
    read_all(connection)
    change_message(connection, "m1", due_at_ms=LATER_MS + 60_000)
    done = replay(connection, Selection(id="m1"), now_ms=LATER_MS)

    assert done == (0, 1)
    assert connection.scalar(select(events.c.due_at_ms)) == LATER_MS


def change_message(connection: Connection, webhook_id: str, **values: Any) -> None:
    """Put a message into a state."""
    connection.execute(update(events).where(events.c.webhook_id == webhook_id).values(**values))


@pytest.mark.parametrize(
    ("values", "fate"),
    [
        ({"state": "stored"}, "unread"),
        ({"state": "skipped", "body": None}, "body_dropped"),
        ({"state": "mapped"}, "mapped"),
    ],
)
def test_a_message_that_cannot_be_read_again_is_left_alone(
    connection: Connection, message: Message, store: Store, values: dict[str, Any], fate: str
) -> None:
    """The plan says why."""
    store(message("m1", "payment.failed"))
    read_all(connection)
    change_message(connection, "m1", **values)
    before = state_of(connection, "m1")
    [planned] = survey(connection, Selection(id="m1"))

    assert (planned.what, planned.fate, planned.number) == ("message", fate, 1)
    assert fate in LEFT_ALONE
    assert replay(connection, Selection(id="m1"), now_ms=LATER_MS) == (0, 0)
    assert state_of(connection, "m1") == before


def test_a_message_leads_to_the_report_it_became(
    connection: Connection, message: Message, store: Store
) -> None:
    """By its webhook id; one that became none leads nowhere."""
    sell(connection, message, store, "pay_1")
    store(message("m2", "payment.failed"))
    read_all(connection)

    assert report_of(connection, "msg_pay_1") == "pay_1"
    assert [report_of(connection, each) for each in ("m2", "unknown")] == [None, None]


def dead(connection: Connection, message: Message, store: Store, number: int) -> None:
    """Have many reports given up, in two currencies, each with an amount of its own."""
    row = dict(sell(connection, message, store, "pay_0"))
    rows = [
        {
            **row,
            **PARKED,
            "reason": "horizon",
            "transaction_id": f"pay_{each:05}",
            "payment_id": f"pay_{each:05}",
            "currency": ("USD", "EUR")[each % 2],
            "amount": f"{each}.{each % 100:02}",
        }
        for each in range(number)
    ]
    connection.execute(deliveries.delete())
    connection.execute(deliveries.insert(), rows)


def test_ten_thousand_dead_reports_are_replayed_twice(
    connection: Connection, message: Message, store: Store
) -> None:
    """Exact counts and sums each time, in a fixed number of statements, however many there are."""
    dead(connection, message, store, 10_000)
    statements: list[str] = []
    event.listen(
        connection, "before_cursor_execute", lambda *arguments: statements.append(arguments[2])
    )
    parked, done = Selection(state="parked"), Selection(state="done")
    planned = survey(connection, parked)
    first = replay(connection, parked, now_ms=LATER_MS)
    none_left = replay(connection, parked, now_ms=LATER_MS)
    answered = {"state": "done", "reason": "attributed", "verdict": "attributed"}
    connection.execute(update(deliveries).values(**answered, due_at_ms=None, attempts=1))
    second = replay(connection, done, now_ms=LATER_MS + 1)
    query = select(
        deliveries.c.state, deliveries.c.verdict, deliveries.c.due_at_ms, func.count()
    ).group_by(deliveries.c.state, deliveries.c.verdict, deliveries.c.due_at_ms)
    after = [tuple(row) for row in connection.execute(query)]
    sums = {
        code: sum((Decimal(f"{each}.{each % 100:02}") for each in numbers), Decimal(0))
        for code, numbers in (("USD", range(0, 10_000, 2)), ("EUR", range(1, 10_000, 2)))
    }

    assert [(line.currency, line.number, line.amount) for line in planned] == [
        (code, 5000, str(sums[code])) for code in ("EUR", "USD")
    ]
    assert (first, none_left, second) == ((10_000, 0), (0, 0), (10_000, 0))
    assert after == [("done", "attributed", LATER_MS + 1, 10_000)]
    assert len(statements) <= 30


def test_a_replay_goes_no_faster_than_the_lane(
    connection: Connection, message: Message, store: Store
) -> None:
    """All are due at once, and each claim takes what DataFast allows at that moment."""
    dead(connection, message, store, 100)
    replay(connection, Selection(state="parked"), now_ms=LATER_MS)
    taken = [
        len(claim(connection, limit=100, now_ms=LATER_MS + at_ms, per_minute=50))
        for at_ms in (0, 0, 60_000)
    ]

    assert 1 <= taken[0] <= 10
    assert taken[1] == 0
    assert sum(taken) <= 60


def test_new_money_does_not_wait_behind_a_replay(
    connection: Connection, message: Message, store: Store
) -> None:
    """Ten thousand old reports take hours at DataFast's pace."""
    dead(connection, message, store, 50)
    replay(connection, Selection(state="parked"), now_ms=LATER_MS)
    sell(connection, message, store, "pay_new")
    change(connection, "pay_new", due_at_ms=LATER_MS + 1000)
    claimed = claim(connection, limit=3, now_ms=LATER_MS + 2000)

    assert claimed[0].payment.transaction_id == "pay_new"
    assert len(claimed) == 3


def test_the_plan_and_the_replay_agree(
    connection: Connection, message: Message, store: Store
) -> None:
    """Whatever is there: both come from one expression."""
    states = ("parked", "held", "done", "ready", "sending")
    reasons = ("horizon", "test_mode", "awaiting_sale", "original_not_reported", "rejected")
    verdicts = (None, "attributed", "unconfirmed", "rejected")
    dead(connection, message, store, len(states) * len(reasons) * len(verdicts) * 3)
    number = 0
    for state in states:
        for reason in reasons:
            for verdict in verdicts:
                for sale in (None, "pay_00000", "pay_unknown"):
                    values = {"state": state, "reason": reason, "verdict": verdict}
                    change(connection, f"pay_{number:05}", **values, depends_on=sale)
                    number += 1
    sent(connection, "pay_00001", depends_on=None)
    for selection in (
        Selection(state="parked"),
        Selection(state="held", holds_test=True),
        Selection(state="held"),
        Selection(state="done"),
        Selection(reason="rejected"),
    ):
        nested = connection.begin_nested()
        planned = survey(connection, selection)
        reports, messages = replay(connection, selection, now_ms=LATER_MS)
        nested.rollback()

        assert reports == sum(each.number for each in planned if each.fate in SENT_AGAIN)
        assert messages == sum(each.number for each in planned if each.fate in READ_AGAIN)
        assert {each.fate for each in planned} <= {*SENT_AGAIN, *READ_AGAIN, *LEFT_ALONE}


def test_a_replay_brings_no_forgotten_report_back(
    connection: Connection, message: Message, store: Store
) -> None:
    """What DataFast was asked to delete is not sent again, by no choice."""
    sell(connection, message, store, "pay_1", **named(VISITOR))
    sent(connection, "pay_1")
    traces = forget(connection, find_traces(connection, VISITOR), now_ms=NOW_MS)
    withdraw(connection, traces, now_ms=NOW_MS)
    for selection in (Selection(id="pay_1"), Selection(state="done"), Selection(state="parked")):
        replay(connection, selection, now_ms=LATER_MS)
    [claimed] = claim(connection, now_ms=LATER_MS)

    assert claimed.delete_only
    assert stand(connection)[1] == "forgetting"


def test_what_people_did_is_kept_in_order(connection: Connection) -> None:
    """The newest first, with its time, its subject and how much it changed."""
    note_intervention(connection, "replay", "state=parked", changed=3, now_ms=NOW_MS)
    note_intervention(connection, "forget", "a visitor", changed=9, now_ms=LATER_MS)
    rows = [dict(row) for row in recent_interventions(connection)]
    numbers = [row.pop("number") for row in rows]

    assert numbers == sorted(numbers, reverse=True)
    assert rows == [
        {"at_ms": LATER_MS, "action": "forget", "subject": "a visitor", "changed": 9},
        {"at_ms": NOW_MS, "action": "replay", "subject": "state=parked", "changed": 3},
    ]
