"""
How fast the inspector opens, on a small ledger and on a large one, on both databases.

    python -m tests.bench.inspector [--small 1000] [--large 100000] [--rounds 7] [--json PATH]

Each page is asked for over HTTP from a server of its own process; the median of the rounds counts.
The ledger holds one year of journeys, with the bodies that retention leaves.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
from sqlalchemy import Connection, text

from kit.ledger.engine import open_engines
from tests.databases import DATABASES, fresh_schema, running_postgres
from tests.ledger import store

LIMIT_MS = 200
DAYS = 365
RETENTION_DAYS = 30
PAGES = {
    "journeys": "/inspector",
    "journeys, an older page": "/inspector?before={middle}-checkout-x",
    "parked": "/inspector?state=parked",
    "waiting": "/inspector?state=waiting",
    "one reason": "/inspector?reason=no_pageview",
    "a rare currency": "/inspector?currency=KWD",
    "unattributed only": "/inspector?unattributed=1",
    "unattributed on a day": "/inspector?unattributed=1&day={day}",
    "a day": "/inspector?day={day}",
    "one journey": "/inspector/journeys/{key}",
    "attribution, 30 days": "/inspector/attribution",
    "attribution, 90 days": "/inspector/attribution?days=90",
    "news": "/inspector/news",
}


def fill(url: str, number: int, *, days: int = DAYS) -> str:
    """Write so many journeys, each with a report or more; return the key of one."""
    engines = open_engines(url)
    now_ms = int(time.time() * 1000)
    with engines.writing.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
        store.write(connection, store.journeys(number, days=days, until_ms=now_ms))
        _settle(connection, now_ms)
        found = connection.execute(text("SELECT order_ref FROM checkouts ORDER BY created_at_ms"))
        key = f"order:{found.scalars().all()[number // 3]}"
    if engines.peers is not None:
        with engines.writing.connect() as connection:
            # What autovacuum does within a minute of so many rows.
            raw = connection.execution_options(isolation_level="AUTOCOMMIT")
            raw.exec_driver_sql("VACUUM ANALYZE")
    engines.close()
    return key


def _settle(connection: Connection, now_ms: int) -> None:
    """Leave nothing to be sent, and no body that retention would have dropped."""
    before_ms = now_ms - RETENTION_DAYS * store.DAY_MS
    connection.execute(text("UPDATE deliveries SET due_at_ms = NULL WHERE due_at_ms IS NOT NULL"))
    connection.execute(
        text("UPDATE events SET body = NULL WHERE received_at_ms < :before"), {"before": before_ms}
    )


@contextmanager
def server(url: str) -> Iterator[str]:
    """Serve the inspector of a ledger in a process of its own and yield its address."""
    command = [sys.executable, "-m", "tests.bench.serve_inspector", url]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def measure(url: str, key: str, rounds: int) -> dict[str, float]:
    """Return the median milliseconds of each page. Raises HTTPStatusError for one that fails."""
    now_s = time.time()
    middle_ms = int((now_s - DAYS * 43_200) * 1000)
    day = time.strftime("%Y-%m-%d", time.gmtime(now_s - 10 * 86_400))
    took: dict[str, list[float]] = {name: [] for name in PAGES}
    with server(url) as address, httpx.Client(timeout=60, trust_env=False) as client:
        for round_number in range(rounds + 1):
            for name, path in PAGES.items():
                wanted = address + path.format(middle=middle_ms, day=day, key=key)
                began = time.perf_counter()
                client.get(wanted).raise_for_status()
                if round_number:  # the first one fills caches
                    took[name].append((time.perf_counter() - began) * 1000)
    return {name: statistics.median(each) for name, each in took.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure how fast the inspector opens.")
    parser.add_argument("--small", type=int, default=1_000)
    parser.add_argument("--large", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--database", choices=DATABASES, action="append")
    parser.add_argument("--json", type=Path, dest="json_path")
    options = parser.parse_args()
    rows = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for database in options.database or DATABASES:
            urls = {size: f"sqlite:///{folder}/{size}.db" for size in ("small", "large")}
            if database == "postgresql":
                at = stack.enter_context(running_postgres(folder / "pg"))
                urls = {size: stack.enter_context(fresh_schema(at)) for size in urls}
            found = {}
            for size, url in urls.items():
                key = fill(url, getattr(options, size))
                found[size] = measure(url, key, options.rounds)
            rows += [
                {
                    "database": database,
                    "page": name,
                    "small_ms": round(found["small"][name], 1),
                    "large_ms": round(found["large"][name], 1),
                    "ratio": round(found["large"][name] / found["small"][name], 2),
                }
                for name in PAGES
            ]
    print(f"median of {options.rounds}, whole pages over HTTP; limit {LIMIT_MS} ms\n")
    print(f"{'':12}{'':26}{options.small:>10,}{options.large:>12,}{'ratio':>8}")
    for row in rows:
        print(
            f"{row['database']:12}{row['page']:26}"
            f"{row['small_ms']:>7} ms{row['large_ms']:>9} ms{row['ratio']:>8}"
        )
    slow = [row for row in rows if float(row["large_ms"]) >= LIMIT_MS]
    print(f"\n{len(rows) - len(slow)} of {len(rows)} pages under {LIMIT_MS} ms")
    if options.json_path is not None:
        options.json_path.write_text(json.dumps(rows, indent=2) + "\n")
    sys.exit(bool(slow))


if __name__ == "__main__":
    main()
