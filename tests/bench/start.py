"""
How long the kit takes to start, and what it takes while nothing happens (Linux).

    python -m tests.bench.start [--rounds 5] [--idle 10] [--json PATH]

Every figure is the median of processes of their own; memory and processor time at rest are those
of one `kit serve` on SQLite.
"""

import argparse
import ast
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from kit.helpers import dodo_datafast
from tests.bench.messages import SECRET

SETTINGS = {
    "DODO_PAYMENTS_API_KEY": "dodo_test_bench",
    "DODO_PAYMENTS_WEBHOOK_KEY": SECRET,
    "DATAFAST_API_KEY": "df_bench",
    "DATAFAST_BASE_URL": "http://127.0.0.1:9",  # nobody answers there
    "KIT_SECRET_KEY": "a-key-of-the-benchmark-of-32-chars",
    "KIT_NO_BOOTSTRAP": "1",
}
ROOT = Path(__file__).resolve().parents[2]
NO_BYTECODE = "PYTHONDONTWRITEBYTECODE"
IMPORTS_A_ROUND = 5
TIMED = (
    "import {first}time; began = time.perf_counter(); import {module}; "
    "print(time.perf_counter() - began)"
)


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value, and the most that it may be."""

    name: str
    value: float
    unit: str
    goal: float | None = None


def import_s(module: str, *, folder: Path = ROOT, after: tuple[str, ...] = ()) -> float:
    """Return how long a module takes to import in a fresh process, once `after` are there."""
    code = TIMED.format(first="".join(f"{name}, " for name in after), module=module)
    environ = {name: value for name, value in os.environ.items() if name != NO_BYTECODE}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=environ,
        check=True,
        capture_output=True,
        text=True,
    )
    return float(done.stdout)


def imported_by(path: Path) -> tuple[str, ...]:
    """Return the modules that a file imports, which for the core are the standard library's."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return tuple(sorted(names - {"__future__"}))


@contextmanager
def serving() -> Iterator[tuple["subprocess.Popen[str]", float]]:
    """Run `kit serve`; yield the process, and after how many seconds it first answered."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("KIT_")}
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "kit", "serve", "--port", "0"],
            cwd=folder,
            env=plain | SETTINGS | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        try:
            found = re.search(r" on (http://127\.0\.0\.1:\d+)$", process.stdout.readline().strip())
            if found is None:
                raise RuntimeError("kit serve did not start; what it printed says why")
            with urllib.request.urlopen(f"{found[1]}/healthz") as answer:  # noqa: S310 - loopback
                answer.read()
            yield process, time.perf_counter() - began
        finally:
            process.terminate()
            process.wait()
            process.stdout.close()


def resident_mb(pid: int) -> float:
    """Return the memory of a process in megabytes."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(status.split("VmRSS:")[1].split()[0]) * 1024 / 1e6


def processor_s(pid: int) -> float:
    """Return the processor time that a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(rounds: int, idle_s: float) -> list[Figure]:
    """Measure all of it."""
    core = Path(str(dodo_datafast.__file__))
    with tempfile.TemporaryDirectory() as folder:
        # As a shop has it: a file of its own, compiled once.
        copy = Path(shutil.copy(core, folder))
        known = imported_by(core)
        import_s(copy.stem, folder=copy.parent, after=known)
        core_s = [
            import_s(copy.stem, folder=copy.parent, after=known)
            for _ in range(rounds * IMPORTS_A_ROUND)
        ]
    figures = [
        Figure(
            "import the copied core, beyond the standard library",
            statistics.median(core_s) * 1000,
            "ms",
            5,
        )
    ]
    figures += [
        Figure(
            f"import {module}",
            statistics.median(import_s(module) for _ in range(rounds + 1)) * 1000,
            "ms",
        )
        for module in ("kit.cli", "kit.web.app")
    ]
    starts_s = []
    for number in range(rounds):
        with serving() as (process, start_s):
            starts_s.append(start_s)
            if number == rounds - 1:
                time.sleep(2)  # what it does once after its start is not idleness
                before_s = processor_s(process.pid)
                time.sleep(idle_s)
                used = (processor_s(process.pid) - before_s) / idle_s * 100
                memory = resident_mb(process.pid)
    return [
        *figures,
        Figure("kit serve to its first answer", statistics.median(starts_s), "s", 1.5),
        Figure("memory at rest", memory, "MB", 90),
        Figure("processor at rest", used, "% of a core", 1),
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure start and rest.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--idle", type=float, default=10.0, help="seconds")
    parser.add_argument("--json", type=Path, dest="json_path")
    options = parser.parse_args()
    figures = measure(options.rounds, options.idle)
    for figure in figures:
        goal = "" if figure.goal is None else f"   at most {figure.goal:g}"
        print(f"{figure.name:62}{figure.value:>8.2f} {figure.unit}{goal}")
    if options.json_path is not None:
        told = {"rows": [asdict(figure) for figure in figures]}
        options.json_path.write_text(json.dumps(told, indent=2) + "\n")


if __name__ == "__main__":
    main()
