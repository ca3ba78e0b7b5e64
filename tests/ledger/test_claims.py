"""Leases, attempts and budgets: who may send what, and when."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, select, update

from kit.ledger import lanes
from kit.ledger.claims import (
    MAX_ATTEMPTS,
    Delivery,
    claim_deliveries,
    release_orphans,
)
from kit.ledger.deliveries import find_delivery
from kit.ledger.duties import find_duties
from kit.ledger.engine import Engines
from kit.ledger.mapping import map_stored_events
from kit.ledger.policy import Policy
from kit.ledger.rows import Row
from kit.ledger.schema import deliveries
from kit.ledger.sendings import finish_deliveries, freeze_deliveries, mark_deleted
from kit.ledger.visits import record_visit, visit_from_pageview
from tests.ledger.conftest import Message, Store

NOW_MS = 1_790_856_000_000
ATTRIBUTED = {"state": "done", "reason": "attributed", "due_at_ms": None}
LEASE_MS = 60_000
VISITOR_ID = "0b8e6c1e-2d1c-4f0a-9f2e-6a4f1f4d7c11"


def claim(
    connection: Connection,
    *,
    owner: str = "me",
    now_ms: int = NOW_MS,
    limit: int = 8,
    lane: str = "lane",
    per_minute: float = 50,
) -> list[Delivery]:
    """Claim as a worker does."""
    return claim_deliveries(
        connection,
        lane=lane,
        owner=owner,
        per_minute=per_minute,
        limit=limit,
        lease_ms=LEASE_MS,
        now_ms=now_ms,
    )


def reserve(
    connection: Connection,
    *,
    now_ms: int = NOW_MS,
    per_minute: float = 50,
    patience_ms: int = 5000,
) -> int:
    """Ask for one call, as a sender does."""
    [wait_ms] = lanes.reserve(
        connection, "lane", per_minute=per_minute, now_ms=now_ms, patience_ms=patience_ms
    )
    return wait_ms


def ids(claimed: list[Delivery]) -> list[str]:
    """Return the transaction ids of a claim."""
    return [each.payment.transaction_id for each in claimed]


def row_of(connection: Connection, transaction_id: str = "pay_0") -> Row:
    """Return one delivery that must be there."""
    row = find_delivery(connection, transaction_id)
    assert row is not None
    return row


def change(connection: Connection, transaction_id: str = "pay_0", **values: Any) -> None:
    """Put a delivery into a state."""
    connection.execute(
        update(deliveries).where(deliveries.c.transaction_id == transaction_id).values(**values)
    )


@pytest.fixture
def queue(connection: Connection, message: Message, store: Store) -> Any:
    """Queue a number of deliveries: `pay_0`, `pay_1` …, each due a millisecond after the last."""

    def fill(number: int, visitor_id: str | None = None) -> None:
        metadata = {"datafast_visitor_id": visitor_id} if visitor_id else {}
        for each in range(number):
            store(message(f"m{each}", payment_id=f"pay_{each}", metadata=metadata))
            map_stored_events(connection, Policy(), NOW_MS - number + each)

    return fill


def test_a_claim_leases_and_counts(connection: Connection, queue: Any) -> None:
    """The attempt counts from the claim on, so a row that kills its worker comes to an end."""
    queue(1)
    claimed = claim(connection)
    row = row_of(connection)

    assert ids(claimed) == ["pay_0"]
    assert (claimed[0].attempts, row["attempts"]) == (1, 1)
    assert (claimed[0].state, claimed[0].reason) == ("ready", "queued")
    assert (row["state"], row["owner"], row["due_at_ms"]) == ("sending", "me", NOW_MS + LEASE_MS)
    assert find_duties(connection).delivery_due_ms == NOW_MS + LEASE_MS


def test_what_is_leased_is_nobody_elses(connection: Connection, queue: Any) -> None:
    """Until the lease runs out; then its owner is gone or too late."""
    queue(1)
    claim(connection, owner="first")
    too_early = claim(connection, owner="second", now_ms=NOW_MS + LEASE_MS - 1)
    taken_over = claim(connection, owner="second", now_ms=NOW_MS + LEASE_MS)

    assert too_early == []
    assert (ids(taken_over), taken_over[0].attempts) == (["pay_0"], 2)
    assert row_of(connection)["owner"] == "second"


def test_the_longest_due_go_first(connection: Connection, queue: Any) -> None:
    """A row that fails moves back by itself."""
    queue(3)
    change(connection, "pay_0", due_at_ms=NOW_MS)

    assert ids(claim(connection, limit=2)) == ["pay_1", "pay_2"]
    assert ids(claim(connection, limit=2)) == ["pay_0"]


def test_a_late_workers_word_is_ignored(connection: Connection, queue: Any) -> None:
    """Neither its start nor its end counts once somebody else owns the row."""
    queue(1)
    late = claim(connection, owner="first")
    claim(connection, owner="second", now_ms=NOW_MS + LEASE_MS)
    frozen = freeze_deliveries(connection, late, owner="first", now_ms=NOW_MS)
    finished = finish_deliveries(connection, {"pay_0": ATTRIBUTED}, owner="first")
    row = row_of(connection)

    assert (frozen, finished) == ([None], set())
    assert (row["state"], row["owner"], row["first_sent_at_ms"]) == ("sending", "second", None)


def test_the_first_send_is_marked_once(connection: Connection, queue: Any) -> None:
    """A repeat does not move it."""
    queue(1)
    for moment in (NOW_MS, NOW_MS + LEASE_MS):
        [claimed] = claim(connection, now_ms=moment)
        leaving = [replace(claimed, confirmed=True)]
        assert freeze_deliveries(connection, leaving, owner="me", now_ms=moment) == leaving

    assert row_of(connection)["first_sent_at_ms"] == NOW_MS
    assert row_of(connection)["confirmed"] is True


def test_a_report_that_was_deleted_is_marked_as_sent_anew(
    connection: Connection, queue: Any
) -> None:
    """Though its worker still knows when it was sent before; what was proven then stays."""
    queue(1)
    change(connection, first_sent_at_ms=NOW_MS - 1, delete_first=True, confirmed=True)
    [claimed] = claim(connection)
    mark_deleted(connection, "pay_0", owner="me")
    between = row_of(connection)["first_sent_at_ms"]
    freeze_deliveries(
        connection, [replace(claimed, confirmed=False)], owner="me", now_ms=NOW_MS + 5
    )
    row = row_of(connection)

    assert between is None
    assert (row["first_sent_at_ms"], row["delete_first"], row["confirmed"]) == (
        NOW_MS + 5,
        False,
        True,
    )


def test_a_send_that_proved_nothing_leaves_the_rest_alone(
    connection: Connection, queue: Any
) -> None:
    """Only what was asked at Dodo on the way becomes certain."""
    queue(1)
    before = row_of(connection)
    freeze_deliveries(connection, claim(connection), owner="me", now_ms=NOW_MS)
    after = row_of(connection)
    names = ("confirmed", "renewal", "renewal_proven", "visitor_id", "visitor_source")

    assert [after[name] for name in names] == [before[name] for name in names]
    assert after["confirmed"] is False


def test_a_visitor_who_is_named_on_the_way_goes_along(connection: Connection, queue: Any) -> None:
    """By the return page, say, while the report waited for its turn; a repeat names nobody new."""
    queue(1)
    [claimed] = claim(connection)
    change(connection, visitor_id=VISITOR_ID, visitor_source="return")
    [first] = freeze_deliveries(connection, [claimed], owner="me", now_ms=NOW_MS)
    repeated = replace(claimed, first_sent_at_ms=NOW_MS)
    [second] = freeze_deliveries(connection, [repeated], owner="me", now_ms=NOW_MS)
    row = row_of(connection)

    assert first is not None
    assert (first.payment.datafast_visitor_id, first.visitor_source) == (VISITOR_ID, "return")
    assert (row["visitor_id"], row["visitor_source"]) == (VISITOR_ID, "return")
    assert second == repeated


def test_a_finished_row_is_not_due(connection: Connection, queue: Any) -> None:
    """And its end cannot be written twice."""
    queue(1)
    claim(connection)
    first = finish_deliveries(connection, {"pay_0": ATTRIBUTED}, owner="me")
    second = finish_deliveries(connection, {"pay_0": ATTRIBUTED}, owner="me")

    assert (first, second) == ({"pay_0"}, set())
    assert find_duties(connection).delivery_due_ms is None
    assert row_of(connection)["owner"] is None


def test_too_many_attempts_park_a_row_and_nobody_else(connection: Connection, queue: Any) -> None:
    """Whoever was claimed 300 times without an end is left to a person."""
    queue(2)
    change(connection, "pay_0", attempts=MAX_ATTEMPTS - 1)
    last = claim(connection)
    change(connection, "pay_0", due_at_ms=NOW_MS)
    after = claim(connection)
    row = row_of(connection)

    assert ids(last) == ["pay_0", "pay_1"]
    assert after == []
    assert (row["state"], row["reason"]) == ("parked", "too_many_attempts")
    assert (row["due_at_ms"], row["owner"], row["attempts"]) == (None, None, MAX_ATTEMPTS)


def test_a_restart_takes_over_what_others_had_leased(connection: Connection, queue: Any) -> None:
    """One process owns the file, so every other owner is gone; its own leases stay."""
    queue(2)
    claim(connection, owner="gone", limit=1)
    claim(connection, owner="me", limit=1)
    released = release_orphans(connection, owner="me", now_ms=NOW_MS + 5)

    assert released == 1
    assert ids(claim(connection, now_ms=NOW_MS + 5)) == ["pay_0"]


def test_a_claim_knows_whether_a_pageview_has_passed(connection: Connection, queue: Any) -> None:
    """Then nobody needs to ask DataFast for it."""
    queue(1, VISITOR_ID)
    before = claim(connection)
    pageview = {"type": "pageview", "visitorId": VISITOR_ID, "href": "https://contour.example/"}
    visit = visit_from_pageview(pageview)
    assert visit is not None
    record_visit(connection, visit, NOW_MS)
    after = claim(connection, now_ms=NOW_MS + LEASE_MS)

    assert [before[0].pageview_passed, after[0].pageview_passed] == [False, True]


def test_a_dropped_visitor_is_not_sent(connection: Connection, queue: Any) -> None:
    """The row still shows whom it was about."""
    queue(1, VISITOR_ID)
    change(connection, visitor_dropped=True)

    assert claim(connection)[0].payment.datafast_visitor_id is None
    assert row_of(connection)["visitor_id"] == VISITOR_ID


@pytest.mark.parametrize("due", [None, NOW_MS + 1], ids=["never", "later"])
def test_what_is_not_due_is_not_claimed(
    connection: Connection, queue: Any, due: int | None
) -> None:
    """Null means never."""
    queue(1)
    change(connection, due_at_ms=due)

    assert claim(connection) == []
    assert row_of(connection)["attempts"] == 0


def test_a_lane_lets_a_burst_pass_and_refills_with_time(connection: Connection, queue: Any) -> None:
    """Of fifty a minute, five may follow one another at once, and forty-five over the minute."""
    queue(40)
    before = len(claim(connection, limit=40))
    waits = [reserve(connection) for _ in range(7)]
    refilled = [reserve(connection, now_ms=NOW_MS + each) for each in (1332, 1334, 60_000)]

    assert before == lanes.burst_of(50) == 5
    assert waits == [0, 0, 0, 0, 0, 1334, 2667]
    assert refilled == [2668, 4000, 0]


def test_what_is_under_way_is_left_its_share_of_the_budget(
    connection: Connection, queue: Any
) -> None:
    """A claim spends nothing; but two workers cannot both claim what is enough for one."""
    queue(40)
    first, second = claim(connection, limit=3), claim(connection, limit=40)
    third = claim(connection, limit=40)
    for each in (*first, *second):
        reserve(connection)
        finish_deliveries(connection, {each.payment.transaction_id: {"state": "done"}}, owner="me")
    later = claim(connection, limit=40, now_ms=NOW_MS + 6667)

    assert (len(first), len(second), third) == (3, 2, [])
    assert len(later) == 5


def test_a_call_that_would_have_to_wait_long_takes_nothing(connection: Connection) -> None:
    """DataFast said when to come back; the budget is there for those who do."""
    reserve(connection)
    lanes.slow_down(connection, "lane", not_before_ms=NOW_MS + 30_000)
    asked = [reserve(connection) for _ in range(20)]

    assert asked == [30_000] * 20
    assert reserve(connection, now_ms=NOW_MS + 30_000) == 0


def test_a_question_about_a_visitor_is_paid_for_beforehand(
    connection: Connection, queue: Any
) -> None:
    """Two calls before the first send of a sale whose visitor nobody has seen; one afterwards."""
    queue(8, VISITOR_ID)
    with_questions = ids(claim(connection))
    for transaction_id in with_questions:
        assert [reserve(connection), reserve(connection)] == [0, 0]
        finish_deliveries(connection, {transaction_id: ATTRIBUTED}, owner="me")
    too_little = ids(claim(connection, now_ms=NOW_MS + 1200))
    next_one = ids(claim(connection, now_ms=NOW_MS + 2000))
    change(connection, "pay_0", due_at_ms=NOW_MS - 100, first_sent_at_ms=NOW_MS)
    repeated = ids(claim(connection, now_ms=NOW_MS + 2000))

    assert with_questions == ["pay_0", "pay_1"]
    assert (too_little, next_one, repeated) == ([], ["pay_2"], ["pay_0"])


def test_a_clock_set_back_neither_refills_nor_blocks(connection: Connection, queue: Any) -> None:
    """It is believed from there on."""
    queue(12)
    for _ in range(5):
        reserve(connection)
    back = NOW_MS - 3_600_000
    change(connection, "pay_10", due_at_ms=back)
    nothing = claim(connection, now_ms=back)
    one = claim(connection, now_ms=back + 1334)

    assert (nothing, ids(one)) == ([], ["pay_10"])


def test_a_slowed_lane_lets_nothing_pass_before_its_moment(
    connection: Connection, queue: Any
) -> None:
    """For every row; a shorter wait does not shorten a longer one."""
    queue(2)
    claim(connection, limit=1)
    lanes.slow_down(connection, "lane", not_before_ms=NOW_MS + 5000)
    lanes.slow_down(connection, "lane", not_before_ms=NOW_MS + 1000)
    early = claim(connection, now_ms=NOW_MS + 4999)

    assert early == []
    assert ids(claim(connection, now_ms=NOW_MS + 5000)) == ["pay_1"]


def test_a_paused_lane_sends_one_to_see(connection: Connection, queue: Any) -> None:
    """After its moment; a good answer lets all go on."""
    queue(5)
    claim(connection, limit=1)
    lanes.pause(connection, "lane", reason="key_refused", not_before_ms=NOW_MS + 1000)
    early = claim(connection, now_ms=NOW_MS + 999)
    probe = claim(connection, now_ms=NOW_MS + 1000)
    lanes.resume(connection, "lane")
    all_others = claim(connection, now_ms=NOW_MS + 1000)
    lane = lanes.find_lane(connection, "lane")

    assert (early, ids(probe)) == ([], ["pay_1"])
    assert ids(all_others) == ["pay_2", "pay_3", "pay_4"]
    assert lane is not None
    assert lane["paused_reason"] is None


def test_another_key_is_another_lane(connection: Connection, queue: Any) -> None:
    """So a changed key is not held up by the old one's pause; names tell no key."""
    queue(2)
    old, new = (lanes.lane_name("https://datafa.st", key) for key in ("df_old", "df_new"))
    claim(connection, lane=old, limit=1)
    lanes.pause(connection, old, reason="key_refused", not_before_ms=NOW_MS + 900_000)

    assert claim(connection, lane=old) == []
    assert ids(claim(connection, lane=new)) == ["pay_1"]
    assert "df_" not in old + new
    assert old == lanes.lane_name("https://datafa.st", "df_old")
    assert old != lanes.lane_name("https://elsewhere.example", "df_old")


