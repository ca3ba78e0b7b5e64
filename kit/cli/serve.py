"""`kit serve`: receiver, first-party proxy, inspector and forwarder, for a shop that exists."""

import time

import click

from kit.cli.shop import environment, open_shop
from kit.logs import configure_logging
from kit.server import Listener, bind, run
from kit.settings import Settings, read_settings
from kit.web.storefront.catalogue import Catalogue


@click.command(name="serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, help="Port to listen on.")
def command(host: str, port: int) -> None:
    """
    Run receiver, first-party proxy, inspector and forwarder for an existing shop.

    The settings come from the environment and from a .env file; all that is wrong with them is
    said at once.
    """
    settings = read_settings(environment())
    configure_logging(settings.log)
    serve_shop(settings, host=host, port=port)


def serve_shop(
    settings: Settings, *, host: str, port: int, catalogue: Catalogue | None = None
) -> None:
    """Serve with these settings until a signal. Raises KitError."""
    with bind(host, port) as listening:
        listener = Listener(open_shop(settings, clock=time.time, catalogue=catalogue), listening)

        def ready() -> None:
            click.echo(f"Serving {settings.base_url} on http://{host}:{listener.port}")
            click.echo(f"  webhooks   {settings.base_url}/webhooks/dodo  (set it at Dodo)")
            click.echo(f"  inspector  {settings.base_url}/inspector")
            if settings.holds_test_payments:
                click.echo("  test mode  payments are held back: DataFast would count them as real")

        run([listener], ready=ready)
