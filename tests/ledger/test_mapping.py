"""What becomes of a stored message: a delivery, a skip with its reason, or an unreadable row."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import OperationalError

from kit.actions import replay
from kit.helpers.dodo_datafast import EXPONENT_UNVERIFIED, Basis, Event, Signed, Visitor
from kit.hops import REASONS
from kit.ledger import mapping
from kit.ledger.checkouts import begin_checkout, find_checkout, finish_opening
from kit.ledger.claims import claim_deliveries
from kit.ledger.deliveries import find_delivery
from kit.ledger.drift import EVENT_TYPES
from kit.ledger.engine import Engines
from kit.ledger.facts import Facts, read_facts
from kit.ledger.mapping import map_stored_events
from kit.ledger.policy import EVENTS_READ, Policy
from kit.ledger.replays import Selection
from kit.ledger.rows import Row
from kit.ledger.sales import charged_subscriptions
from kit.ledger.schema import deliveries, events, meta, payments, recoveries
from kit.ledger.sendings import freeze_deliveries
from kit.ledger.stamps import moment_of
from kit.sandbox import fixtures
from tests.ledger.conftest import Message, Store, store_messages

NOW_MS = 1_790_856_000_000
VISITOR_ID = "0b8e6c1e-2d1c-4f0a-9f2e-6a4f1f4d7c11"
OTHER_VISITOR_ID = "5c1f8f0e-7f2b-4a51-8f0a-3f6a1e0d9b22"


PLAIN = Policy()


def read_all(connection: Connection, policy: Policy = PLAIN) -> None:
    """Map until nothing waits."""
    while map_stored_events(connection, policy, NOW_MS):
        pass


def delivery(connection: Connection, transaction_id: str = "pay_example") -> Row:
    """Return one delivery that must be there."""
    row = find_delivery(connection, transaction_id)
    assert row is not None
    return row


def readings(connection: Connection) -> dict[str, tuple[str, str]]:
    """Return state and reason of each message."""
    rows = connection.execute(select(events.c.webhook_id, events.c.state, events.c.reason))
    return {webhook_id: (state, reason) for webhook_id, state, reason in rows}


def open_checkout(
    connection: Connection,
    order_ref: str = "order-1",
    *,
    session_id: str | None = "cks_example",
    visitor_id: str | None = OTHER_VISITOR_ID,
) -> None:
    """Have a checkout of ours in the ledger; without a session it is still being opened."""
    begin_checkout(
        connection,
        attempt=order_ref,
        order_ref=order_ref,
        product="coastline",
        visitor=Visitor(visitor_id, None, "captured" if visitor_id else "absent"),
        now_ms=NOW_MS,
    )
    if session_id is not None:
        finish_opening(
            connection, order_ref, dodo_session_id=session_id, checkout_url="https://c.example/"
        )


def send_first_time(connection: Connection) -> None:
    """Claim what is due and mark it as sent."""
    claimed = claim_deliveries(
        connection,
        lane="datafast",
        owner="me",
        per_minute=60,
        limit=10,
        lease_ms=60_000,
        now_ms=NOW_MS,
    )
    freeze_deliveries(connection, claimed, owner="me", now_ms=NOW_MS + 1000)


def test_a_sale_becomes_one_report(connection: Connection, message: Message, store: Store) -> None:
    """Amount in major units, the visitor of its metadata, the time of the payment."""
    store(message("m1"))
    read_all(connection)
    row = delivery(connection)
    event = connection.execute(select(events)).mappings().one()

    assert {name: event[name] for name in ("state", "reason", "type", "payment_id")} == {
        "state": "mapped",
        "reason": "mapped",
        "type": "payment.succeeded",
        "payment_id": "pay_example",
    }
    assert event["transaction_id"] == "pay_example"
    assert dict(row) == {
        "transaction_id": "pay_example",
        "kind": "sale",
        "payment_id": "pay_example",
        "subscription_id": None,
        "order_ref": None,
        "depends_on": None,
        "amount": "29.00",
        "currency": "USD",
        "amount_minor": 2900,
        "visitor_id": VISITOR_ID,
        "visitor_source": "metadata",
        "visitor_dropped": False,
        "customer_id": "cus_example",
        "email": None,
        "name": None,
        "renewal": False,
        "renewal_proven": True,
        "refunded": False,
        "is_free_trial": False,
        "occurred_at_ms": 1_790_932_490_118,
        "basis": "gross",
        "exponent_unverified": False,
        "drift": None,
        "state": "ready",
        "reason": "queued",
        "verdict": None,
        "message": None,
        "confirmed": False,
        "created_at_ms": NOW_MS,
        "due_at_ms": NOW_MS,
        "owner": None,
        "attempts": 0,
        "delete_first": False,
        "delete_only": False,
        "replayed_at_ms": None,
        "first_sent_at_ms": None,
        "answered_at_ms": None,
    }


def test_what_later_messages_need_is_kept(
    connection: Connection, message: Message, store: Store
) -> None:
    """Minor units, as Dodo sent them."""
    changes = {"subscription_id": "sub_1", "charge_type": "new", "settlement_tax": 400}
    store(message("m1", **changes))
    read_all(connection)
    row = connection.execute(select(payments)).mappings().one()

    assert dict(row) == {
        "payment_id": "pay_example",
        "order_ref": None,
        "checkout_session_id": "cks_example",
        "customer_id": "cus_example",
        "brand_id": "brnd_contour",
        "visitor_id": VISITOR_ID,
        "status": "succeeded",
        "charge_type": "new",
        "total_minor": 2900,
        "tax_minor": 483,
        "currency": "USD",
        "settlement_minor": 2900,
        "settlement_tax_minor": 400,
        "settlement_currency": "USD",
        "is_update_payment_method": False,
        "created_at_ms": 1_790_932_490_118,
        "forgotten": None,
    }
    assert charged_subscriptions(connection, "pay_example") == ("sub_1",)


@pytest.mark.parametrize(
    ("changes", "policy", "amount", "currency"),
    [
        ({}, Policy(), "29.00", "USD"),
        ({}, Policy(basis="net"), "24.17", "USD"),
        (
            {"settlement_amount": 2700, "settlement_tax": 450, "settlement_currency": "EUR"},
            Policy(basis="settlement"),
            "22.50",
            "EUR",
        ),
        ({"total_amount": 3300, "tax": 300, "currency": "JPY"}, Policy(), "3300", "JPY"),
        ({"total_amount": 8750, "currency": "KWD"}, Policy(), "8.750", "KWD"),
        ({"total_amount": 2**53 - 1}, Policy(), "90071992547409.91", "USD"),
        ({"total_amount": 1}, Policy(), "0.01", "USD"),
    ],
    ids=["gross", "net", "settlement", "JPY", "KWD", "largest", "smallest"],
)
def test_the_amount_is_exact(
    connection: Connection,
    message: Message,
    store: Store,
    changes: dict[str, Any],
    policy: Policy,
    amount: str,
    currency: str,
) -> None:
    """Each currency by its own exponent; three decimals are flagged, as nobody has seen them."""
    store(message("m1", **changes))
    read_all(connection, policy)
    row = delivery(connection)

    assert (row["amount"], row["currency"], row["basis"]) == (amount, currency, policy.basis)
    assert row["exponent_unverified"] == (currency in EXPONENT_UNVERIFIED)


@pytest.mark.parametrize(
    ("changes", "renewal"),
    [
        ({"charge_type": None}, False),
        ({"charge_type": "new", "subscription_id": "sub_1"}, False),
        ({"charge_type": "renewal", "subscription_id": "sub_1"}, True),
        ({"charge_type": None, "subscription_id": "sub_1", "retry_attempt": 2}, True),
    ],
)
def test_a_subscription_charge_is_new_or_renewed(
    connection: Connection, message: Message, store: Store, changes: dict[str, Any], renewal: bool
) -> None:
    """As far as the payment alone shows it."""
    store(message("m1", **changes))
    read_all(connection)

    assert delivery(connection)["renewal"] is renewal


def test_a_person_is_sent_only_on_request(
    connection: Connection, message: Message, store: Store
) -> None:
    """E-mail and name stay in the shop unless its settings say otherwise."""
    store(message("m1"), message("m2", payment_id="pay_2"))
    map_stored_events(connection, Policy(), NOW_MS)
    store(message("m3", payment_id="pay_3"))
    map_stored_events(connection, Policy(send_customer=True), NOW_MS)
    with_person = delivery(connection, "pay_3")

    assert delivery(connection, "pay_2")["email"] is None
    assert (with_person["email"], with_person["name"]) == ("ada@example.com", "Ada Example")


@pytest.mark.parametrize(
    ("event_type", "changes", "policy", "reason"),
    [
        ("subscription.active", {}, Policy(), "event_not_money"),
        ("payment.failed", {}, Policy(), "event_not_money"),
        ("license_key.created", {}, Policy(), "event_not_money"),
        ("refund.failed", {}, Policy(), "event_not_money"),
        ("dispute.opened", {}, Policy(), "event_not_money"),
        ("dispute.lost", {}, Policy(reverse_disputes=False), "disputes_ignored"),
        (
            "payment.succeeded",
            {"is_update_payment_method": True},
            Policy(),
            "payment_method_update",
        ),
        ("payment.succeeded", {"status": "processing"}, Policy(), "status_not_succeeded"),
        ("payment.succeeded", {"total_amount": 0}, Policy(), "zero_amount"),
        ("payment.succeeded", {"tax": 2900}, Policy(basis="net"), "zero_amount"),
        ("payment.succeeded", {"payment_id": None}, Policy(), "no_payment_id"),
        ("payment.succeeded", {"payment_id": "pay/../x"}, Policy(), "no_payment_id"),
        (
            "payment.succeeded",
            {"brand_id": "brnd_other"},
            Policy(brands=frozenset({"brnd_contour"})),
            "other_brand",
        ),
    ],
)
def test_what_is_not_reported_has_a_reason(
    connection: Connection,
    message: Message,
    store: Store,
    event_type: str,
    changes: dict[str, Any],
    policy: Policy,
    reason: str,
) -> None:
    """And no delivery."""
    store(message("m1", event_type, **changes))
    read_all(connection, policy)

    assert readings(connection) == {"m1": ("skipped", reason)}
    assert connection.execute(select(deliveries)).all() == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"currency": "XXX"}, "unknown_currency"),
        ({"currency": None}, "unknown_currency"),
        ({"total_amount": -1}, "amount_invalid"),
        ({"total_amount": "2900"}, "amount_invalid"),
        ({"total_amount": True}, "amount_invalid"),
        ({"total_amount": 29.5}, "amount_invalid"),
        ({"total_amount": 2**53}, "amount_invalid"),
    ],
)
def test_money_that_cannot_be_told_is_parked(
    connection: Connection,
    message: Message,
    store: Store,
    changes: dict[str, Any],
    reason: str,
) -> None:
    """A person is to look, and nothing is guessed."""
    store(message("m1", **changes))
    read_all(connection)

    assert readings(connection) == {"m1": ("parked", reason)}
    assert connection.execute(select(deliveries)).all() == []


@pytest.mark.parametrize(
    ("event_type", "changes", "policy"),
    [
        ("payment.succeeded", {"settlement_amount": None}, Policy(basis="settlement")),
        ("refund.succeeded", {}, Policy()),
        ("dispute.lost", {}, Policy()),
    ],
)
def test_what_lacks_its_payment_waits_for_it(
    connection: Connection,
    message: Message,
    store: Store,
    event_type: str,
    changes: dict[str, Any],
    policy: Policy,
) -> None:
    """Dodo is asked for it, which a transaction cannot do."""
    store(message("m1", event_type, **changes))
    read_all(connection, policy)

    assert readings(connection) == {"m1": ("waiting", "awaiting_payment")}
    assert connection.execute(select(deliveries)).all() == []


@pytest.mark.parametrize(
    "brand", ["brnd_contour", None], ids=["of a brand that counts", "of no brand"]
)
def test_a_payment_counts(
    connection: Connection, message: Message, store: Store, brand: str | None
) -> None:
    """What names no other brand is this shop's."""
    store(message("m1", brand_id=brand))
    read_all(connection, Policy(brands=frozenset({"brnd_contour"})))

    assert readings(connection) == {"m1": ("mapped", "mapped")}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"\xff\xfe", "not_utf8"),
        (b"", "not_json"),
        (b"<html>", "not_json"),
        (b'{"type": "payment.succeeded"', "not_json"),
        (b'{"type": "payment.succeeded", "data": ' + b"9" * 5000 + b"}", "not_json"),
        (b"[]", "not_object"),
        (b'{"type": "payment.succeeded", "data": []}', "not_object"),
        (b'{"type": "a", "type": "b"}', "duplicate_key"),
        (b'{"type": "a", "data": {"x": ' + b"[" * 70 + b"]" * 70 + b"}}", "too_deep"),
        (b'{"type": "a", "data": {"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}", "too_deep"),
        (b'{"type": "a", "data": {"x": 1e999}}', "not_finite"),
        (b'{"type": "a", "data": {"x": NaN}}', "not_finite"),
        (b"{}", "no_type"),
        (b'{"type": 5}', "no_type"),
        (b'{"type": "pay\\u0000ment"}', "no_type"),
    ],
)
def test_what_cannot_be_read_is_kept_with_its_reason(
    connection: Connection, message: Message, store: Store, body: bytes, reason: str
) -> None:
    """It is not tried again, and its neighbours are read."""
    store(message("m1"), message("m2", body=body), message("m3", payment_id="pay_3"))
    read_all(connection)

    assert readings(connection) == {
        "m1": ("mapped", "mapped"),
        "m2": ("unreadable", reason),
        "m3": ("mapped", "mapped"),
    }
    assert connection.scalar(select(events.c.body).where(events.c.webhook_id == "m2")) == body


