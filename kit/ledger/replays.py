"""
Send again, read again: what a person chose, what becomes of each row, and the statements.

What a plan says and what is done come from one expression, so that they cannot disagree.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    case,
    exists,
    func,
    literal,
    or_,
    select,
    update,
)

from kit.ledger.rows import Row
from kit.ledger.schema import deliveries, events

_sale = deliveries.alias("sale")


@dataclass(frozen=True, slots=True)
class Selection:
    """Which reports and messages: one by its id, or all that fit; moments are UTC milliseconds."""

    id: str | None = None
    state: str | None = None
    """"parked", "held" or "done"; a message is never held, and done ones by their reason only."""
    reason: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    overrule: bool = False
    """Whether a person answers for what the kit could not prove: `kit replay --release`."""
    holds_test: bool = False
    """Whether test payments stay here, as the settings say."""

    def __str__(self) -> str:
        """Name it for the record of what people did."""
        fields = ("id", "state", "reason", "since_ms", "until_ms")
        named = ((name, getattr(self, name)) for name in fields)
        return " ".join(f"{name}={value}" for name, value in named if value is not None)


@dataclass(frozen=True, slots=True)
class Line:
    """What becomes of a group of rows that have all of this in common."""

    what: str
    """"report" or "message"."""
    fate: str
    kind: str
    state: str
    reason: str
    number: int
    currency: str | None = None
    amount: str | None = None
    """The sum in major units, exact."""


SENT_AGAIN = ("resend", "send", "delete", "line_up", "recheck")
"""
Fates of reports that a replay changes, in the order in which it does.

