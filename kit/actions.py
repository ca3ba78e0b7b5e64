"""What a person may do about a delivery. Inspector, HTTP and command line all call these."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, select, update

from kit.errors import KitError
from kit.ledger import deliveries as statements
from kit.ledger.checkouts import find_checkout
from kit.ledger.schema import deliveries, events

RELEASABLE = ("original_not_reported", "not_at_dodo", "horizon", "rejected", "too_many_attempts")
"""Reasons of parked deliveries that a person may overrule."""
READABLE_AGAIN = (
    "amount_invalid",
    "dispute_amount_unclear",
    "dispute_won_after_reversal",
    "original_unknown",
    "refund_amount_missing",
    "refund_exceeds_sale",
    "reversal_currency_differs",
    "settlement_missing",
    "unknown_currency",
)
"""Reasons of parked messages: what has changed since, here or at Dodo, may make them clear."""


class ActionRefused(KitError):  # noqa: N818 - it says what happened
    """The action does not fit how the delivery stands; nothing was changed."""


@dataclass(frozen=True, slots=True)
class Done:
    """How many deliveries an action changed, and which sentence says so."""

    changed: int
    sentence: str


def release(connection: Connection, *, reason: str, now_ms: int) -> Done:
    """
    Let all deliveries go that are parked for one reason, or read the parked messages again.

    Safe to repeat: an id that DataFast has already is a duplicate there. Raises ActionRefused.
    """
    if reason in READABLE_AGAIN:
        reread = connection.execute(
            update(events)
            .where(events.c.state == "parked", events.c.reason == reason)
            .values(state="stored", reason="event_waiting", looked_up=False, due_at_ms=None)
        )
        return Done(reread.rowcount, f"{reread.rowcount} messages are read again")
    if reason not in RELEASABLE:
        known = ", ".join((*RELEASABLE, *READABLE_AGAIN))
        raise ActionRefused(f"{reason} is no reason to release; use one of {known}")
    released = connection.execute(
        update(deliveries)
        .where(deliveries.c.state == "parked", deliveries.c.reason == reason)
        .values(state="ready", reason="queued", due_at_ms=now_ms, attempts=0, confirmed=True)
    )
    return Done(
        released.rowcount, f"{released.rowcount} released; they are sent at DataFast's pace"
    )


def reattribute(connection: Connection, *, transaction_id: str, now_ms: int) -> Done:
    """
    Report a sale again with the visitor that came too late.

    It is deleted at DataFast and then posted under the same id, as two steps that each survive a
    crash. Raises ActionRefused where no later visitor is known.
    """
    there = statements.find_delivery(connection, transaction_id)
    if there is None or there["kind"] != "sale" or there["state"] != "done":
        raise ActionRefused(f"{transaction_id} is no sale that has been reported")
    checkout = find_checkout(connection, there["order_ref"]) if there["order_ref"] else None
    visitor_id = checkout["return_visitor_id"] if checkout is not None else None
    if there["visitor_id"] is not None or visitor_id is None:
        raise ActionRefused(f"{transaction_id} has no visitor that came too late")
    connection.execute(
        update(deliveries)
        .where(deliveries.c.transaction_id == transaction_id)
        .values(
            visitor_id=visitor_id,
            visitor_source="return",
            state="ready",
            reason="reattributing",
            verdict=None,
            delete_first=True,
            due_at_ms=now_ms,
            attempts=0,
        )
    )
    return Done(1, f"{transaction_id} is deleted at DataFast and reported again with its visitor")


def perform(connection: Connection, wanted: Mapping[str, str], *, now_ms: int) -> Done:
    """
    Do what a form or a command line asks for: `action` is "release" or "reattribute".

    Raises ActionRefused, also for any other action.
    """
    match wanted.get("action"):
        case "release":
            return release(connection, reason=wanted.get("reason", ""), now_ms=now_ms)
        case "reattribute":
            transaction_id = wanted.get("transaction_id", "")
            return reattribute(connection, transaction_id=transaction_id, now_ms=now_ms)
        case _:
            raise ActionRefused("no such action")


def releasable(connection: Connection) -> dict[str, int]:
    """Count what is parked, by the reasons that a person may overrule."""
    found = connection.execute(
        select(deliveries.c.reason).where(
            deliveries.c.state == "parked", deliveries.c.reason.in_(RELEASABLE)
        )
    )
    unclear = connection.execute(
        select(events.c.reason).where(
            events.c.state == "parked", events.c.reason.in_(READABLE_AGAIN)
        )
    )
    return dict(Counter(reason for (reason,) in (*found, *unclear)))