def test_test_payments_are_held(connection: Connection, message: Message, store: Store) -> None:
    """Never due, and never claimed."""
    store(message("m1"))
    read_all(connection, Policy(held_for="test_mode"))
    send_first_time(connection)
    row = delivery(connection)

    assert (row["state"], row["reason"], row["due_at_ms"]) == ("held", "test_mode", None)
    assert row["first_sent_at_ms"] is None


@pytest.mark.parametrize(
    ("session_of_checkout", "session_of_payment", "metadata", "linked"),
    [
        ("cks_example", "cks_example", {}, True),
        ("cks_example", "cks_example", {"order_ref": "order-1"}, True),
        ("cks_example", None, {"order_ref": "order-1"}, True),
        (None, "cks_example", {"order_ref": "order-1"}, True),
        ("cks_ours", "cks_example", {"order_ref": "order-1"}, False),
        ("cks_example", None, {}, False),
        ("cks_example", "cks_example", {"order_ref": "nobody's"}, True),
        ("cks_ours", None, {"order_ref": ["order-1"]}, False),
    ],
    ids=[
        "by its session",
        "by both",
        "by order ref where the payment has no session",
        "by order ref where the checkout has none yet",
        "not by an order ref that a payment link's buyer wrote",
        "not without either",
        "by its session, whatever the order ref",
        "not by an order ref of another type",
    ],
)
def test_a_payment_finds_its_order(
    connection: Connection,
    message: Message,
    store: Store,
    session_of_checkout: str | None,
    session_of_payment: str | None,
    metadata: dict[str, Any],
    linked: bool,
) -> None:
    """One that follows our own checkout is real; any other is asked about first."""
    open_checkout(connection, session_id=session_of_checkout)
    store(message("m1", checkout_session_id=session_of_payment, metadata=metadata))
    read_all(connection)
    row = delivery(connection)
    checkout = find_checkout(connection, "order-1")

    assert row["order_ref"] == ("order-1" if linked else None)
    assert row["confirmed"] is linked
    assert row["visitor_id"] == (OTHER_VISITOR_ID if linked else None)
    assert checkout is not None
    assert checkout["payment_status"] == ("succeeded" if linked else None)


