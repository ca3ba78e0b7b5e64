"""Forgetting a visitor: what is found, what goes, what stays, and what DataFast is asked for."""

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select, update

from kit.helpers.dodo_datafast import Visitor
from kit.ledger import Ledger
from kit.ledger.checkouts import find_checkout, record_return
from kit.ledger.erasure import (
    Reported,
    Traces,
    find_messages,
    find_rows,
    find_traces,
    forget,
    reported,
    withdraw,
)
from kit.ledger.schema import events, payments, subscriptions, visits
from kit.ledger.sendings import finish_deliveries, freeze_deliveries
from kit.ledger.tombstones import is_forgotten
from tests.ledger.conftest import Clock, Message, Store, store_messages
from tests.ledger.scenes import (
    CUSTOMER,
    EMAIL,
    NAME,
    NAMELESS,
    NOW_MS,
    OTHER,
    SEND_ALL,
    VISITOR,
    body_of,
    check_out,
    claim,
    named,
    person_of,
    read_all,
    report,
    sell,
    sent,
    visit,
)

LATER_MS = NOW_MS + 5000


def live(connection: Connection, message: Message, store: Store) -> None:
    """Have one visitor come, subscribe and be charged twice, and another one buy as well."""
    visit(connection, VISITOR)
    check_out(connection, "order-1", VISITOR)
    subscribed = {"subscription_id": "sub_1", **named(VISITOR)}
    store(message("m1", "subscription.active", **subscribed))
    first = {"charge_type": "new", "checkout_session_id": "cks_order-1", **subscribed}
    store(message("m2", payment_id="pay_1", **first))
    renewal = {"subscription_id": "sub_1", "charge_type": "renewal", **named("")}
    store(message("m3", payment_id="pay_2", **renewal))
    store(message("m4", "refund.succeeded", payment_id="pay_1", refund_id="rfnd_1", amount=1000))
    store(message("m5", "subscription.updated", **subscribed))
    visit(connection, OTHER)
    check_out(connection, "order-2", OTHER)
    theirs = {"checkout_session_id": "cks_order-2", **named(OTHER)}
    store(message("m6", payment_id="pay_9", **theirs))
    read_all(connection)


def forget_now(connection: Connection, visitor_id: str = VISITOR) -> Traces:
    """Forget a visitor as it is done."""
    return forget(connection, find_traces(connection, visitor_id), now_ms=LATER_MS)


def test_what_a_visitor_left_is_found_by_every_link(
    connection: Connection, message: Message, store: Store
) -> None:
    """A renewal that names nobody belongs to the subscription, a refund to its payment."""
    live(connection, message, store)
    traces = find_traces(connection, VISITOR)

    assert traces == Traces(
        VISITOR,
        orders=frozenset({"order-1"}),
        payments=frozenset({"pay_1", "pay_2"}),
        subscriptions=frozenset({"sub_1"}),
        reports=frozenset({"pay_1", "pay_2", "rfnd_1"}),
        messages=frozenset({"m1", "m2", "m3", "m4", "m5"}),
        visited=True,
    )


def test_nobody_elses_rows_are_found(
    connection: Connection, message: Message, store: Store
) -> None:
    """Also where two visitors share an order: each keeps what carries the own id."""
    live(connection, message, store)
    check_out(connection, "order-3", OTHER)
    returned = Visitor(VISITOR, None, "captured", "return")
    record_return(connection, "order-3", visitor=returned, claims={}, now_ms=NOW_MS)
    mixed = {"checkout_session_id": "cks_order-1", **named(OTHER)}
    sell(connection, message, store, "pay_8", **mixed)
    mine, theirs = find_rows(connection, VISITOR), find_rows(connection, OTHER)

    assert "order-3" not in mine.orders
    assert "pay_8" not in mine.payments | mine.reports
    assert mine.orders.isdisjoint(theirs.orders)
    assert mine.payments.isdisjoint(theirs.payments)
    assert mine.reports.isdisjoint(theirs.reports)


