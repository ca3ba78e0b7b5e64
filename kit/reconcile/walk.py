"""
Walk through what Dodo lists, from one moment to another, and leave nothing out.

Pages are numbered, and Dodo caps the number to spare its database (official SDK 1.123.0); neither
the cap is documented, nor what comes beyond it, nor the order. So the walk goes through windows
of time that are small enough for a few pages, and a window whose list looks cut off is halved.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from typing import Any

from kit.dodo import PAGE_SIZE, DodoClient
from kit.errors import DodoError, KitError
from kit.ledger.stamps import milliseconds, moment_of
from kit.reconcile.kinds import Kind
from kit.reconcile.pacing import Pacer

MAX_PAGES = 10
"""Pages of one window; more than that and the cap may come into play."""
SECOND_MS = 1000
FIRST_SPAN_MS = 86_400 * SECOND_MS
MAX_SPAN_MS = 512 * FIRST_SPAN_MS
FEW = 3 * PAGE_SIZE
"""Where a window holds no more, the next one is twice as long."""

Documents = Sequence[Mapping[str, Any]]


class _CutOff(Exception):  # noqa: N818 - a signal inside this file
    """The list of a window may not be whole."""


@dataclass(frozen=True, slots=True)
class Window:
    """From a moment to just before another, in UTC milliseconds."""

    since_ms: int
    until_ms: int

    @property
    def divisible(self) -> bool:
        """Whether it is longer than a second, which Dodo's filters can surely tell apart."""
        return self.until_ms - self.since_ms > SECOND_MS

    def holds(self, document: Mapping[str, Any]) -> bool:
        """Tell whether an object was created in it; one that does not say when counts as such."""
        created_at_ms = created_ms(document)
        return created_at_ms is None or self.since_ms <= created_at_ms < self.until_ms


@dataclass(frozen=True, slots=True)
class Walk:
    """All that Dodo lists of some kinds, between two moments."""

    dodo: DodoClient
    pacer: Pacer
    kinds: Sequence[Kind]
    since_ms: int
    until_ms: int

    async def windows(self) -> AsyncGenerator[tuple[Window, Mapping[str, Documents]], None]:
        """
        Yield window after window, the oldest first, with what was created in it, by kind.

        Raises as `Pacer.call` does, and KitError where a single second holds more than is listed.
        """
        since_ms, span_ms = self.since_ms, FIRST_SPAN_MS
        while since_ms < self.until_ms:
            window = Window(since_ms, min(since_ms + span_ms, self.until_ms))
            try:
                listed = {kind.name: await self._list(kind, window) for kind in self.kinds}
            except _CutOff:
                span_ms = max((window.until_ms - window.since_ms) // 2, SECOND_MS)
                continue
            yield window, listed
            since_ms = window.until_ms
            if max(map(len, listed.values())) <= FEW:
                span_ms = min(span_ms * 2, MAX_SPAN_MS)

    async def _list(self, kind: Kind, window: Window) -> Documents:
        found: dict[str, Mapping[str, Any]] = {}
        size = 0
        for number in count():
            if number == MAX_PAGES and window.divisible:
                raise _CutOff
            items = await self._page(kind, window, number)
            named = {name: item for item in items if (name := kind.id_of(item)) is not None}
            if found.keys() & named.keys():
                if window.divisible:
                    raise _CutOff  # the cap repeats its last page, or the order has changed
                raise KitError(
                    f"Dodo lists more {kind.listed} of one second ({moment_of(window.since_ms)}) "
                    "than it gives out; narrow --since and --until around it"
                )
            if not named:
                if size == PAGE_SIZE and window.divisible:
                    raise _CutOff  # nothing more after a full page: an end, or the cap
                break
            found |= named
            size = len(items)
        return [item for item in found.values() if window.holds(item)]

    async def _page(self, kind: Kind, window: Window, number: int) -> Documents:
        # A second more on both sides: whether the limits are inside is not documented.
        since = moment_of(window.since_ms - SECOND_MS)
        until = moment_of(window.until_ms + SECOND_MS)
        try:
            return await self.pacer.call(
                lambda: self.dodo.page(kind.listed, number, since=since, until=until)
            )
        except DodoError as refusal:
            if number and refusal.status in (400, 416, 422) and window.divisible:
                raise _CutOff from None
            raise


def created_ms(document: Mapping[str, Any]) -> int | None:
    """Return when an object was created."""
    value = document.get("created_at")
    try:
        created = datetime.fromisoformat(value) if isinstance(value, str) else None
        if created is None:
            return None
        return milliseconds(created if created.tzinfo is not None else created.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        return None
