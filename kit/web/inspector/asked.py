"""What a page is asked for: filters and places out of its query, and the addresses of others."""

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import Final
from urllib.parse import quote, urlencode

from kit.errors import KitError
from kit.helpers.dodo_datafast import UnknownCurrency, exponent
from kit.hops import REASONS
from kit.ledger.filters import STATES, Filter
from kit.ledger.heads import Place
from kit.ledger.journeys import KINDS
from kit.ledger.stamps import milliseconds

INSPECTOR: Final = "/inspector"
FILTERS: Final = ("state", "reason", "currency", "day", "unattributed")
PERIODS: Final = (7, 30, 90)
"""Over how many days the attribution may be looked at."""

_PLACE = re.compile(r"([0-9]{1,15})-(checkout|message|report|visit)-([\x21-\x7e]{1,128})")


class NotAsked(KitError):  # noqa: N818 - it says what is wrong with the question
    """The query asks for something that there is not; `fix` says what there is."""

    def __init__(self, message: str, fix: str) -> None:
        super().__init__(message)
        self.fix = fix


class NotThere(KitError):  # noqa: N818 - an answer, not a failure
    """The address is that of nothing in the ledger."""


def filter_of(query: Mapping[str, str]) -> Filter:
    """Read a list's filters; an empty one filters nothing. Raises NotAsked."""
    state, reason, currency = (query.get(name) or None for name in FILTERS[:3])
    if state is not None and state not in STATES:
        raise NotAsked(f"no state is called {state[:40]}", f"Use one of {', '.join(STATES)}.")
    if reason is not None and reason not in REASONS:
        raise NotAsked(f"no reason is called {reason[:40]}", "Use a code that the pages show.")
    if currency is not None:
        try:
            exponent(currency)
        except UnknownCurrency:
            raise NotAsked(
                f"no currency is called {currency[:40]}", "Use three capital letters, as in USD."
            ) from None
    since = _day(query.get("day") or None)
    return Filter(
        state=state,
        reason=reason,
        currency=currency,
        since_ms=_midnight_ms(since) if since is not None else None,
        until_ms=_midnight_ms(since + timedelta(days=1)) if since is not None else None,
        unattributed=query.get("unattributed") not in (None, "", "0"),
    )


def period_of(query: Mapping[str, str]) -> int:
    """Read over how many days to look. Raises NotAsked."""
    days = query.get("days") or "30"
    if days not in map(str, PERIODS):
        known = ", ".join(map(str, PERIODS))
        raise NotAsked(f"{days[:40]} is no number of days to look back", f"Use one of {known}.")
    return int(days)


def place_of(query: Mapping[str, str]) -> Place | None:
    """Read where the last page ended; anything else is the first page."""
    found = _PLACE.fullmatch(query.get("before", ""))
    return (int(found[1]), found[2], found[3]) if found else None


def place_text(place: Place) -> str:
    """Write where a page ends, as `place_of` reads it."""
    return "-".join(map(str, place))


def key_of(text: str) -> tuple[str, str]:
    """Read the key of a journey, as "order:ord_…". Raises NotThere."""
    kind, _, key = text.partition(":")
    if kind not in KINDS or not key or "\0" in key:  # PostgreSQL would take it for a fault
        raise NotThere("a journey's key is its kind and its id, as in order:ord_…")
    return kind, key


def journey_path(key: str) -> str:
    """Return the address of a journey."""
    return f"{INSPECTOR}/journeys/{quote(key, safe=':')}"


def list_path(query: Mapping[str, str], **changes: str | None) -> str:
    """Return the address of a list with these filters, changed; None and "" take one off."""
    wanted = {name: query[name] for name in FILTERS if query.get(name)} | changes
    kept = {name: value for name, value in wanted.items() if value}
    return f"{INSPECTOR}?{urlencode(kept)}" if kept else INSPECTOR


def local_path(text: str | None) -> str:
    """Return an address inside the inspector, for a redirect; anything else is the front page."""
    inside = re.fullmatch(rf"{INSPECTOR}([/?][\x21-\x5b\x5d-\x7e]*)?", text or "")
    return inside[0] if inside else INSPECTOR


def _day(text: str | None) -> date | None:
    if text is None:
        return None
    if written := re.fullmatch(r"([12][0-9]{3})-([0-9]{2})-([0-9]{2})", text):
        with suppress(ValueError):  # no such day in that month
            return date(*map(int, written.groups()))
    raise NotAsked(f"{text[:40]} is no day", "Write it as in 2026-10-02; days begin at 0:00 UTC.")


def _midnight_ms(day: date) -> int:
    return milliseconds(datetime(day.year, day.month, day.day, tzinfo=UTC))
