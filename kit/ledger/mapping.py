"""From stored messages to deliveries: inside one transaction, without a call to anybody."""

import logging
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from kit.helpers.dodo_datafast import (
    Basis,
    Event,
    Known,
    PayloadError,
    Payment,
    Signed,
    Skip,
    UnknownCurrency,
    exponent,
    payment_for,
    read_event,
    reversal_minor,
)
from kit.ledger import sales
from kit.ledger.checkouts import checkout_of_payment, find_checkout, record_payment_status
from kit.ledger.deliveries import NewDelivery, create_delivery, find_delivery
from kit.ledger.drift import note_drift
from kit.ledger.events import settle_event, stored_events
from kit.ledger.facts import Facts, identifier, read_facts
from kit.ledger.redaction import nameless, nameless_body
from kit.ledger.rows import Row
from kit.ledger.stamps import milliseconds, moment_of
from kit.ledger.tombstones import is_forgotten

EVENTS_READ = (
    *("payment.succeeded", "payment.processing", "payment.failed", "payment.cancelled"),
    *("refund.succeeded", "dispute.lost", "dispute.accepted", "dispute.won"),
    *("subscription.active", "abandoned_checkout.recovered"),
)
"""The types of messages that this ledger needs; it keeps all others too, and counts nothing."""
_REVERSALS = ("refund.succeeded", "dispute.lost", "dispute.accepted")
_SETTLEMENT = ("settlement_amount", "settlement_tax", "settlement_currency")
FOR_A_PERSON = frozenset(
    {
        "amount_invalid",
        "dispute_amount_unclear",
        "dispute_won_after_reversal",
        "mapping_failed",
        "original_unknown",
        "refund_amount_missing",
        "refund_exceeds_sale",
        "reversal_currency_differs",
        "settlement_missing",
        "unknown_currency",
    }
)
"""Skips that somebody should look at: the money is real, and cannot be reported as it stands."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Policy:
    """How this shop counts: the settings that decide what becomes of an event."""

    basis: Basis = "gross"
    send_customer: bool = False
    brands: frozenset[str] = frozenset()
    """Brand ids to count; empty counts all."""
    held_for: str | None = None
    """The reason that keeps every delivery from being sent, such as "test_mode"."""
    reverse_disputes: bool = True
    hold_s: float = 600.0
    """How long a sale without a visitor waits for the buyer to come back with one."""


@dataclass(frozen=True, slots=True)
class _Message:
    """One message with what the ledger knows around it."""

    row: Row
    event: Event
    facts: Facts
    checkout: Row | None
    visitor: tuple[str | None, str | None]
    """Who the ledger says it was, and by what; the message's own word comes before it."""

    @property
    def order_ref(self) -> str | None:
        return self.checkout["order_ref"] if self.checkout is not None else None


def map_stored_events(connection: Connection, policy: Policy, now_ms: int) -> int:
    """
    Read the oldest stored messages and write down what they mean; return how many.

    One that fails unforeseen is left to a person: it must not stop the others for good.
    """
    rows = stored_events(connection)
    try:
        with connection.begin_nested():
            for row in rows:
                _settle(connection, row, policy, now_ms)
    except Exception as problem:
        _raise_unless_of_a_row(problem)
        for row in rows:
            _settle_alone(connection, row, policy, now_ms)
    return len(rows)


def _settle(connection: Connection, row: Row, policy: Policy, now_ms: int) -> None:
    settle_event(connection, row["webhook_id"], **_settled(connection, row, policy, now_ms))


def _settle_alone(connection: Connection, row: Row, policy: Policy, now_ms: int) -> None:
    webhook_id = row["webhook_id"]
    try:
        with connection.begin_nested():
            _settle(connection, row, policy, now_ms)
    except Exception as problem:
        _raise_unless_of_a_row(problem)
        _log.exception("a message could not be read", extra={"webhook_id": webhook_id})
        settle_event(connection, webhook_id, state="parked", reason="mapping_failed")


def _raise_unless_of_a_row(problem: Exception) -> None:
    """Raise what is true for every row: the database is full, locked or gone."""
    if isinstance(problem, DBAPIError) and not isinstance(problem, DataError | IntegrityError):
        raise problem


def _settled(connection: Connection, row: Row, policy: Policy, now_ms: int) -> dict[str, Any]:
    signed = Signed(row["webhook_id"], moment_of(row["sent_at_ms"]), row["body"] or b"")
    try:
        event = read_event(signed)
    except PayloadError as refused:
        return {"state": "unreadable", "reason": refused.reason}
    message = _message(connection, row, event)
    settled = _read(connection, message, policy, now_ms) | {
        "type": event.type,
        "payment_id": message.facts.payment_id,
        "order_ref": message.order_ref,
    }
    if message.facts.forgotten:
        unread = settled["state"] in ("waiting", "parked")
        settled["body"] = nameless_body(signed) if unread else None
    return settled


