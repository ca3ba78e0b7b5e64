"""
Retention: what was said of a person is dropped after some days; that it was said stays for good.

Ids are kept, so that a message that comes again is still known. What has not been settled keeps its
body, since it must still be read.
"""

import asyncio
import logging
from functools import partial

from sqlalchemy import Connection, select, update

from kit.errors import LedgerUnavailable
from kit.ledger import Ledger
from kit.ledger.schema import SETTLED_WITH_BODY, WITH_PERSON, deliveries, events

EVERY_S = 300.0
BATCH = 200
_DAY_MS = 86_400_000

_log = logging.getLogger(__name__)


async def keep_tidy(ledger: Ledger, *, days: int, every_s: float = EVERY_S) -> None:
    """Drop what is older than `days`, every few minutes until cancelled; 0 keeps all for good."""
    while days:
        try:
            if dropped := await tidy(ledger, days=days):
                _log.info("%s bodies and persons dropped after %s days", dropped, days)
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
