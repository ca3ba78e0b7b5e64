"""The ledger as a reconciliation uses it: its own, or one that a running server owns."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from sqlalchemy import Connection

from kit.ledger import Ledger
from kit.reconcile.intake import take_in
from kit.reconcile.kinds import Entry
from kit.reconcile.progress import Progress, keep_progress

T = TypeVar("T")


class Books(Protocol):
    """Where a reconciliation reads, and what it may change."""

    async def read(self, read: Callable[[Connection], T]) -> T:
        """Run `read` on a read-only connection. Raises LedgerUnavailable."""

    async def take_in(self, entries: Sequence[Entry]) -> None:
        """Store what Dodo has and the ledger lacks. Raises KitError."""

    async def keep(self, progress: Progress | None) -> None:
        """Remember how far it has come; None when it has come to its end. Raises KitError."""


@dataclass(frozen=True, slots=True)
class OwnBooks:
    """A ledger that this process has open."""

    ledger: Ledger

    async def read(self, read: Callable[[Connection], T]) -> T:
        """Read in a thread."""
        return await self.ledger.read(read)

    async def take_in(self, entries: Sequence[Entry]) -> None:
        """Store each, fsynced."""
        await take_in(self.ledger, entries)

    async def keep(self, progress: Progress | None) -> None:
        """Write the cursor."""
        await self.ledger.write(lambda connection: keep_progress(connection, progress))
