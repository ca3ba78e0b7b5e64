"""Piles: reports that share state, verdict, reason and currency; one index counts them all."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, func, select

from kit.ledger.schema import WITHOUT_REPORT, deliveries, events

WAITING = ("held", "ready", "sending")
_SHARED = tuple(deliveries.c[name] for name in ("state", "verdict", "reason", "currency"))


@dataclass(frozen=True, slots=True)
class Pile:
    """How many reports stand alike."""

    state: str
    verdict: str | None
    reason: str
    currency: str
    number: int

    @property
    def word(self) -> str:
        """Say how they stand: "waiting", "parked", the verdict, or "skipped"."""
        if self.state in WAITING:
            return "waiting"
        # Done without a verdict is the reversal of a sale that does not count.
        return "parked" if self.state == "parked" else self.verdict or "skipped"

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return what its reports have in common, in the order of the index."""
        columns = deliveries.c
        verdict = columns.verdict
        return [
            columns.state == self.state,
            verdict.is_(None) if self.verdict is None else verdict == self.verdict,
            columns.reason == self.reason,
            columns.currency == self.currency,
        ]


def count_piles(connection: Connection) -> Sequence[Pile]:
    """Count all reports, pile by pile."""
    counted = connection.execute(select(*_SHARED, func.count().label("number")).group_by(*_SHARED))
    return [Pile(**row) for row in counted.mappings()]


def count_messages(connection: Connection) -> Sequence[tuple[str, str, int]]:
    """Count the messages that are no report, by their state and reason."""
    columns = events.c
    alike = columns.state, columns.reason
    counted = connection.execute(
        select(*alike, func.count()).where(WITHOUT_REPORT).group_by(*alike)
    )
    return [(str(state), str(reason), int(number)) for state, reason, number in counted]