def test_an_unknown_lane_is_none(connection: Connection) -> None:
    """Before the first claim there is no row."""
    assert lanes.find_lane(connection, "lane") is None


@given(
    steps=st.lists(st.tuples(st.integers(-5000, 30_000), st.integers(0, 12)), max_size=40),
    per_minute=st.sampled_from([1.0, 3.0, 4.0, 19.0, 50.0, 60.0, 600.0]),
)
def test_no_minute_sees_more_calls_than_it_may(
    shared_engines: Engines, steps: list[tuple[int, int]], per_minute: float
) -> None:
    """Whatever the rhythm, and with a clock that jumps back now and then."""
    calls: list[int] = []
    with shared_engines.writing.connect() as connection, connection.begin() as transaction:
        now_ms = latest_ms = NOW_MS
        for passed_ms, wanted in steps:
            now_ms += passed_ms
            latest_ms = max(now_ms, latest_ms)
            for _ in range(wanted):
                wait_ms = reserve(
                    connection, per_minute=per_minute, now_ms=now_ms, patience_ms=5000
                )
                # Judged by time that has really passed: what a jump back repeats is no new time.
                calls += [latest_ms + wait_ms] if wait_ms <= 5000 else []
        transaction.rollback()

    jumps_back = sum(-passed for passed, _ in steps if passed < 0)
    allowed = per_minute + jumps_back * per_minute / 60_000
    for start in calls:
        assert sum(start <= each < start + 60_000 for each in calls) <= max(allowed, 1) + 1


def test_rows_of_every_state_are_left_alone_by_a_claim_unless_due(
    connection: Connection, queue: Any
) -> None:
    """Held, done and parked rows have no moment, or one that somebody gave them."""
    queue(3)
    change(connection, "pay_0", state="held", due_at_ms=None)
    change(connection, "pay_1", state="parked", due_at_ms=None)
    change(connection, "pay_2", state="done", verdict="no_pageview", due_at_ms=NOW_MS)
    claimed = claim(connection)
    states = connection.execute(
        select(deliveries.c.transaction_id, deliveries.c.state).order_by("transaction_id")
    ).all()

    assert [(each.state, each.verdict) for each in claimed] == [("done", "no_pageview")]
    assert [tuple(each) for each in states] == [
        ("pay_0", "held"),
        ("pay_1", "parked"),
        ("pay_2", "sending"),
    ]
