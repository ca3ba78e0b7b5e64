"""Statements on `lanes`: one budget for each destination and key, shared by all processes."""

import hashlib
import math
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, select, update

from kit.ledger.rows import Row, insert_or_ignore
from kit.ledger.schema import lanes

_LOCKED = select(lanes).where(lanes.c.lane == bindparam("wanted")).with_for_update()
_LANE = update(lanes).where(lanes.c.lane == bindparam("wanted"))
_PAUSED = _LANE.where(lanes.c.paused_reason.is_not(None))


def burst_of(per_minute: float) -> float:
    """
    Return how many calls may follow one another at once, out of those of a minute.

    Two where a minute has four, since a sale whose visitor nobody has seen needs as many.
    """
    return max(1.0, min(2.0, per_minute / 2), min(per_minute / 10, max(10.0, per_minute / 60)))


def lane_name(base_url: str, api_key: str) -> str:
    """Name the lane of a destination and key; a changed key is another lane, and not paused."""
    fingerprint = hashlib.sha256(f"{base_url}\n{api_key}".encode()).hexdigest()[:16]
    return f"datafast-{fingerprint}"


@dataclass(frozen=True, slots=True)
class Budget:
    """How many calls a lane has left, from when on, and why it is paused, if it is."""

    tokens: float
    not_before_ms: int
    paused_reason: str | None


def _refill_per_ms(per_minute: float) -> float:
    """Return what a lane gains in a millisecond: the minute's calls without the burst."""
    return max(per_minute - burst_of(per_minute), per_minute / 2) / 60_000


def lock_lane(connection: Connection, lane: str, *, per_minute: float, now_ms: int) -> Budget:
    """
    Lock a lane and return its budget, refilled by the time that has passed.

    What may follow at once and what is refilled in a minute are `per_minute` together, so that no
    minute has more calls, wherever it begins.
    """
    row = connection.execute(_LOCKED, {"wanted": lane}).mappings().one_or_none()
    if row is None:
        connection.execute(
            insert_or_ignore(connection, lanes).values(
                lane=lane, tokens=burst_of(per_minute), refilled_at_ms=now_ms, not_before_ms=0
            )
        )
        row = connection.execute(_LOCKED, {"wanted": lane}).mappings().one()
    if now_ms < row["refilled_at_ms"]:
        # A clock set back refills nothing, and is believed from here on.
        connection.execute(update(lanes).where(lanes.c.lane == lane).values(refilled_at_ms=now_ms))
    return budget_of(row, per_minute=per_minute, now_ms=now_ms)


def budget_of(row: Row | None, *, per_minute: float, now_ms: int) -> Budget:
    """Return the budget of a lane as it stands; a lane without a row has sent nothing yet."""
    burst = burst_of(per_minute)
    if row is None:
        return Budget(burst, 0, None)
    passed_ms = max(now_ms - row["refilled_at_ms"], 0)
    refill = _refill_per_ms(per_minute) * passed_ms
    return Budget(min(row["tokens"] + refill, burst), row["not_before_ms"], row["paused_reason"])


def reserve(
    connection: Connection,
    lane: str,
    *,
    calls: int = 1,
    per_minute: float,
    now_ms: int,
    patience_ms: int,
) -> list[int]:
    """
    Take calls off a lane's budget and return after how many milliseconds each may be made.

    Nothing is taken for those that would wait longer than `patience_ms`.
    """
    budget = lock_lane(connection, lane, per_minute=per_minute, now_ms=now_ms)
    refill = _refill_per_ms(per_minute)
    not_before_ms = max(budget.not_before_ms - now_ms, 0)
    waits_ms = [
        max(math.ceil((taken - budget.tokens) / refill), not_before_ms)
        for taken in range(1, calls + 1)
    ]
    taken = sum(wait_ms <= patience_ms for wait_ms in waits_ms)
    if taken:
        left = {"tokens": budget.tokens - taken, "refilled_at_ms": now_ms}
        connection.execute(_LANE, {"wanted": lane, **left})
    return waits_ms


def slow_down(connection: Connection, lane: str, *, not_before_ms: int) -> None:
    """Let nothing pass before a moment: DataFast said so."""
    connection.execute(
        update(lanes)
        .where(lanes.c.lane == lane, lanes.c.not_before_ms < not_before_ms)
        .values(not_before_ms=not_before_ms)
    )


def pause(connection: Connection, lane: str, *, reason: str, not_before_ms: int) -> None:
    """Stop a lane for a fault that every payment would meet; it is tried again at a moment."""
    connection.execute(
        update(lanes)
        .where(lanes.c.lane == lane)
        .values(paused_reason=reason, not_before_ms=not_before_ms)
    )


def resume(connection: Connection, lane: str) -> None:
    """Let a paused lane go on."""
    connection.execute(_PAUSED, {"wanted": lane, "paused_reason": None, "not_before_ms": 0})


def find_lane(connection: Connection, lane: str) -> Row | None:
    """Return a lane as it stands."""
    return connection.execute(select(lanes).where(lanes.c.lane == lane)).mappings().one_or_none()