def test_a_payment_read_from_the_api_is_real(
    connection: Connection, message: Message, store: Store
) -> None:
    """Dodo itself has just named it."""
    store(message("m1"), source="api")
    read_all(connection)

    assert delivery(connection)["confirmed"] is True


@pytest.mark.parametrize(
    ("carried", "known", "expected", "source"),
    [
        (VISITOR_ID, OTHER_VISITOR_ID, VISITOR_ID, "metadata"),
        (VISITOR_ID, None, VISITOR_ID, "metadata"),
        (None, OTHER_VISITOR_ID, OTHER_VISITOR_ID, "ledger"),
        ("<script>", OTHER_VISITOR_ID, OTHER_VISITOR_ID, "ledger"),
        ("x" * 10_000, OTHER_VISITOR_ID, OTHER_VISITOR_ID, "ledger"),
        (5, OTHER_VISITOR_ID, OTHER_VISITOR_ID, "ledger"),
        ("<script>", None, None, "none"),
        (None, None, None, "none"),
    ],
)
def test_the_visitor_comes_from_metadata_else_from_the_ledger(
    connection: Connection,
    message: Message,
    store: Store,
    carried: object,
    known: str | None,
    expected: str | None,
    source: str,
) -> None:
    """A value that is no id counts as none, and the payment is reported all the same."""
    open_checkout(connection, visitor_id=known)
    store(message("m1", metadata={"datafast_visitor_id": carried}))
    read_all(connection)
    row = delivery(connection)

    assert (row["visitor_id"], row["visitor_source"]) == (expected, source)


