"""`kit trigger`: send one signed webhook, as Dodo would, to a shop under development."""

import asyncio
import json
import re
import shlex
import time
from difflib import get_close_matches
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import click

from kit.cli.shop import environment
from kit.errors import KitError
from kit.helpers.dodo_datafast import Outgoing, SecretError, signing_key
from kit.sandbox.fixtures import FixtureError, change, event_types, load
from kit.sandbox.fresh import freshen
from kit.sandbox.signer import sign
from kit.sandbox.stamps import new_id
from kit.transport import open_client, send

PATH = "/webhooks/dodo"
TIMEOUT_S = 15.0  # Dodo's own
SHOWN_CHARACTERS = 2_000
_LOOPBACK = re.compile(r"localhost|.+\.localhost|127(?:\.\d+){3}|::1")


@click.command(name="trigger")
@click.argument("event")
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="PATH=VALUE",
    help="Change a field: data.currency=JPY; JSON if it parses, else text. Repeatable.",
)
@click.option("--visitor", type=click.UUID, help="The DataFast visitor id in the metadata.")
@click.option("--to", "url", help=f"Where to; KIT_BASE_URL{PATH} by default.")
@click.option(
    "--secret-env",
    default="DODO_PAYMENTS_WEBHOOK_KEY",
    show_default=True,
    metavar="NAME",
    help="The variable, of the environment or of .env, that holds the webhook's secret.",
)
@click.option(
    "--duplicate",
    type=click.IntRange(1, 100),
    default=1,
    show_default=True,
    help="How often to send the message in all.",
)
@click.option("--skew", type=int, default=0, help="Seconds to add to the time of the signature.")
@click.option("--dry-run", is_flag=True, help="Print the curl command instead.")
def command(
    event: str,
    *,
    changes: tuple[str, ...],
    visitor: UUID | None,
    url: str | None,
    secret_env: str,
    duplicate: int,
    skew: int,
    dry_run: bool,
) -> None:
    """
    Send a signed webhook of any of Dodo's event types, with new ids each time.

    Prints the answer; the exit code is 0 when every answer is a 2xx. For the demo's shop, put the
    secret of .kit/keys.json into the environment.
    """
    environ = environment()
    if url is None:
        url = environ.get("KIT_BASE_URL", "http://127.0.0.1:8000").rstrip("/") + PATH
    _check_url(url)
    secret = _secret(environ, secret_env)
    message = _message(event, changes, visitor)
    # With its line break, so that what curl reads from a shell's heredoc is what was signed.
    body = json.dumps(message, separators=(",", ":")).encode() + b"\n"
    headers = {"content-type": "application/json"} | sign(
        secret, message_id=new_id("msg"), timestamp_s=int(time.time()) + skew, body=body
    )
    if dry_run:
        click.echo(_curl(url, headers, body), nl=False)
        return
    click.echo(f"{event} {headers['webhook-id']} to {url}")
    outgoing = Outgoing("POST", _resolved(url), {"host": urlsplit(url).netloc} | headers, body)
    if not asyncio.run(_deliver([outgoing] * duplicate)):
        raise SystemExit(1)


def _message(event: str, changes: tuple[str, ...], visitor: UUID | None) -> dict[str, Any]:
    if event not in event_types():
        near = get_close_matches(event, event_types(), n=4, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"see: {', '.join(event_types())}"
        raise KitError(f"Dodo has no event {event}; {hint}")
    message = freshen(load(event), now=time.time())
    pairs = [_pair(text) for text in changes]
    if visitor is not None:
        pairs.insert(0, ("data.metadata.datafast_visitor_id", str(visitor)))
    try:
        for path, value in pairs:
            change(message, path, value)
    except FixtureError as error:
        fields = ", ".join(sorted(message["data"]))
        raise KitError(f"{error} Its data has: {fields}") from None
    return message


def _pair(text: str) -> tuple[str, Any]:
    path, separator, value = text.partition("=")
    if not path or not separator:
        raise click.BadParameter(f"{text!r} is not PATH=VALUE", param_hint="--set")
    try:
        return path, json.loads(value, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return path, value


def _refuse(name: str) -> float:
    raise ValueError(name)  # NaN and Infinity are no JSON, so they are text


def _check_url(url: str) -> None:
    """Accept https, and http to this machine: a signed body is worth protecting on the way."""
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname or "", parts.port
    except ValueError:
        raise click.BadParameter("that is no URL", param_hint="--to") from None
    local = parts.scheme == "http" and _LOOPBACK.fullmatch(host) is not None
    if not host or "@" in parts.netloc or not (parts.scheme == "https" or local):
        raise click.BadParameter(
            "it must be an https URL without a password (http on localhost only)",
            param_hint="--to",
        )


def _resolved(url: str) -> str:
    """Write this machine's address for a name such as shop.localhost: resolvers may not know it."""
    parts = urlsplit(url)
    if not (parts.hostname or "").endswith(".localhost"):
        return url
    netloc = "127.0.0.1" if parts.port is None else f"127.0.0.1:{parts.port}"
    return parts._replace(netloc=netloc).geturl()


def _secret(environ: dict[str, str], name: str) -> str:
    """Return the first secret of a variable; while rotating it holds several."""
    words = [word for word in re.split(r"[\s,]+", environ.get(name, "")) if word]
    if not words:
        raise KitError(f"{name} is not set: it must be the webhook's secret, in .env or around")
    try:
        signing_key(words[0])
    except SecretError as problem:
        raise KitError(f"{name}: {problem}") from None
    return words[0]


def _curl(url: str, headers: dict[str, str], body: bytes) -> str:
    options = [f"--header {shlex.quote(f'{name}: {value}')}" for name, value in headers.items()]
    first = f"curl --include --data-binary @- {shlex.quote(url)}"
    call = " \\\n  ".join([first, *options])
    return f"# The signature is good for five minutes.\n{call} <<'JSON'\n{body.decode()}JSON\n"


async def _deliver(messages: list[Outgoing]) -> bool:
    """Send one after the other and print the answers. Raises TransportError."""
    accepted = True
    async with open_client() as client:
        for outgoing in messages:
            reply = await send(client, outgoing, deadline_s=TIMEOUT_S)
            click.echo(f"{reply.status} {_phrase(reply.status)}".rstrip())
            text = _printable(reply.body.decode(errors="replace")[:SHOWN_CHARACTERS]).strip()
            if text:
                click.echo(text)
            accepted = accepted and 200 <= reply.status < 300
    return accepted


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase if status in list(HTTPStatus) else ""


def _printable(text: str) -> str:
    """Leave out what could steer a terminal."""
    return "".join(character for character in text if character.isprintable() or character == "\n")
