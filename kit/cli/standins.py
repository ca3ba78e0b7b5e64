"""The stand-ins alone, for a shop of somebody's own: what `kit demo --shop URL` runs."""

import re
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import click

from kit.cli.site import NAMES, WEBSITE_ID, Site, read_keys
from kit.errors import KitError
from kit.sandbox.chaos import Chaos
from kit.sandbox.products import CATALOGUE
from kit.server import Listener, bind, run

STAND_INS = ("dodo", "datafast")
VARIABLES_FILE = "shop.env"


@dataclass(frozen=True, slots=True)
class OwnShop(Site):
    """Two stand-ins, and a shop that somebody else runs at `shop`."""

    shop: str

    def url(self, name: str) -> str:
        """Return the address that a browser uses."""
        return self.shop if name == "shop" else Site.url(self, name)

    def local_url(self, name: str) -> str:
        """Return the address that servers use: not every resolver knows *.localhost."""
        if name != "shop":
            return Site.local_url(self, name)
        parts = urlsplit(self.shop)
        port = f":{parts.port}" if parts.port else ""
        named = (parts.hostname or "").endswith(".localhost")
        return parts._replace(netloc=f"127.0.0.1{port}").geturl() if named else self.shop

    def variables(self) -> dict[str, str]:
        """Return what the shop must be started with."""
        return {
            "DODO_PAYMENTS_API_KEY": self.keys.dodo_api_key,
            "DODO_PAYMENTS_WEBHOOK_KEY": self.keys.webhook_secret,
            "DODO_PAYMENTS_ENVIRONMENT": "test_mode",
            "DODO_PAYMENTS_BASE_URL": self.local_url("dodo"),
            "DODO_PAYMENTS_RETURN_URL": f"{self.shop}/",
            "DATAFAST_API_KEY": self.keys.datafast_api_key,
            "DATAFAST_BASE_URL": self.local_url("datafast"),
            "DATAFAST_WEBSITE_ID": WEBSITE_ID,
            "DATAFAST_DOMAIN": urlsplit(self.shop).hostname or "",
            "KIT_BASE_URL": self.shop,
            "KIT_CHECKOUT_HOSTS": self.url("dodo"),
            "KIT_PRODUCTS": ",".join(product.product_id for product in CATALOGUE),
        }

    def tag(self) -> str:
        """Return the script tag for the shop's pages."""
        domain = urlsplit(self.shop).hostname
        return (
            f'<script defer data-website-id="{WEBSITE_ID}" data-domain="{domain}" '
            f'data-allow-localhost="true" data-disable-payments="true"\n'
            f'  data-api-url="{self.url("datafast")}/api/events" '
            f'src="{self.url("datafast")}/js/script.js"></script>'
        )

    def announce(self, ready_fd: int | None) -> None:
        """Say how to start the shop, and what to put into its pages."""
        path = self.write_variables(VARIABLES_FILE)
        click.echo(f"Dodo       {self.url('dodo')}  (its webhooks go to {self.shop}/webhooks/dodo)")
        click.echo(f"DataFast   {self.url('datafast')}/_sandbox/payments  (what it was told)")
        click.echo(f"Your shop  {self.shop}, started with the variables of {path}, as by")
        click.echo(f"           set -a; . {path}; set +a")
        click.echo("Its pages need this tag instead of DataFast's own:\n")
        click.echo(f"{self.tag()}\n")
        click.echo("No real money moves. Stop with Ctrl-C.")
        self.report(ready_fd)


def stand_in(shop: str, *, port: int, host: str | None, data: Path, ready_fd: int | None) -> None:
    """
    Serve both stand-ins until a signal, on the two ports after `port`, or on any for 0.

    Raises KitError.
    """
    address = re.fullmatch(r"https?://[a-z0-9.-]+(?::([0-9]{1,5}))?/?", shop)
    if address is None or not 1 <= int(address[1] or 80) <= 65535:
        raise KitError(f"--shop {shop} is no address such as http://127.0.0.1:5000")
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    with ExitStack() as stack:
        sockets = {
            name: stack.enter_context(bind("127.0.0.1", port + offset if port else 0))
            for offset, name in enumerate(NAMES)
            if name in STAND_INS
        }
        ports = {name: listening.getsockname()[1] for name, listening in sockets.items()}
        site = OwnShop(ports, host, None, data, read_keys(data), shop.rstrip("/"))
        chaos = Chaos()
        apps = {"dodo": site.dodo(chaos), "datafast": site.datafast(chaos)}
        listeners = [Listener(apps[name], sockets[name]) for name in STAND_INS]
        run(listeners, ready=lambda: site.announce(ready_fd))
