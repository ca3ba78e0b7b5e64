"""Moments on the command line: so long ago, or a day or time in ISO 8601."""

import re
from datetime import UTC, datetime

from kit.errors import KitError
from kit.ledger.stamps import milliseconds

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def moment_ms(text: str, option: str, *, now: float) -> int:
    """
    Read `30m`, `2h`, `7d`, `now`, `2026-10-02` or `2026-10-02T09:15`, without a zone in UTC.

    Returns UTC milliseconds. Raises KitError naming the `--option`.
    """
    if text == "now":
        return int(now * 1000)
    if ago := re.fullmatch(r"([0-9]{1,6})([smhdw])", text):
        return max(0, int((now - int(ago[1]) * _UNITS_S[ago[2]]) * 1000))
    try:
        moment = datetime.fromisoformat(text)
        aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        return max(0, milliseconds(aware))
    except (ValueError, OverflowError):
        raise KitError(
            f"--{option} {text}: use 30m, 2h, 7d, or a moment such as 2026-10-02T09:15"
        ) from None
