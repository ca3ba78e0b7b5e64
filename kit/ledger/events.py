"""Statements on `events`: one row for each webhook message, keyed by its id for good."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, or_, select, update

from kit.helpers.dodo_datafast import Signed
from kit.ledger.intake import insert_new
from kit.ledger.rows import Row, insert_or_ignore, notify
from kit.ledger.schema import events, refusals

MAPPING_BATCH = 32

_ONE = update(events).where(events.c.webhook_id == bindparam("wanted"))
_STORED = (
    select(events)
    .where(events.c.state == "stored")
    .order_by(events.c.received_at_ms)
    .limit(MAPPING_BATCH)
    .with_for_update(skip_locked=True)
)


def insert_events(connection: Connection, rows: Sequence[dict[str, Any]]) -> list[bool]:
    """Store new messages and return, for each, whether it was new; repeats are counted."""
    # In one order everywhere, so that two processes with the same ids cannot wait for each other.
    ordered = sorted(rows, key=_webhook_id)
    stored = insert_new(connection, ordered)
    if len(stored) == len(rows):
        return [True] * len(rows)
    results: dict[int, bool] = {}
    for row in ordered:
        results[id(row)] = row["webhook_id"] in stored
        stored.discard(row["webhook_id"])
        if not results[id(row)]:
            _count_repeat(connection, row)
    return [results[id(row)] for row in rows]


def _webhook_id(row: Mapping[str, Any]) -> str:
    return str(row["webhook_id"])


def _count_repeat(connection: Connection, row: dict[str, Any]) -> None:
    # Dodo sends the object's latest state, so a repeat may honestly hold another body.
    connection.execute(
        update(events)
        .where(events.c.webhook_id == row["webhook_id"])
        .values(
            times_received=events.c.times_received + 1,
            bodies_differ=or_(events.c.bodies_differ, events.c.body_sha256 != row["body_sha256"]),
        )
    )


def stored_events(connection: Connection) -> Sequence[Row]:
    """Lock and return the oldest messages that nobody has read yet."""
    return connection.execute(_STORED).mappings().all()


def waiting_events(connection: Connection, now_ms: int) -> Sequence[Row]:
    """Return the messages whose payment should be looked up at Dodo now; bodies left out."""
    columns = [column for column in events.c if column.name != "body"]
    found = connection.execute(
        select(*columns).where(events.c.due_at_ms <= now_ms).order_by(events.c.due_at_ms).limit(8)
    )
    return found.mappings().all()


def settle_event(connection: Connection, webhook_id: str, **values: Any) -> None:
    """Write down what a message turned out to be."""
    connection.execute(_ONE, {"wanted": webhook_id, **values})


def settle_waiting(connection: Connection, webhook_id: str, **values: Any) -> None:
    """Write down what Dodo's answer means for a message, unless it has been read meanwhile."""
    waiting = _ONE.where(events.c.state == "waiting")
    if not connection.execute(waiting, {"wanted": webhook_id, **values}).rowcount:
        settle_event(connection, webhook_id, due_at_ms=None)  # Dodo need not be asked again


def read_anew(connection: Connection, signed: Signed) -> bool:
    """
    Let a message that was made of Dodo's API be read again, as the API has it now.

    Only one that became nothing: what was reported stays. Returns whether there was one.
    """
    renewed = connection.execute(
        update(events)
        .where(
            events.c.webhook_id == signed.id,
            events.c.source == "api",
            events.c.state.in_(("skipped", "parked", "unreadable")),
        )
        .values(
            body=signed.body,
            body_sha256=hashlib.sha256(signed.body).digest(),
            state="stored",
            reason="event_waiting",
            looked_up=False,
            due_at_ms=None,
        )
    )
    if renewed.rowcount:
        notify(connection)
    return renewed.rowcount == 1


def count_refusal(connection: Connection, reason: str, now_ms: int) -> None:
    """Count a validly signed message that was refused for its time."""
    connection.execute(
        insert_or_ignore(connection, refusals).values(reason=reason, count=0, last_at_ms=now_ms)
    )
    connection.execute(
        update(refusals)
        .where(refusals.c.reason == reason)
        .values(count=refusals.c.count + 1, last_at_ms=now_ms)
    )
