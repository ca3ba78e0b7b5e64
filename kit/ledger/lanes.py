"""Statements on `lanes`: one budget for each destination and key, shared by all processes."""

import hashlib
from dataclasses import dataclass

from sqlalchemy import Connection, select, update

from kit.ledger.rows import Row, insert_or_ignore
from kit.ledger.schema import lanes

BURST = 10
"""Calls that may follow one another at once; with the rate they stay under DataFast's window."""


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


def lock_lane(connection: Connection, lane: str, *, per_minute: float, now_ms: int) -> Budget:
    """Lock a lane, refill its budget by the time that has passed, and return it."""
    connection.execute(
        insert_or_ignore(connection, lanes).values(
            lane=lane, tokens=float(BURST), refilled_at_ms=now_ms, not_before_ms=0
        )
    )
    row = (
        connection.execute(select(lanes).where(lanes.c.lane == lane).with_for_update())
        .mappings()
        .one()
    )
    # A clock set back refills nothing, and is believed from here on.
    passed_ms = max(now_ms - row["refilled_at_ms"], 0)
    tokens = min(row["tokens"] + passed_ms * per_minute / 60_000, max(BURST, per_minute / 60))
    connection.execute(
        update(lanes).where(lanes.c.lane == lane).values(tokens=tokens, refilled_at_ms=now_ms)
    )
    return Budget(tokens, row["not_before_ms"], row["paused_reason"])


def spend(connection: Connection, lane: str, calls: int) -> None:
    """Take calls off a lane's budget."""
    connection.execute(
        update(lanes).where(lanes.c.lane == lane).values(tokens=lanes.c.tokens - calls)
    )


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
    connection.execute(
        update(lanes)
        .where(lanes.c.lane == lane, lanes.c.paused_reason.is_not(None))
        .values(paused_reason=None, not_before_ms=0)
    )


def find_lane(connection: Connection, lane: str) -> Row | None:
    """Return a lane as it stands."""
    return connection.execute(select(lanes).where(lanes.c.lane == lane)).mappings().one_or_none()
