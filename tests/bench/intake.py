"""
How many webhooks a second are taken in, beside what the same machine does without storing.

    python -m tests.bench.intake [--rounds 5] [--seconds 2] [--connections 32] [--json PATH]

The rungs run in turns, so that a slow minute of the machine hits all of them. A ratio is printed
only where the load generator could have gone 1.3 times faster than the faster side.
"""

import argparse
import asyncio
import base64
import hashlib
import hmac
import json
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from kit.helpers.dodo_datafast import signing_key
from tests.bench.load import Run, drive, percentile_ms
from tests.bench.rungs import PATH, SECRET

NAMES = ("ceiling", "starlette", "verified", "stored")
LABELS = {
    "ceiling": "load generator's own ceiling",
    "starlette": "Starlette, body read",
    "verified": "Starlette + signature verified",
    "stored": "kit: verified, event fsynced (SQLite)",
}
HEADROOM = 1.3
MOST_PER_SECOND = 30_000
BODY_BYTES = 3072
WARM_UP_S = 0.5


@dataclass(slots=True)
class Rung:
    """What was measured on one rung."""

    rates: list[float] = field(default_factory=list)
    latencies_s: list[float] = field(default_factory=list)
    acknowledged: int = 0
    refused: int = 0

    @property
    def per_second(self) -> float:
        """The median round."""
        return statistics.median(self.rates)


def payload() -> bytes:
    """Return a payment of 3 kB, the size of a real one."""
    data = {"payment_id": "pay_bench", "total_amount": 2900, "currency": "USD", "padding": ""}
    event = {"type": "payment.succeeded", "timestamp": "2026-10-01T12:00:00Z", "data": data}
    data["padding"] = "x" * (BODY_BYTES - len(json.dumps(event)))
    return json.dumps(event).encode()


def prepare(run: str, number: int, body: bytes) -> list[bytes]:
    """Sign requests ahead, each with an id of its own."""
    key, now = signing_key(SECRET), int(time.time())
    heads = []
    for index in range(number):
        text = f"msg_{run}_{index}.{now}.".encode() + body
        signature = base64.b64encode(hmac.digest(key, text, hashlib.sha256)).decode()
        heads.append(
            (
                f"POST {PATH} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
                f"content-length: {len(body)}\r\nwebhook-id: msg_{run}_{index}\r\n"
                f"webhook-timestamp: {now}\r\nwebhook-signature: v1,{signature}\r\n\r\n"
            ).encode()
        )
    return heads


@contextmanager
def server(name: str, folder: Path) -> Iterator[int]:
    """Run a rung in a process of its own and yield its port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.rungs", name, str(folder)], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def measure(rounds: int, seconds: float, connections: int) -> dict[str, Rung]:
    """Run all rungs in turns. Raises RuntimeError if an acknowledged event is not in the file."""
    body = payload()
    rungs: dict[str, Rung] = defaultdict(Rung)
    missing: list[str] = []
    for round_number in range(rounds):
        for name in NAMES:
            with tempfile.TemporaryDirectory() as folder:
                run_id = f"{name}_{round_number}"
                with server(name, Path(folder)) as port:
                    _drive(port, f"{run_id}_w", body, connections, WARM_UP_S)
                    run = _drive(port, run_id, body, connections, seconds)
                rung = rungs[name]
                rung.rates.append(run.per_second)
                rung.latencies_s += run.latencies_s
                rung.acknowledged += len(run.acknowledged)
                rung.refused += run.refused
                if name == "stored":
                    missing += _missing(Path(folder) / "intake.db", run_id, run)
    if missing:
        raise RuntimeError(f"{len(missing)} acknowledged events are not in the file: {missing[:5]}")
    return rungs


def _drive(port: int, run: str, body: bytes, connections: int, seconds: float) -> Run:
    heads = prepare(run, int(MOST_PER_SECOND * seconds), body)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(drive(port, heads, body, connections=connections, seconds=seconds))


def _missing(path: Path, run: str, result: Run) -> list[str]:
    with sqlite3.connect(path) as database:
        kept = {row[0] for row in database.execute("SELECT webhook_id FROM events")}
    database.close()
    return [f"msg_{run}_{n}" for n in result.acknowledged if f"msg_{run}_{n}" not in kept]


def ratios(rungs: dict[str, Rung]) -> dict[str, float]:
    """Compare our rung with the others, where the load generator was not the limit."""
    ceiling = rungs["ceiling"].per_second
    ours = rungs["stored"].per_second
    return {
        f"sqlite_vs_{name}": round(ours / rungs[name].per_second, 3)
        for name in ("starlette", "verified")
        if max(ours, rungs[name].per_second) * HEADROOM <= ceiling
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure the webhook intake.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--json", type=Path, dest="json_path")
    options = parser.parse_args()
    rungs = measure(options.rounds, options.seconds, options.connections)
    rows = [
        {
            "name": name,
            "rps": round(rungs[name].per_second),
            "p50_ms": round(percentile_ms(rungs[name].latencies_s, 0.5), 2),
            "p99_ms": round(percentile_ms(rungs[name].latencies_s, 0.99), 2),
        }
        for name in NAMES
    ]
    print(f"{options.connections} connections, {BODY_BYTES} B, median of {options.rounds} rounds\n")
    print(f"{'':40}{'req/s':>9}{'p50 ms':>9}{'p99 ms':>9}")
    for row in rows:
        label = LABELS[str(row["name"])]
        print(f"{label:40}{row['rps']:>9,}{row['p50_ms']:>9}{row['p99_ms']:>9}")
    found = ratios(rungs)
    print()
    for name in ("starlette", "verified"):
        key = f"sqlite_vs_{name}"
        said = f"{found[key]:.2f}" if key in found else "not judged: too near the ceiling"
        print(f"{key:24}{said}")
    stored = rungs["stored"]
    print(f"\nacknowledged {stored.acknowledged:,}, refused {stored.refused}, missing 0")
    if options.json_path is not None:
        options.json_path.write_text(json.dumps({"rows": rows, "ratios": found}, indent=2) + "\n")


if __name__ == "__main__":
    main()
