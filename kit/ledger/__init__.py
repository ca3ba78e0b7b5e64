"""The ledger: what was seen, what was promised, what was sent, and what came of it."""

import asyncio
import hashlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Literal, TypeVar, cast

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from kit.errors import LedgerUnavailable
from kit.helpers.dodo_datafast import Signed
from kit.ledger.engine import Engines, open_engines
from kit.ledger.events import insert_events
from kit.ledger.stamps import milliseconds
from kit.ledger.writer import Job, Writer

__all__ = ["Ledger"]

T = TypeVar("T")


class Ledger:
    """
    One open ledger. Handlers never touch a connection: they `record`, `write` or `read`.

    `clock` gives Unix seconds. Open it in the process that serves; a second one is refused.
    """

    def __init__(self, engines: Engines, *, clock: Callable[[], float]) -> None:
        self._engines = engines
        self._clock = clock
        self._listeners: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []
        self._writer = Writer(engines.writing, insert_rows=insert_events, on_commit=self._announce)

    @classmethod
    def open(cls, url: str, *, clock: Callable[[], float]) -> "Ledger":
        """Open the ledger at a database URL. Raises LedgerError."""
        return cls(open_engines(url), clock=clock)

    @property
    def alive(self) -> bool:
        """Whether the writer still writes."""
        return self._writer.alive

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
        stored = await self._writer.submit(Job(None, row=row))
        return "accepted" if stored else "duplicate"

    async def write(self, write: Callable[[Connection], T]) -> T:
        """
        Run `write` inside a transaction and return its result once that is committed.

        It runs in the writer's thread and may run twice, the first time rolled back, so it must
        change nothing but the database. Raises LedgerUnavailable.
        """
        return cast("T", await self._writer.submit(Job(write)))

    def note(self, write: Callable[[Connection], Any]) -> None:
        """Write something that may be lost and must delay nothing, such as a pageview."""
        self._writer.note(write)

    async def read(self, read: Callable[[Connection], T]) -> T:
        """Run `read` in a thread on a read-only connection. Raises LedgerUnavailable."""
        return await asyncio.to_thread(self._read, read)

    def _read(self, read: Callable[[Connection], T]) -> T:
        try:
            with self._engines.reading.connect() as connection:
                return read(connection)
        except DBAPIError as problem:
            raise LedgerUnavailable("the ledger cannot be read at the moment") from problem

    def subscribe(self) -> asyncio.Event:
        """Return an event that is set, in this loop, whenever messages were stored."""
        wake = asyncio.Event()
        self._listeners.append((asyncio.get_running_loop(), wake))
        return wake

    def _announce(self) -> None:
        for loop, wake in self._listeners:
            if not wake.is_set():
                with suppress(RuntimeError):  # the loop has closed; nobody waits there
                    loop.call_soon_threadsafe(wake.set)

    def close(self) -> None:
        """Commit what waits, and give the database free."""
        self._writer.close()
        self._engines.reading.dispose()
        self._engines.writing.dispose()
        self._engines.release()
