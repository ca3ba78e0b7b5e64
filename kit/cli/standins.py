"""The stand-ins alone, for a shop of somebody's own: what `kit demo --shop URL` runs."""

import re
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import click

from kit.cli.site import NAMES, WEBSITE_ID, Site, read_keys
from kit.errors import KitError
from kit.lab.hosts import local_address
from kit.sandbox.chaos import Chaos
from kit.sandbox.live import Live
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
        return local_address(self.shop) if name == "shop" else Site.local_url(self, name)

    def live(self) -> Live:
        """Name both stand-ins and their keys."""
        return Live(
            dodo_page=self.url("dodo"),
            dodo_api=self.local_url("dodo"),
            datafast_page=self.url("datafast"),
            datafast_api=self.local_url("datafast"),
            website_id=WEBSITE_ID,
            domain=self.root,
            keys=self.keys.of_stand_ins(),
        )

    def variables(self) -> dict[str, str]:
        """Return what the shop must be started with."""
        return self.live().variables(self.shop)

    def announce(self, ready_fd: int | None) -> None:
        """Say how to start the shop, and what to put into its pages."""
        path = self.write_variables(VARIABLES_FILE)
        click.echo(f"Dodo       {self.url('dodo')}  (its webhooks go to {self.shop}/webhooks/dodo)")
        click.echo(f"DataFast   {self.url('datafast')}/_sandbox/payments  (what it was told)")
        click.echo(f"Your shop  {self.shop}, started with the variables of {path}, as by")
        click.echo(f"           set -a; . {path}; set +a")
        click.echo("Its pages need this tag instead of DataFast's own:\n")
        click.echo(f"{self.live().tag()}\n")
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