resend: posted again, the verdict stays · send: goes out as if new · delete: the delete is tried
again · line_up: waits for its sale, which is to be reported first · recheck: was answered without
proof, and is asked about again.
"""
READ_AGAIN = ("read", "ask")
_UNREAD = {"state": "stored", "reason": "event_waiting"}
LEFT_ALONE = {
    "sending": "on the way to DataFast at this moment",
    "final": "not counted or deleted at DataFast, so there is nothing to send",
    "test_mode": "test payments, which stay here unless KIT_SEND_TEST=1",
    "awaiting_sale": "waiting for the sale, and sent by itself after it",
    "original_not_reported": "without a reported sale; --release original_not_reported sends them",
    "unread": "read next anyway",
    "mapped": "read before; replay the report",
    "body_dropped": "without a body, which KIT_RETENTION_DAYS has dropped",
}


def survey(connection: Connection, selection: Selection) -> list[Line]:
    """Tell what a replay would do, with exact sums for each currency."""
    columns = deliveries.c
    fates = _fate(selection).label("fate")
    chosen = select(
        fates, columns.kind, columns.state, columns.reason, columns.currency, columns.amount
    ).where(*_chosen(selection))
    reports = _counted(connection, chosen.subquery().c)
    fates = _message_fate().label("fate")
    kind = func.coalesce(events.c.type, "message").label("kind")
    messages = select(fates, kind, events.c.state, events.c.reason).where(*_heard(selection))
    return [*_summed(reports), *_messages(_counted(connection, messages.subquery().c))]


def _counted(connection: Connection, columns: Any) -> Sequence[Row]:
    query = select(*columns, func.count().label("number")).group_by(*columns)
    return connection.execute(query).mappings().all()


def _summed(rows: Iterable[Row]) -> list[Line]:
    # Summed here and not by the database: SQLite's numbers are not exact.
    groups: dict[tuple[str, str, str, str, str], tuple[int, Decimal]] = {}
    for row in rows:
        key = (row["fate"], row["kind"], row["state"], row["reason"], row["currency"])
        number, amount = groups.get(key, (0, Decimal(0)))
        total = amount + row["number"] * Decimal(row["amount"])
        groups[key] = (number + row["number"], total)
    return [
        Line("report", fate, kind, state, reason, number, currency, str(amount))
        for (fate, kind, state, reason, currency), (number, amount) in sorted(groups.items())
    ]


def _messages(rows: Iterable[Row]) -> list[Line]:
    return sorted(
        (
            Line("message", row["fate"], row["kind"], row["state"], row["reason"], row["number"])
            for row in rows
        ),
        key=lambda line: (line.fate, line.kind, line.state, line.reason),
    )


def replay(connection: Connection, selection: Selection, *, now_ms: int) -> tuple[int, int]:
    """Do what a survey says; return how many reports and how many messages have changed."""
    again: dict[str, Any] = {"attempts": 0, "due_at_ms": now_ms, "replayed_at_ms": now_ms}
    proven = {"confirmed": True} if selection.overrule else {}
    changes: dict[str, dict[str, Any]] = {
        "resend": again,
        # A refusal is no proof of anything: what is posted now is judged anew.
        "send": {"state": "ready", "reason": "queued", "verdict": None, **again, **proven},
        "delete": {"state": "ready", "reason": "forgetting", **again},
        "line_up": {"state": "held", "reason": "awaiting_sale", "due_at_ms": None},
        "recheck": {"state": "done", "reason": _reason_of_verdict(), **again},
    }
    reports = 0
    for fate in SENT_AGAIN:
        chosen = and_(*_chosen(selection), _fate(selection) == fate)
        reports += connection.execute(
            update(deliveries).where(chosen).values(**changes[fate])
        ).rowcount
    read: dict[str, Any] = {**_UNREAD, "looked_up": False, "due_at_ms": None}
    messages = 0
    for fate, values in (("read", read), ("ask", {"due_at_ms": now_ms})):
        heard = and_(*_heard(selection), _message_fate() == fate)
        messages += connection.execute(update(events).where(heard).values(**values)).rowcount
    return reports, messages


def report_of(connection: Connection, webhook_id: str) -> str | None:
    """Return the report that a message became, if it became one."""
    return connection.scalar(
        select(events.c.transaction_id).where(
            events.c.webhook_id == webhook_id, events.c.state == "mapped"
        )
    )


def _chosen(selection: Selection) -> list[ColumnElement[bool]]:
    columns = deliveries.c
    if selection.id is not None:
        return [columns.transaction_id == selection.id]
    states = (selection.state,) if selection.state else ("parked", "held", "done")
    where = [columns.state.in_(states), *_between(columns.created_at_ms, selection)]
    return where if selection.reason is None else [*where, columns.reason == selection.reason]


def _heard(selection: Selection) -> list[ColumnElement[bool]]:
    columns = events.c
    if selection.id is not None:
        return [columns.webhook_id == selection.id]
    parked = columns.state == "parked"
    where = list(_between(columns.received_at_ms, selection))
    if selection.reason is not None:
        where.append(columns.reason == selection.reason)
        if selection.state is None:
            return [*where, columns.state.in_(("parked", "skipped", "unreadable"))]
    return [*where, parked, literal(selection.state in (None, "parked"))]


def _between(moment: ColumnElement[int], selection: Selection) -> Iterable[ColumnElement[bool]]:
    if selection.since_ms is not None:
        yield moment >= selection.since_ms
    if selection.until_ms is not None:
        yield moment < selection.until_ms


def _fate(selection: Selection) -> ColumnElement[str]:
    """Say of each delivery what a replay does with it."""
    columns = deliveries.c
    of_its_sale = _sale.c.transaction_id == columns.depends_on
    reported = exists().where(of_its_sale, _sale.c.state == "done", _sale.c.verdict.is_not(None))
    known = exists().where(of_its_sale)
    in_test_mode = columns.reason == "test_mode"
    unproven_sale = columns.reason == "original_not_reported"
    held_back = and_(literal(selection.holds_test), in_test_mode)
    unproven = and_(columns.state == "parked", columns.verdict.in_(("no_pageview", "unconfirmed")))
    return case(
        (columns.state == "sending", "sending"),
        (and_(columns.state == "done", columns.verdict.is_(None)), "final"),
        (columns.state == "done", "resend"),
        (columns.delete_only, "delete"),
        (held_back, "test_mode"),
        (unproven, "recheck"),
        (or_(columns.depends_on.is_(None), reported), "send"),
        (unproven_sale, "send" if selection.overrule else "original_not_reported"),
        (columns.reason == "awaiting_sale", "awaiting_sale"),
        # Nobody looked for the sale of a test payment, which was held before.
        (or_(known, in_test_mode), "line_up"),
        else_="send",
    )


def _message_fate() -> ColumnElement[str]:
    columns = events.c
    return case(
        (columns.state == "stored", "unread"),
        (columns.state == "mapped", "mapped"),
        (columns.state == "waiting", "ask"),
        (columns.body.is_(None), "body_dropped"),
        else_="read",
    )


def _reason_of_verdict() -> ColumnElement[str]:
    """Give a report back the reason that its verdict had before trying stopped."""
    columns = deliveries.c
    return case(
        (columns.reason != "horizon", columns.reason),
        (columns.verdict == "no_pageview", "no_pageview"),
        else_="no_echo",
    )
