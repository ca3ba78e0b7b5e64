"""Send one claimed delivery: prove it, wait for its turn, post it, keep what the answer meant."""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

from sqlalchemy import Connection

from kit.datafast import DataFastClient
from kit.errors import DodoError, LedgerUnavailable, TransportError
from kit.ledger import Ledger, lanes, sales, sendings
from kit.ledger.claims import Delivery
from kit.lookups import Lookups, UnknownAtDodo
from kit.outcomes import PAUSE_S, End, Outcome, later, outcome_of, outcome_of_delete, retry

PATIENCE_S = 5.0
"""How long a claimed report waits for its turn in the lane before it is put back."""
PAGEVIEW_CHECKS_S = (2.0, 5.0, 15.0, 30.0, 60.0, 120.0, 180.0, 240.0)
"""When to ask for a missing pageview again, each counted from the ask before."""

_log = logging.getLogger(__name__)


class _NotYet(Exception):  # noqa: N818 - a signal inside this file
    pass


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast the workers may go."""

    lane: str = "datafast"
    per_minute: float = 50.0
    """Calls to DataFast in any minute, all processes together; it allows 60."""
    concurrency: int = 16
    pageview_wait_s: float = 600.0
    """How long a payment waits for its visitor's first pageview to reach DataFast."""


