"""Several server processes on one socket: started, watched, started again, ended together."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from kit.errors import KitError

FAREWELL_S = 30.0
"""How long a worker may take to end; longer than its requests and its reports together."""
FIRST_PAUSE_S = 1.0
MAX_PAUSE_S = 30.0
STEADY_S = 10.0
"""A worker that lived this long and then died is started again at once."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Workers:
    """
    Runs `kit ARGUMENTS` a number of times, each with the listening socket.

    A worker tells that it is ready by a line on the descriptor of its `--ready-fd`, and ends when
    the one of its `--parent-fd` is closed: then the parent is gone, however that happened.
    """

    arguments: Sequence[str]
    listening: socket.socket
    number: int
    _stopping: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    async def run(self, *, ready: Callable[[], None]) -> None:
        """
        Serve until SIGINT or SIGTERM; `ready` is called once every worker takes connections.

        Raises KitError when a worker cannot start at all.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stopping.set)
        alive, parent = os.pipe()
        try:
            async with asyncio.TaskGroup() as group:
                started = [loop.create_future() for _ in range(self.number)]
                for each in started:
                    group.create_task(self._keep(alive, each))
                await asyncio.gather(*started)
                if not self._stopping.is_set():
                    ready()
        except* KitError as refused:
            raise refused.exceptions[0] from None
        finally:
            os.close(parent)
            os.close(alive)

    async def _keep(self, alive: int, started: "asyncio.Future[None]") -> None:
        """Run one worker, and another in its place when it dies."""
        pause_s = FIRST_PAUSE_S
        while not self._stopping.is_set():
            began = time.monotonic()
            code = await self._run_one(alive, started)
            if self._stopping.is_set():
                break
            if not started.done():
                self._stopping.set()
                raise KitError("a worker could not start; what it printed says why")
            _log.error("a worker ended with code %s; another takes its place", code)
            steady = time.monotonic() - began >= STEADY_S
            pause_s = FIRST_PAUSE_S if steady else min(pause_s * 2, MAX_PAUSE_S)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), 0 if steady else pause_s)
        if not started.done():
            started.set_result(None)

    async def _run_one(self, alive: int, started: "asyncio.Future[None]") -> int:
        ready, ready_fd = os.pipe()
        inherited = (self.listening.fileno(), ready_fd, alive)
        flags = ("--socket-fd", "--ready-fd", "--parent-fd")
        passed = [word for pair in zip(flags, map(str, inherited), strict=True) for word in pair]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "kit", *self.arguments, *passed), pass_fds=inherited
        )
        os.close(ready_fd)
        announced = asyncio.create_task(_announced(ready, started))
        stopping = asyncio.create_task(self._stopping.wait())
        ended = asyncio.create_task(process.wait())
        await asyncio.wait((stopping, ended), return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(ended), FAREWELL_S)
        if not ended.done():
            process.kill()
        await ended
        stopping.cancel()
        await announced
        return process.returncode or 0


async def _announced(ready: int, started: "asyncio.Future[None]") -> None:
    """Read a worker's word; its end closes the pipe without one."""
    reader = asyncio.StreamReader()
    with os.fdopen(ready, "rb") as pipe:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), pipe
        )
        if await reader.readline() and not started.done():
            started.set_result(None)
        transport.close()


def end_with(parent_fd: int) -> None:
    """End this process in order when the other end of a pipe is closed: its parent is gone."""

    def wait() -> None:
        os.read(parent_fd, 1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="parent", daemon=True).start()
