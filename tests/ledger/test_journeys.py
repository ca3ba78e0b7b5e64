"""Journeys: what the rows of one visit, order or payment tell together."""

from typing import Any

import pytest
from sqlalchemy import Connection, update

from kit.helpers.dodo_datafast import Visitor
from kit.hops import REASONS
from kit.ledger.checkouts import begin_checkout, fail_opening, finish_opening, record_return
from kit.ledger.claims import claim_deliveries
from kit.ledger.events import count_refusal
from kit.ledger.journeys import (
    order_journey,
    recent_journeys,
    refused_webhooks,
    totals,
)
from kit.ledger.mapping import map_stored_events
from kit.ledger.piles import count_piles
from kit.ledger.policy import Policy
from kit.ledger.schema import deliveries
from kit.ledger.sendings import finish_deliveries, freeze_deliveries
from kit.ledger.telling import Journey
from kit.ledger.visits import record_visit, visit_from_pageview
from tests.ledger.conftest import Message, Store

NOW_MS = 1_790_856_000_000
VISITOR_ID = "0b8e6c1e-2d1c-4f0a-9f2e-6a4f1f4d7c11"
OTHER_VISITOR_ID = "5c1f8f0e-7f2b-4a51-8f0a-3f6a1e0d9b22"


def visit(connection: Connection, visitor_id: str = VISITOR_ID, at_ms: int = NOW_MS) -> None:
    """Have a pageview pass."""
    href = "https://contour.example/prints?utm_source=letter&utm_campaign=autumn"
    found = visit_from_pageview({"type": "pageview", "visitorId": visitor_id, "href": href})
    assert found is not None
    record_visit(connection, found, at_ms)


def check_out(connection: Connection, order_ref: str = "order-1", **changes: Any) -> None:
    """Open a checkout session for a visitor."""
    wanted: dict[str, Any] = {
        "visitor": Visitor(VISITOR_ID, None, "captured"),
        "now_ms": NOW_MS + 1000,
    }
    begin_checkout(
        connection,
        attempt=order_ref,
        order_ref=order_ref,
        product="coastline",
        **wanted | changes,
    )
    finish_opening(
        connection, order_ref, dodo_session_id="cks_example", checkout_url="https://c.example/"
    )


def answer(connection: Connection, state: str, reason: str, verdict: str | None) -> None:
    """Send what is due and write an answer down."""
    claimed = claim_deliveries(
        connection,
        lane="lane",
        owner="me",
        per_minute=600,
        limit=9,
        lease_ms=1,
        now_ms=NOW_MS + 5000,
    )
    freeze_deliveries(connection, claimed, owner="me", now_ms=NOW_MS + 5000)
    end = {
        "state": state,
        "reason": reason,
        "verdict": verdict,
        "message": "DataFast's words",
        "answered_at_ms": NOW_MS + 6000,
        "due_at_ms": None,
    }
    ends = {each.payment.transaction_id: end for each in claimed}
    finish_deliveries(connection, ends, owner="me")


def told(journey: Journey | None) -> list[tuple[str, str]]:
    """Return a journey's hops by name and reason."""
    assert journey is not None
    return [(hop.name, hop.reason) for hop in journey.hops]


def test_an_order_is_told_from_landing_to_answer(
    connection: Connection, message: Message, store: Store
) -> None:
    """Each hop with its time, in the order in which things happen."""
    visit(connection)
    check_out(connection)
    record_return(
        connection,
        "order-1",
        visitor=Visitor(VISITOR_ID, None, "captured"),
        claims={},
        now_ms=NOW_MS + 2000,
    )
    store(message("m1"), at_ms=NOW_MS + 3000)
    map_stored_events(connection, Policy(), NOW_MS + 4000)
    answer(connection, "done", "attributed", "attributed")
    journey = order_journey(connection, "order-1")

    assert told(journey) == [
        ("Pageview", "pageview_passed"),
        ("Visitor cookie at checkout", "captured"),
        ("Metadata sent to Dodo", "session_opened"),
        ("Return from Dodo's page", "returned"),
        ("payment.succeeded received", "verified"),
        ("payment.succeeded read", "mapped"),
        ("Counted as", "sale"),
        ("Visitor of the payment", "visitor_in_metadata"),
        ("Sent to DataFast", "sent"),
        ("DataFast's answer", "attributed"),
    ]
    assert journey is not None
    times = [hop.at_ms for hop in journey.hops if hop.at_ms is not None]
    assert times == sorted(times)
    assert (journey.verdict, journey.reason, journey.tone) == ("attributed", "attributed", "ok")
    assert (journey.source, journey.visitor_id) == ("letter", VISITOR_ID)
    assert (journey.amount, journey.currency) == ("29.00", "USD")
    assert (journey.paid_minor, journey.paid_currency) == (2900, "USD")
    assert (journey.order_ref, journey.payment_id) == ("order-1", "pay_example")