def _message(connection: Connection, row: Row, event: Event) -> _Message:
    """Look around a message; one whose visitor was forgotten is nameless from here on."""
    facts = read_facts(event)
    checkout = _checkout(connection, facts)
    visitor: tuple[str | None, str | None] = (None, None)
    if facts.visitor_id is None:
        visitor = sales.find_visitor(connection, facts.payment_id, facts.subscription_ids, checkout)
    # One that the message itself names comes first, so nobody needs to be looked for.
    if visitor[1] == "forgotten" or is_forgotten(connection, facts.visitor_id):
        event = nameless(event)
        facts = read_facts(event)
    return _Message(row, event, facts, checkout, visitor)


def _read(connection: Connection, message: _Message, policy: Policy, now_ms: int) -> dict[str, Any]:
    event, facts = message.event, message.facts
    if note_drift(connection, event, now_ms):
        return {"state": "skipped", "reason": "event_unknown"}
    _remember(connection, message)
    outcome = _outcome(connection, message, policy, now_ms)
    if isinstance(outcome, Payment):
        return {"state": "mapped", "reason": "mapped", "transaction_id": outcome.transaction_id}
    if outcome.needs is not None and facts.payment_id and not message.row["looked_up"]:
        return {"state": "waiting", "reason": "awaiting_payment", "due_at_ms": now_ms}
    state = "parked" if outcome.reason in FOR_A_PERSON else "skipped"
    if event.type == "payment.succeeded" and facts.payment_id is not None and state == "skipped":
        sales.drop_dependents(connection, facts.payment_id)
    return {"state": state, "reason": outcome.reason}


def _checkout(connection: Connection, facts: Facts) -> Row | None:
    """Find the checkout of a message: its own names, else those of what it belongs to."""
    found = checkout_of_payment(
        connection, order_ref=facts.order_ref, dodo_session_id=facts.checkout_session_id
    )
    if found is not None:
        return found
    known: list[Row | None] = []
    known += sales.related(connection, facts.payment_id, facts.subscription_ids)
    known.append(sales.abandoned_payment(connection, facts.payment_id))
    refs = [row["order_ref"] for row in known if row is not None and row["order_ref"]]
    return find_checkout(connection, refs[0]) if refs else None


def _remember(connection: Connection, message: _Message) -> None:
    event, facts, order_ref = message.event, message.facts, message.order_ref
    subject = event.type.partition(".")[0]
    if subject == "payment" and facts.payment_id is not None:
        sales.record_payment(connection, facts, order_ref)
        if order_ref is not None and facts.status is not None:
            record_payment_status(
                connection, order_ref, payment_id=facts.payment_id, status=facts.status
            )
    elif subject == "subscription":
        sales.record_subscription(connection, facts, order_ref)
    elif event.type == "abandoned_checkout.recovered" and None not in (
        facts.payment_id,
        facts.recovered_payment_id,
    ):
        sales.record_recovery(connection, facts)


def _outcome(
    connection: Connection, message: _Message, policy: Policy, now_ms: int
) -> Payment | Skip:
    event, facts = message.event, message.facts
    if policy.brands and _is_other_brand(connection, facts, policy):
        return Skip("other_brand")
    if event.type.startswith("dispute.") and not policy.reverse_disputes:
        return Skip("disputes_ignored")
    if event.type == "dispute.won":
        return _won(connection, event)
    known = _known(connection, message)
    reversal = event.type in _REVERSALS
    if reversal and facts.payment_id and sales.is_sale_skipped(connection, facts.payment_id):
        return Skip("original_not_counted")
    if known.original is not None and not _is_currency(known.original.currency):
        return Skip("unknown_currency")
    payment = payment_for(
        _completed(connection, event, facts),
        known,
        basis=policy.basis,
        send_customer=policy.send_customer,
    )
    if isinstance(payment, Payment):
        create_delivery(
            connection, _delivery(connection, message, payment, known, policy), now_ms=now_ms
        )
    return payment


def _is_other_brand(connection: Connection, facts: Facts, policy: Policy) -> bool:
    """Tell by the message, or by its payment: a dispute names no brand."""
    payment = sales.find_payment(connection, facts.payment_id)
    brand_id = facts.brand_id or (payment["brand_id"] if payment is not None else None)
    return brand_id is not None and brand_id not in policy.brands


def _is_currency(code: str) -> bool:
    try:
        exponent(code)
    except UnknownCurrency:
        return False
    return True


