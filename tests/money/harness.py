"""A shop without its web pages: ledger and forwarder here, both stand-ins on the other side."""

import asyncio
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import httpx
from sqlalchemy import Connection, func, select

from kit.actions import perform
from kit.datafast import DataFastClient
from kit.dodo import DodoClient
from kit.forwarder import Forwarder
from kit.helpers.dodo_datafast import Visitor
from kit.ledger import Ledger
from kit.ledger.checkouts import begin_checkout, finish_opening, record_return
from kit.ledger.drift import drifted
from kit.ledger.rows import Row
from kit.ledger.schema import deliveries, events, lanes, meta, metadata, visits
from kit.lookups import Lookups
from kit.sandbox.revenue import REVENUE
from kit.sandbox.store import Store
from kit.sender import Pace
from tests.money.messages import ADA, BEA, OPENED, Message
from tests.money.rows import (
    Act,
    Checkout,
    Dodo,
    Fault,
    Pass,
    Report,
    Return,
    Sequence,
    Stands,
    Step,
)

LONGEST_S = 90 * 86_400.0
MAX_STEPS = 400


@dataclass(frozen=True, slots=True)
class Result:
    """What DataFast holds, and what the ledger says of the rest."""

    reports: frozenset[Report]
    left: dict[str, str]
    drift: frozenset[tuple[str, str]]
    rows: dict[str, Row]
    """The ledger's deliveries by id."""
    received: dict[str, dict[str, Any]]
    """DataFast's payments by id."""


@dataclass(slots=True)
class Clock:
    """A clock that stands still until a sequence moves it."""

    now: float = OPENED.timestamp()

    def __call__(self) -> float:
        """Return the time in Unix seconds."""
        return self.now


@dataclass(slots=True)
class Shop:
    """Both stand-ins and a ledger, kept for many sequences and emptied before each."""

    clock: Clock
    ledger: Ledger
    dodo: httpx.AsyncClient
    datafast: httpx.AsyncClient
    dodo_client: DodoClient
    datafast_client: DataFastClient
    dodo_store: Store
    datafast_store: Store

    async def play(self, sequence: Sequence) -> Result:
        """Let everything happen, wait until nothing is left to do, and look."""
        await self._begin(sequence)
        forwarder = Forwarder(
            self.ledger,
            Lookups(self.ledger, self.dodo_client),
            self.datafast_client,
            policy=sequence.policy,
            # A minute's budget in each millisecond: DataFast's pace is not what is tested here.
            pace=Pace(per_minute=3_600_000),
            jitter=lambda: 1.0,
        )
        run = _Run(self, forwarder)
        for messages, steps in itertools.groupby(
            sequence.steps, lambda step: isinstance(step, Message)
        ):
            if messages:
                await asyncio.gather(*(run.take(step) for step in steps))
                continue
            for step in steps:
                await run.take(step)
        await run.drain(LONGEST_S)
        return await run.result()

    async def _begin(self, sequence: Sequence) -> None:
        self.clock.now = OPENED.timestamp()
        await self.ledger.write(empty)
        (await self.dodo.post("/_sandbox/reset")).raise_for_status()
        (await self.datafast.post("/_sandbox/chaos", json={"mode": "off"})).raise_for_status()
        for payment in self.datafast_store.all(REVENUE):
            self.datafast_store.delete(REVENUE, payment["transaction_id"])
        for message in (*sequence.messages, *sequence.at_dodo):
            subject = message.type.partition(".")[0]
            if subject not in ("payment", "subscription"):
                continue
            document = message.document()
            key = document[f"{subject}_id"]
            if key is not None and key not in sequence.absent:
                self.dodo_store.put(subject, key, document)


