"""What journeys may be filtered by, and what that asks of a report."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, or_

from kit.ledger.piles import WAITING, Pile

REPORT_STATES: Final = (*WAITING, "done", "parked")
VERDICTS: Final = (
    "attributed",
    "recorded",
    "duplicate",
    "no_pageview",
    "unconfirmed",
    "rejected",
)
STATES: Final = ("waiting", *REPORT_STATES, *VERDICTS, "unpaid", "failed", "unreadable", "visit")
"""How a report, a message or a checkout may stand."""

CAPTURE_REASONS: Final = ("absent", "malformed", "declined", "cookieless_format", "forgotten")
# Reasons that tell of a report's visitor, not of where it stands.
VISITOR_REASONS: Final = (*CAPTURE_REASONS, "checkout_unknown", "visitor_dropped")
_UNATTRIBUTED = tuple(verdict for verdict in VERDICTS if verdict != "attributed")


@dataclass(frozen=True, slots=True)
class Filter:
    """Which journeys; moments are UTC milliseconds, `until_ms` is no longer part of it."""

    state: str | None = None
    """One of STATES."""
    reason: str | None = None
    """A code of `kit.hops.REASONS`."""
    currency: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    unattributed: bool = False
    """Only money that DataFast has not attributed, or will not: its report names no visitor."""

    @property
    def plain(self) -> bool:
        """Whether it asks for a time at most."""
        return not self.needs_report and self.state is None and self.reason is None

    @property
    def needs_report(self) -> bool:
        """Whether nothing but a report can fit it."""
        return self.unattributed or self.currency is not None

    @property
    def finds_reports(self) -> bool:
        """Whether a report can fit it."""
        if self.state not in (None, "waiting", *REPORT_STATES, *VERDICTS):
            return False
        # Why a checkout has no visitor is asked of the checkouts, the unpaid ones as well.
        at_checkout = self.state is None and self.reason in CAPTURE_REASONS
        return not self.plain and (self.needs_report or not at_checkout)

    def holds(self, pile: Pile) -> bool:
        """Tell whether a report of this pile may fit."""
        if self.currency not in (None, pile.currency):
            return False
        if self.reason not in (None, pile.reason):
            return False
        if self.unattributed and not _may_lack_visitor(pile):
            return False
        if self.state == "waiting":
            return pile.state in WAITING
        if self.state in VERDICTS:
            return (pile.state, pile.verdict) == ("done", self.state)
        return self.state in (None, pile.state)

    def conditions(self, columns: Any) -> Iterator[ColumnElement[bool]]:
        """Yield all that a report must fulfil, with the columns of `deliveries` or an alias."""
        if self.state == "waiting":
            yield columns.state.in_(WAITING)
        elif self.state in VERDICTS:
            yield columns.state == "done"
            yield columns.verdict == self.state
        elif self.state is not None:
            yield columns.state == self.state
        if self.currency is not None:
            yield columns.currency == self.currency
        if self.since_ms is not None:
            yield columns.occurred_at_ms >= self.since_ms
        if self.until_ms is not None:
            yield columns.occurred_at_ms < self.until_ms
        if self.unattributed:
            nameless = or_(columns.visitor_id.is_(None), columns.visitor_dropped)
            unanswered = and_(columns.verdict.is_(None), columns.state != "done", nameless)
            yield or_(columns.verdict.in_(_UNATTRIBUTED), unanswered)
        yield from self._reason(columns)

    def _reason(self, columns: Any) -> Iterator[ColumnElement[bool]]:
        match self.reason:
            case None:
                return
            case "checkout_unknown":
                yield columns.order_ref.is_(None)
            case "visitor_dropped":
                yield columns.visitor_dropped
            case reason if reason not in CAPTURE_REASONS:
                yield columns.reason == reason


def _may_lack_visitor(pile: Pile) -> bool:
    """Tell whether DataFast has not attributed a pile's reports; what it never got is no money."""
    return pile.verdict in _UNATTRIBUTED or (pile.verdict is None and pile.state != "done")