def test_everything_that_names_the_visitor_goes(
    connection: Connection, message: Message, store: Store
) -> None:
    """And the money stays as it was."""
    live(connection, message, store)
    before = {each: report(connection, each) for each in ("pay_1", "pay_2", "rfnd_1")}
    removed = forget_now(connection)
    after = {each: report(connection, each) for each in before}
    order = find_checkout(connection, "order-1")

    assert is_forgotten(connection, VISITOR)
    assert removed == find_rows_as(removed, "m1", "m2", "m3", "m4", "m5")
    assert [person_of(row) for row in after.values()] == [NAMELESS] * 3
    for name in ("amount", "currency", "state", "reason", "due_at_ms", "renewal", "order_ref"):
        assert [row[name] for row in after.values()] == [row[name] for row in before.values()]
    assert order is not None
    kept = ("visitor_id", "session_id", "return_visitor_id", "claimed_payment_id", "claimed_status")
    assert [order[name] for name in kept] == [None] * 5
    assert order["capture_reason"] == "forgotten"
    assert connection.scalars(select(visits.c.visitor_id)).all() == [OTHER]
    for table in (payments, subscriptions):
        marked = select(table.c.visitor_id).where(table.c.forgotten.is_(True))
        assert set(connection.scalars(marked)) == {None}
    assert [body_of(connection, f"m{number}") for number in range(1, 6)] == [None] * 5


def find_rows_as(found: Traces, *messages: str) -> Traces:
    """Return the same traces with these messages."""
    return Traces(
        found.visitor_id,
        frozenset({"order-1"}),
        frozenset({"pay_1", "pay_2"}),
        frozenset({"sub_1"}),
        frozenset({"pay_1", "pay_2", "rfnd_1"}),
        frozenset(messages),
        visited=True,
    )


def test_another_visitor_keeps_everything(
    connection: Connection, message: Message, store: Store
) -> None:
    """Row for row."""
    live(connection, message, store)
    before = (report(connection, "pay_9"), find_checkout(connection, "order-2"))
    forget_now(connection)
    payment = connection.execute(select(payments).where(payments.c.payment_id == "pay_9"))
    kept = payment.mappings().one()

    assert (report(connection, "pay_9"), find_checkout(connection, "order-2")) == before
    assert [kept[name] for name in ("visitor_id", "customer_id", "forgotten")] == [
        OTHER,
        CUSTOMER,
        None,
    ]
    assert body_of(connection, "m6") is not None


def test_a_return_of_the_visitor_to_somebody_elses_order_goes(
    connection: Connection, message: Message, store: Store
) -> None:
    """The order keeps its own visitor."""
    check_out(connection, "order-2", OTHER)
    returned = Visitor(VISITOR, None, "captured", "return")
    record_return(connection, "order-2", visitor=returned, claims={}, now_ms=NOW_MS)
    forget_now(connection)
    order = find_checkout(connection, "order-2")

    assert order is not None
    assert (order["visitor_id"], order["return_visitor_id"]) == (OTHER, None)


def test_a_sale_that_the_return_page_named_is_the_visitors(
    connection: Connection, message: Message, store: Store
) -> None:
    """The checkout itself carried no id."""
    check_out(connection, "order-1", None)
    sell(connection, message, store, "pay_1", checkout_session_id="cks_order-1", **named(""))
    returned = Visitor(VISITOR, None, "captured", "return")
    record_return(connection, "order-1", visitor=returned, claims={}, now_ms=NOW_MS)
    before = report(connection, "pay_1")["visitor_id"]
    forget_now(connection)

    assert before == VISITOR
    assert person_of(report(connection, "pay_1")) == NAMELESS


