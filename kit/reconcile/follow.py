"""Follow what was taken in until DataFast has answered, or waiting any longer is of no use."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection

from kit.ledger import lanes
from kit.ledger.accounts import standings
from kit.ledger.rows import Row
from kit.reconcile.books import Books
from kit.reconcile.kinds import Entry

POLL_S = 1.0
PATIENCE_S = 120.0
"""What is not due within this is left to the server, with its reason."""

Standing = Literal["sent", "waiting", "put_off", "not_sent"]


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one object; `reason` is a code of the table in `kit.hops`."""

    entry: Entry
    standing: Standing
    """sent: DataFast has answered · put_off: not due for a while · not_sent: parked or skipped."""
    verdict: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class Follower:
    """Looks at the ledger now and then. `clock` gives Unix seconds, `sleep` waits."""

    books: Books
    lane: str
    clock: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    on_progress: Callable[[Sequence[Fate]], None] = lambda _fates: None

    async def follow(self, entries: Sequence[Entry]) -> Sequence[Fate]:
        """
        Return what became of each, once nothing of it will change soon.

        Raises LedgerUnavailable.
        """
        while True:
            fates = await self.books.read(lambda connection: self._fates(connection, entries))
            self.on_progress(fates)
            if not any(fate.standing == "waiting" for fate in fates):
                return fates
            await self.sleep(POLL_S)

    def _fates(self, connection: Connection, entries: Sequence[Entry]) -> list[Fate]:
        messages, reports = standings(
            connection, [each.webhook_id for each in entries], [each.id for each in entries]
        )
        lane = lanes.find_lane(connection, self.lane)
        paused = lane is not None and lane["paused_reason"] is not None
        return [
            self._fate(each, messages.get(each.webhook_id), reports.get(each.id), paused=paused)
            for each in entries
        ]

    def _fate(self, entry: Entry, message: Row | None, report: Row | None, *, paused: bool) -> Fate:
        row = report or message
        if row is None:
            return Fate(entry, "waiting", None, "event_waiting")
        verdict = report["verdict"] if report is not None else None
        return Fate(entry, self._standing(row, verdict, paused=paused), verdict, row["reason"])

    def _standing(self, row: Row, verdict: str | None, *, paused: bool) -> Standing:
        if verdict is not None and row["state"] == "done":
            return "sent"
        if row["state"] in ("done", "parked", "skipped", "unreadable"):
            return "not_sent"
        if row["state"] in ("stored", "sending"):
            return "waiting"
        due_at_ms = row["due_at_ms"]
        soon = due_at_ms is not None and due_at_ms <= (self.clock() + PATIENCE_S) * 1000
        return "waiting" if soon and not paused else "put_off"
