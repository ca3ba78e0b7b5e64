"""The doctor: every check of a set-up, one topic after the other, as hops with their fixes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from dataclasses import dataclass, replace
from typing import Literal
from urllib.parse import urlsplit

from kit.checks.clocks import check_clocks
from kit.checks.datafast_account import check_datafast
from kit.checks.dodo_account import check_dodo
from kit.checks.environment import check_environment
from kit.checks.ledger import check_ledger
from kit.checks.machine import check_machine
from kit.checks.page import check_page
from kit.checks.setup import Setup
from kit.checks.webhook import check_webhook
from kit.hops import Hop

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Topic:
    """One thing that was looked at."""

    title: str
    hops: tuple[Hop, ...]


def status_of(hop: Hop) -> Status:
    """Return how a line begins; what fails costs money or attribution until it is mended."""
    match hop.tone:
        case "ok":
            return "ok"
        case "lost":
            return "fail"
        case _:
            return "warn"


async def examine(setup: Setup) -> AsyncIterator[Topic]:
    """Make every check, all at once, and yield the topics in their order as they are known."""
    tasks = [
        asyncio.create_task(topics)
        for topics in (
            _one("Settings", asyncio.to_thread(check_environment, setup)),
            _one("This machine", asyncio.to_thread(check_machine)),
            _one("Dodo", check_dodo(setup)),
            _one("DataFast", check_datafast(setup)),
            _one("Clocks", check_clocks(setup)),
            _one("Page", check_page(setup)),
            _webhook_and_ledger(setup),
        )
    ]
    secrets = _secrets(setup)
    try:
        for task in tasks:
            for topic in await task:
                yield Topic(topic.title, tuple(_hidden(hop, secrets) for hop in topic.hops))
    finally:
        for task in tasks:
            task.cancel()


async def _one(title: str, check: Awaitable[Sequence[Hop]]) -> list[Topic]:
    return [Topic(title, tuple(await check))]


async def _webhook_and_ledger(setup: Setup) -> list[Topic]:
    """Look into the ledger last: what the receiver accepted must be in it."""
    trip = await check_webhook(setup)
    found = await asyncio.to_thread(check_ledger, setup, sent=trip.stored)
    return [Topic("Webhook", tuple(trip.hops)), Topic("Ledger", tuple(found))]


def _secrets(setup: Setup) -> list[str]:
    settings = setup.settings
    kept = [settings.dodo_api_key, settings.datafast_api_key, settings.inspector_token]
    kept += [*settings.dodo_webhook_keys, *settings.secret_keys]
    values = [secret.reveal() for secret in kept if secret is not None]
    values.append(urlsplit(settings.database_url).password or "")
    return [value for value in values if value]


def _hidden(hop: Hop, secrets: Sequence[str]) -> Hop:
    """Blot out what somebody else's answer may have repeated."""

    def without(text: str | None) -> str | None:
        for secret in secrets:
            text = text.replace(secret, "…") if text is not None else None
        return text

    return replace(hop, seen=without(hop.seen), expected=without(hop.expected))