def test_messages_that_are_still_to_be_read_keep_their_money(
    connection: Connection, message: Message, store: Store
) -> None:
    """Stored, waiting and parked ones are read later as if they had never named anybody."""
    store(message("m1", "refund.succeeded", payment_id="pay_0", amount=500, **named(VISITOR)))
    store(message("m2", payment_id="pay_2", currency="XXX", **named(VISITOR)))
    read_all(connection)
    store(message("m3", payment_id="pay_3", **named(VISITOR)))
    forget_now(connection)
    texts = str([body_of(connection, f"m{number}") for number in (1, 2, 3)])
    connection.execute(update(events).where(events.c.webhook_id == "m2").values(state="stored"))
    read_all(connection)
    found = connection.execute(select(events.c.webhook_id, events.c.state))
    states = {row.webhook_id: row.state for row in found}

    assert not [word for word in (VISITOR, EMAIL, NAME, CUSTOMER) if word in texts]
    assert states == {"m1": "waiting", "m2": "parked", "m3": "mapped"}
    assert report(connection, "pay_3")["amount"] == "29.00"
    assert person_of(report(connection, "pay_3")) == NAMELESS


def test_a_message_that_cannot_be_read_is_emptied(
    connection: Connection, message: Message, store: Store
) -> None:
    """It names the visitor all the same, and is unreadable before and after."""
    store(message("m1", body=f'{{"type": "a", "type": "b", "data": "{VISITOR}"}}'.encode()))
    forget_now(connection)
    read_all(connection)
    [event] = connection.execute(select(events)).mappings()

    assert (event["state"], event["body"]) == ("unreadable", b"")


def test_a_late_message_is_found_by_a_second_look(
    connection: Connection, message: Message, store: Store
) -> None:
    """One that came while the visitor was being forgotten, by what it says or belongs to."""
    live(connection, message, store)
    traces = find_traces(connection, VISITOR)
    forget(connection, traces, now_ms=LATER_MS)
    store(message("m7", "subscription.updated", subscription_id="sub_1", **named("")))
    store(message("m8", "subscription.updated", subscription_id="sub_2", **named(VISITOR)))
    store(message("m9", "subscription.updated", subscription_id="sub_3", **named(OTHER)))

    assert find_messages(connection, traces) == {"m7", "m8"}


def test_forgetting_twice_finds_nothing_more(
    connection: Connection, message: Message, store: Store
) -> None:
    """And harms nothing."""
    live(connection, message, store)
    forget_now(connection)
    again = forget_now(connection)

    assert again.counts() == {}


def test_a_visitor_of_whom_nothing_is_here_is_buried_all_the_same(connection: Connection) -> None:
    """What Dodo's metadata brings later meets the tombstone."""
    found = forget_now(connection)

    assert found.counts() == {}
    assert is_forgotten(connection, VISITOR)


def test_what_datafast_holds_is_summed_by_kind_and_currency(
    connection: Connection, message: Message, store: Store
) -> None:
    """Exactly, with what was not sent yet apart, and without what is not counted."""
    for number, currency, amount in (
        (1, "USD", 10),
        (2, "USD", 20),
        (3, "JPY", 500),
        (4, "USD", 5),
    ):
        changes = {"total_amount": amount, "currency": currency, **named(VISITOR)}
        sell(connection, message, store, f"pay_{number}", **changes)
    sell(connection, message, store, "pay_5", **named(VISITOR))
    for number in (1, 2, 3):
        sent(connection, f"pay_{number}")
    uncounted = {"state": "done", "reason": "original_not_counted", "verdict": None}
    sent(connection, "pay_5", **uncounted)

    assert reported(connection, find_rows(connection, VISITOR)) == [
        Reported("sale", "JPY", 1, "500", True),
        Reported("sale", "USD", 2, "0.30", True),
        Reported("sale", "USD", 1, "0.05", False),
    ]


def test_reports_to_be_deleted_are_due_at_once_and_nothing_is_posted_after(
    connection: Connection, message: Message, store: Store
) -> None:
    """Sent ones and unsent ones alike: each is deleted by its own id, and by nothing else."""
    live(connection, message, store)
    sent(connection, "pay_1")
    found = forget_now(connection)
    number = withdraw(connection, found, now_ms=LATER_MS)
    claimed = {each.payment.transaction_id: each for each in claim(connection, now_ms=LATER_MS)}
    mine = [claimed[each] for each in ("pay_1", "pay_2", "rfnd_1")]

    assert number == 3
    assert all(each.delete_only and not each.delete_first for each in mine)
    assert {(each.reason, each.verdict, each.visitor_source) for each in mine} == {
        ("forgetting", None, "forgotten")
    }
    assert not claimed["pay_9"].delete_only


