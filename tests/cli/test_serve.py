"""`kit serve` as a process: its settings, a body of 200 MB, and its end."""

import contextlib
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.cli.conftest import START_TIMEOUT_S, environment, kit, kit_here

SETTINGS = {
    "DODO_PAYMENTS_API_KEY": "dodo_test_planted",
    "DODO_PAYMENTS_WEBHOOK_KEY": "whsec_cGxhbnRlZC13ZWJob29rLXNlY3JldC0wMDAx",
    "DATAFAST_API_KEY": "df_planted",
    "DATAFAST_BASE_URL": "http://127.0.0.1:9",
    "KIT_SECRET_KEY": "planted-cookie-key-of-32-characters",
}
# Runs `kit serve` and says at its end how much memory it ever took.
MEASURED = """
import resource, sys
from kit.cli import main
try:
    main(["serve", "--port", "0"], prog_name="kit")
finally:
    print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, flush=True)
"""
PIECE = b"x" * 65_536
MEGABYTES = 200


class Server:
    """A running `kit serve`."""

    def __init__(self, folder: Path, **changes: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", MEASURED],
            cwd=folder,
            env=environment(**changes),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self.process.stdout is not None
        self.said = [self.process.stdout.readline()]
        found = re.search(r" on http://127\.0\.0\.1:(\d+)$", self.said[0].strip())
        assert found is not None, self.said[0] + self.process.stdout.read()
        self.port = int(found[1])
        self.url = f"http://127.0.0.1:{self.port}"

    def stop(self) -> tuple[int, int]:
        """Send SIGTERM; returns the exit code and the peak of its memory."""
        self.process.send_signal(signal.SIGTERM)
        rest, _ = self.process.communicate(timeout=START_TIMEOUT_S)
        self.said += rest.splitlines()
        return self.process.returncode, int(self.said[-1].split()[1])


@contextlib.contextmanager
def serving(folder: Path, **changes: str) -> Iterator[Server]:
    """Run `kit serve` until the block ends."""
    server = Server(folder, **changes)
    try:
        yield server
    finally:
        server.process.kill()
        server.process.wait()
        if server.process.stdout is not None:
            server.process.stdout.close()


def push(port: int, head: bytes, *, frame: bytes = b"%s") -> bytes:
    """Send a body of 200 MB, or as much as is taken; returns the first of the answer."""
    piece = frame % PIECE
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        with contextlib.suppress(OSError):
            client.sendall(head)
            for _ in range(MEGABYTES * (1 << 20) // len(PIECE)):
                client.sendall(piece)
        with contextlib.suppress(OSError):
            return client.recv(1024)
    return b""


def test_incomplete_settings_are_refused_at_once_and_whole(tmp_path: Path) -> None:
    """Nothing is opened, every problem is named, no value is shown."""
    done = kit(
        tmp_path,
        "serve",
        DODO_PAYMENTS_API_KEY="dodo_live_planted",
        KIT_INSPECTOR_TOKEN="planted",
        KIT_BASE_URL="http://planted.example",
    )

    assert done.returncode == 1
    assert "planted" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(re.findall(r"^  - ([A-Z_]+)", done.stderr, re.MULTILINE)) == [
        "DATAFAST_API_KEY",
        "DODO_PAYMENTS_API_KEY",
        "DODO_PAYMENTS_WEBHOOK_KEY",
        "KIT_BASE_URL",
        "KIT_INSPECTOR_TOKEN",
        "KIT_SECRET_KEY",
    ]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("sqlite://", "KIT_DATABASE_URL"),
        ("sqlite:////dev/null/kit.db", "cannot open the ledger"),
    ],
)
def test_a_ledger_that_cannot_be_opened_is_a_sentence(
    tmp_path: Path, url: str, sentence: str
) -> None:
    """Before anything listens."""
    done = kit_here(tmp_path, "serve", "--port", "0", **SETTINGS, KIT_DATABASE_URL=url)

    assert done.returncode == 1
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_memory_stays_flat_under_bodies_of_200_mb(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """
    Chunked or declared, to every route that reads a body and to one that reads none.

    The peak is held against that of a server that did nothing. Settings come from `.env`.
    """
    idle_folder, busy_folder = (tmp_path_factory.mktemp(name) for name in ("idle", "busy"))
    lines = "".join(f"{name}={value}\n" for name, value in SETTINGS.items())
    (busy_folder / ".env").write_text(lines)
    length = b"content-length: %d\r\n\r\n" % (MEGABYTES << 20)
    chunked = b"transfer-encoding: chunked\r\n\r\n"
    chunk = b"10000\r\n%s\r\n"
    head = b"POST %s HTTP/1.1\r\nhost: 127.0.0.1\r\n"
    with serving(idle_folder, **SETTINGS) as idle, serving(busy_folder) as busy:
        answers = [
            push(busy.port, head % b"/webhooks/dodo" + length),
            push(busy.port, head % b"/webhooks/dodo" + chunked, frame=chunk),
            push(busy.port, head % b"/api/events" + chunked, frame=chunk),
            push(busy.port, head % b"/inspector/signin" + chunked, frame=chunk),
            push(busy.port, head % b"/nothing" + length),
        ]
        alive = httpx.get(f"{busy.url}/readyz")
        (idle_exit, idle_peak), (busy_exit, busy_peak) = idle.stop(), busy.stop()

    # Where the client was still sending, the answer may be lost with the connection.
    assert [answer[9:12] for answer in answers if answer][-1:] == [b"404"]
    assert {answer[9:12] for answer in answers[:4]} <= {b"413", b""}
    assert alive.json() == {"status": "ready"}
    assert (idle_exit, busy_exit) == (0, 0)
    assert busy_peak < 1.25 * idle_peak
    assert "planted" not in "".join(idle.said + busy.said)
