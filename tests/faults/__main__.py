"""
The long storm: kills at random points while DataFast fails in every way at once.

    python -m tests.faults [--kills 100] [--database sqlite|postgres] [--json PATH]

DataFast keeps payments of visitors it does not know in one half of the kills, and drops them in the
other: nobody has documented which it does. On PostgreSQL two servers and a worker share the
database, which is itself stopped and crashed meanwhile. Exits 1 if a promise was broken; `--seed`
has the same chances again.
"""

import argparse
import asyncio
import contextlib
import json
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.databases import fresh_schema, running_postgres
from tests.faults.monkey import Monkey
from tests.faults.process import SERVE, WORK
from tests.faults.storm import Account, storm


def main() -> None:
    """Run it, print what it came to, and say so by the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--database", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    chosen = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="kit-storm-"))
    print(f"{chosen.database}, seed {chosen.seed}, logs in {folder}", flush=True)
    halves = {"kept": chosen.kills - chosen.kills // 2, "dropped": chosen.kills // 2}
    with _server(chosen.database) as server:
        accounts = [
            _storm(folder / half, server, kills=kills, seed=chosen.seed + number)
            for number, (half, kills) in enumerate(halves.items())
            if kills
        ]
    total = sum(accounts[1:], start=accounts[0])
    if chosen.json:
        chosen.json.write_text(json.dumps(total.as_json(), indent=2) + "\n")
    for figure, value in total.as_json().items():
        print(f"{figure:16} {value}")
    if total.kept:
        shutil.rmtree(folder)
    sys.exit(not total.kept)


def _storm(folder: Path, server: str | None, *, kills: int, seed: int) -> Account:
    folder.mkdir()
    print(f"{kills} kills, payments of unknown visitors are {folder.name}", flush=True)
    with contextlib.ExitStack() as stack:
        if server is None:
            url, processes = f"sqlite:///{folder}/kit.db", [SERVE]
        else:
            url, processes = stack.enter_context(fresh_schema(server)), [SERVE, SERVE, WORK]
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