@pytest.mark.parametrize("metadata", [None, [], "text", 5, {}], ids=repr)
def test_metadata_of_any_type_is_survived(
    connection: Connection, message: Message, store: Store, metadata: object
) -> None:
    """The sale counts, without a visitor."""
    store(message("m1", metadata=metadata))
    read_all(connection)

    assert delivery(connection)["visitor_source"] == "none"


def test_another_message_about_a_payment_makes_no_second_report(
    connection: Connection, message: Message, store: Store
) -> None:
    """Whether it is repeated by hand or sent in a later state."""
    store(message("m1"), message("m2"), message("m3", tax=480))
    read_all(connection)
    rows = connection.execute(select(deliveries)).all()

    assert len(rows) == 1
    assert {state for state, _ in readings(connection).values()} == {"mapped"}


def test_a_later_message_fills_in_what_is_absent(
    connection: Connection, message: Message, store: Store
) -> None:
    """Before the first send: visitor, person, order and that it is real."""
    bare: dict[str, Any] = {"metadata": {}, "customer": None, "checkout_session_id": None}
    store(message("m1", **bare))
    read_all(connection)
    before = delivery(connection)
    open_checkout(connection)
    store(message("m2"))
    read_all(connection, Policy(send_customer=True))
    after = delivery(connection)
    names = ("visitor_id", "visitor_source", "customer_id", "email", "order_ref", "confirmed")

    assert [before[name] for name in names] == [None, "none", None, None, None, False]
    assert [after[name] for name in names] == [
        VISITOR_ID,
        "metadata",
        "cus_example",
        "ada@example.com",
        "order-1",
        True,
    ]
    assert after["drift"] is None


