"""From stored messages to deliveries: inside one transaction, without a call to anybody."""

import logging
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from kit.helpers.dodo_datafast import Event, PayloadError, Payment, Signed, read_event
from kit.ledger import sales
from kit.ledger.checkouts import checkout_of_payment, find_checkout, record_payment_status
from kit.ledger.drift import note_drift
from kit.ledger.events import settle_event, stored_events
from kit.ledger.facts import Facts, read_facts
from kit.ledger.policy import FOR_A_PERSON, Policy
from kit.ledger.redaction import nameless, nameless_body
from kit.ledger.reports import Message, make_report
from kit.ledger.rows import Row
from kit.ledger.stamps import moment_of
from kit.ledger.tombstones import is_forgotten

_log = logging.getLogger(__name__)


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


def _message(connection: Connection, row: Row, event: Event) -> Message:
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
    return Message(row, event, facts, checkout, visitor)


def _read(connection: Connection, message: Message, policy: Policy, now_ms: int) -> dict[str, Any]:
    event, facts = message.event, message.facts
    if note_drift(connection, event, now_ms):
        return {"state": "skipped", "reason": "event_unknown"}
    _remember(connection, message)
    outcome = make_report(connection, message, policy, now_ms)
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


def _remember(connection: Connection, message: Message) -> None:
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
