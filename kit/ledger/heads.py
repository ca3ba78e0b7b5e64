"""Heads: the newest journeys that fit a filter, a page at a time, each where it can be found."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    TextClause,
    and_,
    exists,
    false,
    literal_column,
    or_,
    select,
)

from kit.ledger.filters import CAPTURE_REASONS, VISITOR_REASONS, Filter
from kit.ledger.piles import Pile, count_piles
from kit.ledger.rows import bytewise
from kit.ledger.schema import DROPPED, WITHOUT_REPORT, checkouts, deliveries, events, visits

Place = tuple[int, str, str]
"""Where a page ends: the moment, the table and the row's id of its last head."""

# A journey is listed once: where its newest report, or message, stands.
_newer_report = deliveries.alias("newer_report")
_other_message = events.alias("other_message")


@dataclass(frozen=True, slots=True)
class Head:
    """One journey of a list: what it is told from (order, payment, message, visit), its place."""

    kind: str
    key: str
    place: Place


@dataclass(frozen=True, slots=True)
class _Page:
    """What is asked for, and from where on."""

    connection: Connection
    wanted: Filter
    before: Place | None
    limit: int
    piles: Sequence[Pile] | None

    def rows(
        self, query: Select[Any], at: ColumnElement[int], row_id: ColumnElement[str], table: str
    ) -> Sequence[Any]:
        """Return the newest rows of one table that come after the page before."""
        row_id = bytewise(self.connection, row_id)
        if self.wanted.since_ms is not None:
            query = query.where(at >= self.wanted.since_ms)
        if self.wanted.until_ms is not None:
            query = query.where(at < self.wanted.until_ms)
        if self.before is not None:
            before_ms, before_table, before_id = self.before
            query = query.where(at < before_ms if table > before_table else at <= before_ms)
            if table == before_table:
                query = query.where(or_(at < before_ms, row_id < before_id))
        newest = query.order_by(at.desc(), row_id.desc()).limit(self.limit)
        return self.connection.execute(newest).all()


def find_heads(
    connection: Connection,
    wanted: Filter,
    *,
    before: Place | None,
    limit: int,
    piles: Sequence[Pile] | None = None,
) -> list[Head]:
    """
    Return the newest heads that fit, `limit` at most, from where the page before ended.

    Reports stand at the moment of their payment, all else where it began here. Whoever has counted
    the `piles` already hands them over.
    """
    page = _Page(connection, wanted, before, limit, piles)
    found: list[Head] = []
    for find in _sources(wanted):
        found += find(page, found)
        found.sort(key=lambda head: head.place, reverse=True)
        found = _once_each(found)[:limit]
    return found


def _once_each(heads: Iterable[Head]) -> list[Head]:
    seen: dict[tuple[str, str], Head] = {}
    for head in heads:
        seen.setdefault((head.kind, head.key), head)
    return list(seen.values())


_Source = Callable[[_Page, list[Head]], Iterable[Head]]


def _sources(wanted: Filter) -> Iterator[_Source]:
    """Yield where to look; what is found first tells the later ones how far back to go."""
    state, reason = wanted.state, wanted.reason
    if wanted.plain:
        yield from (_checkouts, _lone_messages, _visits)
        return
    if wanted.finds_reports:
        yield _reports
    if wanted.needs_report:
        return
    about_checkout = reason in (*CAPTURE_REASONS, "session_failed", "no_webhook")
    if state in ("unpaid", "failed") or (state is None and about_checkout):
        yield _checkouts
    elif state in ("waiting", "parked", "unreadable") or state is None:
        yield _messages
    elif state == "visit" and reason is None:
        yield _visits


def _checkouts(page: _Page, _found: list[Head]) -> Iterator[Head]:
    columns, state, reason = checkouts.c, page.wanted.state, page.wanted.reason
    query = select(columns.created_at_ms, columns.order_ref)
    if state == "failed" or reason == "session_failed":
        # Written out, as all that the index of a part of a table is recognised by.
        query = query.where(columns.state == literal_column("'failed'"))
    elif state == "unpaid" or reason == "no_webhook":
        query = query.where(columns.payment_status.is_(None), columns.state != "failed")
    if reason in CAPTURE_REASONS:
        uncaptured = columns.capture_reason != literal_column("'captured'")
        query = query.where(uncaptured, columns.capture_reason == reason)
    elif reason not in (None, "session_failed", "no_webhook"):
        query = query.where(false())
    for at_ms, ref in page.rows(query, columns.created_at_ms, columns.order_ref, "checkout"):
        yield Head("order", ref, (at_ms, "checkout", ref))


def _lone_messages(page: _Page, _found: list[Head]) -> Iterator[Head]:
    """Find messages without a checkout: the first one about each payment."""
    columns, other = events.c, _other_message.c
    earlier = exists().where(
        other.payment_id == columns.payment_id,
        other.order_ref.is_(None),
        _comes_before(other, columns, "received_at_ms", "webhook_id"),
    )
    query = select(columns.received_at_ms, columns.order_ref, columns.payment_id)
    query = query.add_columns(columns.webhook_id).where(columns.order_ref.is_(None), ~earlier)
    yield from _of_messages(page, query)


def _visits(page: _Page, found: list[Head]) -> Iterator[Head]:
    """Find visits that led to nothing, as far back as the page reaches."""
    columns = visits.c
    bought = exists().where(checkouts.c.visitor_id == columns.visitor_id)
    reported = exists().where(deliveries.c.visitor_id == columns.visitor_id)
    query = select(columns.first_seen_at_ms, columns.visitor_id).where(~bought, ~reported)
    if len(found) == page.limit:
        query = query.where(columns.first_seen_at_ms >= found[-1].place[0])
    rows = page.rows(query, columns.first_seen_at_ms, columns.visitor_id, "visit")
    for at_ms, visitor_id in rows:
        yield Head("visit", visitor_id, (at_ms, "visit", visitor_id))


