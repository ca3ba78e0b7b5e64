"""The README's blocks marked `run` are typed as they stand, in order, in an empty folder."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.conftest import environment
from tests.shops.serving import free_port

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")
WITHIN_S = 20
TICK_S = 0.05
STAYS = re.compile(r"\bkit (demo|serve)\b")
"""A command that runs until somebody ends it; what comes next is typed meanwhile."""


@dataclass(frozen=True, slots=True)
class Typed:
    """A command, and what the README shows below it; None where it shows no output."""

    command: str
    shown: str | None

    def fits(self, printed: str) -> bool:
        """
        Compare it with what was printed.

        Numbers stand for any (ports, counts, versions), and … for anything: alone on a line, for
        any number of lines.
        """
        if self.shown is None:
            return True
        pattern = "".join(map(_pattern, self.shown.splitlines()))
        return re.fullmatch(pattern, printed.strip("\n") + "\n") is not None


def _pattern(line: str) -> str:
    if line == "…":
        return r"(?:.*\n)*"
    return re.sub(r"\d+", r"\\d+", re.escape(line)).replace("…", ".*") + "\n"


def transcripts() -> list[Typed]:
    """Return what the marked blocks have a person type."""
    blocks = re.findall(r"^```(sh|console) run\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    return [typed for kind, text in blocks for typed in _read(kind, text)]


def _read(kind: str, text: str) -> Iterator[Typed]:
    if kind == "sh":
        yield from (Typed(line, None) for line in text.splitlines() if line)
        return
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        yield Typed(command, shown)


def three_ports() -> int:
    """Return the first of three ports in a row on which nobody listens."""
    while True:
        first = free_port()
        with ExitStack() as stack, suppress(OSError):
            for port in range(first, first + 3):
                stack.enter_context(socket.create_server(("127.0.0.1", port)))
            return first


@dataclass(slots=True)
class Terminal:
    """A folder, and the commands that were typed in it."""

    folder: Path
    environ: dict[str, str]
    running: "list[subprocess.Popen[bytes]]"

    def type(self, typed: Typed) -> str:
        """Run a command until it ends or, if it stays, until it has printed what is shown."""
        output = self.folder.parent / "printed"
        with output.open("wb") as file:
            process = subprocess.Popen(
                ["bash", "-e", "-c", typed.command],
                cwd=self.folder,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        self.running.append(process)
        deadline = time.monotonic() + WITHIN_S
        while process.poll() is None and time.monotonic() < deadline:
            if STAYS.search(typed.command) and typed.fits(output.read_text()):
                return output.read_text()
            try:
                process.wait(TICK_S)
            except subprocess.TimeoutExpired:
                continue
        printed = output.read_text()

        assert process.poll() == 0, f"$ {typed.command}\n{printed}"
        assert not STAYS.search(typed.command), f"it ended: $ {typed.command}\n{printed}"
        self.running.remove(process)
        return printed

    def close(self) -> list[int]:
        """Press Ctrl-C in each command that still runs; return how they ended."""
        for process in self.running:
            os.killpg(process.pid, signal.SIGINT)
        return [process.wait(WITHIN_S) for process in self.running]


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    """Open one in an empty folder, where this environment's programs are found."""
    folder = tmp_path / "shop"
    folder.mkdir()
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    terminal = Terminal(folder, environment(PATH=path, NO_COLOR="1"), [])
    yield terminal
    for process in terminal.running:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def test_what_is_typed_prints_what_the_readme_shows(terminal: Terminal) -> None:
    """But for the ports, which may be taken here; each command ends well, the servers too."""
    asked = transcripts()
    ports = three_ports()
    for typed in asked:
        command = typed.command.replace("kit demo", f"kit demo --port {ports}")
        printed = terminal.type(Typed(command, typed.shown))

        assert typed.fits(printed), f"$ {typed.command}\n{printed}"

    assert any(STAYS.search(typed.command) for typed in asked)
    assert {typed.shown is None for typed in asked} == {True, False}
    assert set(terminal.close()) == {0}


@pytest.mark.parametrize(
    ("shown", "printed", "fits"),
    [
        ("Shop http://x:8000\n", "Shop http://x:41234\n", True),
        ("Shop http://x:8000\n", "Shop http://y:8000\n", False),
        ("one\n…\nthree\n", "one\ntwo\ntwo\nthree\n", True),
        ("one\n…\nthree\n", "one\nthree\n", True),
        ("one\n…\n", "two\none\n", False),
        ("order ord_…\n", "order ord_55d2\n", True),
        ("one\n", "one\ntwo\n", False),
    ],
)
def test_only_what_changes_from_run_to_run_may_differ(shown: str, printed: str, fits: bool) -> None:
    """A comparison that accepts everything would prove nothing."""
    assert Typed("", shown).fits(printed) is fits
