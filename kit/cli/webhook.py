"""`kit webhook`: this shop's webhook endpoint at Dodo."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from kit.checks.setup import is_local, is_same_place
from kit.cli.addresses import WEBHOOK_PATH, shop_url
from kit.cli.clients import open_dodo
from kit.cli.environment import env_option, environment
from kit.dodo import DodoClient
from kit.errors import DodoError, KitError, SettingsError, TransportError
from kit.helpers.dodo_datafast import SecretError, dodo_url, signing_key
from kit.ledger.policy import EVENTS_READ
from kit.settings import Settings, review_settings, variable_of

DESCRIPTION = "dodo-datafast-kit"
VARIABLE = "DODO_PAYMENTS_WEBHOOK_KEY"
NEEDED = ("DODO_PAYMENTS_API_KEY", "DODO_PAYMENTS_ENVIRONMENT", "DODO_PAYMENTS_BASE_URL")


@click.group(name="webhook")
def command() -> None:
    """Make this shop's webhook endpoint at Dodo."""


@command.command(name="create")
@click.option(
    "--url", type=shop_url, metavar="URL", help=f"Where they arrive; KIT_BASE_URL{WEBHOOK_PATH}."
)
@click.option("--all-events", is_flag=True, help="Ask for every type, not only those that count.")
@env_option
def create(*, url: str | None, all_events: bool, env_file: Path | None) -> None:
    """
    Make the endpoint at Dodo, and print the variable that holds its secret.

    The line goes to the standard output and everything else to the error stream, so that
    `kit webhook create >> .env` keeps it; the kit itself stores nothing. An endpoint that is there
    already is left as it is, and its secret printed.
    """
    settings = _settings(environment(env_file), url)
    url = url or settings.base_url + WEBHOOK_PATH
    _check_reach(url, settings)
    events = () if all_events else EVENTS_READ
    try:
        endpoint_id, secret, made = asyncio.run(_provide(settings, url, events))
    except (DodoError, TransportError) as problem:
        raise KitError(_explained(problem)) from None
    try:
        signing_key(secret)
    except SecretError as problem:
        raise KitError(f"the endpoint {endpoint_id} is there, and {problem}") from None
    done = "made" if made else "was there already, and was left as it is"
    click.echo(f"{endpoint_id} {done}: {url}", err=True)
    if made:
        click.echo(f"It is sent {', '.join(events) or 'every event'}.", err=True)
    click.echo(f"{VARIABLE}={secret}")


def _settings(environ: Mapping[str, str], url: str | None) -> Settings:
    """Read what this command needs: the webhook's secret is what it is there to bring."""
    needed = NEEDED if url is not None else (*NEEDED, "KIT_BASE_URL")
    settings, problems = review_settings(environ)
    wrong = [each for each in problems if variable_of(each) in needed]
    if wrong:
        raise SettingsError(tuple(wrong))
    return settings


def _check_reach(url: str, settings: Settings) -> None:
    """Refuse an address that only this machine knows, unless Dodo is a stand-in on it."""
    base = dodo_url(settings.dodo_environment, settings.dodo_base_url)
    if is_local(url) and not is_local(base):
        raise KitError(
            f"Dodo cannot reach {url}: set KIT_BASE_URL to the shop's public address, or give one "
            "with --url, a tunnel's for example"
        )


async def _provide(settings: Settings, url: str, events: tuple[str, ...]) -> tuple[str, str, bool]:
    """Return the endpoint's id, its secret, and whether it was made just now."""
    dodo = open_dodo(settings)
    try:
        found = [each for each in await dodo.endpoints() if is_same_place(str(each["url"]), url)]
        endpoint = found[0] if found else await _made(dodo, url, events)
        endpoint_id = str(endpoint.get("id"))
        return endpoint_id, await dodo.endpoint_secret(endpoint_id), not found
    finally:
        await dodo.aclose()


async def _made(dodo: DodoClient, url: str, events: tuple[str, ...]) -> Mapping[str, Any]:
    return await dodo.create_endpoint(url, events=events, description=DESCRIPTION)


def _explained(problem: DodoError | TransportError) -> str:
    if isinstance(problem, DodoError) and problem.status in (401, 403):
        return (
            f"{problem}: the API key is refused. It must be one of "
            "DODO_PAYMENTS_ENVIRONMENT, with write access."
        )
    return f"{problem}. Nothing was printed; run it again, it makes no second endpoint."