def test_an_order_that_is_not_paid_waits(connection: Connection) -> None:
    """With what to look at if the buyer says otherwise."""
    check_out(connection)
    journey = order_journey(connection, "order-1")

    assert told(journey)[-2:] == [
        ("Return from Dodo's page", "not_returned"),
        ("Webhook", "no_webhook"),
    ]
    assert told(journey)[0] == ("Pageview", "pageview_not_seen")
    assert journey is not None
    assert (journey.verdict, journey.reason) == ("unpaid", "no_webhook")


def test_an_order_that_dodo_refused_is_told_as_failed(connection: Connection) -> None:
    """It ends there."""
    check_out(connection)
    fail_opening(connection, "order-1")
    journey = order_journey(connection, "order-1")

    assert told(journey)[-1] == ("Metadata sent to Dodo", "session_failed")
    assert journey is not None
    assert (journey.verdict, journey.tone) == ("failed", "lost")


def test_an_unknown_order_has_no_journey(connection: Connection) -> None:
    """None, not an empty one."""
    assert order_journey(connection, "order-9") is None


@pytest.mark.parametrize("reason", ["absent", "malformed", "declined", "cookieless_format"])
def test_what_was_not_captured_is_told_with_its_fix(connection: Connection, reason: str) -> None:
    """The first thing to look at when sales have no source."""
    check_out(connection, visitor=Visitor(None, None, reason))

    assert told(order_journey(connection, "order-1"))[0] == ("Visitor cookie at checkout", reason)


@pytest.mark.parametrize(
    ("state", "reason", "verdict", "word"),
    [
        ("done", "no_pageview", "no_pageview", "no_pageview"),
        ("done", "duplicate", "duplicate", "duplicate"),
        ("ready", "datafast_timeout", None, "waiting"),
        ("held", "awaiting_pageview", None, "waiting"),
        ("parked", "rejected", "rejected", "parked"),
    ],
)
def test_a_journey_stands_where_its_delivery_stands(
    connection: Connection,
    message: Message,
    store: Store,
    state: str,
    reason: str,
    verdict: str | None,
    word: str,
) -> None:
    """In a word, with the reason that belongs to it."""
    store(message("m1"))
    map_stored_events(connection, Policy(), NOW_MS)
    answer(connection, state, reason, verdict)
    ((journey,), _) = recent_journeys(connection, before=None, limit=10)

    assert (journey.verdict, journey.reason) == (word, reason)
    assert journey.tone == REASONS[reason].tone
    assert told(journey)[-1] == ("DataFast's answer", reason)


def test_payments_of_other_front_ends_are_journeys_of_their_own(
    connection: Connection, message: Message, store: Store
) -> None:
    """All messages about one payment are one journey; the rest of its story is unknown."""
    store(message("m1"), message("m2", "payment.processing"))
    map_stored_events(connection, Policy(), NOW_MS)
    ((journey,), _) = recent_journeys(connection, before=None, limit=10)

    assert journey.key == "payment:pay_example"
    assert told(journey)[0] == ("Checkout", "checkout_unknown")
    assert ("payment.processing read", "event_not_money") in told(journey)


def test_what_cannot_be_read_is_a_journey_too(
    connection: Connection, message: Message, store: Store
) -> None:
    """Somebody has to see it."""
    store(message("m1", body=b"<html>"))
    map_stored_events(connection, Policy(), NOW_MS)
    ((journey,), _) = recent_journeys(connection, before=None, limit=10)

    assert journey.key == "message:m1"
    assert (journey.verdict, journey.reason, journey.tone) == ("unreadable", "not_json", "lost")


