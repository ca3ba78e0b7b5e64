"""
Retention: what was said of a person is dropped after some days; that it was said stays for good.

Ids are kept, so that a message that comes again is still known. What has not been settled keeps its
body, since it must still be read. A visit goes whole, unless somebody bought: without that, whoever
makes up visitors could fill the disk that messages need.
"""

import asyncio
import logging
from collections.abc import Collection
from functools import partial

from sqlalchemy import ColumnElement, Connection, delete, exists, func, select, update

from kit.errors import LedgerUnavailable
from kit.ledger import Ledger
from kit.ledger.schema import (
    SETTLED_WITH_BODY,
    WITH_PERSON,
    checkouts,
    deliveries,
    events,
    visits,
)

EVERY_S = 300.0
BATCH = 200
_DAY_MS = 86_400_000

_log = logging.getLogger(__name__)


async def keep_tidy(ledger: Ledger, *, days: int, every_s: float = EVERY_S) -> None:
    """Drop what is older than `days`, every few minutes until cancelled; 0 keeps all for good."""
    while days:
        try:
            if dropped := await tidy(ledger, days=days):
                _log.info("%s bodies, persons and visits dropped after %s days", dropped, days)
        except LedgerUnavailable as problem:
            _log.warning("nothing dropped: %s", problem)
        await asyncio.sleep(every_s)


async def tidy(ledger: Ledger, *, days: int) -> int:
    """
    Drop all that is older than `days`; return how many rows lost something.

    One short write after the other, so that whatever is about money comes in between.
    """
    before_ms = ledger.now_ms() - days * _DAY_MS
    total = 0
    for drop in (drop_old_bodies, drop_old_persons):
        while dropped := await ledger.write(partial(drop, before_ms=before_ms)):
            total += dropped
    # Old visits stay where somebody bought: they are looked through beside the writer, and once.
    since_ms = 0
    find = partial(find_idle_visits, before_ms=before_ms)
    while found := await ledger.read(partial(find, since_ms=since_ms)):
        since_ms = max(found.values())
        total += await ledger.write(partial(drop_visits, visitor_ids=found, before_ms=before_ms))
    return total


def drop_old_bodies(connection: Connection, *, before_ms: int) -> int:
    """Drop the bodies of the oldest settled messages that were received before a moment."""
    oldest = (
        select(events.c.webhook_id)
        .where(SETTLED_WITH_BODY, events.c.received_at_ms < before_ms)
        .order_by(events.c.received_at_ms)
        .limit(BATCH)
    )
    dropped = update(events).where(events.c.webhook_id.in_(oldest)).values(body=None)
    return connection.execute(dropped).rowcount


def drop_old_persons(connection: Connection, *, before_ms: int) -> int:
    """Drop e-mail and name of the oldest reports that are done with."""
    columns = deliveries.c
    oldest = (
        select(columns.transaction_id)
        .where(
            WITH_PERSON,
            columns.created_at_ms < before_ms,
            columns.state == "done",
            columns.due_at_ms.is_(None),
        )
        .order_by(columns.created_at_ms)
        .limit(BATCH)
    )
    dropped = (
        update(deliveries).where(columns.transaction_id.in_(oldest)).values(email=None, name=None)
    )
    return connection.execute(dropped).rowcount


def find_idle_visits(
    connection: Connection, *, before_ms: int, since_ms: int = 0
) -> dict[str, int]:
    """
    Return the oldest visitors who were last here before a moment and bought nothing.

    With the time of their first visit, which `since_ms` goes on from.
    """
    columns = visits.c
    idle = (
        select(columns.visitor_id, columns.first_seen_at_ms)
        .where(columns.first_seen_at_ms >= since_ms, *_idle(before_ms))
        .order_by(columns.first_seen_at_ms)
        .limit(BATCH)
    )
    return {row.visitor_id: row.first_seen_at_ms for row in connection.execute(idle)}


def drop_visits(connection: Connection, *, visitor_ids: Collection[str], before_ms: int) -> int:
    """Drop visits, but for those of whoever has come back or bought meanwhile."""
    dropped = delete(visits).where(visits.c.visitor_id.in_(visitor_ids), *_idle(before_ms))
    return connection.execute(dropped).rowcount


def _idle(before_ms: int) -> tuple[ColumnElement[bool], ...]:
    visitor_id = visits.c.visitor_id
    return (
        visits.c.first_seen_at_ms < before_ms,
        func.coalesce(visits.c.last_pageview_at_ms, 0) < before_ms,
        ~exists().where(checkouts.c.visitor_id == visitor_id),
        ~exists().where(deliveries.c.visitor_id == visitor_id),
    )
