"""`kit serve --workers` and `kit work`: many processes on one PostgreSQL."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from kit.helpers.dodo_datafast import Signed, signing_key
from kit.ledger import Ledger
from kit.sandbox import fixtures
from tests.cli.conftest import (
    START_TIMEOUT_S,
    STOP_TIMEOUT_S,
    environment,
    kit,
    kit_here,
    running_demo,
)
from tests.databases import connected

SECRET = "whsec_" + "cGxhbnRlZC13ZWJob29rLXNlY3JldC0wMDAx"
SETTINGS = {
    "DODO_PAYMENTS_API_KEY": "dodo_test_planted",
    "DODO_PAYMENTS_WEBHOOK_KEY": SECRET,
    "DODO_PAYMENTS_BASE_URL": "http://127.0.0.1:9",
    "DATAFAST_API_KEY": "df_planted",
    "DATAFAST_BASE_URL": "http://127.0.0.1:9",
    "KIT_SECRET_KEY": "planted-cookie-key-of-32-characters",
}


@contextlib.contextmanager
def started(folder: Path, *arguments: str, **changes: str) -> Iterator["subprocess.Popen[str]"]:
    """Run `kit` in a session of its own; whatever happens, all of it is gone afterwards."""
    process = subprocess.Popen(
        [sys.executable, "-m", "kit", *arguments],
        cwd=folder,
        env=environment(**SETTINGS | changes),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def first_line(process: "subprocess.Popen[str]") -> str:
    """Wait until it says something."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def url_of(process: "subprocess.Popen[str]") -> str:
    """Wait until it serves, and return where."""
    line = first_line(process)
    found = re.search(r" on (http://127\.0\.0\.1:\d+)$", line)
    assert found is not None, line
    return found[1]


def children(process: "subprocess.Popen[str]") -> set[int]:
    """Return the ids of a process's living children."""
    listed = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid=,stat="], capture_output=True, text=True, check=True
    )
    rows = [line.split() for line in listed.stdout.splitlines()]
    return {int(pid) for pid, ppid, state in rows if int(ppid) == process.pid and state[0] != "Z"}


def eventually(happened: Callable[[], bool]) -> None:
    """Wait until something is so, or fail."""
    end = time.monotonic() + START_TIMEOUT_S
    while not happened():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def send(
    url: str, webhook_id: str, body: bytes | None = None, *, secret: str = SECRET
) -> httpx.Response:
    """Post a signed sale."""
    body = body or json.dumps(fixtures.load("payment.succeeded")).encode()
    now = str(int(time.time()))
    digest = hmac.digest(
        signing_key(secret), f"{webhook_id}.{now}.".encode() + body, hashlib.sha256
    )
    headers = {
        "webhook-id": webhook_id,
        "webhook-timestamp": now,
        "webhook-signature": "v1," + base64.b64encode(digest).decode(),
    }
    return httpx.post(f"{url}/webhooks/dodo", content=body, headers=headers)


def rows(url: str, query: str) -> list[tuple[object, ...]]:
    """Look into the database."""
    with connected(url) as connection:
        return connection.execute(query.encode()).fetchall()


async def record(url: str) -> None:
    """Store a sale, as a server does that forwards nothing itself."""
    ledger = Ledger.open(url)
    body = json.dumps(fixtures.load("payment.succeeded")).encode()
    await ledger.record(Signed("msg_1", datetime.now(UTC), body))
    ledger.close()


