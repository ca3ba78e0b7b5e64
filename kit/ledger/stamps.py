"""Moments as the tables hold them: UTC milliseconds since 1970, exact in both directions."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def milliseconds(moment: datetime) -> int:
    """Return a moment as UTC milliseconds, the rest cut off."""
    # Not timestamp(): a float rounds the last microsecond of the year 9999 into the year 10000.
    return (moment - _EPOCH) // _MILLISECOND


def moment_of(at_ms: int) -> datetime:
    """Return the moment that `milliseconds` made this number of."""
    return _EPOCH + at_ms * _MILLISECOND
