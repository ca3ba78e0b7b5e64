"""
How fast a backlog drains once DataFast answers again.

    python -m tests.bench.drain [--database sqlite|postgres] [--deliveries 10000]
                                [--json PATH]

Messages are put into a ledger, each of another sale whose checkout and pageview the ledger knows.
Then the real forwarder reads them and reports the sales to a DataFast on loopback, under no limit
of calls. At the end what DataFast received is held against what was put in, one by one.
"""

import argparse
import asyncio
import contextlib
import json
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import uvloop
from sqlalchemy import Connection, func, select

from kit.datafast import DataFastClient
from kit.dodo import DodoClient
from kit.forwarder import Forwarder
from kit.helpers.dodo_datafast import Signed, Visitor
from kit.ledger import Ledger
from kit.ledger.checkouts import begin_checkout, finish_opening
from kit.ledger.duties import find_duties
from kit.ledger.mapping import map_stored_events
from kit.ledger.policy import Policy
from kit.ledger.schema import deliveries
from kit.ledger.visits import record_visit
from kit.lookups import Lookups
from kit.sandbox.fixtures import load
from kit.sender import Pace
from kit.transport import open_client
from tests.bench import datafast
from tests.bench.messages import payment_id, webhook_id
from tests.bench.report import Row, table, write_json
from tests.databases import fresh_schema, running_postgres

LABELS = {
    "mapped": "messages read into deliveries",
    "sent": "deliveries reported and answered",
    "drained": "both, one after the other",
}
GROUP = 500


@dataclass(frozen=True, slots=True)
class Times:
    """How long each part took, in seconds."""

    mapped_s: float
    sent_s: float


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure how fast a backlog drains.")
    parser.add_argument("--database", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--deliveries", type=int, default=10_000)
    parser.add_argument("--json", type=Path, dest="json_path")
    options = parser.parse_args()
    number = options.deliveries
    with (
        database(options.database) as url,
        datafast.running() as address,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        times = runner.run(drain(url, address, number))
    rows = [
        Row("mapped", number / times.mapped_s),
        Row("sent", number / times.sent_s),
        Row("drained", number / (times.mapped_s + times.sent_s)),
    ]
    print(f"{number:,} sales on {options.database}, each of them reported and counted once\n")
    print(table(rows, LABELS))
    if options.json_path is not None:
        write_json(options.json_path, rows, {})


@contextlib.contextmanager
def database(kind: str) -> Iterator[str]:
    """Name an empty database."""
    with tempfile.TemporaryDirectory() as folder:
        if kind == "sqlite":
            yield f"sqlite:///{folder}/drain.db"
        else:
            with running_postgres(Path(folder)) as server, fresh_schema(server) as url:
                yield url


async def drain(url: str, address: str, number: int) -> Times:
    """
    Fill a ledger with a backlog, and let the forwarder work through it.

    Raises RuntimeError when not each sale was reported exactly once and attributed.
    """
    ledger = Ledger.open(url, clock=time.time)
    client = DataFastClient(open_client(), api_key="df_bench", clock=time.time, base_url=address)
    nobody = DodoClient(open_client(), api_key="dodo_test_bench", environment="test_mode")
    forwarder = Forwarder(
        ledger,
        Lookups(ledger, nobody),  # every checkout is known, so Dodo is not asked
        client,
        Policy(),
        Pace(per_minute=60e6),
    )
    try:
        await _fill(ledger, number)
        began = time.perf_counter()
        while await ledger.write(lambda at: map_stored_events(at, Policy(), ledger.now_ms())):
            pass
        mapped = time.perf_counter()
        work = asyncio.create_task(forwarder.run())
        while (await ledger.read(find_duties)).delivery_due_ms is not None:
            if work.done():
                work.result()
            await asyncio.sleep(0.05)
        times = Times(mapped - began, time.perf_counter() - mapped)
        work.cancel()
        await asyncio.wait([work])
        await _account(ledger, address, number)
    finally:
        for opened in (client, nobody):
            await opened.aclose()
        ledger.close()
    return times


async def _account(ledger: Ledger, address: str, number: int) -> None:
    async with httpx.AsyncClient(trust_env=False) as http:
        received = (await http.get(f"{address}/received")).json()
    expected = {payment_id(index): 1 for index in range(number)}
    verdicts = dict(await ledger.read(_verdicts))
    if received != expected or verdicts != {"attributed": number}:
        twice = sum(times > 1 for times in received.values())
        raise RuntimeError(
            f"of {number} sales {len(received)} came, {twice} more than once; kept as {verdicts}"
        )


def _verdicts(connection: Connection) -> list[tuple[str, int]]:
    query = select(deliveries.c.verdict, func.count()).group_by(deliveries.c.verdict)
    return [(verdict, count) for verdict, count in connection.execute(query)]


async def _fill(ledger: Ledger, number: int) -> None:
    for first in range(0, number, GROUP):
        group = [_Sale(index) for index in range(first, min(first + GROUP, number))]

        def remember(connection: Connection, group: list[_Sale] = group) -> None:
            for sale in group:
                sale.remember(connection, ledger.now_ms())

        await ledger.write(remember)
        await asyncio.gather(*(ledger.record(sale.message()) for sale in group))


@dataclass(frozen=True, slots=True)
class _Sale:
    """A sale of ours: its pageview passed our proxy, and its checkout is in the ledger."""

    number: int

    @property
    def visitor_id(self) -> str:
        return str(uuid.UUID(int=self.number, version=4))

    def remember(self, connection: Connection, now_ms: int) -> None:
        record_visit(connection, {"visitor_id": self.visitor_id}, now_ms)
        begin_checkout(
            connection,
            attempt=f"attempt_{self.number}",
            order_ref=f"order_{self.number}",
            product="pdt_bench",
            visitor=Visitor(self.visitor_id, None, "captured"),
            now_ms=now_ms,
        )
        finish_opening(
            connection,
            f"order_{self.number}",
            dodo_session_id=f"cks_{self.number}",
            checkout_url="https://checkout.dodopayments.com/session/cks",
        )

    def message(self) -> Signed:
        event = load(
            "payment.succeeded",
            payment_id=payment_id(self.number),
            checkout_session_id=f"cks_{self.number}",
            metadata={
                "datafast_visitor_id": self.visitor_id,
                "order_ref": f"order_{self.number}",
            },
        )
        body = json.dumps(event).encode()
        return Signed(webhook_id(self.number), datetime.now(UTC), body)


if __name__ == "__main__":
    main()
