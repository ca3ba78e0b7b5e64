"""
The long storm: kills at random points while DataFast fails in every way at once.

    python -m tests.faults [--kills 100] [--database sqlite|postgres] [--json PATH]

DataFast keeps payments of visitors it does not know in one half of the kills, and drops them in the
other: nobody has documented which it does. On PostgreSQL two servers and a worker share the
database, which is itself stopped and crashed meanwhile. Exits 1 if a promise was broken; `--seed`
has the same chances again. At the end more is sold than DataFast's limit of sixty calls a minute
lets pass at once, for longer than a real minute, and nobody may be refused.
"""

import argparse
import asyncio
import contextlib
import json
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.databases import fresh_schema, running_postgres
from tests.faults.monkey import Monkey
from tests.faults.pace import Pace, keep_pace
from tests.faults.process import SERVE, WORK
from tests.faults.storm import Account, storm


def main() -> None:
    """Run it, print what it came to, and say so by the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--database", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    chosen = parser.parse_args()
    if chosen.kills < 2:
        parser.error("--kills must be 2 or more: one for each half")
    folder = Path(tempfile.mkdtemp(prefix="kit-storm-"))
    print(f"{chosen.database}, seed {chosen.seed}, logs in {folder}", flush=True)
    halves = {"kept": chosen.kills - chosen.kills // 2, "dropped": chosen.kills // 2}
    accounts: list[Account] = []
    with _server(chosen.database) as server:
        for number, (half, kills) in enumerate(halves.items()):
            print(f"{kills} kills, payments of unknown visitors are {half}", flush=True)
            accounts.append(_storm(folder / half, server, kills=kills, seed=chosen.seed + number))
        print("more sales than a minute allows", flush=True)
        pace = _pace(folder / "pace", server)
    total = sum(accounts[1:], start=accounts[0])
    figures = total.as_json() | pace.as_json()
    if chosen.json:
        chosen.json.write_text(json.dumps(figures, indent=2) + "\n")
    for figure, value in figures.items():
        print(f"{figure:18} {value}")
    kept = total.kept and pace.refused == 0
    if kept:
        shutil.rmtree(folder)
    sys.exit(not kept)


def _storm(folder: Path, server: str | None, *, kills: int, seed: int) -> Account:
    with _ledger(folder, server) as (url, processes):
        return asyncio.run(
            storm(
                folder,
                url,
                kills=kills,
                processes=processes,
                keep_unattributed=folder.name == "kept",
                seed=seed,
                say=lambda line: print(f"  {line}", flush=True),
                monkey=None if server is None else Monkey(url),
            )
        )


def _pace(folder: Path, server: str | None) -> Pace:
    with _ledger(folder, server) as (url, processes):
        return asyncio.run(keep_pace(folder, url, processes))


@contextlib.contextmanager
def _ledger(folder: Path, server: str | None) -> Iterator[tuple[str, Sequence[Sequence[str]]]]:
    """Make a folder, and yield an empty database with the processes that are to share it."""
    folder.mkdir()
    if server is None:
        yield f"sqlite:///{folder}/kit.db", [SERVE]
        return
    with fresh_schema(server) as url:
        yield url, [SERVE, SERVE, WORK]


@contextlib.contextmanager
def _server(database: str) -> Iterator[str | None]:
    if database == "sqlite":
        yield None
        return
    with (
        tempfile.TemporaryDirectory(prefix="kit-pg-") as folder,
        running_postgres(Path(folder)) as url,
    ):
        yield url


if __name__ == "__main__":
    main()
