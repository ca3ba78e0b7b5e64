"""`kit work`: a forwarder alone, beside the servers that share its database."""

import asyncio
import contextlib
import signal
import time
from collections.abc import Iterator

import click

from kit.cli.clients import open_datafast, open_dodo
from kit.cli.environment import environment
from kit.errors import LedgerInUse
from kit.forwarder import Forwarder
from kit.ledger import Ledger
from kit.logs import configure_logging
from kit.settings import Settings, read_settings
from kit.worker import compose_forwarder


@click.command(name="work")
def command() -> None:
    """
    Forward to DataFast, and serve nothing.

    For a PostgreSQL ledger, which any number of servers and workers share. With a SQLite ledger
    the server is the worker; this one works only while no server runs.
    """
    settings = read_settings(environment())
    configure_logging(settings.log)
    asyncio.run(_work(settings))


async def _work(settings: Settings) -> None:
    ledger = _open_ledger(settings)
    dodo, datafast = open_dodo(settings), open_datafast(settings, clock=time.time)
    forwarder = compose_forwarder(settings, ledger=ledger, dodo=dodo, datafast=datafast)
    try:
        with _stopped_by_signals(forwarder):
            click.echo(f"Forwarding to {settings.datafast_base_url}; stop with Ctrl-C")
            await forwarder.run()
    finally:
        for client in (dodo, datafast):
            await client.aclose()
        await asyncio.to_thread(ledger.close)


def _open_ledger(settings: Settings) -> Ledger:
    try:
        return Ledger.open(settings.database_url)
    except LedgerInUse:
        raise LedgerInUse(
            "a server is using this SQLite ledger, and forwards by itself. For more workers, give "
            "both a PostgreSQL (KIT_DATABASE_URL=postgresql+psycopg://…)."
        ) from None


@contextlib.contextmanager
def _stopped_by_signals(forwarder: Forwarder) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    before = {
        number: signal.signal(number, lambda *_: loop.call_soon_threadsafe(forwarder.stop))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