def test_a_visitor_who_bought_nothing_is_a_visit(connection: Connection) -> None:
    """And one who did is not told twice."""
    visit(connection)
    visit(connection, OTHER_VISITOR_ID, NOW_MS + 500)
    check_out(connection)
    keys = [each.key for each in recent_journeys(connection, before=None, limit=10)[0]]

    assert keys == ["order:order-1", f"visit:{OTHER_VISITOR_ID}"]


def test_pages_of_journeys_neither_overlap_nor_leave_out(
    connection: Connection, message: Message, store: Store
) -> None:
    """Newest first, each page from where the one before ended."""
    for number in range(7):
        at_ms = NOW_MS + number * 1000
        store(
            message(f"m{number}", payment_id=f"pay_{number}"),
            message(f"n{number}", "payment.processing", payment_id=f"pay_{number}"),
            at_ms=at_ms,
        )
        visit(connection, OTHER_VISITOR_ID[:-1] + str(number), at_ms + 500)
    map_stored_events(connection, Policy(), NOW_MS)
    keys: list[str] = []
    before = None
    while True:
        page, before = recent_journeys(connection, before=before, limit=3)
        keys += [each.key for each in page]
        if before is None:
            break

    assert len(keys) == len(set(keys)) == 14
    assert keys[:2] == [f"visit:{OTHER_VISITOR_ID[:-1]}6", "payment:pay_6"]


def test_no_body_and_no_person_is_in_a_journey(
    connection: Connection, message: Message, store: Store
) -> None:
    """It is shown on a page."""
    store(message("m1"))
    map_stored_events(connection, Policy(send_customer=True), NOW_MS)
    shown = repr(recent_journeys(connection, before=None, limit=10))

    assert "ada@example.com" not in shown
    assert "Ada Example" not in shown


def test_totals_count_orders_and_reports(
    connection: Connection, message: Message, store: Store
) -> None:
    """By what became of them."""
    check_out(connection)
    store(message("m1"))
    for number in range(5):
        store(message(f"n{number}", payment_id=f"pay_{number}", checkout_session_id=None))
    map_stored_events(connection, Policy(), NOW_MS)
    ends = [("done", "attributed"), ("done", "attributed"), ("parked", "rejected"), ("held", None)]
    for number, (state, verdict) in enumerate(ends):
        connection.execute(
            update(deliveries)
            .where(deliveries.c.transaction_id == f"pay_{number}")
            .values(state=state, verdict=verdict)
        )

    assert totals(connection, count_piles(connection), 0) == {
        "orders": 1,
        "paid": 1,
        "attributed": 2,
        "parked": 1,
        "waiting": 3,
    }


def test_a_reversal_of_a_sale_that_does_not_count_is_skipped(
    connection: Connection, message: Message, store: Store
) -> None:
    """It is done without an answer, and still stands for something in a word."""
    store(message("m1", "payment.processing"), message("m2", "refund.succeeded"))
    map_stored_events(connection, Policy(), NOW_MS)
    held = totals(connection, count_piles(connection), 0)
    store(message("m3", status="failed"))
    map_stored_events(connection, Policy(), NOW_MS)
    ((journey,), _) = recent_journeys(connection, before=None, limit=10)

    assert held == {"orders": 0, "paid": 0, "waiting": 1}
    assert (journey.verdict, journey.reason) == ("skipped", "original_not_counted")
    assert totals(connection, count_piles(connection), 0) == {"orders": 0, "paid": 0, "skipped": 1}


def test_refused_webhooks_are_counted_by_reason(connection: Connection) -> None:
    """With the last time of each."""
    for moment, reason in enumerate(["stale", "future", "stale"]):
        count_refusal(connection, reason, NOW_MS + moment)
    found = {
        row["reason"]: (row["count"], row["last_at_ms"]) for row in refused_webhooks(connection)
    }

    assert found == {"stale": (2, NOW_MS + 2), "future": (1, NOW_MS + 1)}