def _won(connection: Connection, event: Event) -> Skip:
    """A dispute that was lost and then won: whether money came back, a person must find out."""
    dispute_id = identifier(event.data.get("dispute_id"))
    there = find_delivery(connection, dispute_id) if dispute_id is not None else None
    return Skip("event_not_money" if there is None else "dispute_won_after_reversal")


def _completed(connection: Connection, event: Event, facts: Facts) -> Event:
    """Fill in the settlement that a payment's message lacked and Dodo's API gave later."""
    missing = [name for name in _SETTLEMENT if event.data.get(name) is None]
    if event.type != "payment.succeeded" or not missing:
        return event
    payment = sales.find_payment(connection, facts.payment_id)
    if payment is None:
        return event
    later = {
        "settlement_amount": payment["settlement_minor"],
        "settlement_tax": payment["settlement_tax_minor"],
        "settlement_currency": payment["settlement_currency"],
    }
    return replace(event, data={**event.data, **{name: later[name] for name in missing}})


def _known(connection: Connection, message: _Message) -> Known:
    event, facts = message.event, message.facts
    visitor_id, source = _visitor(message)
    renewal: bool | None = None
    if event.type == "payment.succeeded" and facts.charge_type != "new":
        before = sales.is_charged_before(
            connection,
            facts.subscription_ids,
            created_at_ms=facts.created_at_ms,
            payment_id=facts.payment_id,
        )
        renewal = True if before else None
    elif event.type == "subscription.active":
        moment_ms = milliseconds(event.timestamp)
        renewal = sales.is_charged_before(
            connection, facts.subscription_ids, created_at_ms=moment_ms, payment_id=None
        )
    besides = identifier(event.data.get("refund_id") or event.data.get("dispute_id"))
    original = (
        sales.original_of(connection, facts.payment_id, besides=besides)
        if event.type in _REVERSALS
        else None
    )
    return Known(visitor_id, source, renewal, original)


def _visitor(message: _Message) -> tuple[str | None, str | None]:
    """Name the visitor of a later event by the ledger; the return page comes last."""
    checkout = message.checkout
    if message.facts.forgotten:
        return None, "forgotten"
    if message.visitor[0] is not None:
        return message.visitor
    if checkout is not None and checkout["return_visitor_id"] is not None:
        return checkout["return_visitor_id"], "return"
    return None, None


def _delivery(
    connection: Connection, message: _Message, payment: Payment, known: Known, policy: Policy
) -> NewDelivery:
    event, facts, checkout = message.event, message.facts, message.checkout
    kind = {"payment": "sale", "subscription": "trial"}.get(
        subject := event.type.partition(".")[0], subject
    )
    carried = facts.visitor_id is not None and facts.visitor_id == payment.datafast_visitor_id
    source = "metadata" if carried else known.visitor_source
    held_for, hold_s = policy.held_for, None
    depends_on = facts.payment_id if event.type in _REVERSALS else None
    parked_for = None
    if held_for is None and depends_on is not None:
        sale = find_delivery(connection, depends_on)
        if sale is None and sales.is_older_than_ledger(connection, depends_on):
            parked_for = "original_not_reported"
        elif sale is None or sale["state"] != "done" or sale["verdict"] is None:
            held_for = "awaiting_sale"
    if held_for is None and kind == "sale" and _may_come_back(checkout, payment):
        held_for, hold_s = ("awaiting_return", policy.hold_s) if policy.hold_s else (None, None)
    return NewDelivery(
        payment=payment,
        kind=kind,
        payment_id=facts.payment_id,
        subscription_id=facts.subscription_ids[0] if facts.subscription_ids else None,
        order_ref=message.order_ref,
        depends_on=depends_on,
        amount_minor=_amount_minor(event, facts, known),
        visitor_source=source or "none",
        basis=policy.basis,
        # A payment that was read from Dodo's API, or follows our own checkout, is surely there.
        confirmed=checkout is not None or message.row["source"] == "api" or depends_on is not None,
        renewal_proven=(
            kind != "sale"
            or not facts.subscription_ids
            or facts.charge_type == "new"
            or known.renewal is not None
        ),
        held_for=held_for,
        hold_s=hold_s,
        parked_for=parked_for,
    )


def _amount_minor(event: Event, facts: Facts, known: Known) -> int:
    if known.original is None:
        return facts.total_minor or 0
    taken = reversal_minor(event, known.original)
    return 0 if isinstance(taken, Skip) else taken


def _may_come_back(checkout: Row | None, payment: Payment) -> bool:
    """Tell whether the buyer's own browser may still name the visitor on the return page."""
    if checkout is None or payment.datafast_visitor_id is not None:
        return False
    lost = checkout["capture_reason"] in ("absent", "malformed")
    return lost and checkout["returned_at_ms"] is None
