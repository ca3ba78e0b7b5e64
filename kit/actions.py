"""What a person may do about a delivery. Inspector, HTTP and command line all call these."""

from dataclasses import dataclass

from sqlalchemy import Connection, select, update

from kit.errors import KitError
from kit.ledger import deliveries as statements
from kit.ledger.checkouts import find_checkout
from kit.ledger.schema import deliveries

RELEASABLE = ("original_not_reported", "not_at_dodo", "horizon", "rejected", "too_many_attempts")
"""Reasons of parked deliveries that a person may overrule."""


class ActionRefused(KitError):  # noqa: N818 - it says what happened
    """The action does not fit how the delivery stands; nothing was changed."""


@dataclass(frozen=True, slots=True)
class Done:
    """How many deliveries an action changed, and which sentence says so."""

    changed: int
    sentence: str


def release(connection: Connection, *, reason: str, now_ms: int) -> Done:
    """
    Let all deliveries go that are parked for one reason.

    Safe to repeat: an id that DataFast has already is a duplicate there. Raises ActionRefused.
    """
    if reason not in RELEASABLE:
        raise ActionRefused(f"{reason} is no reason to release; use {', '.join(RELEASABLE)}")
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


def releasable(connection: Connection) -> dict[str, int]:
    """Count what is parked, by the reasons that a person may overrule."""
    found = connection.execute(
        select(deliveries.c.reason).where(
            deliveries.c.state == "parked", deliveries.c.reason.in_(RELEASABLE)
        )
    )
    counts: dict[str, int] = {}
    for (reason,) in found:
        counts[reason] = counts.get(reason, 0) + 1
    return counts
