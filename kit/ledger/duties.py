"""What there is to do, and when: all that a forwarder at rest has to ask."""

from typing import NamedTuple

from sqlalchemy import Connection, exists, func, select, update

from kit.ledger.schema import deliveries, events, lanes

LONGEST_WAIT_MS = 25 * 3_600_000
"""More than anything waits for; the longest is KIT_HOLD_S, a day at most."""


class Duties(NamedTuple):
    """What waits: whether messages to be read, and from when on lookups and deliveries."""

    stored: bool
    lookup_due_ms: int | None
    delivery_due_ms: int | None


_DUTIES = select(
    exists().where(events.c.state == "stored"),
    select(func.min(events.c.due_at_ms)).scalar_subquery(),
    select(func.min(deliveries.c.due_at_ms)).scalar_subquery(),
)


def find_duties(connection: Connection) -> Duties:
    """Return what there is to do, in one statement."""
    stored, lookup_due_ms, delivery_due_ms = connection.execute(_DUTIES).one()
    return Duties(bool(stored), lookup_due_ms, delivery_due_ms)


def recall(connection: Connection, now_ms: int) -> int:
    """
    Make due what is due later than anything may be; return how much that was.

    It was put off by a clock that was ahead, and would wait until the clock is there again.
    """
    beyond_ms = now_ms + LONGEST_WAIT_MS
    return sum(
        connection.execute(
            update(column.table).where(column > beyond_ms).values({column.name: now_ms})
        ).rowcount
        for column in (deliveries.c.due_at_ms, events.c.due_at_ms, lanes.c.not_before_ms)
    )
