"""
What is written of claimed deliveries around a call: just before it, and once it is answered.

For any number of them at once, since a statement takes about as long for one as for twenty.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import BigInteger, Connection, bindparam, func, select, update

from kit.ledger.claims import Delivery
from kit.ledger.deliveries import FORGOTTEN, one
from kit.ledger.rows import Row
from kit.ledger.schema import deliveries
from kit.ledger.tombstones import forgotten_among

_HELD = select(
    deliveries.c.transaction_id, deliveries.c.visitor_id, deliveries.c.visitor_source
).where(
    deliveries.c.transaction_id.in_(bindparam("wanted", expanding=True)),
    deliveries.c.owner == bindparam("claimant"),
    deliveries.c.state == "sending",
)
_LEASED = update(deliveries).where(
    deliveries.c.transaction_id == bindparam("wanted"),
    deliveries.c.owner == bindparam("claimant"),
    deliveries.c.state == "sending",
)
_FREEZE = _LEASED.values(
    first_sent_at_ms=func.coalesce(
        deliveries.c.first_sent_at_ms, bindparam("now_ms", type_=BigInteger)
    )
)


def freeze_deliveries(
    connection: Connection, leaving: Sequence[Delivery], *, owner: str, now_ms: int
) -> list[Delivery | None]:
    """
    Mark deliveries as sent, with what was proven on their way here, and return them as they may go.

    From here on nothing but the visitor may change. Every report passes here just before it is
    sent, since it may have been claimed, or its visitor looked up, before the visitor asked to be
    forgotten: then it goes without a name. None stands for one whose lease was lost.
    """
    held = _held(connection, [each.payment.transaction_id for each in leaving], owner)
    sendable: list[Delivery | None] = []
    named = [each.payment.datafast_visitor_id for each in leaving]
    named += [row["visitor_id"] for row in held.values()]
    forgotten = forgotten_among(connection, {each for each in named if each is not None})
    for delivery in leaving:
        row = held.get(delivery.payment.transaction_id)
        sendable.append(None if row is None else _sendable(connection, delivery, row, forgotten))
    for first in (True, False):  # what is settled by the first send is settled by that alone
        frozen = [
            {"wanted": each.payment.transaction_id, "claimant": owner, "now_ms": now_ms}
            | (each.proven() if first else {})
            for each in sendable
            if each is not None and (each.first_sent_at_ms is None) is first
        ]
        if frozen:
            connection.execute(_FREEZE, frozen)
    return sendable


def _sendable(
    connection: Connection, delivery: Delivery, row: Row, forgotten: set[str]
) -> Delivery:
    payment = delivery.payment
    if (
        "forgotten" not in (delivery.visitor_source, row["visitor_source"])
        and not {payment.datafast_visitor_id, row["visitor_id"]} & forgotten
    ):
        return _joined(delivery, row)
    connection.execute(one(payment.transaction_id).values(**FORGOTTEN))
    nameless = replace(payment, datafast_visitor_id=None, email=None, name=None, customer_id=None)
    return replace(delivery, payment=nameless, visitor_source="forgotten")


def _joined(delivery: Delivery, row: Row) -> Delivery:
    """Return a delivery with the visitor that has become known since it was claimed."""
    payment, visitor_id = delivery.payment, row["visitor_id"]
    if delivery.first_sent_at_ms is not None or payment.datafast_visitor_id is not None:
        return delivery
    if visitor_id is None:
        return delivery
    named = replace(payment, datafast_visitor_id=visitor_id)
    return replace(delivery, payment=named, visitor_source=row["visitor_source"])


def finish_deliveries(
    connection: Connection, ends: Mapping[str, Mapping[str, Any]], *, owner: str
) -> set[str]:
    """
    Write down what came of claims, and return those that this owner still had.

    `ends` has the columns of each by `transaction_id`, the same for all; what a late worker no
    longer owns stays as it is.
    """
    held = _held(connection, list(ends), owner)
    finished = [
        {"wanted": each, "claimant": owner, "owner": None, **values}
        for each, values in ends.items()
        if each in held
    ]
    if finished:
        connection.execute(_LEASED, finished)
    return set(held)


def mark_deleted(connection: Connection, transaction_id: str, *, owner: str) -> None:
    """Write down that DataFast has forgotten a payment, so that it can be reported anew."""
    leased = {"wanted": transaction_id, "claimant": owner}
    undone = {"delete_first": False, "visitor_dropped": False, "first_sent_at_ms": None}
    connection.execute(_LEASED, {**leased, **undone})


def _held(connection: Connection, wanted: Sequence[str], owner: str) -> dict[str, Row]:
    """Return the deliveries that an owner has a lease of; decisions take turns, so it stays so."""
    found = connection.execute(_HELD, {"wanted": wanted, "claimant": owner}).mappings()
    return {row["transaction_id"]: row for row in found}
