"""The forwarder: stored messages become deliveries, due ones are sent, the answers are kept."""

import asyncio
import logging
import random
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy import Connection

from kit.datafast import DataFastClient
from kit.errors import DodoError, LedgerUnavailable, TransportError
from kit.ledger import Ledger, claims, events, lanes, sales
from kit.ledger.claims import Delivery
from kit.ledger.mapping import Policy, map_stored_events
from kit.ledger.rows import Row
from kit.lookups import Lookups, UnknownAtDodo
from kit.outcomes import MAX_RETRY_S, PAUSE_S, Outcome, outcome_of, retry

LEASE_S = 60.0  # twice the three calls that a delivery may make, each at its deadline
POLL_S = 1.0
PAGEVIEW_CHECKS_S = (2.0, 5.0, 15.0, 30.0, 60.0, 120.0, 180.0, 240.0)
"""When to ask for a missing pageview again, each counted from the ask before."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a forwarder may go."""

    lane: str = "datafast"
    per_minute: float = 50.0
    """Calls to DataFast a minute, all processes together; with a burst, the 60 that it allows."""
    concurrency: int = 8
    pageview_wait_s: float = 600.0
    """How long a payment waits for its visitor's first pageview to reach DataFast."""


@dataclass(slots=True)
class Forwarder:
    """
    One worker. Cancel `run` to stop it: a report cut off in the middle is made again later.

    `jitter` gives 0 to 1; `clock` gives Unix seconds.
    """

    ledger: Ledger
    lookups: Lookups
    datafast: DataFastClient
    clock: Callable[[], float]
    policy: Policy
    pace: Pace
    jitter: Callable[[], float] = random.random
    owner: str = field(default_factory=lambda: secrets.token_hex(8))

    async def run(self) -> None:
        """Work until cancelled; an unavailable ledger is waited for."""
        wake = self.ledger.subscribe()
        running: set[asyncio.Task[None]] = set()
        looking: asyncio.Task[None] | None = None
        taken_over = False
        async with asyncio.TaskGroup() as group:
            while True:
                wake.clear()
                try:
                    if not taken_over:
                        await self.ledger.write(self._take_over)
                        taken_over = True
                    await self._map()
                    if looking is None or looking.done():
                        looking = group.create_task(self._look_up_and_wake(wake))
                    for delivery in await self._claim(self.pace.concurrency - len(running)):
                        task = group.create_task(self._deliver(delivery))
                        running.add(task)
                        task.add_done_callback(running.discard)
                        task.add_done_callback(lambda _: wake.set())
                except LedgerUnavailable as problem:
                    _log.warning("waiting for the ledger: %s", problem)
                    wake.clear()
                await _rest(wake)

    async def step(self) -> bool:
        """Map what is stored and send what is due, once; return whether anything was done."""
        mapped = await self._map()
        mapped += await self._look_up()
        claimed = await self._claim(self.pace.concurrency)
        async with asyncio.TaskGroup() as group:
            for delivery in claimed:
                group.create_task(self._deliver(delivery))
        return bool(mapped or claimed)

    async def _map(self) -> int:
        total = 0
        while await self.ledger.read(events.has_stored_events):
            mapped = await self.ledger.write(
                lambda connection: map_stored_events(connection, self.policy, self.ledger.now_ms())
            )
            if not mapped:
                break
            total += mapped
        return total

    async def _look_up(self) -> int:
        """Ask Dodo for the payments that messages wait for; beside the rest, since it may wait."""
        waiting = await self.ledger.read(
            lambda connection: events.waiting_events(connection, self.ledger.now_ms())
        )
        for event in waiting:
            try:
                await self.lookups.resolve(event)
            except (DodoError, TransportError) as problem:
                _log.warning("payment not looked up: %s", problem)
                await self.ledger.write(self._postpone(event))
        return len(waiting)

    async def _look_up_and_wake(self, wake: asyncio.Event) -> None:
        try:
            if await self._look_up():
                wake.set()
        except LedgerUnavailable as problem:
            _log.warning("waiting for the ledger: %s", problem)

    def _postpone(self, event: Row) -> Callable[[Connection], None]:
        wait_s = min(MAX_RETRY_S, 2.0 ** min(event["attempts"], 12))
        return lambda connection: events.settle_event(
            connection,
            event["webhook_id"],
            attempts=event["attempts"] + 1,
            due_at_ms=self.ledger.now_ms() + int(wait_s * 1000),
        )

    async def _claim(self, free: int) -> list[Delivery]:
        now_ms = self.ledger.now_ms()
        due_ms = await self.ledger.read(claims.next_due_ms) if free > 0 else None
        if due_ms is None or due_ms > now_ms:
            return []
        return await self.ledger.write(
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

    def _take_over(self, connection: Connection) -> int:
        if connection.dialect.name != "sqlite":
            return 0  # other processes may be alive; their leases run out by themselves
        return claims.release_orphans(connection, owner=self.owner, now_ms=self.ledger.now_ms())

    async def _deliver(self, delivery: Delivery) -> None:
        transaction_id = delivery.payment.transaction_id
        message: str | None = None
        early: Outcome | None = None
        try:
            try:
                if delivery.delete_first:
                    early = await self._delete(delivery)
                if early is None:
                    delivery, early = await self._before_first_send(delivery)
                if early is None:
                    if not await self.ledger.write(self._freeze(delivery)):
                        return  # the lease ran out; somebody else owns it now
                    verdict = await self.datafast.record_payment(delivery.payment)
                    message = verdict.message
                    early = outcome_of(
                        delivery, verdict, age_s=self._age_s(delivery), random=self.jitter
                    )
            except LedgerUnavailable:
                raise
            except Exception:
                _log.exception("unforeseen error", extra={"transaction_id": transaction_id})
                early = self._retry(delivery, "unexpected_error")
            await self.ledger.write(self._finish(delivery, early, message))
        except LedgerUnavailable as problem:
            # The lease runs out and the report is made again; its id makes that harmless.
            _log.warning("not written: %s", problem, extra={"transaction_id": transaction_id})

    async def _delete(self, delivery: Delivery) -> Outcome | None:
        """Let DataFast forget the report that is to be made anew; None means it has."""
        transaction_id = delivery.payment.transaction_id
        verdict = await self.datafast.delete_payment(transaction_id)
        if verdict is not None:
            age_s = self._age_s(delivery)
            return outcome_of(delivery, verdict, age_s=age_s, random=self.jitter)
        await self.ledger.write(
            lambda connection: claims.mark_deleted(connection, transaction_id, owner=self.owner)
        )
        return None

    async def _before_first_send(self, delivery: Delivery) -> tuple[Delivery, Outcome | None]:
        """Make sure that the payment is real and its visitor known; no outcome means: send."""
        if delivery.first_sent_at_ms is not None:
            return delivery, None
        age_s = self._age_s(delivery)
        try:
            delivery = await self.lookups.prove(delivery, age_s=age_s)
        except UnknownAtDodo:
            return delivery, Outcome("parked", "not_at_dodo", answered=False)
        except (DodoError, TransportError):
            return delivery, self._retry(delivery, "dodo_unreachable")
        visitor_id = delivery.payment.datafast_visitor_id
        lands_now = delivery.kind in ("sale", "trial") and not delivery.payment.renewal
        if visitor_id is None or delivery.pageview_passed or not lands_now:
            return delivery, None
        if age_s >= self.pace.pageview_wait_s:
            return delivery, None
        if await self.datafast.visitor_seen(visitor_id) != "unseen":
            return delivery, None  # seen, or no telling: waiting would help nobody
        wait_s = PAGEVIEW_CHECKS_S[min(delivery.attempts, len(PAGEVIEW_CHECKS_S)) - 1]
        held = Outcome(
            "held",
            "awaiting_pageview",
            due_in_s=min(wait_s, max(self.pace.pageview_wait_s - age_s, 0.1)),
            answered=False,
        )
        return delivery, held

    def _freeze(self, delivery: Delivery) -> Callable[[Connection], bool]:
        return lambda connection: claims.freeze_delivery(
            connection,
            delivery.payment.transaction_id,
            owner=self.owner,
            now_ms=self.ledger.now_ms(),
            proven=delivery.proven(),
        )

    def _finish(
        self, delivery: Delivery, outcome: Outcome, message: str | None
    ) -> Callable[[Connection], None]:
        def write(connection: Connection) -> None:
            now_ms = self.ledger.now_ms()
            due_in_s = outcome.due_in_s
            finished = claims.finish_delivery(
                connection,
                delivery.payment.transaction_id,
                owner=self.owner,
                state=outcome.state,
                reason=outcome.reason,
                verdict=outcome.verdict,
                message=message,
                answered_at_ms=now_ms if outcome.verdict else None,
                due_at_ms=None if due_in_s is None else now_ms + int(due_in_s * 1000),
                visitor_dropped=delivery.visitor_dropped or outcome.drop_visitor,
                attempts=delivery.attempts + (0 if outcome.counts_attempt else -1),
            )
            reported = delivery.kind == "sale" and outcome.state == "done"
            if finished and reported and outcome.verdict is not None:
                sales.release_dependents(connection, delivery.payment.transaction_id, now_ms)
            lane = self.pace.lane
            if outcome.pause_reason is not None:
                pause_ms = int(PAUSE_S * 1000)
                lanes.pause(
                    connection, lane, reason=outcome.pause_reason, not_before_ms=now_ms + pause_ms
                )
            elif outcome.slow_lane_s is not None:
                wait_ms = int(outcome.slow_lane_s * 1000)
                lanes.slow_down(connection, lane, not_before_ms=now_ms + wait_ms)
            elif outcome.answered:
                lanes.resume(connection, lane)

        return write

    def _retry(self, delivery: Delivery, reason: str) -> Outcome:
        return retry(delivery, reason, age_s=self._age_s(delivery), random=self.jitter)

    def _age_s(self, delivery: Delivery) -> float:
        return self.clock() - delivery.created_at_ms / 1000


async def _rest(wake: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(POLL_S):
            await wake.wait()
    except TimeoutError:
        return
