"""The forwarder: stored messages become deliveries, and due ones are claimed and sent."""

import asyncio
import logging
import random
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy import Connection

from kit.datafast import DataFastClient
from kit.errors import DodoError, LedgerUnavailable, TransportError
from kit.ledger import Ledger, claims, events
from kit.ledger.claims import Delivery
from kit.ledger.duties import Duties, find_duties, recall
from kit.ledger.mapping import map_stored_events
from kit.ledger.policy import Policy
from kit.ledger.retention import keep_tidy
from kit.ledger.rows import Row
from kit.lookups import Lookups
from kit.outcomes import MAX_RETRY_S
from kit.sender import Pace, Sender

LEASE_S = 60.0  # twice the three calls that a delivery may make, each at its deadline
POLL_S = 1.0
FAREWELL_S = 8.0
"""How long a forwarder that ends lets its reports go on."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Forwarder:
    """
    One worker, of any number on a shared ledger. `jitter` gives 0 to 1.

    `stop` ends it in order. Cancelled, it leaves its leases to run out: a report cut off in the
    middle is made again later.
    """

    ledger: Ledger
    lookups: Lookups
    datafast: DataFastClient
    policy: Policy
    pace: Pace
    jitter: Callable[[], float] = random.random
    owner: str = field(default_factory=lambda: secrets.token_hex(8))
    retention_days: int = 0
    """How long bodies of settled messages and persons of sent reports stay; 0 is for good."""
    _sender: Sender = field(init=False)
    _wake: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _more: bool = field(default=False, init=False)
    """Whether the last claim found as much as it asked for."""
    _found: tuple[int, Duties] | None = field(default=None, init=False)
    """What there was to do when this process had written so often."""
    _stopping: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self._sender = Sender(
            self.ledger, self.lookups, self.datafast, self.pace, self.owner, self.jitter
        )

    async def run(self) -> None:
        """
        Work until stopped; an unavailable ledger is waited for.

        Raises LedgerUnavailable when the ledger's writer has died: only a new process helps.
        """
        news = self.ledger.subscribe()
        wake = self._wake = self.ledger.subscribe()
        loop = asyncio.get_running_loop()
        look_at = loop.time()
        running: set[asyncio.Task[None]] = set()
        looking: asyncio.Task[None] | None = None
        taken_over = False
        died: LedgerUnavailable | None = None
        async with asyncio.TaskGroup() as group:
            tidying = group.create_task(keep_tidy(self.ledger, days=self.retention_days))
            while not (self._stopping or died):
                wake.clear()
                try:
                    if not taken_over:
                        await self.ledger.write(self._take_over)
                        taken_over = True
                    # A report that ends wakes this loop too, and brings nothing to read.
                    looks = news.is_set() or loop.time() >= look_at
                    if looks:
                        news.clear()
                        look_at = loop.time() + POLL_S
                        if self.ledger.shared:
                            self._found = None  # by others, too, something may have been written
                        await self._map()
                        if looking is None or looking.done():
                            looking = group.create_task(self._look_up_and_wake(news, wake))
                    free = self.pace.concurrency - len(running)
                    # Many at once are claimed as fast as one; but none waits for that long.
                    for delivery in await self._claim(free if looks else self._whole(free)):
                        task = group.create_task(self._sender.deliver(delivery))
                        running.add(task)
                        task.add_done_callback(running.discard)
                        task.add_done_callback(lambda _: wake.set())
                except LedgerUnavailable as problem:
                    died = None if self.ledger.alive else problem
                    _log.warning("waiting for the ledger: %s", problem)
                    news.set()
                    wake.clear()
                if not (self._stopping or died):
                    await _rest(wake)
            tidying.cancel()
            await self._take_leave({*running, *([looking] if looking is not None else [])})
        if died is not None:
            raise died

    def stop(self) -> None:
        """Claim nothing more, finish what is under way, and let `run` return."""
        self._stopping = True
        self._wake.set()

    async def _take_leave(self, tasks: set[asyncio.Task[None]]) -> None:
        late: set[asyncio.Task[None]] = set()
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=FAREWELL_S)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)
        try:
            await self.ledger.write(
                lambda connection: claims.release_claims(
                    connection, owner=self.owner, now_ms=self.ledger.now_ms()
                )
            )
        except LedgerUnavailable as problem:
            _log.warning("leases are left to run out: %s", problem)

    async def step(self) -> bool:
        """Map what is stored and send what is due, once; return whether anything was done."""
        self._found = None
        mapped = await self._map()
        mapped += await self._look_up()
        claimed = await self._claim(self.pace.concurrency)
        async with asyncio.TaskGroup() as group:
            for delivery in claimed:
                group.create_task(self._sender.deliver(delivery))
        return bool(mapped or claimed)

    async def _duties(self) -> Duties:
        """Read what there is to do, unless nobody can have written since that was last read."""
        commits = self.ledger.commits
        if self._found is None or self._found[0] != commits:
            self._found = commits, await self.ledger.read(find_duties)
        return self._found[1]

    async def _map(self) -> int:
        total = 0
        while (await self._duties()).stored:
            mapped = await self.ledger.write(
                lambda connection: map_stored_events(connection, self.policy, self.ledger.now_ms())
            )
            if not mapped:
                break
            total += mapped
        return total

    async def _look_up(self) -> int:
        """Ask Dodo for the payments that messages wait for; beside the rest, since it may wait."""
        if not self._is_due((await self._duties()).lookup_due_ms):
            return 0
        waiting = await self.ledger.read(
            lambda connection: events.waiting_events(connection, self.ledger.now_ms())
        )
        for event in waiting:
            try:
                await self.lookups.resolve(event)
                continue
            except LedgerUnavailable:
                raise
            except (DodoError, TransportError) as problem:
                _log.warning(
                    "payment not looked up: %s", problem, extra={"webhook_id": event["webhook_id"]}
                )
            except Exception:
                _log.exception("unforeseen error", extra={"webhook_id": event["webhook_id"]})
            await self.ledger.write(self._postpone(event))
        return len(waiting)

    async def _look_up_and_wake(self, news: asyncio.Event, wake: asyncio.Event) -> None:
        try:
            if await self._look_up():
                news.set()
                wake.set()
        except LedgerUnavailable as problem:
            _log.warning("waiting for the ledger: %s", problem)

    def _postpone(self, event: Row) -> Callable[[Connection], None]:
        wait_s = min(MAX_RETRY_S, 2.0 ** min(event["attempts"], 12))
        return lambda connection: events.settle_waiting(
            connection,
            event["webhook_id"],
            attempts=event["attempts"] + 1,
            due_at_ms=self.ledger.now_ms() + int(wait_s * 1000),
        )

    def _is_due(self, due_ms: int | None) -> bool:
        return due_ms is not None and due_ms <= self.ledger.now_ms()

    def _whole(self, free: int) -> int:
        """Return the free places once they are half of all."""
        return free if 2 * free >= self.pace.concurrency else 0

    async def _claim(self, free: int) -> list[Delivery]:
        if free <= 0:
            return []
        now_ms = self.ledger.now_ms()
        if not self._more and not self._is_due((await self._duties()).delivery_due_ms):
            return []
        claimed = await self.ledger.write(
            lambda connection: claims.claim_deliveries(
                connection,
                lane=self.pace.lane,
                owner=self.owner,
                per_minute=self.pace.per_minute,
                limit=free,
                lease_ms=int(LEASE_S * 1000),
                now_ms=now_ms,
            )
        )
        self._more = len(claimed) == free
        return claimed

    def _take_over(self, connection: Connection) -> int:
        recall(connection, self.ledger.now_ms())
        if self.ledger.shared:
            return 0  # other processes may be alive; their leases run out by themselves
        return claims.release_orphans(connection, owner=self.owner, now_ms=self.ledger.now_ms())


async def _rest(wake: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(POLL_S):
            await wake.wait()
    except TimeoutError:
        return
