"""The ledger: what was seen, what was promised, what was sent, and what came of it."""

import asyncio
import hashlib
import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Literal, TypeVar, cast

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from kit.errors import LedgerUnavailable
from kit.helpers.dodo_datafast import Signed
from kit.ledger.clock import SteadyClock
from kit.ledger.engine import Engines, open_engines
from kit.ledger.events import insert_events
from kit.ledger.stamps import milliseconds
from kit.ledger.writer import Job, Writer, cause_of

__all__ = ["Ledger"]

_log = logging.getLogger(__name__)

FAREWELL_S = 2.0
"""How long a read that nobody waits for any more may keep a ledger from being closed."""

T = TypeVar("T")
Item = TypeVar("Item")


class Ledger:
    """
    One open ledger. Handlers never touch a connection: they `record`, `write` or `read`.

    `clock` gives Unix seconds; without one it is the database's own where processes share it, and
    one that is never set back where they do not. A second process on a SQLite file is refused.
    """

    def __init__(self, engines: Engines, *, clock: Callable[[], float] | None = None) -> None:
        self._engines = engines
        self._closed = False
        self._reads = 0
        self._read_ended = threading.Condition()
        steady = SteadyClock(follow_host=engines.peers is None)
        self._clock = clock or steady
        self._listeners: dict[asyncio.AbstractEventLoop, list[asyncio.Event]] = {}
        self._called: set[asyncio.AbstractEventLoop] = set()
        self._writer = self._intake = self._start_writer(engines.writing)
        if engines.peers is not None:
            # Messages must not wait for the turns that decisions take among processes.
            self._intake = self._start_writer(engines.intake)
            steady.set(engines.peers.now())
            engines.peers.watch(news=self._announce, now=steady.set)

    @classmethod
    def open(cls, url: str, *, clock: Callable[[], float] | None = None) -> "Ledger":
        """Open the ledger at a database URL. Raises LedgerError."""
        return cls(open_engines(url), clock=clock)

    def _start_writer(self, engine: Engine) -> Writer:
        return Writer(engine, on_commit=self._announce)

    @property
    def alive(self) -> bool:
        """Whether the writers still write."""
        return self._writer.alive and self._intake.alive

    @property
    def commits(self) -> int:
        """How often this process has written; other processes may write as well."""
        return self._writer.commits + self._intake.commits

    @property
    def shared(self) -> bool:
        """Whether other processes may use it too."""
        return self._engines.peers is not None

    def now_ms(self) -> int:
        """Return the clock's time in milliseconds."""
        return int(self._clock() * 1000)

    async def record(
        self, signed: Signed, *, source: Literal["webhook", "api"] = "webhook"
    ) -> Literal["accepted", "duplicate"]:
        """
        Store a proven message; when this returns, it is on disk.

        The first body of an id stays. Raises LedgerUnavailable when it could not be stored.
        """
        row = {
            "webhook_id": signed.id,
            "source": source,
            "sent_at_ms": milliseconds(signed.timestamp),
            "received_at_ms": self.now_ms(),
            "body": signed.body,
            "body_sha256": hashlib.sha256(signed.body).digest(),
        }
        if not self.alive:  # of the two writers; what only one of them can do, nobody may rely on
            raise LedgerUnavailable("the ledger's writer has died; restart the server")
        stored = await self._intake.submit(Job(together=insert_events, item=row, tells=True))
        return "accepted" if stored else "duplicate"

    async def write(self, write: Callable[[Connection], T]) -> T:
        """
        Run `write` inside a transaction and return its result once that is committed.

        It runs in the writer's thread and may run twice, the first time rolled back, so it must
        change nothing but the database. Raises LedgerUnavailable.
        """
        return cast("T", await self._writer.submit(Job(write)))

    async def write_together(
        self, together: Callable[[Connection, Sequence[Item]], Sequence[T]], item: Item
    ) -> T:
        """
        `write`, for many callers at once where these wait at the same time.

        `together` gets the items of all that ask for it, and returns a result for each. One whose
        item breaks a rule of the database fails alone. Raises LedgerUnavailable.
        """
        return cast("T", await self._writer.submit(Job(together=together, item=item)))

    def note(self, write: Callable[[Connection], Any]) -> None:
        """Write something that may be lost and must delay nothing, such as a pageview."""
        self._writer.note(write)

    async def read(self, read: Callable[[Connection], T]) -> T:
        """Run `read` in a thread on a read-only connection. Raises LedgerUnavailable."""
        return await asyncio.to_thread(self._read, read)

    def _read(self, read: Callable[[Connection], T]) -> T:
        with self._read_ended:
            self._reads += 1
        try:
            return self._read_now(read)
        finally:
            with self._read_ended:
                self._reads -= 1
                self._read_ended.notify_all()

    def _read_now(self, read: Callable[[Connection], T]) -> T:
        try:
            with self._engines.reading.connect() as connection:
                try:
                    return read(connection)
                finally:
                    if self._closed:
                        # Nobody waited for this, and the pool that it belongs to is gone.
                        connection.invalidate()
        except (DBAPIError, PoolTimeout) as problem:
            _log.error("the ledger cannot be read: %s", cause_of(problem))
            raise LedgerUnavailable("the ledger cannot be read at the moment") from problem

    def subscribe(self) -> asyncio.Event:
        """Return an event that is set, in this loop, whenever messages were stored."""
        wake = asyncio.Event()
        self._listeners.setdefault(asyncio.get_running_loop(), []).append(wake)
        return wake

    def _announce(self) -> None:
        for loop in tuple(self._listeners):
            # One call tells of all that came before it ran. That an event is still set says nothing
            # of whether its listener has looked since: it may be about to clear it.
            if loop not in self._called:
                self._called.add(loop)
                with suppress(RuntimeError):  # the loop has closed; nobody waits there
                    loop.call_soon_threadsafe(self._tell, loop)

    def _tell(self, loop: asyncio.AbstractEventLoop) -> None:
        self._called.discard(loop)
        for wake in self._listeners[loop]:
            wake.set()

    def close(self) -> None:
        """Commit what waits, let reads end, and give the database free."""
        self._closed = True
        with self._read_ended:
            self._read_ended.wait_for(lambda: self._reads == 0, FAREWELL_S)
        self._intake.close()
        self._writer.close()
        self._engines.close()
