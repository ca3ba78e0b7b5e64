"""`kit demo`: the storefront on a sandbox of Dodo and DataFast, or on the real ones with keys."""

import asyncio
import base64
import json
import logging
import os
import secrets
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import click
from starlette.applications import Starlette

from kit.cli.serve import serve_shop
from kit.cli.shop import environment, open_dodo, open_shop
from kit.errors import DodoError, KitError, SettingsError, TransportError
from kit.logs import configure_logging
from kit.resources import resource_dir
from kit.sandbox.chaos import Chaos
from kit.sandbox.datafast import create_datafast
from kit.sandbox.dodo import create_dodo
from kit.server import Listener, bind, run
from kit.settings import Settings, read_settings
from kit.web.storefront.catalogue import DEMO_CATALOGUE, Catalogue, catalogue_from_dodo

WEBSITE_ID = "dfid_sandbox"
# Three names that a browser treats as three sites, all of them this machine.
_QUOTED = str.maketrans({"'": "\\'", "\\": "\\\\"})
NAMES = {"shop": "shop.localhost", "dodo": "checkout.localhost", "datafast": "datafast.localhost"}

# How visitors are known: what a demo may be told by the environment.
MODES = (
    "KIT_CONSENT",
    "KIT_CONSENT_COOKIE",
    "KIT_CONSENT_VALUE",
    "KIT_CONTINUITY",
    "KIT_COOKIELESS",
)


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
@click.option("--ready-fd", type=int, hidden=True, help="Write the URLs there as JSON when up.")
def command(port: int, host: str | None, data: Path, ready_fd: int | None) -> None:
    """
    Show the whole journey on a sandbox: no account, no key, no network.

    With DODO_PAYMENTS_API_KEY set it sells your own products through the real Dodo, and reports to
    the real DataFast.
    """
    configure_logging("text", level=logging.WARNING)
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
        site = _Site(ports, host, data, _keys(data))
        chaos = Chaos()
        apps = {
            "shop": open_shop(
                read_settings(site.variables()),
                clock=time.time,
                catalogue=DEMO_CATALOGUE,
                sandboxed=True,
            ),
            "dodo": site.dodo(chaos),
            "datafast": site.datafast(chaos),
        }
        site.write_variables()
        listeners = [Listener(apps[name], sockets[name]) for name in NAMES]
        run(listeners, ready=lambda: site.announce(ready_fd))


@dataclass(frozen=True, slots=True)
class _Keys:
    """Made once for each data folder; they open nothing but the sandbox."""

    dodo_api_key: str
    webhook_secret: str
    datafast_api_key: str
    secret_key: str


def _keys(data: Path) -> _Keys:
    path = data / "keys.json"
    if not path.exists():
        keys = {
            "dodo_api_key": f"dodo_test_{secrets.token_urlsafe(24)}",
            "webhook_secret": "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode(),
            "datafast_api_key": f"df_{secrets.token_urlsafe(24)}",
            "secret_key": secrets.token_urlsafe(32),
        }
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            json.dump(keys, file)
    try:
        return _Keys(**json.loads(path.read_text()))
    except (ValueError, TypeError):
        raise KitError(f"{path} cannot be read; delete the folder to start afresh") from None


@dataclass(frozen=True, slots=True)
class _Site:
    """Three servers that know of one another."""

    ports: dict[str, int]
    host: str | None
    data: Path
    keys: _Keys

    def url(self, name: str) -> str:
        """Return the address that a browser uses."""
        return f"http://{self.host or NAMES[name]}:{self.ports[name]}"

    def local_url(self, name: str) -> str:
        """Return the address that servers use: not every resolver knows *.localhost."""
        return f"http://127.0.0.1:{self.ports[name]}"

    def variables(self) -> dict[str, str]:
        """Return the environment that a shop on these stand-ins runs in."""
        return {
            "DODO_PAYMENTS_API_KEY": self.keys.dodo_api_key,
            "DODO_PAYMENTS_WEBHOOK_KEY": self.keys.webhook_secret,
            "DODO_PAYMENTS_BASE_URL": self.local_url("dodo"),
            "DATAFAST_API_KEY": self.keys.datafast_api_key,
            "DATAFAST_BASE_URL": self.local_url("datafast"),
            "DATAFAST_WEBSITE_ID": WEBSITE_ID,
            "DATAFAST_DOMAIN": self.host or NAMES["shop"],
            "KIT_BASE_URL": self.url("shop"),
            "KIT_CHECKOUT_HOSTS": self.url("dodo"),
            "KIT_DATABASE_URL": f"sqlite:///{(self.data / 'shop.db').absolute()}",
            "KIT_SECRET_KEY": self.keys.secret_key,
            "KIT_HOLD_S": "15",
        } | {name: value for name, value in environment().items() if name in MODES}

    def write_variables(self) -> None:
        """Keep them in a file, so that other commands can be told of this demo."""
        lines = [
            f"{name}='{value.translate(_QUOTED)}'\n" for name, value in self.variables().items()
        ]
        path = self.data / "demo.env"
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.writelines(lines)

    def dodo(self, datafast_chaos: Chaos) -> Starlette:
        return create_dodo(
            database=str(self.data / "dodo.db"),
            public_url=self.url("dodo"),
            templates_dir=resource_dir("templates"),
            static_dir=resource_dir("static"),
            api_key=self.keys.dodo_api_key,
            webhook_secret=self.keys.webhook_secret,
            webhook_url=f"{self.local_url('shop')}/webhooks/dodo",
            datafast_chaos=datafast_chaos,
        )

    def datafast(self, chaos: Chaos) -> Starlette:
        return create_datafast(
            database=str(self.data / "datafast.db"),
            api_key=self.keys.datafast_api_key,
            website_id=WEBSITE_ID,
            domain=self.host or NAMES["shop"],
            chaos=chaos,
        )

    def announce(self, ready_fd: int | None) -> None:
        """Say where everything is, the shop first."""
        shop = self.url("shop")
        click.echo(f"Shop       {shop}/?utm_source=newsletter")
        click.echo(f"Inspector  {shop}/inspector")
        click.echo(f"Sandboxes  {self.url('dodo')} (Dodo)  {self.url('datafast')} (DataFast)")
        click.echo("Buy a map, pay on the stand-in page, and watch each step in the inspector.")
        click.echo("No real money moves. Stop with Ctrl-C.")
        if ready_fd is not None:
            urls = {name: self.url(name) for name in NAMES}
            local = {f"{name}_local": self.local_url(name) for name in NAMES}
            with os.fdopen(ready_fd, "w") as pipe:
                pipe.write(json.dumps(urls | local) + "\n")


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
