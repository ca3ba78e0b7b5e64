"""
The long storm: kills at random points while DataFast fails in every way at once.

    python -m tests.faults [--kills 100] [--database sqlite|postgres] [--json PATH]

DataFast keeps payments of visitors it does not know in one half of the kills, and drops them in the
other: nobody has documented which it does. On PostgreSQL three processes share the database, and
the server itself is restarted meanwhile. Exits 1 if a promise was broken; a run is repeated with
the same chances by its `--seed`.
"""

import argparse
import asyncio
import contextlib
import json
import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.faults.storm import Account, storm
from tests.postgres import fresh_schema, running_postgres

PROCESSES = {"sqlite": 1, "postgres": 3}


def main() -> None:
    """Run it, print what it came to, and say so by the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--database", choices=sorted(PROCESSES), default="sqlite")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kit-storm-") as name, _server(chosen.database) as url:
        accounts = [
            _storm(
                Path(name) / half,
                url,
                database=chosen.database,
                kills=kills,
                keep_unattributed=half == "kept",
                seed=chosen.seed + number,
            )
            for number, (half, kills) in enumerate(
                (("kept", chosen.kills - chosen.kills // 2), ("dropped", chosen.kills // 2))
            )
            if kills
        ]
    total = sum(accounts[1:], start=accounts[0])
    if chosen.json:
        chosen.json.write_text(json.dumps(total.as_json(), indent=2) + "\n")
    print(f"\n{chosen.database}, seed {chosen.seed}")
    for figure, value in total.as_json().items():
        print(f"{figure:16} {value}")
    sys.exit(not total.kept)


def _storm(
    folder: Path,
    server: str | None,
    *,
    database: str,
    kills: int,
    keep_unattributed: bool,
    seed: int,
) -> Account:
    folder.mkdir()
    print(f"{kills} kills, unknown visitors {folder.name}", flush=True)
    with contextlib.ExitStack() as stack:
        url = f"sqlite:///{folder}/kit.db"
        if server is not None:
            url = stack.enter_context(fresh_schema(server))
        account = asyncio.run(
            storm(
                folder,
                url,
                kills=kills,
                processes=PROCESSES[database],
                keep_unattributed=keep_unattributed,
                seed=seed,
                say=lambda line: print(f"  {line}", flush=True),
            )
        )
    if not account.kept:
        kept = Path(tempfile.mkdtemp(prefix="kit-broken-"))
        folder.rename(kept / folder.name)
        print(f"  a promise was broken: see {kept}")
    return account


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
