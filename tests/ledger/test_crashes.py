"""Kills at each step, a second process, a full disk: what only a POSIX system can play."""

import asyncio
import contextlib
import resource
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kit.errors import LedgerInUse, LedgerUnavailable
from kit.ledger import Ledger
from kit.ledger.engine import Engines, open_engines
from kit.ledger.schema import meta, metadata
from kit.ledger.versions import SCHEMA_VERSION
from tests.databases import on_sqlite
from tests.ledger.conftest import Clock, Message, stored
from tests.ledger.test_versions import IN_FLIGHT, write_version

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).resolve().parents[2]

# Forks cheaply: a child imports nothing and has no other thread.
CHILD = """
import os, signal, sys, time
from sqlalchemy import Engine, event
from kit.ledger.engine import open_engines

{body}
"""


@contextlib.contextmanager
def child(body: str, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """Run a script that has the ledger at hand; whatever happens, it is gone afterwards."""
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD.format(body=body), *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@on_sqlite
def test_buyers_data_is_readable_by_this_user_alone(path: Path, engines: Engines) -> None:
    """The log and its index hold the same rows, so they are as private as the database."""
    with engines.writing.begin() as connection:
        connection.execute(meta.insert().values(name="x", value="y"))
    modes = {
        each.name: stat.S_IMODE(each.stat().st_mode)
        for each in path.parent.iterdir()
        if ".owner" not in each.name  # that file and its journal hold nothing
    }

    assert modes == {"kit.db": 0o600, "kit.db-shm": 0o600, "kit.db-wal": 0o600}


def test_a_second_process_is_refused_until_the_first_is_gone(path: Path) -> None:
    """Even when it was killed and could release nothing."""
    body = "engines = open_engines(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    with child(body, f"sqlite:///{path}") as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "open\n"
        with pytest.raises(LedgerInUse, match="Stop the other one"):
            open_engines(f"sqlite:///{path}")
        owner.send_signal(signal.SIGKILL)
        owner.wait()
        engines = open_engines(f"sqlite:///{path}")
        engines.close()


KILLED_AT_EACH_STATEMENT = """
import shutil, sqlite3

folder, *older = sys.argv[1:]
for number in range(200):
    for file in older:
        shutil.copy(file, f"{folder}/{number}.db")
    if os.fork() == 0:
        count = 0

        def strike(*_):
            global count
            if count == number:
                os.kill(os.getpid(), signal.SIGKILL)
            count += 1

        event.listen(Engine, "before_cursor_execute", strike)
        event.listen(Engine, "commit", strike)
        open_engines(f"sqlite:///{folder}/{number}.db")
        os._exit(0)
    killed = os.WIFSIGNALED(os.wait()[1])
    open_engines(f"sqlite:///{folder}/{number}.db").close()
    if not killed:
        break
print(number, flush=True)
"""


def test_a_first_start_killed_anywhere_leaves_a_database_that_can_be_used(tmp_path: Path) -> None:
    """No half schema: the next start finds all tables, or none and makes them."""
    with child(KILLED_AT_EACH_STATEMENT, str(tmp_path)) as starts:
        survived, _ = starts.communicate(timeout=60)
    schemas = set()
    for number in range(int(survived) + 1):
        with contextlib.closing(sqlite3.connect(tmp_path / f"{number}.db")) as database:
            tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
            schemas.add(frozenset(tables & set(metadata.tables)))

    assert int(survived) >= len(metadata.tables)
    assert schemas == {frozenset(metadata.tables)}


def test_6_an_upgrade_killed_anywhere_is_done_by_the_next_start(tmp_path: Path) -> None:
    """The tables of one version or of the other, never of both; rows in flight stay."""
    older = tmp_path / "older.db"
    write_version(f"sqlite:///{older}", 1)
    with child(KILLED_AT_EACH_STATEMENT, str(tmp_path), str(older)) as starts:
        survived, _ = starts.communicate(timeout=60)
    found = set()
    for number in range(int(survived) + 1):
        with contextlib.closing(sqlite3.connect(tmp_path / f"{number}.db")) as database:
            tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
            [[version]] = database.execute("SELECT value FROM meta")
            [[rows]] = database.execute(
                "SELECT (SELECT count(*) FROM events) + (SELECT count(*) FROM deliveries)"
            )
            found.add((tables >= set(metadata.tables), version, rows))

    assert int(survived) >= SCHEMA_VERSION
    assert found == {(True, str(SCHEMA_VERSION), len(IN_FLIGHT))}


@on_sqlite
async def test_a_disk_that_fills_at_the_commit_takes_nothing_and_recovers(
    ledger: Ledger, message: Message, path: Path
) -> None:
    """The log cannot grow, which shows only when everything seemed to be done."""
    await ledger.record(message("m0"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    log = path.with_name("kit.db-wal")
    resource.setrlimit(resource.RLIMIT_FSIZE, (log.stat().st_size, hard))
    try:
        with pytest.raises(LedgerUnavailable):
            await ledger.record(message("m1"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    kept = await stored(ledger)

    assert set(kept) == {"m0"}
    assert await ledger.record(message("m1")) == "accepted"


KILLED_AFTER_EACH_ANSWER = """
import asyncio, os, signal, sys
from datetime import UTC, datetime
from kit.helpers.dodo_datafast import Signed
from kit.ledger import Ledger

async def record(number):
    ledger = Ledger.open(f"sqlite:///{sys.argv[1]}/kit.db", clock=lambda: 1_790_856_000)
    answers = [
        await ledger.record(Signed(f"m{number}-{n}", datetime.now(UTC), b"{}"))
        for n in range(number)
    ]
    os.write(1, b"".join(b"m%d-%d\\n" % (number, n) for n in range(number)))
    os.kill(os.getpid(), signal.SIGKILL)

for number in range(1, 9):
    if os.fork() == 0:
        asyncio.run(record(number))
    assert os.WTERMSIG(os.wait()[1]) == signal.SIGKILL
"""


async def test_an_answered_message_survives_the_kill_that_follows(
    tmp_path: Path, clock: Clock
) -> None:
    """`record` returns after the commit: each process dies the moment it has its answers."""
    killed = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", KILLED_AFTER_EACH_ANSWER, str(tmp_path)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=60,
    )
    acknowledged = killed.stdout.split()
    ledger = Ledger.open(f"sqlite:///{tmp_path}/kit.db", clock=clock)
    kept = await stored(ledger)
    sound = await ledger.read(
        lambda connection: connection.exec_driver_sql("PRAGMA integrity_check").scalar()
    )
    ledger.close()

    assert len(acknowledged) == sum(range(1, 9))
    assert set(kept) == set(acknowledged)
    assert sound == "ok"
