"""
`kit` as its users run it, in a folder of its own.

As a process of its own where that is what counts: its streams, signals, ports and start. Where only
what a command says and does is looked at, in this one, in a twentieth of the time.
"""

import contextlib
import json
import logging
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from kit import cli

ROOT = Path(__file__).resolve().parents[2]
START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 40
OWN_VARIABLES = ("DODO_", "DATAFAST_", "KIT_")


@dataclass(frozen=True, slots=True)
class Running:
    """A running `kit demo`: its addresses by name, its process, and all it printed so far."""

    urls: dict[str, str]
    process: "subprocess.Popen[bytes]"
    log: Path

    def stop(self) -> int:
        """Send SIGTERM and return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_TIMEOUT_S)

    def printed(self) -> str:
        """Return what it printed, to either stream."""
        return self.log.read_text(encoding="utf-8")


def environment(**changes: str) -> dict[str, str]:
    """Return this process's environment without the settings that it may hold."""
    plain = {
        name: value for name, value in os.environ.items() if not name.startswith(OWN_VARIABLES)
    }
    return plain | {"KIT_NO_BOOTSTRAP": "1", "PYTHONPATH": str(ROOT)} | changes


def kit(folder: Path, *arguments: str, **changes: str) -> "subprocess.CompletedProcess[str]":
    """Run `kit` to its end in a folder."""
    return subprocess.run(
        [sys.executable, "-m", "kit", *arguments],
        cwd=folder,
        env=environment(**changes),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=START_TIMEOUT_S,
        check=False,
    )


def kit_here(folder: Path, *arguments: str, **changes: str) -> "subprocess.CompletedProcess[str]":
    """Run `kit` to its end in a folder, in this process; there is nobody to ask."""
    with pytest.MonkeyPatch.context() as here, _restored_logging(), _limited():
        here.chdir(folder)
        for name in [each for each in os.environ if each.startswith(OWN_VARIABLES)]:
            here.delenv(name)
        for name, value in changes.items():
            here.setenv(name, value)
        done = CliRunner().invoke(cli.main, arguments, prog_name="kit")
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, done.stderr)


@contextlib.contextmanager
def _restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


@contextlib.contextmanager
def _limited() -> Iterator[None]:
    """Give up in the end: a command that should have been refused may have begun to serve."""

    def give_up(_number: int, _frame: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(START_TIMEOUT_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def running_demo(folder: Path, *arguments: str) -> Iterator[Running]:
    """Run `kit demo` in a folder until the block ends; what it leaves is in `folder/.kit`."""
    log = folder / f"demo-{time.monotonic_ns()}.log"
    ready, ready_fd = os.pipe()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "kit", "demo", "--ready-fd", str(ready_fd), *arguments],
            cwd=folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=(ready_fd,),
        )
    os.close(ready_fd)
    try:
        yield Running(json.loads(_line(ready, log)), process, log)
    finally:
        os.close(ready)
        process.kill()
        process.wait()


def _line(descriptor: int, log: Path) -> bytes:
    deadline = time.monotonic() + START_TIMEOUT_S
    line = b""
    while not line.endswith(b"\n"):
        left_s = max(0.0, deadline - time.monotonic())
        piece = b""
        if select.select([descriptor], [], [], left_s)[0]:
            piece = os.read(descriptor, 4096)
        if not piece:
            pytest.fail(f"kit demo did not start:\n{log.read_text()}", pytrace=False)
        line += piece
    return line
