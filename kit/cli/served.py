"""A ledger that a running server owns, as a reconciliation uses it."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import Connection

from kit.cli.errand import ask_server
from kit.errors import LedgerUnavailable
from kit.ledger.reader import reading
from kit.reconcile.intake import MAX_NAMES
from kit.reconcile.kinds import Entry
from kit.reconcile.progress import Progress
from kit.settings import Settings

T = TypeVar("T")

TIMEOUT_S = 300.0
"""The server asks Dodo for each object, and each of those calls has its own deadline."""


@dataclass(frozen=True, slots=True)
class ServedBooks:
    """Reads beside the server, and asks it to take in what is missing."""

    settings: Settings

    async def read(self, read: Callable[[Connection], T]) -> T:
        """Read in a thread, beside the owner."""
        return await asyncio.to_thread(self._read, read)

    def _read(self, read: Callable[[Connection], T]) -> T:
        with reading(self.settings.database_url) as connection:
            if connection is None:
                raise LedgerUnavailable("the server's ledger is gone")
            return read(connection)

    async def take_in(self, entries: Sequence[Entry]) -> None:
        """Name them to the server, which reads each from Dodo itself: it trusts no request."""
        for start in range(0, len(entries), MAX_NAMES):
            names = " ".join(
                f"{each.kind.name}:{each.id}" for each in entries[start : start + MAX_NAMES]
            )
            await self._ask(names=names)

    async def keep(self, progress: Progress | None) -> None:
        """Hand the cursor over."""
        await self._ask(**({"progress": progress.as_text()} if progress else {"ended": "1"}))

    async def _ask(self, **form: str) -> None:
        await ask_server(self.settings, {"action": "reconcile"} | form, timeout_s=TIMEOUT_S)
