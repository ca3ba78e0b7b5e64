"""What the ledger counts of itself, on both kinds of database."""

from typing import Any

import pytest
from sqlalchemy import Connection, update

from kit.ledger.events import count_refusal
from kit.ledger.figures import DAY_MS, Figures, read_figures
from kit.ledger.lanes import Budget, lock_lane, pause
from kit.ledger.mapping import map_stored_events
from kit.ledger.policy import Policy
from kit.ledger.schema import deliveries
from tests.ledger.conftest import Message, Store

NOW_MS = 1_790_856_000_000


def figures(connection: Connection, *, now_ms: int = NOW_MS) -> Figures:
    """Count everything."""
    return read_figures(connection, lane="datafast", per_minute=60, now_ms=now_ms)


@pytest.fixture
def sell(connection: Connection, store: Store, message: Message) -> Any:
    """Let a payment be read, at a moment, and its report stand like this."""

    def sold(name: str, at_ms: int = NOW_MS, **values: Any) -> None:
        store(message(f"msg_{name}", payment_id=name), at_ms=at_ms)
        map_stored_events(connection, Policy(), at_ms)
        if values:
            connection.execute(
                update(deliveries).where(deliveries.c.transaction_id == name).values(**values)
            )

    return sold


def test_an_empty_ledger_counts_nothing(connection: Connection) -> None:
    """And has a whole budget."""
    counted = figures(connection)

    assert (counted.deliveries, dict(counted.messages), counted.refused) == ({}, {}, {})
    assert counted.oldest_waiting_s == {"message": 0.0, "report": 0.0, "held": 0.0}
    assert counted.attributed == {"1d": (0, 0), "7d": (0, 0), "all": (0, 0)}
    assert counted.lane == Budget(6.0, 0, None)


def test_reports_are_counted_by_where_they_stand(connection: Connection, sell: Any) -> None:
    """With their verdict and reason; the empty verdict is none yet."""
    sell("pay_1")
    sell("pay_2")
    sell("pay_3", state="done", verdict="attributed", reason="attributed")
    sell("pay_4", state="parked", reason="horizon", kind="refund")

    assert figures(connection).deliveries == {
        ("sale", "ready", "", "queued"): 2,
        ("sale", "done", "attributed", "attributed"): 1,
        ("refund", "parked", "", "horizon"): 1,
    }


def test_messages_are_counted_by_class(
    connection: Connection, store: Store, message: Message
) -> None:
    """Read or not; a type that somebody invents makes no class of its own."""
    store(
        message("msg_1"),
        message("msg_2", "subscription.renewed"),
        message("msg_3", "subscription.active"),
        message("msg_4", body=b'{"type": "invented.today", "data": {}}'),
        message("msg_5", body=b"not JSON"),
        message("msg_6", "refund.succeeded", payment_id="pay_unknown"),
    )
    map_stored_events(connection, Policy(), NOW_MS)
    store(message("msg_7"), at_ms=NOW_MS)
    counted = figures(connection).messages

    assert counted == {
        ("payment", "mapped", "mapped"): 1,
        ("subscription", "skipped", "event_not_money"): 2,
        ("other", "skipped", "event_unknown"): 1,
        ("unread", "unreadable", "not_json"): 1,
        ("refund", "waiting", "awaiting_payment"): 1,
        ("unread", "stored", "event_waiting"): 1,
    }


def test_the_oldest_that_waits_has_an_age(
    connection: Connection, store: Store, message: Message, sell: Any
) -> None:
    """Whatever else is done; a hold is told apart from a report that should go out."""
    sell("pay_done", NOW_MS - 900_000, state="done", verdict="attributed")
    sell("pay_parked", NOW_MS - 800_000, state="parked", reason="horizon")
    sell("pay_held", NOW_MS - 700_000, state="held", reason="test_mode")
    sell("pay_sending", NOW_MS - 60_000, state="sending")
    sell("pay_ready", NOW_MS - 5_000)
    before = figures(connection).oldest_waiting_s
    store(message("msg_late", "refund.succeeded", payment_id="pay_x"), at_ms=NOW_MS - 30_000)
    map_stored_events(connection, Policy(), NOW_MS)
    store(message("msg_new"), at_ms=NOW_MS - 2_000)

    assert before == {"message": 0.0, "report": 60.0, "held": 700.0}
    assert figures(connection).oldest_waiting_s["message"] == 30.0
    assert figures(connection, now_ms=NOW_MS - DAY_MS).oldest_waiting_s["report"] == 0.0


def test_the_share_of_attributed_sales_is_told_by_age(connection: Connection, sell: Any) -> None:
    """Of those that DataFast surely has; a refund is nobody's visit."""
    done: dict[str, Any] = {"state": "done"}
    sell("pay_1", verdict="attributed", **done)
    sell("pay_2", NOW_MS - 2 * DAY_MS, verdict="recorded", **done)
    sell("pay_3", NOW_MS - 3 * DAY_MS, verdict="no_pageview", **done)
    sell("pay_4", NOW_MS - 30 * DAY_MS, verdict="duplicate", **done)
    sell("pay_5", verdict="unconfirmed", **done)
    sell("pay_6", state="parked", verdict="rejected")
    sell("pay_7", verdict="attributed", kind="refund", **done)
    sell("pay_8")

    assert figures(connection).attributed == {"1d": (1, 1), "7d": (1, 3), "all": (1, 4)}


def test_refusals_and_the_lane_are_told(connection: Connection) -> None:
    """A paused lane with its reason; what is refilled since counts."""
    count_refusal(connection, "stale", NOW_MS)
    count_refusal(connection, "stale", NOW_MS)
    lock_lane(connection, "datafast", per_minute=60, now_ms=NOW_MS)
    pause(connection, "datafast", reason="key_refused", not_before_ms=NOW_MS + 900_000)
    counted = figures(connection, now_ms=NOW_MS + 1000)

    assert counted.refused == {"stale": 2}
    assert counted.lane == Budget(6.0, NOW_MS + 900_000, "key_refused")


def test_counting_reads_indexes_alone(connection: Connection) -> None:
    """A hundred thousand rows with their bodies would be hundreds of megabytes."""
    if connection.dialect.name != "sqlite":
        return  # PostgreSQL keeps bodies apart from rows, and decides by its own statistics
    plans = [
        "SELECT kind, state, verdict, reason, count(*), min(created_at_ms) FROM deliveries "
        "GROUP BY kind, state, verdict, reason",
        "SELECT state, type, reason, count(*) FROM events WHERE state <> 'stored' "
        "GROUP BY state, type, reason",
    ]
    for plan in plans:
        [step] = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {plan}").all()

        assert "COVERING INDEX" in step.detail
