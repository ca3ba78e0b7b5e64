"""What there is to do, and when: all that a forwarder at rest has to ask."""

from typing import NamedTuple

from sqlalchemy import Connection, exists, func, select

from kit.ledger.schema import deliveries, events


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