def test_a_later_message_never_replaces_what_is_there(
    connection: Connection, message: Message, store: Store
) -> None:
    """The first visitor stays."""
    store(message("m1"))
    read_all(connection)
    store(message("m2", metadata={"datafast_visitor_id": OTHER_VISITOR_ID}))
    read_all(connection)

    assert delivery(connection)["visitor_id"] == VISITOR_ID


@pytest.mark.parametrize("basis", ["gross", "net", "settlement"])
@pytest.mark.parametrize("later", ["gross", "net", "settlement"])
def test_a_reversal_takes_back_what_its_sale_was_counted_as(
    connection: Connection, message: Message, store: Store, basis: Basis, later: Basis
) -> None:
    """A setting that was changed in between would leave money that is not there, or owe some."""
    settled = {"settlement_amount": 3422, "settlement_tax": 522, "settlement_currency": "EUR"}
    store(message("m1", total_amount=2900, tax=483, **settled))
    read_all(connection, Policy(basis=basis))
    taken_back = {"payment_id": "pay_example", "refund_id": "ref_1", "amount": 2900}
    store(message("m2", "refund.succeeded", **taken_back))
    read_all(connection, Policy(basis=later))
    sale, refund = delivery(connection), delivery(connection, "ref_1")

    assert [refund[name] for name in ("amount", "currency", "basis")] == [
        sale[name] for name in ("amount", "currency", "basis")
    ]
    assert sale["basis"] == basis


