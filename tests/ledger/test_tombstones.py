"""Who asked to be forgotten: known by a keyed hash, and named nowhere again."""

from typing import Any

import pytest
from sqlalchemy import Connection, select

from kit.helpers.dodo_datafast import Visitor
from kit.hops import REASONS
from kit.ledger.checkouts import find_checkout, record_return
from kit.ledger.journeys import order_journey, recent_journeys
from kit.ledger.policy import Policy
from kit.ledger.sales import find_payment, find_subscription, find_visitor, unless_forgotten
from kit.ledger.schema import events, meta, tombstones, visits
from kit.ledger.sendings import freeze_deliveries
from kit.ledger.tombstones import bury, is_forgotten
from tests.ledger.conftest import Message, Store
from tests.ledger.scenes import (
    CUSTOMER,
    EMAIL,
    NAME,
    NAMELESS,
    NOW_MS,
    OTHER,
    VISITOR,
    body_of,
    change,
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


def test_a_buried_visitor_is_known_and_nobody_else(connection: Connection) -> None:
    """Once is enough; the second time says that it was known."""
    before = is_forgotten(connection, VISITOR)
    buried = [bury(connection, VISITOR, NOW_MS), bury(connection, VISITOR, NOW_MS + 1)]
    found = [is_forgotten(connection, each) for each in (VISITOR, OTHER, None)]

    assert (before, buried, found) == (False, [True, False], [True, False, False])


def test_the_id_is_not_in_the_tombstone(connection: Connection) -> None:
    """A keyed hash: two ledgers know the same visitor by different ones."""
    bury(connection, VISITOR, NOW_MS)
    first = connection.scalar(select(tombstones.c.visitor_hash))
    connection.execute(tombstones.delete())
    connection.execute(meta.delete().where(meta.c.name == "tombstone_key"))
    bury(connection, VISITOR, NOW_MS)
    second = connection.scalar(select(tombstones.c.visitor_hash))

    assert first is not None
    assert second is not None
    assert len(first) == len(second) == 64
    assert first != second
    assert VISITOR not in first


def test_a_pageview_of_a_forgotten_visitor_leaves_nothing(connection: Connection) -> None:
    """The script of an old cookie may go on."""
    bury(connection, VISITOR, NOW_MS)
    visit(connection, VISITOR)
    visit(connection, OTHER)

    assert connection.scalars(select(visits.c.visitor_id)).all() == [OTHER]


def test_a_checkout_takes_no_forgotten_visitor_along(connection: Connection) -> None:
    """Neither in the ledger nor, by the row it returns, in Dodo's metadata."""
    bury(connection, VISITOR, NOW_MS)
    order = check_out(connection, "order-1", VISITOR)
    kept = [order[name] for name in ("visitor_id", "session_id", "capture_reason")]

    assert kept == [None, None, "forgotten"]


def test_a_return_joins_no_forgotten_visitor(
    connection: Connection, message: Message, store: Store
) -> None:
    """The sale waits no longer, and goes without a name."""
    check_out(connection, "order-1", None)
    bury(connection, VISITOR, NOW_MS)
    sell(connection, message, store, "pay_1", checkout_session_id="cks_order-1", metadata={})
    returned = Visitor(VISITOR, f"s{VISITOR}", "captured", "return")
    record_return(connection, "order-1", visitor=returned, claims={}, now_ms=NOW_MS)
    order = find_checkout(connection, "order-1")

    assert order is not None
    assert (order["return_visitor_id"], order["return_reason"]) == (None, "forgotten")
    assert report(connection, "pay_1")["visitor_id"] is None
    assert report(connection, "pay_1")["state"] == "ready"


def test_a_message_that_names_a_forgotten_visitor_stores_no_id(
    connection: Connection, message: Message, store: Store
) -> None:
    """The money becomes a report as ever; payment, report and message name nobody."""
    bury(connection, VISITOR, NOW_MS)
    changes = {"subscription_id": "sub_1", "charge_type": "new", **named(VISITOR)}
    row = sell(connection, message, store, "pay_1", **changes)
    payment = find_payment(connection, "pay_1")
    [event] = connection.execute(select(events)).mappings()

    assert (row["amount"], row["currency"], row["state"]) == ("29.00", "USD", "ready")
    assert person_of(row) == NAMELESS
    assert payment is not None
    assert [payment[name] for name in ("visitor_id", "customer_id", "forgotten")] == [
        None,
        None,
        True,
    ]
    assert (event["state"], event["body"]) == ("mapped", None)


def test_what_follows_a_forgotten_payment_names_nobody_either(
    connection: Connection, message: Message, store: Store
) -> None:
    """A refund and a renewal whose own metadata is empty are known by what they follow."""
    bury(connection, VISITOR, NOW_MS)
    store(message("m0", "subscription.active", subscription_id="sub_1", **named(VISITOR)))
    read_all(connection)
    first = {"subscription_id": "sub_1", "charge_type": "new", **named(VISITOR)}
    sell(connection, message, store, "pay_1", **first)
    renewal = {"subscription_id": "sub_1", "charge_type": "renewal", **named("")}
    rows = [sell(connection, message, store, "pay_2", **renewal)]
    refund = {"payment_id": "pay_1", "refund_id": "rfnd_1", "amount": 2900, "metadata": {}}
    store(message("m3", "refund.succeeded", **refund))
    read_all(connection)
    rows.append(report(connection, "rfnd_1"))
    subscription = find_subscription(connection, "sub_1")

    assert [person_of(row) for row in rows] == [NAMELESS] * 2
    assert subscription is not None
    assert (subscription["visitor_id"], subscription["forgotten"]) == (None, True)
    assert find_visitor(connection, "pay_1", ()) == (None, "forgotten")


def test_a_message_that_waits_is_kept_without_its_person(
    connection: Connection, message: Message, store: Store
) -> None:
    """It can still be read when its payment is known; a parked one likewise."""
    bury(connection, VISITOR, NOW_MS)
    refund = {"payment_id": "pay_0", "amount": 1000, **named(VISITOR, order_ref="order-1")}
    store(message("m1", "refund.succeeded", **refund))
    store(message("m2", payment_id="pay_2", currency="XXX", **named(VISITOR)))
    read_all(connection)
    states = connection.execute(select(events.c.state).order_by(events.c.webhook_id)).scalars()
    waiting, parked = body_of(connection, "m1"), body_of(connection, "m2")

    assert list(states) == ["waiting", "parked"]
    assert waiting is not None
    assert parked is not None
    assert (waiting["data"]["amount"], parked["data"]["currency"]) == (1000, "XXX")
    assert waiting["data"]["metadata"] == {
        "datafast_visitor_id": "forgotten",
        "order_ref": "order-1",
    }
    assert not [word for word in (VISITOR, EMAIL, NAME, CUSTOMER) if word in f"{waiting}{parked}"]


def test_another_visitor_is_named_as_ever(
    connection: Connection, message: Message, store: Store
) -> None:
    """A tombstone is one person's."""
    bury(connection, VISITOR, NOW_MS)
    row = sell(connection, message, store, "pay_1", **named(OTHER))

    assert person_of(row) == {
        "visitor_id": OTHER,
        "visitor_source": "metadata",
        "customer_id": CUSTOMER,
        "email": EMAIL,
        "name": NAME,
    }
    assert body_of(connection, "msg_pay_1") is not None


def test_a_repeat_does_not_name_a_forgotten_visitor_again(
    connection: Connection, message: Message, store: Store
) -> None:
    """Neither a message that names one, nor one that only brings the buyer back."""
    sell(connection, message, store, "pay_1", **named("", note="empty"))
    bury(connection, VISITOR, NOW_MS)
    store(message("m2", payment_id="pay_1", **named(VISITOR)))
    read_all(connection)
    after_name = person_of(report(connection, "pay_1"))
    store(message("m3", payment_id="pay_1", **named("")))
    read_all(connection)

    assert after_name == NAMELESS
    assert person_of(report(connection, "pay_1")) == NAMELESS


@pytest.mark.parametrize("held_by", ["the worker", "the row"])
def test_a_visitor_forgotten_after_the_claim_is_not_sent(
    connection: Connection, message: Message, store: Store, held_by: str
) -> None:
    """The last look is just before the send: at the row, and at what was found for it."""
    sell(connection, message, store, "pay_1", **named(VISITOR))
    if held_by == "the row":
        change(connection, "pay_1", visitor_dropped=True)
    [claimed] = claim(connection)
    bury(connection, VISITOR, NOW_MS)
    [frozen] = freeze_deliveries(connection, [claimed], owner="me", now_ms=NOW_MS)
    assert frozen is not None
    payment, row = frozen.payment, report(connection, "pay_1")
    named_in_it = (
        payment.datafast_visitor_id,
        payment.email,
        payment.name,
        payment.customer_id,
    )

    assert claimed.payment.email == EMAIL
    assert named_in_it == (None,) * 4
    assert (payment.amount, payment.transaction_id) == (claimed.payment.amount, "pay_1")
    assert person_of(row) == NAMELESS
    assert row["first_sent_at_ms"] == NOW_MS


def test_a_visitor_who_was_not_forgotten_is_sent(
    connection: Connection, message: Message, store: Store
) -> None:
    """The last look changes nothing else."""
    sell(connection, message, store, "pay_1", **named(VISITOR))
    [claimed] = claim(connection)
    bury(connection, OTHER, NOW_MS)

    assert freeze_deliveries(connection, [claimed], owner="me", now_ms=NOW_MS) == [claimed]


def test_facts_from_dodo_are_kept_without_a_forgotten_visitor(
    connection: Connection, message: Message, store: Store
) -> None:
    """Its metadata keeps the id for years."""
    from kit.helpers.dodo_datafast import read_event
    from kit.ledger.facts import read_facts

    facts = read_facts(read_event(message("m1", **named(VISITOR))))
    before = unless_forgotten(connection, facts)
    bury(connection, VISITOR, NOW_MS)
    after = unless_forgotten(connection, facts)

    assert before is facts
    assert (after.visitor_id, after.customer_id, after.forgotten) == (None, None, True)
    assert after.total_minor == facts.total_minor


def test_journeys_tell_that_a_visitor_was_forgotten(
    connection: Connection, message: Message, store: Store
) -> None:
    """At the checkout and at the payment, in a sentence, and without a wrong complaint."""
    bury(connection, VISITOR, NOW_MS)
    check_out(connection, "order-1", VISITOR)
    sale = {"checkout_session_id": "cks_order-1", **named(VISITOR)}
    sell(connection, message, store, "pay_1", **sale)
    sell(connection, message, store, "pay_2", **named(VISITOR))
    for transaction_id in ("pay_1", "pay_2"):
        sent(connection, transaction_id, reason="recorded_without_visitor", verdict="recorded")
    journeys, _ = recent_journeys(connection, before=None, limit=9)
    told: dict[str, dict[str, str]] = {
        each.key: {hop.name: hop.reason for hop in each.hops} for each in journeys
    }
    order = order_journey(connection, "order-1")

    assert told["order:order-1"]["Visitor cookie at checkout"] == "forgotten"
    assert {hops["Visitor of the payment"] for hops in told.values()} == {"forgotten"}
    assert not [hops for hops in told.values() if "pageview_not_seen" in hops.values()]
    assert [each.visitor_id for each in journeys] == [None, None]
    assert order is not None
    assert VISITOR not in str(order)
    assert "forgotten" in REASONS["forgotten"].sentence


def test_a_held_sale_of_a_forgotten_visitor_does_not_wait_for_its_buyer(
    connection: Connection, message: Message, store: Store
) -> None:
    """Who comes back could name nobody."""
    bury(connection, VISITOR, NOW_MS)
    check_out(connection, "order-1", VISITOR)
    changes: dict[str, Any] = {"checkout_session_id": "cks_order-1", "metadata": {}}
    store(message("m1", payment_id="pay_1", **changes))
    read_all(connection, Policy(hold_s=600))

    assert report(connection, "pay_1")["state"] == "ready"
