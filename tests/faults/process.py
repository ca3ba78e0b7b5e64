"""
`kit serve` and `kit work` in processes of its own, which are killed for real.

They are forked from a server that has imported everything once, so that a hundred of them cost
little. What a child runs is the command line's own `main`; a test may have it hurried (waits of
minutes become parts of a second) and struck (it ends itself with SIGKILL at a named step).
"""

import asyncio
import contextlib
import multiprocessing
import os
import re
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.faults import strikes

START_TIMEOUT_S = 30.0
LOOK_S = 0.01
SERVING = re.compile(r"^Serving \S+ on http://127\.0\.0\.1:(\d+)$", re.MULTILINE)
SERVE: Sequence[str] = ("serve", "--port", "0")
WORK: Sequence[str] = ("work",)
SETTINGS = {
    "DODO_PAYMENTS_API_KEY": "dodo_test_faults",
    "DODO_PAYMENTS_WEBHOOK_KEY": "whsec_ZmF1bHRzLXdlYmhvb2stc2VjcmV0LTAwMDAwMDAx",
    "DATAFAST_API_KEY": "df_faults",
    "KIT_SECRET_KEY": "faults-cookie-key-of-32-characters",
    "KIT_DATAFAST_RATE": "100000",
    "KIT_HOLD_S": "0",
}

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(["kit.cli.serve", "kit.cli.work", "tests.faults.strikes"])


class Kit:
    """One `kit` process after another on the same settings; each start is a new one."""

    def __init__(
        self,
        folder: Path,
        database_url: str,
        name: str = "kit",
        arguments: Sequence[str] = SERVE,
        **environ: str,
    ) -> None:
        self.folder = folder
        self._arguments = arguments
        self.environ = {"KIT_DATABASE_URL": database_url} | SETTINGS | environ
        self._name = name
        self._starts = 0
        self._process: multiprocessing.process.BaseProcess | None = None

    @property
    def log(self) -> Path:
        """What the newest process prints, to either stream."""
        return self.folder / f"{self._name}-{self._starts}.log"

    @property
    def process(self) -> multiprocessing.process.BaseProcess:
        """The newest process."""
        assert self._process is not None
        return self._process

    def start(self, *struck: str, hurried: bool = True) -> None:
        """Start a process, and do not wait for it; `struck` names steps of `strikes.STRIKES`."""
        self._starts += 1
        self.log.touch()
        self._process = _forks.Process(
            target=_run,
            args=(self._arguments, self.environ, self.folder, self.log, struck, hurried),
        )
        self._process.start()

    @property
    def port(self) -> int | None:
        """Where the newest process listens, once it does."""
        found = SERVING.search(self.log.read_text(errors="replace"))
        return int(found[1]) if found else None

    async def up(self) -> str:
        """Wait until it listens; returns its address."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while (port := self.port) is None:
            said = self.log.read_text(errors="replace")
            assert self.process.is_alive(), f"ended with {self.process.exitcode}:\n{said}"
            assert time.monotonic() < deadline, said
            await _a_moment()
        return f"http://127.0.0.1:{port}"

    async def ended(self, within_s: float = START_TIMEOUT_S) -> int:
        """Wait for the process to end; returns its exit code, negative for a signal."""
        deadline, process = time.monotonic() + within_s, self.process
        while (code := process.exitcode) is None:
            assert time.monotonic() < deadline, self.log.read_text(errors="replace")
            await _a_moment()
        return code

    def signal(self, number: int) -> None:
        """Send a signal to the process."""
        assert self.process.pid is not None
        os.kill(self.process.pid, number)

    async def kill(self) -> int:
        """Kill the process with SIGKILL, wait until it is gone, and return its exit code."""
        self.process.kill()
        return await self.ended()

    async def stop(self) -> int:
        """Send SIGTERM and return the exit code."""
        self.signal(signal.SIGTERM)
        return await self.ended()

    def clean_up(self) -> None:
        """Leave no process behind."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process.close()
            self._process = None


@contextlib.contextmanager
def kit(
    folder: Path,
    database_url: str,
    name: str = "kit",
    arguments: Sequence[str] = SERVE,
    **environ: str,
) -> Iterator[Kit]:
    """Give a kit that is not started yet; whatever happens, no process is left."""
    made = Kit(folder, database_url, name, arguments, **environ)
    try:
        yield made
    finally:
        made.clean_up()


async def _a_moment() -> None:
    await asyncio.sleep(LOOK_S)


def _run(
    arguments: Sequence[str],
    environ: dict[str, str],
    folder: Path,
    log: Path,
    struck: Sequence[str],
    hurried: bool,
) -> None:
    """Be the child: a folder, an environment and streams of its own, then the command line."""
    from kit.cli import main

    own = [name for name in os.environ if name.startswith(("DODO_", "DATAFAST_", "KIT_"))]
    for name in own:
        del os.environ[name]
    os.environ.update(environ)
    os.chdir(folder)
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    if hurried:
        strikes.hurry()
    for step in struck:
        strikes.STRIKES[step]()
    sys.argv = ["kit", *arguments]
    main(list(arguments), prog_name="kit")