@pytest.mark.parametrize("sent", [False, True], ids=["before the send", "after it"])
def test_a_difference_in_money_is_shown_not_taken_over(
    connection: Connection, message: Message, store: Store, sent: bool
) -> None:
    """Amount and currency belong to the first message, for good."""
    store(message("m1"))
    read_all(connection)
    if sent:
        send_first_time(connection)
    store(message("m2", total_amount=3000, currency="EUR"))
    read_all(connection)
    row = delivery(connection)

    assert (row["amount"], row["currency"]) == ("29.00", "USD")
    assert row["drift"] == "amount, currency"


def test_nothing_is_filled_in_after_the_first_send(
    connection: Connection, message: Message, store: Store
) -> None:
    """What the ledger shows is what DataFast got."""
    store(message("m1", metadata={}))
    read_all(connection)
    send_first_time(connection)
    store(message("m2"))
    read_all(connection)
    row = delivery(connection)

    assert (row["visitor_id"], row["visitor_source"]) == (None, "none")
    assert row["drift"] is None


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (["payment.failed", "payment.succeeded"], "succeeded"),
        (["payment.succeeded", "payment.failed"], "succeeded"),
        (["payment.processing"], "processing"),
    ],
)
def test_a_checkout_paid_once_stays_paid(
    connection: Connection, message: Message, store: Store, order: list[str], expected: str
) -> None:
    """Messages come in any order."""
    open_checkout(connection)
    for number, event_type in enumerate(order):
        store(message(f"m{number}", event_type))
    read_all(connection)
    checkout = find_checkout(connection, "order-1")

    assert checkout is not None
    assert checkout["payment_status"] == expected


def test_the_oldest_messages_are_read_first(
    connection: Connection, message: Message, store: Store
) -> None:
    """So a backlog gets shorter from its end, a batch in each transaction."""
    for number in range(40):
        store(message(f"m{number:02}", payment_id=f"pay_{number}"), at_ms=NOW_MS - number)
    first = map_stored_events(connection, Policy(), NOW_MS)
    waiting = {name for name, (state, _) in readings(connection).items() if state == "stored"}
    second = map_stored_events(connection, Policy(), NOW_MS)

    assert (first, second) == (32, 8)
    assert waiting == {f"m{number:02}" for number in range(8)}


