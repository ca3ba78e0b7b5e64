"""What a message comes to: a report of money to DataFast, or the reason why there is none."""

from dataclasses import dataclass, replace

from sqlalchemy import Connection

from kit.helpers.dodo_datafast import (
    Event,
    Known,
    Payment,
    Skip,
    UnknownCurrency,
    exponent,
    payment_for,
    reversal_minor,
)
from kit.ledger import sales
from kit.ledger.deliveries import NewDelivery, create_delivery, find_delivery
from kit.ledger.facts import Facts, identifier
from kit.ledger.policy import Policy
from kit.ledger.rows import Row
from kit.ledger.stamps import milliseconds

_REVERSALS = ("refund.succeeded", "dispute.lost", "dispute.accepted")
_SETTLEMENT = ("settlement_amount", "settlement_tax", "settlement_currency")


@dataclass(frozen=True, slots=True)
class Message:
    """One message with what the ledger knows around it."""

    row: Row
    event: Event
    facts: Facts
    checkout: Row | None
    visitor: tuple[str | None, str | None]
    """Who the ledger says it was, and by what; the message's own word comes before it."""

    @property
    def order_ref(self) -> str | None:
        """The order that it belongs to."""
        return self.checkout["order_ref"] if self.checkout is not None else None


def make_report(
    connection: Connection, message: Message, policy: Policy, now_ms: int
) -> Payment | Skip:
    """Keep the report that a message stands for, and return its payment; or why there is none."""
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
    if reversal:
        policy = _as_its_sale(connection, facts, policy)
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


def _as_its_sale(connection: Connection, facts: Facts, policy: Policy) -> Policy:
    """Take back in the figure that the sale was counted in, whatever the setting is by now."""
    sale = find_delivery(connection, facts.payment_id) if facts.payment_id is not None else None
    return policy if sale is None else replace(policy, basis=sale["basis"])


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


def _known(connection: Connection, message: Message) -> Known:
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


def _visitor(message: Message) -> tuple[str | None, str | None]:
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
    connection: Connection, message: Message, payment: Payment, known: Known, policy: Policy
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
