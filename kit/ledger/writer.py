"""
One thread that writes, in groups: whatever waits is committed together.

The commit in progress is the batching window, so a lone event waits for nobody and thirty-two
share one fsync. A data error rolls the group back and redoes it row by row: one poison row never
fails its neighbours.
"""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, IntegrityError, InternalError, OperationalError

from kit.errors import LedgerUnavailable

GROUP_SIZE = 256
MAX_WAITING = 8192
MAX_WAITING_NOTES = 1024
MAX_TRIES = 3
UNDONE_STATES = ("40001", "40P01")
"""What PostgreSQL says when it has rolled one of two transactions back: try again."""

_log = logging.getLogger(__name__)

Write = Callable[[Connection], Any]
"""Something to do inside a transaction; it may run twice, the first time rolled back."""


Together = Callable[[Connection, Sequence[Any]], Sequence[Any]]
"""What does for many items at once what `Write` does for one, and returns a result for each."""


@dataclass(slots=True)
class Job:
    """
    One write and whoever waits for it.

    Instead of a `write` of its own, an `item` for what does all such `together`. One that `tells`
    wakes the listeners once it is committed.
    """

    write: Write | None = None
    together: Together | None = None
    item: Any = None
    tells: bool = False
    loop: asyncio.AbstractEventLoop | None = None
    future: asyncio.Future[Any] | None = None
    result: Any = None
    error: BaseException | None = None


class Writer:
    """
    The one writing connection's thread.

    `on_commit` is called there after each commit of a job that `tells`.
    """

    def __init__(self, engine: Engine, *, on_commit: Callable[[], None]) -> None:
        self._engine = engine
        self._on_commit = on_commit
        self._jobs: deque[Job] = deque()
        self._notes: deque[Job] = deque()
        self._wake = threading.Condition()
        self._called = False
        self._stopping = False
        self._failure: BaseException | None = None
        self.commits = 0
        """How often something was committed."""
        self._thread = threading.Thread(target=self._run, name="ledger-writer", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread still writes."""
        return self._thread.is_alive() and self._failure is None

    async def submit(self, job: Job) -> Any:
        """
        Wait until a write is committed and return its result.

        Raises LedgerUnavailable when nothing can be stored; then nothing was.
        """
        job.loop = asyncio.get_running_loop()
        job.future = job.loop.create_future()
        with self._wake:
            if not self.alive or self._stopping or len(self._jobs) >= MAX_WAITING:
                raise LedgerUnavailable("the ledger takes no writes at the moment")
            self._jobs.append(job)
            if not self._called:
                # Once the loop has read what else has come: woken at the first, the thread would
                # commit that one alone, and the two would fight over the interpreter meanwhile.
                self._called = True
                job.loop.call_soon(self._call)
        return await job.future

    def _call(self) -> None:
        with self._wake:
            self._called = False
            self._wake.notify()

    def note(self, write: Write) -> None:
        """Write something that may be lost, after everything that may not."""
        with self._wake:
            if len(self._notes) < MAX_WAITING_NOTES:
                self._notes.append(Job(write))
                self._wake.notify()

    def close(self) -> None:
        """Commit what waits, and end the thread."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self._thread.join()

    def _run(self) -> None:
        group: list[Job] = []
        try:
            while group := self._take():
                self._commit(group)
                self._resolve(group)
        except BaseException as failure:
            # Whoever watches `alive` ends the process: without a writer it can promise nothing.
            self._failure = failure
            _log.critical("the ledger's writer has died", exc_info=failure)
            with self._wake:
                group += self._jobs
                self._jobs.clear()
            for job in group:
                job.error = LedgerUnavailable("the ledger's writer has died; restart the server")
            self._resolve(group)

    def _take(self) -> list[Job]:
        with self._wake:
            while not (self._jobs or self._notes or self._stopping):
                self._wake.wait()
            group = [self._jobs.popleft() for _ in range(min(len(self._jobs), GROUP_SIZE))]
            if not self._jobs:
                room = GROUP_SIZE - len(group)
                group += [self._notes.popleft() for _ in range(min(len(self._notes), room))]
            return group

    def _commit(self, group: list[Job], *, tries: int = MAX_TRIES) -> None:
        applied = False
        try:
            with self._engine.begin() as connection:
                self._apply(connection, group)
                applied = True
            self.commits += 1
        except Exception as problem:
            if tries > 1 and _was_undone(problem, applied=applied):
                self._commit(group, tries=tries - 1)
            elif _is_for_all(problem):
                self._give_up(group, problem)
            elif len(group) > 1:
                for job in group:
                    self._commit([job])
            else:
                group[0].error = _reported(problem)

    def _give_up(self, group: list[Job], problem: Exception) -> None:
        _log.error("the ledger cannot be written: %s", cause_of(problem))
        if isinstance(problem, InternalError):
            self._engine.dispose()  # a server that became a standby: look for the new primary
        for job in group:
            job.error = LedgerUnavailable("the ledger cannot be written at the moment")

    def _apply(self, connection: Connection, group: list[Job]) -> None:
        items: dict[Together, list[Job]] = {}
        for job in group:
            if job.together is not None:
                items.setdefault(job.together, []).append(job)
        for job in group:
            if job.write is not None:
                job.result = job.write(connection)
            elif job.together is not None and items[job.together][-1] is job:
                # At the place of the last: for none is anything done sooner than it was asked for.
                jobs = items[job.together]
                results = job.together(connection, [each.item for each in jobs])
                for each, result in zip(jobs, results, strict=True):
                    each.result = result

    def _resolve(self, group: list[Job]) -> None:
        by_loop: dict[asyncio.AbstractEventLoop, list[Job]] = {}
        for job in group:
            if job.loop is not None:
                by_loop.setdefault(job.loop, []).append(job)
            elif job.error is not None:
                _log.warning("a note was not written: %s", type(job.error).__name__)
        for loop, jobs in by_loop.items():
            try:
                loop.call_soon_threadsafe(_deliver, jobs)
            except RuntimeError:  # the loop has closed; what was stored stays stored
                continue
        if any(job.tells and job.error is None for job in group):
            self._on_commit()


def _deliver(jobs: list[Job]) -> None:
    for job in jobs:
        if job.future is None or job.future.done():
            continue
        if job.error is not None:
            job.future.set_exception(job.error)
        else:
            job.future.set_result(job.result)


def cause_of(problem: Exception) -> str:
    """Return what the database said, without the lines in which it quotes a row."""
    cause, _, _ = str(getattr(problem, "orig", problem)).strip().partition("\n")
    return cause


def _was_undone(problem: Exception, *, applied: bool) -> bool:
    """Tell whether a transaction surely left nothing behind and may well succeed the next time."""
    if not isinstance(problem, DBAPIError):
        return False
    if getattr(problem.orig, "sqlstate", None) in UNDONE_STATES:
        return True
    # A connection lost in the commit itself leaves it open whether that came through.
    return problem.connection_invalidated and not applied


def _is_for_all(problem: Exception) -> bool:
    """Tell whether a fault is the database's (full, locked, away), not that of one row."""
    if isinstance(problem, OperationalError | InternalError):
        return True
    return isinstance(problem, DBAPIError) and problem.connection_invalidated


def _reported(problem: Exception) -> Exception:
    if isinstance(problem, DBAPIError) and not isinstance(problem, IntegrityError):
        unavailable = LedgerUnavailable("the ledger refused a row")
        unavailable.__cause__ = problem
        return unavailable
    return problem
