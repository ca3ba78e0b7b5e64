"""
What the helpers add to a checkout: the same request to Dodo made with and without them.

    python -m tests.bench.checkout [--calls 20000] [--json PATH]

Nothing is sent. A real checkout waits for Dodo, which takes hundreds of milliseconds.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

from kit.helpers.dodo_datafast import checkout_metadata, checkout_request, visitor_from_cookies
from tests.bench.load import percentile_ms
from tests.bench.report import Row, write_json

LABELS = {
    "without": "request built by hand, no visitor",
    "with": "request built by the helpers, visitor taken along",
}
COOKIES = (
    "theme=dark; session=" + "s" * 60 + "; "
    "datafast_visitor_id=1f0c8a52-7d0e-4c5b-9a53-2f6f1f3f9b11; "
    "datafast_session_id=s3f0c6c52-9d1b-4a77-8a11-5f2d8d0c9e21; _ga=GA1.1.1234567890.1700000000"
)
CART = [{"product_id": "pdt_bench", "quantity": 1}]
RETURN_URL = "https://shop.example/orders/order_bench"
API_KEY = "dodo_test_bench"


def without() -> object:
    """Build the request as a shop without the kit would."""
    metadata = {"order_ref": "order_bench"}
    fields = {"product_cart": CART, "metadata": metadata, "return_url": RETURN_URL}
    headers = {"Authorization": f"Bearer {API_KEY}", "Content-Type": "application/json"}
    return headers, json.dumps(fields).encode()


def with_helpers() -> object:
    """Build it with the visitor of the request's cookies."""
    metadata = checkout_metadata(visitor_from_cookies(COOKIES), order_ref="order_bench")
    return checkout_request(CART, metadata=metadata, return_url=RETURN_URL, api_key=API_KEY)


def measure(build: Callable[[], object], calls: int) -> list[float]:
    """Return how long each call took, in seconds."""
    times_s = []
    for _ in range(calls):
        began = time.perf_counter()
        build()
        times_s.append(time.perf_counter() - began)
    return times_s


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure what the helpers add to a checkout.")
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--json", type=Path, dest="json_path")
    options = parser.parse_args()
    rows = []
    for name, build in (("without", without), ("with", with_helpers)):
        measure(build, options.calls // 10)
        times_s = measure(build, options.calls)
        p50_ms, p99_ms = (percentile_ms(times_s, share) for share in (0.5, 0.99))
        rows.append(Row(name, len(times_s) / sum(times_s), p50_ms, p99_ms))
    before, after = ((row.p50_ms or 0) * 1000 for row in rows)
    for row in rows:
        p50_us, p99_us = ((ms or 0) * 1000 for ms in (row.p50_ms, row.p99_ms))
        print(f"{LABELS[row.name]:50} p50 {p50_us:6.1f} µs  p99 {p99_us:6.1f} µs")
    print(f"\nthe helpers add {after - before:.1f} µs to a checkout (median)")
    if options.json_path is not None:
        write_json(options.json_path, rows, {"with_vs_without": after / before})


if __name__ == "__main__":
    main()
