"""What the ledger counts of itself: for metrics, computed from the tables each time it is asked."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, case, func, select, text

from kit.ledger.drift import EVENT_TYPES
from kit.ledger.lanes import Budget, budget_of, find_lane
from kit.ledger.rows import Row
from kit.ledger.schema import READ, deliveries, events, refusals

DAY_MS = 86_400_000
WINDOWS_MS: Mapping[str, int | None] = {"1d": DAY_MS, "7d": 7 * DAY_MS, "all": None}
"""How far back the attribution share looks, by the time at which a report was made."""
_SUBJECTS = frozenset(name.partition(".")[0] for name in EVENT_TYPES)
_UNSENT = {"ready": "report", "sending": "report", "held": "held"}

Labels = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Figures:
    """Counts by their labels; nothing of it names a payment, an order or a person."""

    deliveries: Mapping[Labels, int]
    """By kind, state, verdict (empty before there is one) and reason."""
    messages: Mapping[Labels, int]
    """By class, state and reason."""
    refused: Mapping[str, int]
    """Validly signed webhooks that were refused, by reason."""
    oldest_waiting_s: Mapping[str, float]
    """Age of the oldest that waits: message (to be read), report (to be sent), held; else 0."""
    attributed: Mapping[str, tuple[int, int]]
    """Of each window: sales that DataFast attributed, and those that it has."""
    lane: Budget


def read_figures(connection: Connection, *, lane: str, per_minute: float, now_ms: int) -> Figures:
    """Count everything, as it was at one moment."""
    reports = _reports(connection, now_ms)
    stored, oldest_stored_ms = connection.execute(
        select(func.count(), func.min(events.c.received_at_ms)).where(text("state = 'stored'"))
    ).one()
    oldest_due_ms = connection.scalar(
        select(func.min(events.c.received_at_ms)).where(events.c.due_at_ms.is_not(None))
    )
    messages = Counter(_messages(connection))
    if stored:
        messages["unread", "stored", "event_waiting"] += stored
    return Figures(
        {_labels(row): row["number"] for row in reports},
        messages,
        _refused(connection),
        _ages(reports, (oldest_stored_ms, oldest_due_ms), now_ms),
        {name: _share(reports, name) for name in WINDOWS_MS},
        budget_of(find_lane(connection, lane), per_minute=per_minute, now_ms=now_ms),
    )


def _refused(connection: Connection) -> dict[str, int]:
    rows = connection.execute(select(refusals.c.reason, refusals.c.count))
    return {str(reason): int(number) for reason, number in rows}


def _reports(connection: Connection, now_ms: int) -> Sequence[Row]:
    columns = deliveries.c
    recent = [
        func.sum(case((columns.created_at_ms >= now_ms - span_ms, 1), else_=0)).label(name)
        for name, span_ms in WINDOWS_MS.items()
        if span_ms is not None
    ]
    groups = columns.kind, columns.state, columns.verdict, columns.reason
    number = func.count().label("number")
    oldest = func.min(columns.created_at_ms).label("oldest_ms")
    query = select(*groups, number, number.label("all"), oldest, *recent).group_by(*groups)
    return connection.execute(query).mappings().all()


def _labels(row: Row) -> Labels:
    return row["kind"], row["state"], row["verdict"] or "", row["reason"]


def _messages(connection: Connection) -> Mapping[Labels, int]:
    groups = events.c.state, events.c.type, events.c.reason
    rows = connection.execute(select(*groups, func.count()).where(READ).group_by(*groups))
    counted: Counter[Labels] = Counter()
    for state, event_type, reason, number in rows:
        subject = (event_type or "unread").partition(".")[0]
        # Anybody who can sign may invent types; there must not be a time series for each.
        known = event_type is None or subject in _SUBJECTS
        counted[subject if known else "other", state, reason] += number
    return counted


def _ages(
    reports: Iterable[Row], messages_ms: Iterable[int | None], now_ms: int
) -> dict[str, float]:
    moments: dict[str, list[int]] = {"message": [], "report": [], "held": []}
    moments["message"] += [moment for moment in messages_ms if moment is not None]
    for row in reports:
        if (what := _UNSENT.get(row["state"])) is not None:
            moments[what].append(row["oldest_ms"])
    return {
        what: max(now_ms - min(found), 0) / 1000 if found else 0.0
        for what, found in moments.items()
    }


def _share(reports: Iterable[Row], window: str) -> tuple[int, int]:
    counts: Counter[str] = Counter()
    for row in reports:
        if row["kind"] == "sale" and row["verdict"] not in (None, "rejected", "unconfirmed"):
            counts[row["verdict"]] += row[window]
    return counts["attributed"], counts.total()