@pytest.mark.parametrize(
    "created_at",
    ["9999-12-31T23:59:59.999999Z", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59", "soon"],
)
def test_a_payment_of_any_time_can_be_claimed(
    connection: Connection, message: Message, store: Store, created_at: str
) -> None:
    """A row that cannot be read back would stop every other one."""
    store(message("m1", created_at=created_at), message("m2", payment_id="pay_2"))
    read_all(connection)
    send_first_time(connection)

    assert delivery(connection, "pay_2")["first_sent_at_ms"] is not None
    assert delivery(connection)["first_sent_at_ms"] is not None


@pytest.mark.parametrize("name", ["payment_id", "status", "currency", "brand_id", "charge_type"])
@pytest.mark.parametrize("value", ["\0", "\ud800", "x" * 100_000, "é", [], {}, 5, True])
def test_a_hostile_field_is_no_fact(
    connection: Connection, message: Message, store: Store, name: str, value: object
) -> None:
    """It counts as absent, and the neighbour is read."""
    store(message("m1", **{name: value}), message("m2", payment_id="pay_2"))
    read_all(connection)
    facts = connection.execute(select(payments.c[name])).scalars().all()

    assert readings(connection)["m2"] == ("mapped", "mapped")
    assert value not in facts


@pytest.mark.parametrize("failure", [ZeroDivisionError, KeyError, "broken rule"])
def test_57_a_message_that_fails_each_time_is_set_aside_and_its_neighbours_are_read(
    connection: Connection,
    message: Message,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    failure: Any,
) -> None:
    """A bug that one message meets costs that message alone, until the kit is mended."""

    def stumble(event: Event) -> Facts:
        if event.id == "m2" and failure == "broken rule":
            connection.execute(insert(meta).values(name="x", value=None))
        if event.id == "m2":
            connection.execute(update(events).values(type="half done"))
            raise failure
        return read_facts(event)

    for number in (1, 2, 3):
        store(message(f"m{number}", payment_id=f"pay_{number}"))
    with monkeypatch.context() as patch:
        patch.setattr(mapping, "read_facts", stumble)
        read_all(connection)
    found = readings(connection)
    types = connection.execute(select(events.c.type)).scalars().all()
    chosen = Selection(state="parked", reason="mapping_failed", overrule=True)
    done = replay(connection, selection=chosen, now_ms=NOW_MS)
    read_all(connection)

    assert found == {
        "m1": ("mapped", "mapped"),
        "m2": ("parked", "mapping_failed"),
        "m3": ("mapped", "mapped"),
    }
    assert "half done" not in types
    assert done.changed == 1
    assert set(readings(connection).values()) == {("mapped", "mapped")}


def test_a_full_database_is_nobodys_fault(
    connection: Connection, message: Message, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is true for every message, so none is set aside."""

    def fail(_event: Event) -> Facts:
        raise OperationalError("INSERT", {}, Exception("database or disk is full"))

    store(message("m1"))
    monkeypatch.setattr(mapping, "read_facts", fail)
    with pytest.raises(OperationalError):
        read_all(connection)

    assert readings(connection) == {"m1": ("stored", "event_waiting")}


@pytest.mark.parametrize("event_type", sorted(set(fixtures.event_types()) - set(EVENTS_READ)))
def test_what_an_endpoint_need_not_ask_for_moves_no_money(
    connection: Connection, message: Message, store: Store, event_type: str
) -> None:
    """Types outside EVENTS_READ make no report and tell nothing of a payment."""
    open_checkout(connection)
    store(message("m1", event_type))
    read_all(connection)

    assert readings(connection) == {"m1": ("skipped", "event_not_money")}
    for table in (deliveries, payments, recoveries):
        assert connection.execute(select(table)).first() is None


def test_what_an_endpoint_should_ask_for_are_types_of_dodos() -> None:
    """Those of the README's table are among them."""
    assert set(EVENTS_READ) <= EVENT_TYPES
    assert len(set(EVENTS_READ)) == len(EVENTS_READ)


any_text = st.text(st.characters(exclude_categories=()), max_size=40) | st.sampled_from(
    ["", "\0", "\ud800", "x" * 5000, "9999-12-31T23:59:59.999999Z", "payment.succeeded", "order-1"]
)
any_number = st.integers() | st.sampled_from([2**31, 2**53, 2**63, 2**64, -1, 10**400])
any_json = st.recursive(
    st.none() | st.booleans() | any_number | st.floats(allow_nan=False) | any_text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(any_text, inner, max_size=4),
    max_leaves=8,
)
PAYMENT = fixtures.load("payment.succeeded")
any_data = st.dictionaries(
    st.sampled_from(sorted(PAYMENT["data"])) | any_text, any_json, max_size=8
)
any_envelope = st.fixed_dictionaries(
    {"data": any_data.map(lambda data: PAYMENT["data"] | data) | any_json},
    optional={
        "type": st.sampled_from(["payment.succeeded", "payment.failed", "refund.succeeded"])
        | any_json,
        "timestamp": any_json,
        "business_id": any_json,
    },
).map(lambda envelope: PAYMENT | envelope)


@given(envelope=any_envelope, basis=st.sampled_from(["gross", "net", "settlement"]))
def test_no_payload_breaks_the_mapping_or_its_neighbours(
    shared_engines: Engines, envelope: dict[str, Any], basis: Any
) -> None:
    """Whatever is validly signed ends with a reason from the table, and can be claimed."""
    with shared_engines.writing.connect() as connection, connection.begin() as transaction:
        moment = moment_of(NOW_MS)
        open_checkout(connection)
        neighbour = PAYMENT | {"data": PAYMENT["data"] | {"payment_id": "pay_neighbour"}}
        store_messages(
            connection,
            Signed("m1", moment, json.dumps(envelope).encode()),
            Signed("m2", moment, json.dumps(neighbour).encode()),
        )
        read_all(connection, Policy(basis=basis, send_customer=True))
        send_first_time(connection)
        found = readings(connection)
        sent = delivery(connection, "pay_neighbour")["first_sent_at_ms"]
        connection.execute(update(events).values(state="stored"))
        read_all(connection, Policy(basis=basis, send_customer=True))
        transaction.rollback()

    assert {reason for _, reason in found.values()} <= set(REASONS) - {"mapping_failed"}
    assert found["m2"] == ("mapped", "mapped")
    assert sent is not None
