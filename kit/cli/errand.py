"""Carry an action to the ledger: here, or through the running server that owns it."""

import asyncio
import json
from typing import Any
from urllib.parse import urlencode

import click

from kit.actions import perform, plan
from kit.errors import KitError, LedgerInUse, TransportError
from kit.helpers.dodo_datafast import Outgoing
from kit.ledger import Ledger
from kit.settings import Settings
from kit.transport import open_client, send

TIMEOUT_S = 120.0  # forgetting looks into every stored message

Action = dict[str, str]


def plan_of(settings: Settings, action: Action) -> dict[str, Any]:
    """Return what an action would do, as plain data. Raises KitError."""
    planned: dict[str, Any] = asyncio.run(_carry(settings, action | {"plan": "1"}))["plan"]
    return planned


def carry_out(settings: Settings, action: Action) -> str:
    """Do it, and return the sentence that says what was done. Raises KitError."""
    return str(asyncio.run(_carry(settings, action))["done"])


def agree(question: str, *, yes: bool) -> None:
    """Ask before anything is done, unless that was answered beforehand. Raises KitError."""
    try:
        agreed = yes or click.confirm(question)
    except click.Abort:
        raise KitError("nothing was done: there was no answer; --yes answers beforehand") from None
    if not agreed:
        raise KitError("nothing was done")


async def _carry(settings: Settings, action: Action) -> dict[str, Any]:
    try:
        ledger = Ledger.open(settings.database_url)
    except LedgerInUse:
        return await ask_server(settings, action)
    holds_test = settings.holds_test_payments
    try:
        if action.get("plan") == "1":
            planned = await plan(ledger, action, holds_test=holds_test)
            return {"plan": planned.as_dict()}
        done = await perform(ledger, action, holds_test=holds_test)
        later = "a running server does it" if ledger.shared else "once a server runs"
    finally:
        ledger.close()
    return {"done": f"{done.sentence}; {later}" if done.sends else done.sentence}


async def ask_server(
    settings: Settings, action: Action, *, timeout_s: float = TIMEOUT_S
) -> dict[str, Any]:
    """Post an action to the server that owns the ledger. Raises KitError."""
    token = settings.inspector_token
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token.reveal()}"
    url = f"{settings.base_url}/inspector/actions"
    outgoing = Outgoing("POST", url, headers, urlencode(action).encode())
    try:
        async with open_client() as http:
            reply = await send(http, outgoing, deadline_s=timeout_s)
        answer: dict[str, Any] = json.loads(reply.body)
    except (TransportError, ValueError):
        raise KitError(
            f"the ledger is in use, and its server does not answer at {settings.base_url}: "
            "set KIT_BASE_URL to where it listens, or stop it first"
        ) from None
    if not answer.get("ok"):
        raise KitError(str(answer.get("error", f"the server answered {reply.status}")))
    return answer
