"""Leases on `deliveries`: who may send what is due, until when, and what is given back."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, case, func, select, update

from kit.helpers.dodo_datafast import Payment
from kit.ledger.deliveries import payment_of
from kit.ledger.lanes import burst_of, lock_lane
from kit.ledger.rows import Row
from kit.ledger.schema import deliveries, visits

MAX_ATTEMPTS = 300

_DUE = (
    select(deliveries, visits.c.last_pageview_at_ms)
    .outerjoin(visits, visits.c.visitor_id == deliveries.c.visitor_id)
    .where(deliveries.c.due_at_ms <= bindparam("now_ms"))
    .order_by(deliveries.c.due_at_ms)
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True, of=deliveries)
)
_NEW = _DUE.where(deliveries.c.replayed_at_ms.is_(None))
_REPLAYED = _DUE.where(deliveries.c.replayed_at_ms.is_not(None))
_UNDER_WAY = select(func.count()).where(
    deliveries.c.state == "sending", deliveries.c.due_at_ms > bindparam("now_ms")
)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One claimed delivery, as its sender needs it."""

    payment: Payment
    kind: str
    payment_id: str | None
    subscription_id: str | None
    order_ref: str | None
    state: str
    """The state it was claimed from: a repeated check comes from "done"."""
    reason: str
    verdict: str | None
    confirmed: bool
    renewal_proven: bool
    visitor_source: str
    visitor_dropped: bool
    pageview_passed: bool
    delete_first: bool
    delete_only: bool
    created_at_ms: int
    begun_at_ms: int
    """When trying began: at its creation, or when a person last had it sent again."""
    first_sent_at_ms: int | None
    attempts: int

    @property
    def forgotten(self) -> bool:
        """Whether its visitor asked to be forgotten."""
        return self.visitor_source == "forgotten"

    def proven(self) -> dict[str, Any]:
        """Return what is settled by the first send, as the columns that hold it."""
        return {
            "renewal": self.payment.renewal,
            "renewal_proven": self.renewal_proven,
            "confirmed": self.confirmed,
            "visitor_id": self.payment.datafast_visitor_id,
            "visitor_source": self.visitor_source,
        }


def claim_deliveries(
    connection: Connection,
    *,
    lane: str,
    owner: str,
    per_minute: float,
    limit: int,
    lease_ms: int,
    now_ms: int,
) -> list[Delivery]:
    """
    Lease what is due, as far as the lane's budget goes, and count the attempt.

    The budget is spent call by call when they are made (`lanes.reserve`); nobody claims what those
    that are under way will need of it. Counting at the claim makes a row that kills its worker come
    to an end.
    """
    budget = lock_lane(connection, lane, per_minute=per_minute, now_ms=now_ms)
    if budget.not_before_ms > now_ms:
        return []
    calls = budget.tokens - _under_way(connection, now_ms)
    # A paused lane sends one report to see whether the fault is mended.
    limit = min(limit, int(calls), 1 if budget.paused_reason else limit)
    rows = _due(connection, now_ms, limit) if limit > 0 else []
    worn_out = [row["transaction_id"] for row in rows if row["attempts"] >= MAX_ATTEMPTS]
    fresh = [row for row in rows if row["attempts"] < MAX_ATTEMPTS]
    claimed = _affordable(fresh, calls, burst=burst_of(per_minute))
    if worn_out:
        connection.execute(
            update(deliveries)
            .where(deliveries.c.transaction_id.in_(worn_out))
            .values(state="parked", reason="too_many_attempts", due_at_ms=None, owner=None)
        )
    if claimed:
        connection.execute(
            update(deliveries)
            .where(deliveries.c.transaction_id.in_([row["transaction_id"] for row in claimed]))
            .values(
                state="sending",
                owner=owner,
                due_at_ms=now_ms + lease_ms,
                attempts=deliveries.c.attempts + 1,
            )
        )
    return [_delivery(row) for row in claimed]


def _under_way(connection: Connection, now_ms: int) -> int:
    """Count the reports that have a lease, and thus a call or more before them."""
    return int(connection.scalar(_UNDER_WAY, {"now_ms": now_ms}) or 0)


def _affordable(rows: Sequence[Row], calls: float, *, burst: float) -> list[Row]:
    """Return the first rows that so many calls are enough for."""
    claimed: list[Row] = []
    for row in rows:
        # Before its first send, a visitor that no pageview is known of is asked about.
        asks = row["first_sent_at_ms"] is None and row["last_pageview_at_ms"] is None
        needed = 1 + (asks and row["visitor_id"] is not None) + row["delete_first"]
        # A lane never holds more than its burst. With one call, the report goes once the time to
        # ask has passed.
        calls -= min(needed, burst)
        if calls < 0:
            break
        claimed.append(row)
    return claimed


def _due(connection: Connection, now_ms: int, limit: int) -> list[Row]:
    """Return what is due: new money first, since a large replay takes hours at DataFast's pace."""
    found: list[Row] = []
    for replayed in (False, True):
        if len(found) < limit:
            found += _oldest_due(connection, now_ms, limit - len(found), replayed=replayed)
    return found


def _oldest_due(
    connection: Connection, now_ms: int, limit: int, *, replayed: bool
) -> Sequence[Row]:
    # A lease that has run out is due as well: its owner is gone or too late.
    query = _REPLAYED if replayed else _NEW
    return connection.execute(query, {"now_ms": now_ms, "limit": limit}).mappings().all()


def _delivery(row: Row) -> Delivery:
    return Delivery(
        payment=payment_of(row),
        kind=row["kind"],
        payment_id=row["payment_id"],
        subscription_id=row["subscription_id"],
        order_ref=row["order_ref"],
        state=row["state"],
        reason=row["reason"],
        verdict=row["verdict"],
        confirmed=row["confirmed"],
        renewal_proven=row["renewal_proven"],
        visitor_source=row["visitor_source"],
        visitor_dropped=row["visitor_dropped"],
        pageview_passed=row["last_pageview_at_ms"] is not None,
        delete_first=row["delete_first"],
        delete_only=row["delete_only"],
        created_at_ms=row["created_at_ms"],
        begun_at_ms=row["replayed_at_ms"] or row["created_at_ms"],
        first_sent_at_ms=row["first_sent_at_ms"],
        attempts=row["attempts"] + 1,  # with this claim, which the row as read does not show
    )


def release_claims(connection: Connection, *, owner: str, now_ms: int) -> int:
    """
    Give back what an owner that ends had leased, due at once for whoever comes next.

    A report may have been cut off in the middle; its id makes the repeat harmless.
    """
    released = connection.execute(
        update(deliveries)
        .where(deliveries.c.state == "sending", deliveries.c.owner == owner)
        .values(
            # A report that has an answer is only asked about again.
            state=case((deliveries.c.verdict.is_not(None), "done"), else_="ready"),
            owner=None,
            due_at_ms=now_ms,
        )
    )
    return released.rowcount


def release_orphans(connection: Connection, *, owner: str, now_ms: int) -> int:
    """
    Make due at once what other owners had leased.

    Only for a database of one process: there, every other owner is gone.
    """
    released = connection.execute(
        update(deliveries)
        .where(deliveries.c.state == "sending", deliveries.c.owner != owner)
        .values(due_at_ms=now_ms)
    )
    return released.rowcount