@dataclass(frozen=True, slots=True)
class Sender:
    """Sends what `owner` has claimed. `jitter` gives 0 to 1."""

    ledger: Ledger
    lookups: Lookups
    datafast: DataFastClient
    pace: Pace
    owner: str
    jitter: Callable[[], float] = random.random

    async def deliver(self, delivery: Delivery) -> None:
        """Bring a claimed delivery one step on; whatever happens, it is claimed again later."""
        message: str | None = None
        early: Outcome | None = None
        try:
            try:
                if delivery.delete_first or delivery.delete_only:
                    early = await self._delete(delivery)
                if early is None:
                    delivery, early = await self._before_first_send(delivery)
                if early is None:
                    frozen = await self._freeze(delivery)
                    if frozen is None:
                        return  # the lease ran out; somebody else owns it now
                    delivery = frozen
                    verdict = await self.datafast.record_payment(delivery.payment)
                    message = _nameless(verdict.message, delivery)
                    early = outcome_of(
                        delivery, verdict, age_s=self._age_s(delivery), random=self.jitter
                    )
            except LedgerUnavailable:
                raise
            except _NotYet:
                # Due at once: the lane says when, and a changed key has another lane.
                early = later(delivery, due_in_s=0.0)
            except Exception:
                _log.exception("unforeseen error", extra=_about(delivery))
                early = self._retry(delivery, "unexpected_error")
            await self.ledger.write_together(self._settle, End(delivery, early, message))
        except LedgerUnavailable as problem:
            # The lease runs out and the report is made again; its id makes that harmless.
            _log.warning("not written: %s", problem, extra=_about(delivery))

    async def _delete(self, delivery: Delivery) -> Outcome | None:
        """Let DataFast forget a report; None means that it has, and the new one may follow."""
        transaction_id = delivery.payment.transaction_id
        await self._take_turn()
        verdict = await self.datafast.delete_payment(transaction_id)
        if verdict is not None or delivery.delete_only:
            age_s = self._age_s(delivery)
            return outcome_of_delete(delivery, verdict, age_s=age_s, random=self.jitter)
        await self.ledger.write(
            lambda connection: sendings.mark_deleted(connection, transaction_id, owner=self.owner)
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
        # From its creation: one that is replayed has waited before.
        waited_s = (self.ledger.now_ms() - delivery.created_at_ms) / 1000
        if waited_s >= self.pace.pageview_wait_s:
            return delivery, None
        await self._take_turn()
        if await self.datafast.visitor_seen(visitor_id) != "unseen":
            return delivery, None  # seen, or no telling: waiting would help nobody
        wait_s = PAGEVIEW_CHECKS_S[min(delivery.attempts, len(PAGEVIEW_CHECKS_S)) - 1]
        held = Outcome(
            "held",
            "awaiting_pageview",
            due_in_s=min(wait_s, max(self.pace.pageview_wait_s - waited_s, 0.1)),
            answered=False,
        )
        return delivery, held

    async def _take_turn(self) -> None:
        await self._wait(await self.ledger.write_together(self._reserve, None))

    def _reserve(self, connection: Connection, asking: Sequence[object]) -> list[int]:
        return lanes.reserve(
            connection,
            self.pace.lane,
            calls=len(asking),
            per_minute=self.pace.per_minute,
            now_ms=self.ledger.now_ms(),
            patience_ms=int(PATIENCE_S * 1000),
        )

    async def _wait(self, wait_ms: int) -> None:
        """Wait until the lane lets the call pass. Raises _NotYet when that would take long."""
        if wait_ms > PATIENCE_S * 1000:
            raise _NotYet
        if wait_ms:
            await asyncio.sleep(wait_ms / 1000)

    async def _freeze(self, delivery: Delivery) -> Delivery | None:
        """
        Take a turn, and mark the delivery as sent just before it; None when the lease was lost.

        In one write where nothing has to be waited for. Raises _NotYet.
        """
        wait_ms, frozen = await self.ledger.write_together(self._depart, delivery)
        if wait_ms == 0:
            return frozen
        await self._wait(wait_ms)
        return await self.ledger.write_together(self._mark_sent, delivery)

    def _depart(
        self, connection: Connection, leaving: Sequence[Delivery]
    ) -> list[tuple[int, Delivery | None]]:
        waits_ms = self._reserve(connection, leaving)
        pairs = zip(leaving, waits_ms, strict=True)
        at_once = [delivery for delivery, wait_ms in pairs if wait_ms == 0]
        frozen = iter(self._mark_sent(connection, at_once))
        return [(wait_ms, next(frozen) if wait_ms == 0 else None) for wait_ms in waits_ms]

    def _mark_sent(
        self, connection: Connection, leaving: Sequence[Delivery]
    ) -> list[Delivery | None]:
        now_ms = self.ledger.now_ms()
        return sendings.freeze_deliveries(connection, leaving, owner=self.owner, now_ms=now_ms)

    def _settle(self, connection: Connection, ends: Sequence[End]) -> list[None]:
        now_ms = self.ledger.now_ms()
        finished = sendings.finish_deliveries(
            connection,
            {end.transaction_id: end.values(now_ms) for end in ends},
            owner=self.owner,
        )
        reported = [end.transaction_id for end in ends if end.reports_sale]
        reported = [each for each in reported if each in finished]
        if reported:
            sales.release_dependents(connection, reported, now_ms)
        for opens, outcomes in groupby((end.outcome for end in ends), attrgetter("opens_lane")):
            if opens:
                lanes.resume(connection, self.pace.lane)
                continue
            for outcome in outcomes:
                self._hold_lane(connection, outcome, now_ms)
        return [None] * len(ends)

    def _hold_lane(self, connection: Connection, outcome: Outcome, now_ms: int) -> None:
        lane = self.pace.lane
        if outcome.pause_reason is not None:
            pause_ms = int(PAUSE_S * 1000)
            lanes.pause(
                connection, lane, reason=outcome.pause_reason, not_before_ms=now_ms + pause_ms
            )
        elif outcome.slow_lane_s is not None:
            wait_ms = int(outcome.slow_lane_s * 1000)
            lanes.slow_down(connection, lane, not_before_ms=now_ms + wait_ms)

    def _retry(self, delivery: Delivery, reason: str) -> Outcome:
        return retry(delivery, reason, age_s=self._age_s(delivery), random=self.jitter)

    def _age_s(self, delivery: Delivery) -> float:
        return (self.ledger.now_ms() - delivery.begun_at_ms) / 1000


def _nameless(message: str | None, delivery: Delivery) -> str | None:
    """Keep DataFast's words without the visitor's id, which may have to be forgotten."""
    visitor_id = delivery.payment.datafast_visitor_id
    if message is None or visitor_id is None:
        return message
    return message.replace(visitor_id, "…")


def _about(delivery: Delivery) -> dict[str, str]:
    """Name a delivery in a log entry."""
    names = {"transaction_id": delivery.payment.transaction_id, "order_ref": delivery.order_ref}
    return {name: value for name, value in names.items() if value is not None}
