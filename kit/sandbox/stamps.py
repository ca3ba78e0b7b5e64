"""Ids and moments in the forms the two services write them."""

import calendar
import secrets
from datetime import UTC, datetime, timedelta


def new_id(prefix: str) -> str:
    """
    Make an id such as `pay_5d0c…`: prefix and 21 random hexadecimal digits.

    The official overlay script takes checkout sessions of this length only (its package 1.9.9).
    """
    return f"{prefix}_{secrets.token_hex(11)[:21]}"


def iso(moment_s: float) -> str:
    """Write a Unix time as ISO 8601 in UTC with microseconds and a Z."""
    moment = datetime.fromtimestamp(moment_s, tz=UTC)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def seconds(moment: str) -> float:
    """Read an ISO 8601 moment as Unix time; without an offset it is UTC. Raises ValueError."""
    parsed = datetime.fromisoformat(moment)
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()


def days_later(moment_s: float, days: int) -> float:
    """Add whole days to a Unix time."""
    return moment_s + timedelta(days=days).total_seconds()


def month_later(moment_s: float) -> float:
    """Add a calendar month to a Unix time; the last day of a month stays inside the next one."""
    start = datetime.fromtimestamp(moment_s, tz=UTC)
    year, month = (start.year + 1, 1) if start.month == 12 else (start.year, start.month + 1)
    day = min(start.day, calendar.monthrange(year, month)[1])
    return start.replace(year=year, month=month, day=day).timestamp()
