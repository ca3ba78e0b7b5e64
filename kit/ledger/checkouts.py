"""Statements on `checkouts`: one row for each order ref, our own id of one checkout attempt."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from kit.helpers.dodo_datafast import Visitor
from kit.ledger.deliveries import join_return
from kit.ledger.rows import Row, insert_or_ignore
from kit.ledger.schema import checkouts
from kit.ledger.tombstones import is_forgotten

SESSION_LIFETIME_MS = 23 * 3600 * 1000  # Dodo's sessions live 24 h
OPENING_LIFETIME_MS = 15 * 1000  # longer than a call to Dodo may take
_MAX_ORDERS_PER_ATTEMPT = 50

_CHECKOUT = select(checkouts).where(checkouts.c.order_ref == bindparam("wanted"))
_BY_SESSION = select(checkouts).where(checkouts.c.dodo_session_id == bindparam("wanted"))
_UNPAID = update(checkouts).where(
    checkouts.c.order_ref == bindparam("wanted"),
    checkouts.c.payment_status.is_distinct_from("succeeded"),
)


def begin_checkout(
    connection: Connection,
    *,
    attempt: str,
    order_ref: str,
    product: str,
    visitor: Visitor,
    now_ms: int,
    consent: str | None = None,
) -> Row:
    """
    Return this attempt's checkout: a new one under `order_ref`, or the one that is still good.

    `consent` is what the buyer had answered: "given", "refused" or "not_asked".
    The unique `attempt_key` decides between two concurrent posts, in whatever process they are.
    The caller opens the session exactly when the returned `order_ref` is the one it proposed, and
    for the visitor of the returned row: one who asked to be forgotten is not in it.
    """
    visitor = _unless_forgotten(connection, visitor)
    for number in range(_MAX_ORDERS_PER_ATTEMPT):
        key = f"{attempt}:{number}"
        found = _by_attempt(connection, key)
        if found is None:
            connection.execute(
                insert_or_ignore(connection, checkouts).values(
                    order_ref=order_ref,
                    attempt_key=key,
                    created_at_ms=now_ms,
                    product=product,
                    visitor_id=visitor.visitor_id,
                    session_id=visitor.session_id,
                    capture_reason=visitor.reason,
                    capture_source=visitor.source,
                    consent=consent,
                    state="opening",
                )
            )
            found = _by_attempt(connection, key)
        if found is not None and _is_good(found, product, now_ms):
            return found
    raise ValueError("this form was used for too many orders; load the page again")


def _unless_forgotten(connection: Connection, visitor: Visitor) -> Visitor:
    if not is_forgotten(connection, visitor.visitor_id):
        return visitor
    return replace(visitor, visitor_id=None, session_id=None, reason="forgotten")


def _by_attempt(connection: Connection, key: str) -> Row | None:
    found = connection.execute(select(checkouts).where(checkouts.c.attempt_key == key))
    return found.mappings().one_or_none()


def _is_good(checkout: Row, product: str, now_ms: int) -> bool:
    age_ms = now_ms - int(checkout["created_at_ms"])
    if checkout["product"] != product or checkout["payment_status"] in ("succeeded", "processing"):
        return False
    if checkout["state"] == "opening":
        return age_ms < OPENING_LIFETIME_MS
    return checkout["state"] == "open" and age_ms < SESSION_LIFETIME_MS


def finish_opening(
    connection: Connection, order_ref: str, *, dodo_session_id: str, checkout_url: str
) -> None:
    """Write down the session that Dodo opened."""
    connection.execute(
        update(checkouts)
        .where(checkouts.c.order_ref == order_ref)
        .values(state="open", dodo_session_id=dodo_session_id, checkout_url=checkout_url)
    )


def fail_opening(connection: Connection, order_ref: str) -> None:
    """Write down that Dodo opened no session, and free the attempt for the buyer's next try."""
    connection.execute(
        update(checkouts)
        .where(checkouts.c.order_ref == order_ref)
        .values(state="failed", attempt_key=None)
    )


def record_return(
    connection: Connection,
    order_ref: str,
    *,
    visitor: Visitor | None,
    claims: Mapping[str, str | None],
    now_ms: int,
) -> None:
    """
    Keep the first return of the buyer, and what the return URL claimed.

    `visitor` is None in a browser that cannot show it placed the order: nothing is joined then.
    """
    visitor = visitor or Visitor(None, None, "another_browser", "return")
    visitor = _unless_forgotten(connection, visitor)
    values: dict[str, Any] = {
        "returned_at_ms": now_ms,
        "return_visitor_id": visitor.visitor_id,
        "return_reason": visitor.reason,
        "claimed_payment_id": claims.get("payment_id"),
        "claimed_status": claims.get("status"),
    }
    connection.execute(
        update(checkouts)
        .where(checkouts.c.order_ref == order_ref, checkouts.c.returned_at_ms.is_(None))
        .values(**values)
    )
    join_return(connection, order_ref, visitor_id=visitor.visitor_id, now_ms=now_ms)


def find_checkout(connection: Connection, order_ref: str) -> Row | None:
    """Return one checkout."""
    found = connection.execute(_CHECKOUT, {"wanted": order_ref})
    return found.mappings().one_or_none()


def checkout_of_payment(
    connection: Connection, *, order_ref: str | None, dodo_session_id: str | None
) -> Row | None:
    """
    Return the checkout a payment belongs to.

    A buyer can write metadata through a payment link, so an `order_ref` counts only where the
    session agrees or is not known.
    """
    if dodo_session_id is not None:
        found = connection.execute(_BY_SESSION, {"wanted": dodo_session_id})
        if (checkout := found.mappings().first()) is not None:
            return checkout
    named = find_checkout(connection, order_ref) if order_ref is not None else None
    if named is None or None in (dodo_session_id, named["dodo_session_id"]):
        return named
    return None


def record_payment_status(
    connection: Connection, order_ref: str, *, payment_id: str, status: str
) -> None:
    """Note how the checkout's payment stands; a success is never taken back by a late message."""
    connection.execute(
        _UNPAID, {"wanted": order_ref, "payment_id": payment_id, "payment_status": status}
    )


def ask_dodo_now(connection: Connection, order_ref: str, *, now_ms: int, every_ms: int) -> bool:
    """Take the turn to ask Dodo how a checkout stands; at most one asks in `every_ms`."""
    taken = connection.execute(
        update(checkouts)
        .where(
            checkouts.c.order_ref == order_ref,
            (checkouts.c.asked_dodo_at_ms.is_(None))
            | (checkouts.c.asked_dodo_at_ms <= now_ms - every_ms),
        )
        .values(asked_dodo_at_ms=now_ms)
    )
    return taken.rowcount == 1