def _messages(page: _Page, _found: list[Head]) -> Iterator[Head]:
    """Find messages by what became of them."""
    columns, state, reason = events.c, page.wanted.state, page.wanted.reason
    choices: list[tuple[ColumnElement[bool] | TextClause, ...]] = []
    if state in (None, "waiting"):
        choices.append((columns.state == literal_column("'stored'"),))
        choices.append((columns.due_at_ms.is_not(None), columns.state == "waiting"))
    if state != "waiting":
        ends = ("parked", "unreadable", "skipped") if state is None else (state,)
        choices += [(WITHOUT_REPORT, columns.state == end) for end in ends]
    other = _other_message.c
    alike = and_(
        other.state == columns.state,
        *([other.reason == reason] if reason else []),
        _comes_before(columns, other, "received_at_ms", "webhook_id"),
    )
    same_order = exists().where(other.order_ref == columns.order_ref, alike)
    same_payment = exists().where(
        other.payment_id == columns.payment_id, other.order_ref.is_(None), alike
    )
    query = select(
        columns.received_at_ms, columns.order_ref, columns.payment_id, columns.webhook_id
    ).where(
        *([columns.reason == reason] if reason else []),
        ~same_order,
        or_(columns.order_ref.is_not(None), ~same_payment),
    )
    for choice in choices:
        yield from _of_messages(page, query.where(*choice))


def _of_messages(page: _Page, query: Select[Any]) -> Iterator[Head]:
    rows = page.rows(query, events.c.received_at_ms, events.c.webhook_id, "message")
    for at_ms, order_ref, payment_id, webhook_id in rows:
        place = (at_ms, "message", webhook_id)
        if order_ref is not None:
            yield Head("order", order_ref, place)
        elif payment_id is not None:
            yield Head("payment", payment_id, place)
        else:
            yield Head("message", webhook_id, place)


def _reports(page: _Page, _found: list[Head]) -> Iterator[Head]:
    """Find reports, each journey where its newest one stands that fits."""
    columns, newer, wanted = deliveries.c, _newer_report.c, page.wanted
    fits = [
        _comes_before(columns, newer, "occurred_at_ms", "transaction_id"),
        *wanted.conditions(newer),
    ]
    same_order = exists().where(newer.order_ref == columns.order_ref, *fits)
    same_payment = exists().where(
        newer.payment_id == columns.payment_id, newer.order_ref.is_(None), *fits
    )
    query = select(
        columns.occurred_at_ms, columns.order_ref, columns.payment_id, columns.transaction_id
    ).where(
        *wanted.conditions(columns),
        # Each inside an "or", so that PostgreSQL looks row by row instead of joining the table.
        or_(columns.order_ref.is_(None), ~same_order),
        or_(columns.order_ref.is_not(None), ~same_payment),
    )
    rows = _few(page, query) if wanted.reason in VISITOR_REASONS else _piled(page, query)
    nameless = [row[3] for row in rows if row[1] is None and row[2] is None]
    messages = _first_messages(page.connection, nameless)
    for at_ms, order_ref, payment_id, transaction_id in rows:
        place = (at_ms, "report", transaction_id)
        if order_ref is not None:
            yield Head("order", order_ref, place)
        elif payment_id is not None:
            yield Head("payment", payment_id, place)
        elif transaction_id in messages:
            yield Head("message", messages[transaction_id], place)


def _few(page: _Page, query: Select[Any]) -> Sequence[Any]:
    """Read reports by what is known of their visitor: few lack one, so they are found by that."""
    columns, captured = deliveries.c, checkouts.c
    if page.wanted.reason in CAPTURE_REASONS:
        query = query.join(checkouts, captured.order_ref == columns.order_ref).where(
            captured.capture_reason != literal_column("'captured'"),
            captured.capture_reason == page.wanted.reason,
        )
    elif page.wanted.reason == "visitor_dropped":
        query = query.where(DROPPED)
    return page.rows(query, columns.occurred_at_ms, columns.transaction_id, "report")


def _piled(page: _Page, query: Select[Any]) -> Sequence[Any]:
    """Read reports pile by pile: the index keeps each pile in the order of its payments."""
    columns = deliveries.c
    rows: list[Any] = []
    for pile in page.piles if page.piles is not None else count_piles(page.connection):
        if page.wanted.holds(pile):
            since_ms = rows[page.limit - 1][0] if len(rows) >= page.limit else 0
            of_pile = query.where(*pile.conditions(), columns.occurred_at_ms >= since_ms)
            rows += page.rows(of_pile, columns.occurred_at_ms, columns.transaction_id, "report")
            rows.sort(key=lambda row: (row[0], row[3]), reverse=True)
    return rows


def _first_messages(connection: Connection, transaction_ids: list[str]) -> dict[str, str]:
    """Return the first message of each report that names neither an order nor a payment."""
    columns = events.c
    query = (
        select(columns.transaction_id, columns.webhook_id)
        .where(columns.transaction_id.in_(transaction_ids))
        .order_by(columns.received_at_ms.desc(), columns.webhook_id.desc())
    )
    rows = connection.execute(query) if transaction_ids else ()
    return {str(row[0]): str(row[1]) for row in rows}


def _comes_before(one: Any, other: Any, moment: str, row_id: str) -> ColumnElement[bool]:
    """Order two rows of a table by their moment, and those of one moment by their id."""
    return or_(
        one[moment] < other[moment],
        and_(one[moment] == other[moment], one[row_id] < other[row_id]),
    )
