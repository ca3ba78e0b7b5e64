"""A shop in a process of its own, for as long as journeys are played through it."""

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import httpx

from kit.lab.neighbours import ask

FAREWELL_S = 5.0
_POLL_S = 0.1
_SHOWN_LINES = 20


class ShopDown(Exception):  # noqa: N818 - a state of the shop
    """Nobody answers at the shop's address, or somebody else does."""


def wait_for_shop(
    url: str, *, within_s: float, process: "subprocess.Popen[bytes] | None" = None
) -> None:
    """Return once something answers HTTP at `url`, whatever it says. Raises ShopDown."""
    deadline = time.monotonic() + within_s
    while True:
        problem = _problem(url)
        if problem is None:
            return
        if process is not None and process.poll() is not None:
            raise ShopDown(f"its command has ended, with exit code {process.returncode}")
        if time.monotonic() > deadline:
            raise ShopDown(f"nobody answers at {url} after {within_s:g} s: {problem}")
        time.sleep(_POLL_S)


def is_up(url: str, *, status: int | None = None) -> bool:
    """Tell whether something answers HTTP at an address, with this status if one is named."""
    return _problem(url, status) is None


@contextlib.contextmanager
def running_shop(
    command: str | Sequence[str],
    url: str,
    *,
    environ: Mapping[str, str],
    log: Path,
    within_s: float = 30,
) -> Iterator[None]:
    """
    Run a shop's server until the `with` ends, entered once it answers at `url`.

    `url` is one that programs reach: see `local_address`. `environ` is added to this process's
    environment; what the server prints goes to `log`. Raises ShopDown, with the last lines of that.
    """
    if is_up(url):
        raise ShopDown(f"somebody answers at {url} already: stop that, or take another port")
    words = _words(command)
    with log.open("wb") as output:
        try:
            process = subprocess.Popen(
                words,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **environ},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as problem:
            raise ShopDown(f"the shop's command does not start: {problem}") from None
    try:
        try:
            wait_for_shop(url, within_s=within_s, process=process)
        except ShopDown as problem:
            raise ShopDown(f"the shop did not start: {problem}\n{_last_lines(log)}") from None
        yield
    finally:
        _end(process)


def _words(command: str | Sequence[str]) -> list[str]:
    if not isinstance(command, str):
        return list(command)
    return shlex.split(command, posix=sys.platform != "win32")


def _problem(url: str, status: int | None = None) -> str | None:
    try:
        answer = ask(url, timeout_s=5)
    except (httpx.HTTPError, httpx.InvalidURL) as problem:
        return str(problem) or type(problem).__name__
    return None if status in (None, answer.status_code) else f"status {answer.status_code}"


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End the server and what it has started: reloaders have children."""
    for number in ("SIGTERM", "SIGKILL"):
        with contextlib.suppress(ProcessLookupError):
            if sys.platform == "win32":
                process.terminate()
            else:
                os.killpg(process.pid, getattr(signal, number))
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(FAREWELL_S)
            return


def _last_lines(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-_SHOWN_LINES:]
    return "\n".join(f"  | {line}" for line in lines)
