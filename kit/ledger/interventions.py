"""Statements on `interventions`: what a person did by hand, one row for each action."""

from collections.abc import Sequence

from sqlalchemy import Connection, select

from kit.ledger.rows import Row
from kit.ledger.schema import interventions


def note_intervention(
    connection: Connection, action: str, subject: str, *, changed: int, now_ms: int
) -> None:
    """Keep an action, in the transaction that it happens in; `subject` never names a person."""
    connection.execute(
        interventions.insert().values(at_ms=now_ms, action=action, subject=subject, changed=changed)
    )


def recent_interventions(connection: Connection, *, limit: int = 20) -> Sequence[Row]:
    """Return the newest actions first."""
    newest = interventions.c.number.desc()
    return connection.execute(select(interventions).order_by(newest).limit(limit)).mappings().all()