def test_a_report_on_its_way_is_deleted_after_it_has_arrived(
    connection: Connection, message: Message, store: Store
) -> None:
    """Its worker is not stopped, so the delete waits for the end of the lease."""
    sell(connection, message, store, "pay_1", **named(VISITOR))
    [claimed] = claim(connection)
    freeze_deliveries(connection, [claimed], owner="me", now_ms=NOW_MS)
    lease_ends_ms = report(connection, "pay_1")["due_at_ms"]
    withdraw(connection, forget_now(connection), now_ms=LATER_MS)
    finished = finish_deliveries(
        connection, {"pay_1": {"state": "done", "reason": "attributed"}}, owner="me"
    )
    early = claim(connection, owner="other", now_ms=lease_ends_ms - 1)
    [late] = claim(connection, owner="other", now_ms=lease_ends_ms)

    assert claimed.payment.datafast_visitor_id == VISITOR
    assert not finished
    assert early == []
    assert late.delete_only


def test_a_refund_of_a_deleted_sale_is_not_counted(
    connection: Connection, message: Message, store: Store
) -> None:
    """DataFast would take back what it does not have."""
    sell(connection, message, store, "pay_1", **named(VISITOR))
    sent(connection, "pay_1")
    withdraw(connection, forget_now(connection), now_ms=LATER_MS)
    store(message("m2", "refund.succeeded", payment_id="pay_1", refund_id="rfnd_1", amount=100))
    read_all(connection)
    [found] = connection.execute(select(events).where(events.c.webhook_id == "m2")).mappings()

    assert (found["state"], found["reason"]) == ("skipped", "original_not_counted")


def test_a_repeat_of_a_deleted_sale_is_not_reported_again(
    connection: Connection, message: Message, store: Store
) -> None:
    """Its row is still here, and says that it was deleted."""
    sell(connection, message, store, "pay_1", **named(VISITOR))
    withdraw(connection, forget_now(connection), now_ms=LATER_MS)
    deleted = {"state": "done", "reason": "deleted_at_datafast", "verdict": None}
    sent(connection, "pay_1", **deleted)
    store(message("m2", payment_id="pay_1", **named(VISITOR)))
    read_all(connection)
    row = report(connection, "pay_1")

    assert [row[name] for name in deleted] == list(deleted.values())
    assert row["due_at_ms"] is None
    assert withdraw(connection, find_rows(connection, VISITOR), now_ms=LATER_MS) == 0


def file_of(path: Path) -> bytes:
    """Return a closed ledger's file, with what its log still held."""
    with contextlib.closing(sqlite3.connect(path)) as opened:
        opened.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path.read_bytes()


@pytest.mark.anyio
async def test_no_byte_of_the_person_is_left_in_the_file(
    path: Path, clock: Clock, message: Message
) -> None:
    """SQLite keeps what was deleted until it is overwritten, unless it is told otherwise."""
    ledger = Ledger.open(f"sqlite:///{path}", clock=clock)

    def buy(connection: Connection) -> None:
        visit(connection, VISITOR)
        check_out(connection, "order-1", VISITOR)
        sale: dict[str, Any] = {"checkout_session_id": "cks_order-1", **named(VISITOR)}
        store_messages(connection, message("m1", **sale))
        read_all(connection, SEND_ALL)

    await ledger.write(buy)
    words = [word.encode() for word in (VISITOR, EMAIL, NAME, CUSTOMER)]
    ledger.close()
    before = file_of(path)
    ledger = Ledger.open(f"sqlite:///{path}", clock=clock)
    traces = await ledger.read(lambda connection: find_traces(connection, VISITOR))
    await ledger.write(lambda connection: forget(connection, traces, now_ms=LATER_MS))
    ledger.close()
    after = file_of(path)

    assert [word for word in words if word not in before] == []
    assert [word for word in words if word in after] == []
