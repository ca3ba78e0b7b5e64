"""`kit trigger`: send signed webhooks, as Dodo would, to a shop under development."""

import asyncio
import json
import random
import re
import shlex
import time
from dataclasses import dataclass
from difflib import get_close_matches
from http import HTTPStatus
from pathlib import Path
from typing import Any
from uuid import UUID

import click

from kit.cli.addresses import WEBHOOK_PATH, shop_url
from kit.cli.environment import env_option, environment
from kit.errors import KitError
from kit.helpers.dodo_datafast import Outgoing, SecretError, signing_key
from kit.sandbox.fixtures import FixtureError, change, event_types, load
from kit.sandbox.fresh import freshen
from kit.sandbox.signer import sign
from kit.sandbox.stamps import new_id
from kit.transport import open_client, send

TIMEOUT_S = 15.0  # Dodo's own
SHOWN_CHARACTERS = 2_000
VISITOR_FIELD = "data.metadata.datafast_visitor_id"


@click.command(name="trigger")
@click.argument("events", nargs=-1, metavar="EVENT...")
@click.option("--list", "listed", is_flag=True, help="Name the event types, a line each.")
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="PATH=VALUE",
    help="Change a field: data.currency=JPY; JSON if it parses, else text. Repeatable.",
)
@click.option("--visitor", type=click.UUID, help="The DataFast visitor id in the metadata.")
@click.option(
    "--to", "url", type=shop_url, metavar="URL", help=f"Where to; KIT_BASE_URL{WEBHOOK_PATH}."
)
@click.option(
    "--secret-env",
    default="DODO_PAYMENTS_WEBHOOK_KEY",
    show_default=True,
    metavar="NAME",
    help="The variable that holds the webhook's secret.",
)
@env_option
@click.option(
    "--duplicate",
    type=click.IntRange(1, 100),
    default=1,
    show_default=True,
    help="How often to send each message in all.",
)
@click.option("--shuffle", is_flag=True, help="Send them in a random order.")
@click.option("--skew", type=int, default=0, help="Seconds to add to the time of the signature.")
@click.option("--dry-run", is_flag=True, help="Print curl commands instead.")
def command(
    events: tuple[str, ...],
    *,
    listed: bool,
    changes: tuple[str, ...],
    visitor: UUID | None,
    url: str | None,
    secret_env: str,
    env_file: Path | None,
    duplicate: int,
    shuffle: bool,
    skew: int,
    dry_run: bool,
) -> None:
    """
    Send signed webhooks of any of Dodo's event types, with new ids each time.

    Several at once belong together, as payment.succeeded and refund.succeeded of one payment.
    Prints the answers; the exit code is 0 when every answer is a 2xx.

    \b
      kit trigger payment.succeeded --set data.currency=JPY --set data.total_amount=3300
      kit trigger payment.succeeded subscription.active --duplicate 2 --shuffle
      kit trigger payment.succeeded --env .kit/demo.env       to the demo's shop
    """  # noqa: D301 - click reads the \b: what follows it keeps its lines
    if listed:
        click.echo("\n".join(event_types()))
        return
    environ = environment(env_file)
    url = url or shop_url(
        environ.get("KIT_BASE_URL", "http://127.0.0.1:8000").rstrip("/") + WEBHOOK_PATH
    )
    secret = _secret(environ, secret_env)
    messages = _messages(events, changes, visitor)
    sendings = [
        _signed(message, secret, url, at=int(time.time()) + skew) for message in messages
    ] * duplicate
    if shuffle:
        random.shuffle(sendings)
    if dry_run:
        click.echo("# A signature is good for five minutes.")
        for sending in sendings:
            click.echo(_curl(sending.outgoing), nl=False)
        return
    if not asyncio.run(_deliver(sendings)):
        raise SystemExit(1)


@dataclass(frozen=True, slots=True)
class _Sending:
    """One signed message, and what it is."""

    event: str
    outgoing: Outgoing


def _messages(
    events: tuple[str, ...], changes: tuple[str, ...], visitor: UUID | None
) -> list[dict[str, Any]]:
    """Make the messages: what one fixture and another call alike is one thing in all of them."""
    if not events:
        raise click.UsageError("name an event, such as payment.succeeded; --list names them all")
    for event in events:
        _check_event(event)
    now, ids = time.time(), dict[str, str]()
    messages = [freshen(load(event), now=now, ids=ids) for event in events]
    pairs = [_pair(text) for text in changes]
    if visitor is not None:
        pairs.insert(0, (VISITOR_FIELD, str(visitor)))
    for path, value in pairs:
        _change(messages, path, value)
    return messages


def _check_event(event: str) -> None:
    if event not in event_types():
        near = get_close_matches(event, event_types(), n=4, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"see: {', '.join(event_types())}"
        raise KitError(f"Dodo has no event {event}; {hint}")


def _change(messages: list[dict[str, Any]], path: str, value: Any) -> None:
    """Change a field wherever it is; it must be somewhere."""
    refused = []
    for message in messages:
        try:
            change(message, path, value)
        except FixtureError as error:
            refused.append(f"{error} Its data has: {', '.join(sorted(message['data']))}")
    if len(refused) == len(messages):
        raise KitError(refused[0])


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


def _signed(message: dict[str, Any], secret: str, url: str, *, at: int) -> _Sending:
    # With its line break, so that what curl reads from a shell's heredoc is what was signed.
    body = json.dumps(message, separators=(",", ":")).encode() + b"\n"
    signed = sign(secret, message_id=new_id("msg"), timestamp_s=at, body=body)
    headers = {"content-type": "application/json"} | signed
    return _Sending(message["type"], Outgoing("POST", url, headers, body))


def _curl(outgoing: Outgoing) -> str:
    headers = [
        f"--header {shlex.quote(f'{name}: {value}')}" for name, value in outgoing.headers.items()
    ]
    first = f"curl --include --data-binary @- {shlex.quote(outgoing.url)}"
    call = " \\\n  ".join([first, *headers])
    return f"{call} <<'JSON'\n{outgoing.content.decode()}JSON\n"


async def _deliver(sendings: list[_Sending]) -> bool:
    """Send one after the other and print the answers. Raises TransportError."""
    accepted = True
    async with open_client() as client:
        for sending in sendings:
            outgoing = sending.outgoing
            click.echo(f"{sending.event} {outgoing.headers['webhook-id']} to {outgoing.url}")
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
