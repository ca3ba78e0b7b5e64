"""Where the demo's servers are, and the keys they know one another by."""

import base64
import json
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import click
from starlette.applications import Starlette

from kit.cli.environment import environment
from kit.errors import KitError
from kit.resources import resource_dir
from kit.sandbox import live
from kit.sandbox.chaos import Chaos
from kit.sandbox.datafast import RATE_LIMIT, create_datafast
from kit.sandbox.dodo import create_dodo
from kit.settings import Settings, read_settings

WEBSITE_ID = "dfid_sandbox"
_BARE = re.compile(r"[A-Za-z0-9_@%+=:,./-]*")
_QUOTED = str.maketrans({"'": "\\'", "\\": "\\\\"})
# Three names that a browser treats as three sites, all of them this machine.
NAMES = {"shop": "shop.localhost", "dodo": "checkout.localhost", "datafast": "datafast.localhost"}

# How visitors are known and waited for, and how fast: what a demo may be told by the environment.
MODES = (
    "KIT_CONSENT",
    "KIT_CONSENT_COOKIE",
    "KIT_CONSENT_VALUE",
    "KIT_CONTINUITY",
    "KIT_COOKIELESS",
    "KIT_DATAFAST_RATE",
    "KIT_HOLD_S",
)


@dataclass(frozen=True, slots=True)
class Keys:
    """Made once for each data folder; they open nothing but the sandbox."""

    dodo_api_key: str
    webhook_secret: str
    datafast_api_key: str
    secret_key: str

    def of_stand_ins(self) -> live.Keys:
        """Return those that the stand-ins know."""
        return live.Keys(self.dodo_api_key, self.webhook_secret, self.datafast_api_key)


def read_keys(data: Path) -> Keys:
    """Return a folder's keys, made when it has none. Raises KitError."""
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
        return Keys(**json.loads(path.read_text()))
    except (ValueError, TypeError):
        raise KitError(f"{path} cannot be read; delete the folder to start afresh") from None


def write_variables(path: Path, variables: Mapping[str, str]) -> Path:
    """Keep variables in a file that shells and other commands read, and return it."""
    lines = [f"{name}={_written(value)}\n" for name, value in variables.items()]
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.writelines(lines)
    return path


@dataclass(frozen=True, slots=True)
class Site:
    """Three servers that know of one another."""

    ports: dict[str, int]
    host: str | None
    domain: str | None
    """A made-up domain with the shop at shop.DOMAIN, for browsers that were told where it is."""
    data: Path
    keys: Keys

    def url(self, name: str) -> str:
        """Return the address that a browser uses."""
        names = NAMES | ({"shop": f"shop.{self.domain}"} if self.domain else {})
        return f"http://{self.host or names[name]}:{self.ports[name]}"

    def local_url(self, name: str) -> str:
        """Return the address that servers use: not every resolver knows *.localhost."""
        return f"http://127.0.0.1:{self.ports[name]}"

    @property
    def root(self) -> str:
        """The root domain that visitors are counted on."""
        return self.domain or urlsplit(self.url("shop")).hostname or ""

    def variables(self) -> dict[str, str]:
        """Return the environment that a shop on these stand-ins runs in."""
        return {
            "DODO_PAYMENTS_API_KEY": self.keys.dodo_api_key,
            "DODO_PAYMENTS_WEBHOOK_KEY": self.keys.webhook_secret,
            "DODO_PAYMENTS_BASE_URL": self.local_url("dodo"),
            "DATAFAST_API_KEY": self.keys.datafast_api_key,
            "DATAFAST_BASE_URL": self.local_url("datafast"),
            "DATAFAST_WEBSITE_ID": WEBSITE_ID,
            "DATAFAST_DOMAIN": self.root,
            "KIT_BASE_URL": self.url("shop"),
            "KIT_CHECKOUT_HOSTS": self.url("dodo"),
            "KIT_DATABASE_URL": f"sqlite:///{(self.data / 'shop.db').absolute()}",
            "KIT_SECRET_KEY": self.keys.secret_key,
            "KIT_HOLD_S": "15",
        } | {name: value for name, value in environment().items() if name in MODES}

    def settings(self) -> Settings:
        """Return what the demo's own shop is told, whatever another is."""
        return read_settings(Site.variables(self))

    def write_variables(self, file_name: str = "demo.env") -> Path:
        """Keep them in a file that shells and other commands read, and return it."""
        return write_variables(self.data / file_name, self.variables())

    def dodo(self, datafast_chaos: Chaos | None = None) -> Starlette:
        """Return the stand-in for Dodo, on whose pages that for DataFast can be made to fail."""
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

    def datafast(self, chaos: Chaos | None = None) -> Starlette:
        """Return the stand-in for DataFast."""
        return create_datafast(
            database=str(self.data / "datafast.db"),
            api_key=self.keys.datafast_api_key,
            website_id=WEBSITE_ID,
            domain=self.root,
            # Whoever tells the shop to be faster than DataFast allows tells the stand-in too.
            rate_limit=max(RATE_LIMIT, round(self.settings().datafast_rate)),
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
        self.report(ready_fd)

    def report(self, ready_fd: int | None) -> None:
        """Write the addresses to a file descriptor, for a program that waits for them."""
        if ready_fd is not None:
            urls = {name: self.url(name) for name in NAMES}
            local = {f"{name}_local": self.local_url(name) for name in NAMES}
            with os.fdopen(ready_fd, "w") as pipe:
                pipe.write(json.dumps(urls | local) + "\n")


def _written(value: str) -> str:
    """Write a value as both shells and dotenv read it: bare where it can be, else in quotes."""
    return value if _BARE.fullmatch(value) else f"'{value.translate(_QUOTED)}'"