@dataclass(slots=True)
class _Run:
    shop: Shop
    forwarder: Forwarder

    @property
    def ledger(self) -> Ledger:
        return self.shop.ledger

    async def take(self, step: Step) -> None:
        # Each thing happens at a moment of its own.
        self.shop.clock.now += 1.0
        now_ms = self.ledger.now_ms()
        match step:
            case Message():
                await self.ledger.record(step.signed())
            case Checkout():
                await self.ledger.write(lambda connection: _open(connection, step, now_ms))
            case Return():
                visitor = Visitor(
                    step.visitor, None, "captured" if step.visitor else "absent", "return"
                )
                await self.ledger.write(
                    lambda connection: record_return(
                        connection,
                        step.order_ref,
                        visitor=visitor if step.own_browser else None,
                        claims={},
                        now_ms=now_ms,
                    )
                )
            case Pass():
                await self.drain(step.seconds)
            case Dodo():
                rule = {"mode": "off"} if step.reachable else {"mode": "500"}
                (await self.shop.dodo.post("/_sandbox/chaos", json=rule)).raise_for_status()
            case Fault():
                fault = {"mode": step.mode, "times": step.times, "after": step.after}
                (await self.shop.datafast.post("/_sandbox/chaos", json=fault)).raise_for_status()
            case Act():
                await perform(self.ledger, step.wanted, holds_test=False)
            case Stands():
                found = await self.ledger.read(lambda connection: _standing(connection, step.id))

                assert found == step.how

    async def drain(self, seconds: float) -> None:
        """Do what falls due, moving the clock from one thing to the next."""
        end = self.shop.clock.now + seconds
        for _ in range(MAX_STEPS):
            while await self.forwarder.step():
                pass
            due = await self.ledger.read(_next_due_ms)
            if due is None or due > end * 1000:
                break
            self.shop.clock.now = max(self.shop.clock.now, due / 1000) + 0.001
        else:
            raise AssertionError("the sequence does not come to rest")
        if seconds < LONGEST_S:
            self.shop.clock.now = max(end, self.shop.clock.now)

    async def result(self) -> Result:
        payments = (await self.shop.datafast.get("/_sandbox/payments")).json()
        received = {payment["transaction_id"]: payment for payment in payments}
        rows, left, drift = await self.ledger.read(_look)
        return Result(
            frozenset(_report(payment) for payment in payments),
            left,
            drift,
            {row["transaction_id"]: row for row in rows},
            received,
        )


def empty(connection: Connection) -> None:
    """Leave nothing but two visitors whose pageviews are known."""
    for table in reversed(metadata.sorted_tables):
        if table is not meta:
            connection.execute(table.delete())
    for visitor_id in (ADA, BEA):
        at_ms = int(OPENED.timestamp() * 1000)
        connection.execute(
            visits.insert().values(
                visitor_id=visitor_id, first_seen_at_ms=at_ms, last_pageview_at_ms=at_ms
            )
        )


def _open(connection: Connection, step: Checkout, now_ms: int) -> None:
    reason = step.reason or ("captured" if step.visitor else "absent")
    begin_checkout(
        connection,
        attempt=step.order_ref,
        order_ref=step.order_ref,
        product="coastline",
        visitor=Visitor(step.visitor, None, reason),
        now_ms=now_ms,
    )
    if step.session is not None:
        finish_opening(
            connection,
            step.order_ref,
            dodo_session_id=step.session,
            checkout_url="https://checkout.example/",
        )


def _standing(connection: Connection, id_: str) -> str | None:
    for table, key in ((deliveries, "transaction_id"), (events, "webhook_id")):
        found = connection.execute(select(table).where(table.c[key] == id_)).mappings().first()
        if found is not None:
            return f"{found['state']} {found['reason']}"
    return None


def _next_due_ms(connection: Connection) -> int | None:
    """Tell when something can be done next; a report waits for its lane as well."""
    report_ms, lookup_ms = (
        connection.scalar(select(func.min(table.c.due_at_ms))) for table in (deliveries, events)
    )
    if report_ms is not None:
        report_ms = max(report_ms, connection.scalar(select(func.max(lanes.c.not_before_ms))) or 0)
    return min((due for due in (report_ms, lookup_ms) if due is not None), default=None)


def _look(
    connection: Connection,
) -> tuple[list[Row], dict[str, str], frozenset[tuple[str, str]]]:
    rows = list(connection.execute(select(deliveries)).mappings())
    left = {
        row["transaction_id"]: f"{row['state']} {row['reason']}"
        for row in rows
        if row["verdict"] is None
    }
    read = connection.execute(select(events).where(events.c.state != "mapped")).mappings()
    left |= {row["webhook_id"]: f"{row['state']} {row['reason']}" for row in read}
    return rows, left, frozenset((row["kind"], row["name"]) for row in drifted(connection))


_KINDS = {
    (False, False, False): "new",
    (True, False, False): "renewal",
    (False, True, False): "refund",
    (False, False, True): "trial",
}


def _report(payment: Mapping[str, Any]) -> Report:
    flags = (payment["renewal"], payment["refunded"], payment["is_free_trial"])

    assert payment["attributed"] is (payment["datafast_visitor_id"] is not None)
    assert ('"renewal"' in payment["raw"]) is not payment["refunded"]

    return Report(
        _KINDS[flags],
        payment["transaction_id"],
        Decimal(payment["amount"]),
        payment["currency"],
        payment["datafast_visitor_id"],
    )
