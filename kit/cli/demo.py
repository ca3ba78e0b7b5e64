"""`kit demo`: the storefront on a sandbox of Dodo and DataFast, or on the real ones with keys."""

import asyncio
import logging
import time
from contextlib import ExitStack
from pathlib import Path

import click

from kit.cli.clients import open_dodo
from kit.cli.environment import environment
from kit.cli.serve import serve_shop
from kit.cli.shop import open_shop
from kit.cli.site import NAMES, Site, read_keys
from kit.cli.standins import stand_in
from kit.errors import DodoError, KitError, SettingsError, TransportError
from kit.logs import configure_logging
from kit.sandbox.chaos import Chaos
from kit.server import Listener, bind, run
from kit.settings import Settings, read_settings
from kit.web.storefront.catalogue import DEMO_CATALOGUE, Catalogue, catalogue_from_dodo


@click.command(name="demo")
@click.option("--port", default=8000, show_default=True, help="First of three ports; 0 for any.")
@click.option(
    "--host",
    help="One address for all three URLs, for browsers that do not know *.localhost "
    "(127.0.0.1: shows the flow, not the border between sites).",
)
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".kit"),
    show_default=True,
    help="Folder that keeps the demo's data.",
)
@click.option(
    "--shop",
    "own_shop",
    metavar="URL",
    help="The stand-ins alone, for a shop of your own that runs at this address.",
)
@click.option("--ready-fd", type=int, hidden=True, help="Write the URLs there as JSON when up.")
@click.option(
    "--domain",
    hidden=True,
    help="A made-up domain with the shop at shop.DOMAIN, for browsers that were told where it is.",
)
def command(
    *,
    port: int,
    host: str | None,
    data: Path,
    own_shop: str | None,
    ready_fd: int | None,
    domain: str | None,
) -> None:
    """
    Show the whole journey on a sandbox: no account, no key, no network.

    With DODO_PAYMENTS_API_KEY set it sells your own products through the real Dodo, and reports to
    the real DataFast.
    """
    configure_logging("text", level=logging.WARNING)
    if own_shop is not None:
        stand_in(own_shop, port=port, host=host, data=data, ready_fd=ready_fd)
        return
    if environment().get("DODO_PAYMENTS_API_KEY"):
        _sell_for_real(port)
        return
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    with ExitStack() as stack:
        # Checked first, so that a taken port leaves nothing behind.
        sockets = {
            name: stack.enter_context(
                bind("127.0.0.1", port + offset if port else 0, or_any=port == 8000)
            )
            for offset, name in enumerate(NAMES)
        }
        ports = {name: listening.getsockname()[1] for name, listening in sockets.items()}
        site = Site(ports, host, domain, data, read_keys(data))
        chaos = Chaos()
        shop = open_shop(site.settings(), clock=time.time, catalogue=DEMO_CATALOGUE, sandboxed=True)
        listeners = [
            Listener(shop, sockets["shop"], shop.state.health.broken),
            Listener(site.dodo(chaos), sockets["dodo"]),
            Listener(site.datafast(chaos), sockets["datafast"]),
        ]
        site.write_variables()
        run(listeners, ready=lambda: site.announce(ready_fd))


def _sell_for_real(port: int) -> None:
    environ = environment()
    environ.setdefault("KIT_BASE_URL", f"http://127.0.0.1:{port}")
    settings = read_settings(environ)
    missing = [
        f"{name} is not set: the script tag of the shop's pages needs it"
        for name, value in (
            ("DATAFAST_WEBSITE_ID", settings.datafast_website_id),
            ("DATAFAST_DOMAIN", settings.datafast_domain),
        )
        if value is None
    ]
    if missing:
        raise SettingsError(tuple(missing))
    catalogue = asyncio.run(_fetch_catalogue(settings))
    if not catalogue:
        raise KitError("the Dodo account has no product with a fixed price; make one there first")
    serve_shop(settings, host="127.0.0.1", port=port, catalogue=catalogue)


async def _fetch_catalogue(settings: Settings) -> Catalogue:
    dodo = open_dodo(settings)
    try:
        return catalogue_from_dodo(await dodo.products())
    except (DodoError, TransportError) as problem:
        raise KitError(f"the products could not be read from Dodo: {problem}") from None
    finally:
        await dodo.aclose()
