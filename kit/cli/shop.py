"""What commands share: the environment, clients, and a shop opened from settings."""

import os
from collections.abc import Callable
from pathlib import Path

import click
from dotenv import dotenv_values
from starlette.applications import Starlette

from kit.datafast import DataFastClient
from kit.dodo import DodoClient
from kit.errors import KitError
from kit.ledger import Ledger
from kit.sender import Pace
from kit.settings import Settings
from kit.transport import open_client
from kit.web.app import create_app
from kit.web.guard import Limit
from kit.web.storefront.catalogue import Catalogue

_ANY_NUMBER = Limit(burst=100_000, per_minute=100_000)


ENV_FILE = Path(".env")


def environment(file: Path | None = None) -> dict[str, str]:
    """
    Return the environment, over what a `.env` file in the working directory says.

    A file that is named is all there is. Raises KitError when it cannot be read.
    """
    if file is not None and not file.is_file():
        raise KitError(f"there is no file {file}; `kit demo` writes one when it starts")
    written = {name: value for name, value in dotenv_values(file or ENV_FILE).items() if value}
    # An empty variable counts as unset, here as everywhere.
    given = {name: value for name, value in os.environ.items() if value}
    return written if file is not None else written | given


env_option = click.option(
    "--env",
    "env_file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Read the settings from this file alone; the demo writes .kit/demo.env.",
)


def open_dodo(settings: Settings) -> DodoClient:
    """Open a client for the account of the settings."""
    return DodoClient(
        open_client(),
        api_key=settings.dodo_api_key.reveal(),
        environment=settings.dodo_environment,
        base_url=settings.dodo_base_url,
        checkout_hosts=settings.checkout_hosts,
    )


def open_datafast(settings: Settings, *, clock: Callable[[], float]) -> DataFastClient:
    """Open a client for the website of the settings."""
    return DataFastClient(
        open_client(),
        api_key=settings.datafast_api_key.reveal(),
        clock=clock,
        website_id=settings.datafast_api_website_id,
        base_url=settings.datafast_base_url,
    )


def open_shop(
    settings: Settings,
    *,
    clock: Callable[[], float],
    catalogue: Catalogue | None = None,
    sandboxed: bool = False,
) -> Starlette:
    """
    Open ledger and clients, and compose the app around them; `sandboxed` shortens its waits.

    Each destination has connections of its own: a slow DataFast must not hold up a checkout.
    Raises LedgerError.
    """
    limits = {"buyer_limit": _ANY_NUMBER, "shop_limit": _ANY_NUMBER} if sandboxed else {}
    pace = Pace(pageview_wait_s=settings.hold_s) if settings.reports_to_a_stand_in else Pace()
    return create_app(
        settings,
        ledger=Ledger.open(settings.database_url),
        dodo=open_dodo(settings),
        datafast=open_datafast(settings, clock=clock),
        proxy_http=open_client(),
        clock=clock,
        catalogue=catalogue,
        demo=sandboxed,
        pace=pace,
        **limits,
    )
