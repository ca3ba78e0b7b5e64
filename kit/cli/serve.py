"""`kit serve`: receiver, first-party proxy, inspector and forwarder, for a shop that exists."""

import asyncio
import os
import socket
import sys
import time

import click

from kit.cli.environment import environment
from kit.cli.shop import open_shop
from kit.errors import KitError
from kit.ledger.engine import is_shared, parse_url
from kit.logs import configure_logging
from kit.server import Listener, bind, run
from kit.settings import Settings, read_settings
from kit.web.storefront.catalogue import Catalogue
from kit.workers import Workers, end_with


@click.command(name="serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, help="Port to listen on.")
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Server processes; more than one need a PostgreSQL.",
)
@click.option("--socket-fd", type=int, hidden=True, help="Serve on this socket, as a worker.")
@click.option("--ready-fd", type=int, hidden=True, help="Write a line there when up.")
@click.option("--parent-fd", type=int, hidden=True, help="End when this pipe is closed.")
def command(
    *,
    host: str,
    port: int,
    workers: int,
    socket_fd: int | None,
    ready_fd: int | None,
    parent_fd: int | None,
) -> None:
    """
    Run receiver, first-party proxy, inspector and forwarder for an existing shop.

    The settings come from the environment and from a .env file; all that is wrong with them is
    said at once. SIGTERM ends it in order: what is under way is finished, exit code 0.
    """
    settings = read_settings(environment())
    configure_logging(settings.log)
    if parent_fd is not None:
        end_with(parent_fd)
    if socket_fd is not None:
        _serve_as_worker(settings, socket.socket(fileno=socket_fd), ready_fd)
    elif workers > 1:
        _serve_with_workers(settings, host=host, port=port, workers=workers)
    else:
        serve_shop(settings, host=host, port=port, ready_fd=ready_fd)


def serve_shop(
    settings: Settings,
    *,
    host: str,
    port: int,
    catalogue: Catalogue | None = None,
    ready_fd: int | None = None,
) -> None:
    """Serve with these settings until a signal. Raises KitError."""
    with bind(host, port) as listening:
        app = open_shop(settings, clock=time.time, catalogue=catalogue)
        listener = Listener(app, listening, app.state.health.broken)

        def ready() -> None:
            _announce(settings, host, listening)
            _tell(ready_fd)

        run([listener], ready=ready)


def _serve_as_worker(settings: Settings, listening: socket.socket, ready_fd: int | None) -> None:
    with listening:
        app = open_shop(settings, clock=time.time)
        listener = Listener(app, listening, app.state.health.broken)
        run([listener], ready=lambda: _tell(ready_fd))


def _serve_with_workers(settings: Settings, *, host: str, port: int, workers: int) -> None:
    if not is_shared(parse_url(settings.database_url)):
        raise KitError(
            "a SQLite ledger has one server process: leave --workers out, or share a PostgreSQL "
            "(KIT_DATABASE_URL=postgresql+psycopg://…)"
        )
    if sys.platform == "win32":
        raise KitError("--workers needs a POSIX system; run several `kit serve` on their own ports")
    with bind(host, port) as listening:
        running = Workers(("serve",), listening, workers)
        asyncio.run(running.run(ready=lambda: _announce(settings, host, listening)))


def _announce(settings: Settings, host: str, listening: socket.socket) -> None:
    port = listening.getsockname()[1]
    click.echo(f"Serving {settings.base_url} on http://{host}:{port}")
    click.echo(f"  webhooks   {settings.base_url}/webhooks/dodo  (set it at Dodo)")
    click.echo(f"  inspector  {settings.base_url}/inspector")
    if settings.holds_test_payments:
        click.echo("  test mode  payments are held back: DataFast would count them as real")


def _tell(ready_fd: int | None) -> None:
    if ready_fd is not None:
        with os.fdopen(ready_fd, "w") as pipe:
            pipe.write("ready\n")
