"""
How many webhooks a second are taken in, beside what the same machine does without storing.

    python -m tests.bench.intake [--rounds 5] [--seconds 2] [--connections 32] [--json PATH]

The rungs run in turns, so that a slow minute of the machine hits all of them; while one is
measured the others are stopped. Every figure is the median of the rounds. A ratio is printed only
where the load generator could have gone 1.3 times faster than the faster side.
"""

import argparse
import contextlib
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

from sqlalchemy import create_engine, select

from kit.ledger.schema import events
from tests.bench import express
from tests.bench.load import Run, drive, percentile_ms
from tests.bench.messages import BODY_BYTES, Requests, sign_requests, webhook_id
from tests.bench.report import Row, ratio_lines, table, write_json
from tests.databases import fresh_schema, running_postgres

LABELS = {
    "ceiling": "load generator's own ceiling",
    "asgi": "bare ASGI, body read",
    "starlette": "Starlette, body read",
    "verified": "Starlette + signature verified",
    "sqlite": "kit: verified, event fsynced (SQLite)",
    "sqlite_serve": "kit serve (SQLite), which reads them meanwhile",
    "postgres": "kit: verified, event fsynced (PostgreSQL)",
    "postgres_serve": "kit serve (PostgreSQL), which reads them meanwhile",
    "express": "Express + @dodopayments/express, nothing stored",
}
STORING = ("sqlite", "sqlite_serve", "postgres", "postgres_serve")
PEERS = ("starlette", "verified", "express")
HEADROOM = 1.3
MOST_STORED_PER_SECOND = 12_000
WARM_UP_S = 0.5


@dataclass(slots=True)
class Rung:
    """A running server, and what was measured on it."""

    name: str
    process: "subprocess.Popen[bytes]"
    port: int
    url: str
    runs: list[Run] = field(default_factory=list)

    def row(self) -> Row:
        """Return the medians of the rounds."""
        return Row(
            self.name,
            rps=statistics.median(run.per_second for run in self.runs),
            p50_ms=statistics.median(percentile_ms(run.latencies_s, 0.5) for run in self.runs),
            p99_ms=statistics.median(percentile_ms(run.latencies_s, 0.99) for run in self.runs),
        )

    def missing(self) -> list[str]:
        """Return the acknowledged messages that are not in its database."""
        engine = create_engine(self.url)
        with engine.connect() as connection:
            kept = set(connection.scalars(select(events.c.webhook_id)))
        engine.dispose()
        acknowledged = [webhook_id(number) for run in self.runs for number in run.acknowledged]
        return [message_id for message_id in acknowledged if message_id not in kept]


@contextlib.contextmanager
def database(name: str, postgres: str | None) -> Iterator[str]:
    """Name an empty database for a rung."""
    if name.startswith("postgres") and postgres is not None:
        with fresh_schema(postgres) as url:
            yield url
    else:
        with tempfile.TemporaryDirectory() as folder:
            yield f"sqlite:///{folder}/intake.db"


@contextlib.contextmanager
def running(name: str, url: str) -> Iterator[Rung]:
    """Run a rung in a process of its own, stopped until it is `awake`."""
    ours = [sys.executable, "-m", "tests.bench.rungs", name, url]
    process = subprocess.Popen(
        express.command() if name == "express" else ours,
        env=express.environment() if name == "express" else None,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        port, _, versions = process.stdout.readline().decode().strip().partition(" ")
        if versions:
            print(versions)
        os.kill(process.pid, signal.SIGSTOP)
        yield Rung(name, process, int(port), url)
    finally:
        os.kill(process.pid, signal.SIGCONT)
        process.terminate()
        process.wait()
        process.stdout.close()


@contextlib.contextmanager
def awake(rung: Rung) -> Iterator[None]:
    """Let a rung run."""
    os.kill(rung.process.pid, signal.SIGCONT)
    try:
        yield
    finally:
        os.kill(rung.process.pid, signal.SIGSTOP)


def measure(
    names: Sequence[str], rounds: int, seconds: float, connections: int, warm_up_s: float
) -> list[Rung]:
    """
    Run the rungs in turns.

    Raises RuntimeError if a request was refused, or an acknowledged event is not stored.
    """
    each = int(MOST_STORED_PER_SECOND * seconds)
    first = int(MOST_STORED_PER_SECOND * warm_up_s)
    signed = sign_requests(first + each * rounds)
    with contextlib.ExitStack() as stack:
        postgres = None
        if any(name.startswith("postgres") for name in names):
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            postgres = stack.enter_context(running_postgres(Path(folder)))
        rungs = []
        for name in names:
            url = stack.enter_context(database(name, postgres))
            rungs.append(stack.enter_context(running(name, url)))
        for round_ in range(rounds):
            for rung in rungs:
                with awake(rung):
                    if round_ == 0:
                        _drive(rung, signed.part(0, first), connections, warm_up_s)
                    requests = signed.part(first + round_ * each, each)
                    rung.runs.append(_drive(rung, requests, connections, seconds))
        missing = [found for rung in rungs if rung.name in STORING for found in rung.missing()]
    if missing:
        raise RuntimeError(
            f"{len(missing)} acknowledged events are not in the database: {missing[:5]}"
        )
    return rungs


def _drive(rung: Rung, requests: Requests, connections: int, seconds: float) -> Run:
    run = drive(
        rung.port,
        requests,
        connections=connections,
        seconds=seconds,
        repeat=rung.name not in STORING,
    )
    if run.refused:
        raise RuntimeError(f"{rung.name} refused {run.refused} of {len(run.latencies_s)} requests")
    return run


def ratios(rows: Sequence[Row]) -> dict[str, float | None]:
    """Compare ours with the others; None where the load generator was too near its limit."""
    by_name = {row.name: row for row in rows}
    ceiling = by_name["ceiling"].rps
    found: dict[str, float | None] = {}
    for ours, theirs in product(STORING, PEERS):
        if ours in by_name and theirs in by_name:
            left, right = by_name[ours], by_name[theirs]
            judged = max(left.rps, right.rps) * HEADROOM <= ceiling
            found[f"{ours}_vs_{theirs}"] = left.rps / right.rps if judged else None
            if left.p99_ms is not None and right.p99_ms is not None:
                found[f"{ours}_vs_{theirs}_p99"] = left.p99_ms / right.p99_ms if judged else None
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure the webhook intake.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--rung", action="append", choices=LABELS, help="only these")
    parser.add_argument("--json", type=Path, dest="json_path")
    options = parser.parse_args()
    absence = express.absence()
    names = [name for name in LABELS if name == "ceiling" or name in (options.rung or LABELS)]
    if absence is not None and "express" in names:
        print(f"Express is left out: {absence}")
        names.remove("express")
    rungs = measure(names, options.rounds, options.seconds, options.connections, WARM_UP_S)
    rows = [rung.row() for rung in rungs]
    print(f"{options.connections} connections, {BODY_BYTES} B, median of {options.rounds} rounds\n")
    print(table(rows, LABELS))
    found = ratios(rows)
    print("\n" + ratio_lines(found))
    stored = sum(
        len(run.acknowledged) for rung in rungs if rung.name in STORING for run in rung.runs
    )
    print(f"\nacknowledged and looked up in the database: {stored:,}, missing 0")
    if options.json_path is not None:
        write_json(options.json_path, rows, found)


if __name__ == "__main__":
    main()
