"""
How a process of a test is hurried and struck, from outside: no line of the kit knows of it.

A strike wraps what the kit does at one step so that the process ends itself there with SIGKILL,
as if the machine had gone at that very moment.
"""

import functools
import os
import resource
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from sqlalchemy import Engine, event

import kit.cli.clients
import kit.forwarder
import kit.ledger
import kit.outcomes
import kit.sender
import kit.server
import kit.web.receiver
from kit.datafast import DataFastClient
from kit.dodo import DodoClient
from kit.ledger import Ledger, sendings
from kit.sender import Pace, Sender
from tests.faults.trace import trace

LEASE_S = 1.5
DATAFAST_DEADLINE_S = 0.4
PAGEVIEW_WAIT_S = 0.3


def hurry() -> None:
    """Let what takes minutes take parts of a second; the proportions stay."""
    for module in (kit.outcomes, kit.forwarder, kit.sender):
        names: Any = module
        names.MAX_RETRY_S, names.PAUSE_S = 0.5, 0.3
    kit.outcomes.FIRST_RETRY_S = 0.05
    kit.outcomes.RECHECK_S = 0.2
    kit.forwarder.LEASE_S = LEASE_S
    kit.forwarder.POLL_S = 0.05
    kit.server.WATCH_S = 0.1
    checks: Any = kit.sender
    checks.PAGEVIEW_CHECKS_S = (0.1,)
    pace: Any = Pace.__init__
    pace.__defaults__ = (*pace.__defaults__[:-1], PAGEVIEW_WAIT_S)
    clients: Any = kit.cli.clients
    clients.DataFastClient = functools.partial(DataFastClient, deadline_s=DATAFAST_DEADLINE_S)
    clients.DodoClient = functools.partial(DodoClient, deadline_s=1.0)


def strike(*_: Any, **__: Any) -> None:
    """End this process now, without a chance to tidy up."""
    os.kill(os.getpid(), signal.SIGKILL)


def before(owner: Any, name: str) -> None:
    """Strike when a function is called."""
    setattr(owner, name, strike)


def after(owner: Any, name: str) -> None:
    """Strike when a coroutine function has done its work."""
    wrapped = getattr(owner, name)

    async def work_and_die(*args: Any, **kwargs: Any) -> None:
        await wrapped(*args, **kwargs)
        strike()

    setattr(owner, name, work_and_die)


def in_the_body() -> None:
    """Strike when a part of the body has been read, and the rest has not."""
    read: Any = kit.web.receiver._read_body

    async def read_a_part(scope: Any, receive: Any) -> Any:
        async def receive_and_die() -> Any:
            await receive()
            strike()

        return await read(scope, receive_and_die)

    kit.web.receiver._read_body = read_a_part


def at_the_commit() -> None:
    """Strike when everything is written that belongs to a message, and nothing is committed."""

    def written(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "INSERT INTO events" in statement:
            event.listen(Engine, "commit", strike)

    event.listen(Engine, "after_cursor_execute", written)


def die_of_a_message() -> None:
    """Let the thread that writes end, as by something that no program expects."""

    class Halt(BaseException):
        pass

    ledger = vars(kit.ledger)
    insert: Any = ledger["insert_events"]

    def insert_or_die(connection: Any, rows: Any) -> Any:
        if any(row["webhook_id"] == "msg_deadly" for row in rows):
            raise Halt
        return insert(connection, rows)

    ledger["insert_events"] = insert_or_die


def fill_the_disk() -> None:
    """Let the ledger's log not grow any more from SIGUSR1 on, until SIGUSR2."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(*_: Any) -> None:
        size = Path("kit.db-wal").stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))

    def free(*_: Any) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))

    signal.signal(signal.SIGUSR1, fill)
    signal.signal(signal.SIGUSR2, free)


def allow_few_files() -> None:
    """Let this process have no more than 256 files open, whatever it asks for."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))


STRIKES: Mapping[str, Callable[[], None]] = MappingProxyType(
    {
        "while the body is read": in_the_body,
        "after the signature was verified": lambda: before(Ledger, "record"),
        "before the commit": at_the_commit,
        "after the commit, before the 200": lambda: after(Ledger, "record"),
        "after the claim": lambda: before(Sender, "deliver"),
        "before the first send is marked": lambda: before(sendings, "freeze_deliveries"),
        "before the report is sent": lambda: before(DataFastClient, "record_payment"),
        "after the report was answered": lambda: after(DataFastClient, "record_payment"),
        "before the end is written": lambda: before(sendings, "finish_deliveries"),
        "when the deadly message comes": die_of_a_message,
        "a disk that fills": fill_the_disk,
        "few files": allow_few_files,
        "a trace": trace,
    }
)
