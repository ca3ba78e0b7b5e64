"""`kit replay`: let parked reports go, or make one again."""

import asyncio
import time
from urllib.parse import urlencode

import click
import httpx

from kit.actions import perform
from kit.cli.shop import environment
from kit.errors import KitError, LedgerInUse
from kit.ledger import Ledger
from kit.settings import Settings, read_settings

TIMEOUT_S = 15.0


@click.command(name="replay")
@click.option("--release", "reason", metavar="REASON", help="Let go what is parked for a reason.")
@click.option(
    "--reattribute",
    "transaction_id",
    metavar="TRANSACTION",
    help="Delete a sale at DataFast and report it again with the visitor that came too late.",
)
def command(reason: str | None, transaction_id: str | None) -> None:
    """
    Let parked reports go, or make one again.

    With a server running this asks the server, which owns the ledger.
    """
    if (reason is None) == (transaction_id is None):
        raise KitError("say either --release REASON or --reattribute TRANSACTION")
    settings = read_settings(environment())
    action = (
        {"action": "release", "reason": reason}
        if reason is not None
        else {"action": "reattribute", "transaction_id": transaction_id}
    )
    click.echo(asyncio.run(_act(settings, {name: str(value) for name, value in action.items()})))


async def _act(settings: Settings, action: dict[str, str]) -> str:
    try:
        ledger = Ledger.open(settings.database_url, clock=time.time)
    except LedgerInUse:
        return await _ask_server(settings, action)
    try:
        done = await ledger.write(
            lambda connection: perform(connection, action, now_ms=ledger.now_ms())
        )
    finally:
        ledger.close()
    return f"{done.sentence}; nothing is sent until a server runs"


async def _ask_server(settings: Settings, action: dict[str, str]) -> str:
    token = settings.inspector_token
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token.reveal()}"
    url = f"{settings.base_url}/inspector/actions"
    try:
        async with httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False) as http:
            reply = await http.post(url, content=urlencode(action), headers=headers)
        answer = reply.json()
    except (httpx.HTTPError, ValueError):
        raise KitError(
            f"the ledger is in use, and its server does not answer at {settings.base_url}: "
            "set KIT_BASE_URL to where it listens, or stop it first"
        ) from None
    if not answer.get("ok"):
        raise KitError(str(answer.get("error", f"the server answered {reply.status_code}")))
    return str(answer["done"])
