"""The product as its users run it: `kit demo` in a process of its own, one for each settings."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
from playwright.sync_api import Page

from kit.lab.neighbours import ask

ROOT = Path(__file__).resolve().parents[1]
START_TIMEOUT_S = 20
STOP_TIMEOUT_S = 10

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Demo:
    """The running `kit demo`: addresses as a browser names them, and as a program reaches them."""

    shop: str
    dodo: str
    datafast: str
    shop_local: str
    dodo_local: str
    datafast_local: str

    def at_dodo(self, kind: str, **query: str) -> Any:
        """Return what the stand-in for Dodo received or holds: `/_sandbox/{kind}`."""
        return _get_json(f"{self.dodo_local}/_sandbox/{kind}", query)

    def at_datafast(self, kind: str, **query: str) -> Any:
        """Return what the stand-in for DataFast received or holds: `/_sandbox/{kind}`."""
        return _get_json(f"{self.datafast_local}/_sandbox/{kind}", query)

    def inspector(self, **query: str) -> Any:
        """Return `/inspector.json`."""
        return _get_json(f"{self.shop_local}/inspector.json", query)

    def journey(self, order_ref: str) -> dict[str, Any] | None:
        """Return the inspector's account of an order; None if it knows none."""
        answer = ask(f"{self.shop_local}/inspector/journeys/order:{order_ref}.json")
        if answer.status_code == 404:
            return None
        return dict(answer.raise_for_status().json()["journey"])


def _get_json(url: str, query: dict[str, str]) -> Any:
    return ask(url, query).raise_for_status().json()


def eventually(
    look: Callable[[], Found], *, what: str, within_s: float = 10, page: Page | None = None
) -> Found:
    """
    Return the first true answer of `look`; fail with `what` if none comes within `within_s`.

    Name the `page` when this test answers its requests (`page.route`): it goes on meanwhile.
    """
    deadline = time.monotonic() + within_s
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            pytest.fail(f"{what}: not within {within_s:g} s; the last answer was {found!r}")
        if page is None:
            time.sleep(0.05)
        else:
            page.wait_for_timeout(50)


@dataclass(slots=True)
class _Running:
    demo: Demo
    process: "subprocess.Popen[bytes]"
    ready: int
    log: Path


@dataclass(slots=True)
class Products:
    """Starts the product once for each settings that a test asks for; `stop` ends them all."""

    folder: Path
    _running: dict[tuple[Any, ...], _Running] = field(default_factory=dict)

    def running(self, *arguments: str, **environ: str) -> Demo:
        """Return the product that runs with these arguments and variables."""
        key = (arguments, tuple(sorted(environ.items())))
        if key not in self._running:
            self._running[key] = self._start(arguments, environ)
        return self._running[key].demo

    def _start(self, arguments: tuple[str, ...], environ: dict[str, str]) -> _Running:
        place = self.folder / str(len(self._running) + 1)
        place.mkdir()
        log = place / "demo.log"
        ready, ready_fd = os.pipe()
        with log.open("wb") as output:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "kit", "demo", "--port", "0", *arguments),
                    *("--ready-fd", str(ready_fd), "--data", str(place / "data")),
                ],
                cwd=ROOT,
                # At DataFast's real pace, two sales in three would wait for their turn.
                env={**os.environ, "KIT_DATAFAST_RATE": "6000", **environ, "KIT_NO_BOOTSTRAP": "1"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(ready_fd,),
            )
        os.close(ready_fd)
        line = _read_line(ready)
        if not line:
            process.kill()
            process.wait()
            os.close(ready)
            pytest.fail(f"kit demo did not start:\n{log.read_text()}", pytrace=False)
        return _Running(Demo(**json.loads(line)), process, ready, log)

    def stop(self) -> list[str]:
        """End all; return the logs of those that did not end well."""
        try:
            return [
                f"exit code {exit_code}:\n{each.log.read_text()}"
                for each in self._running.values()
                if (exit_code := _stop(each.process)) != 0
            ]
        finally:
            for each in self._running.values():
                os.close(each.ready)
                each.process.kill()
                each.process.wait()

    def logs(self) -> list[Path]:
        """Return the log of each product, in the order they were started."""
        return [each.log for each in self._running.values()]


def _read_line(descriptor: int) -> bytes:
    """Return the line that says the product is ready; nothing if it died or took too long."""
    deadline = time.monotonic() + START_TIMEOUT_S
    line = b""
    while not line.endswith(b"\n"):
        seconds = max(0.0, deadline - time.monotonic())
        if not select.select([descriptor], [], [], seconds)[0]:
            return b""
        piece = os.read(descriptor, 4096)
        if not piece:
            return b""
        line += piece
    return line


def _stop(process: "subprocess.Popen[bytes]") -> int | str:
    process.send_signal(signal.SIGTERM)
    try:
        return process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return f"still there {STOP_TIMEOUT_S} s after SIGTERM"