def is_alive(pid: int) -> bool:
    """Tell whether a process is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_several_workers_take_webhooks_and_end_in_order(tmp_path: Path, postgres_url: str) -> None:
    """One address, one database, and exit code 0 for all of them."""
    with started(
        tmp_path, "serve", "--port", "0", "--workers", "3", KIT_DATABASE_URL=postgres_url
    ) as server:
        url = url_of(server)
        at_work = children(server)
        answers = {send(url, f"msg_{number}").json()["status"] for number in range(20)}
        again = send(url, "msg_3").json()["status"]
        server.send_signal(signal.SIGTERM)
        said, _ = server.communicate(timeout=STOP_TIMEOUT_S)

    assert len(at_work) == 3
    assert (answers, again) == ({"accepted"}, "duplicate")
    assert server.returncode == 0, said
    assert rows(postgres_url, "SELECT count(*) FROM events") == [(20,)]
    assert "Traceback" not in said


def test_a_worker_that_dies_is_replaced(tmp_path: Path, postgres_url: str) -> None:
    """The others go on meanwhile, and what was answered stays."""
    with started(
        tmp_path, "serve", "--port", "0", "--workers", "2", KIT_DATABASE_URL=postgres_url
    ) as server:
        url = url_of(server)
        before = children(server)
        killed = next(iter(before))
        os.kill(killed, signal.SIGKILL)
        eventually(lambda: len(children(server) - {killed}) == 2)
        answer = send(url, "msg_after")

    assert answer.status_code == 200


def test_workers_do_not_outlive_their_parent(tmp_path: Path, postgres_url: str) -> None:
    """Even when it was killed and could tell nobody."""
    with started(
        tmp_path, "serve", "--port", "0", "--workers", "2", KIT_DATABASE_URL=postgres_url
    ) as server:
        url_of(server)
        at_work = children(server)
        server.kill()
        server.wait()
        eventually(lambda: not any(is_alive(pid) for pid in at_work))

    assert len(at_work) == 2


def test_workers_that_cannot_start_are_no_server(tmp_path: Path, postgres_url: str) -> None:
    """A newer kit wrote the database: all end, and the sentence stands above."""
    kit_settings = SETTINGS | {"KIT_DATABASE_URL": postgres_url}
    with started(tmp_path, "work", **kit_settings) as worker:
        first_line(worker)
    with connected(postgres_url) as connection:
        connection.execute("UPDATE meta SET value = '99' WHERE name = 'schema_version'")
    done = kit(tmp_path, "serve", "--port", "0", "--workers", "2", **kit_settings)

    assert done.returncode == 1
    assert "schema 99" in done.stderr
    assert "a worker could not start" in done.stderr


def test_sqlite_has_one_server(tmp_path: Path) -> None:
    """The sentence says what to do instead."""
    done = kit_here(tmp_path, "serve", "--port", "0", "--workers", "2", **SETTINGS)

    assert done.returncode == 1
    assert "a SQLite ledger has one server process" in done.stderr
    assert "postgresql+psycopg://" in done.stderr


@pytest.mark.parametrize("second", [("serve", "--port", "0"), ("work",)])
def test_a_second_process_on_a_file_is_refused(tmp_path: Path, second: tuple[str, ...]) -> None:
    """Servers and workers alike; the first goes on."""
    with started(tmp_path, "serve", "--port", "0") as server:
        url = url_of(server)
        done = kit(tmp_path, *second, **SETTINGS)
        alive = send(url, "msg_1").status_code

    assert (done.returncode, alive) == (1, 200)
    assert "PostgreSQL" in done.stderr


def test_a_worker_alone_forwards_what_servers_stored(tmp_path: Path, postgres_url: str) -> None:
    """And ends in order, with nothing left under way."""
    with running_demo(tmp_path, "--port", "0") as demo:
        keys = json.loads((tmp_path / ".kit" / "keys.json").read_text())
        changes = {
            "KIT_DATABASE_URL": postgres_url,
            "DODO_PAYMENTS_API_KEY": keys["dodo_api_key"],
            "DODO_PAYMENTS_BASE_URL": demo.urls["dodo_local"],
            "DATAFAST_API_KEY": keys["datafast_api_key"],
            "DATAFAST_BASE_URL": demo.urls["datafast_local"],
        }
        with started(tmp_path, "work", **changes) as worker:
            said = first_line(worker)
            asyncio.run(record(postgres_url))
            query = "SELECT state, reason FROM deliveries"
            # Dodo's stand-in knows nothing of this sale.
            eventually(lambda: rows(postgres_url, query) == [("parked", "not_at_dodo")])
            worker.send_signal(signal.SIGTERM)
            rest, _ = worker.communicate(timeout=STOP_TIMEOUT_S)

    assert said.startswith("Forwarding to http://127.0.0.1:")
    assert (worker.returncode, rest) == (0, "")
