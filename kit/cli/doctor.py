"""`kit doctor`: look at everything that a sale passes, and say what is wrong and how to mend it."""

import asyncio
import json
import textwrap
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from itertools import zip_longest
from pathlib import Path
from typing import Any

import click

from kit.checks.setup import Setup
from kit.cli.addresses import WEBHOOK_PATH, shop_url
from kit.cli.clients import open_datafast, open_dodo
from kit.cli.environment import ENV_FILE, env_option, environment
from kit.doctor import Status, Topic, examine, status_of
from kit.hops import Hop
from kit.sandbox.fixtures import load
from kit.sandbox.signer import sign
from kit.settings import review_settings
from kit.transport import open_client

WIDTH = 100
_COLOURS: Mapping[Status, str] = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command(name="doctor")
@click.option(
    "--page", "page_url", type=shop_url, metavar="URL", help="A page of the shop; KIT_BASE_URL/."
)
@click.option(
    "--webhook",
    "webhook_url",
    type=shop_url,
    metavar="URL",
    help=f"Where Dodo's webhooks arrive; KIT_BASE_URL{WEBHOOK_PATH}.",
)
@env_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(
    *, page_url: str | None, webhook_url: str | None, env_file: Path | None, as_json: bool
) -> None:
    """
    Look at everything that a sale passes, and say what is wrong and how to mend it.

    Settings, clocks, the accounts at Dodo and DataFast, the shop's page, the webhook's way in, and
    what the ledger shows. Each line is ok, warn or fail; the exit code is 1 when one fails.

    Nothing is changed anywhere. One signed message of no consequence (payout.in_progress, no
    amount) goes to the shop's own webhook endpoint, and DataFast is asked to delete a payment that
    never was. No secret is printed.
    """
    topics = asyncio.run(_examine(page_url, webhook_url, env_file, quiet=as_json))
    if as_json:
        click.echo(json.dumps(as_document(topics), indent=2, ensure_ascii=False))
    else:
        click.echo(_summary(topics))
    if _count(topics, "fail"):
        raise SystemExit(1)


async def _examine(
    page_url: str | None, webhook_url: str | None, env_file: Path | None, *, quiet: bool
) -> list[Topic]:
    environ = environment(env_file)
    settings, problems = review_settings(environ)
    topics: list[Topic] = []
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(open_client())
        dodo, datafast = open_dodo(settings), open_datafast(settings, clock=time.time)
        for client in (dodo, datafast):
            stack.push_async_callback(client.aclose)
        setup = Setup(
            settings=settings,
            problems=problems,
            environ=environ,
            env_file=env_file or ENV_FILE,
            webhook_url=webhook_url or settings.base_url + WEBHOOK_PATH,
            page_url=page_url or f"{settings.base_url}/",
            http=http,
            dodo=dodo,
            datafast=datafast,
            sign=sign,
            message=_message(),
            clock=time.time,
        )
        async for topic in examine(setup):
            topics.append(topic)
            if not quiet:
                click.echo(_told(topic))
    return topics


def _message() -> dict[str, Any]:
    """Return a message of no consequence: a payout on its way, of nothing, always the same."""
    return load("payout.in_progress", payout_id="pyt_kit_doctor", amount=0, fee=0)


def as_document(topics: list[Topic]) -> dict[str, Any]:
    """Return all that was found as plain data."""
    return {
        "ok": not _count(topics, "fail"),
        "counts": {status: _count(topics, status) for status in _COLOURS},
        "checks": [
            {"topic": topic.title, "status": status_of(hop)} | hop.as_dict()
            for topic in topics
            for hop in topic.hops
        ],
    }


def _told(topic: Topic) -> str:
    lines = [click.style(topic.title, bold=True)]
    for hop, following in zip_longest(topic.hops, topic.hops[1:]):
        # Several of one kind have one fix, which stands under the last.
        repeated = following is not None and following.reason == hop.reason
        lines += _lines(hop, fix=None if repeated else hop.fix)
    return "\n".join(lines) + "\n"


def _lines(hop: Hop, *, fix: str | None) -> list[str]:
    status = status_of(hop)
    mark = click.style(f"{status:<4}", fg=_COLOURS[status])
    line = f"  {mark}  {hop.name}: {hop.sentence}"
    if status == "ok":
        return [line + (click.style(f"  {hop.seen}", dim=True) if hop.seen else "")]
    lines = [line]
    for label, text in (("seen", hop.seen), ("expected", hop.expected), ("fix", fix)):
        if not text:
            continue
        detail = f"{label}: {text}"
        lines += textwrap.wrap(
            detail,
            WIDTH,
            initial_indent=" " * 8,
            subsequent_indent=" " * 10,
            break_on_hyphens=False,
        )
    return lines


def _summary(topics: list[Topic]) -> str:
    return ", ".join(f"{_count(topics, status)} {status}" for status in _COLOURS)


def _count(topics: list[Topic], status: Status) -> int:
    return sum(status_of(hop) == status for topic in topics for hop in topic.hops)
