"""`kit replay`: send reports and read messages again, after saying which."""

import time
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import click

from kit.cli.environment import environment
from kit.cli.errand import Action, agree, carry_out, plan_of
from kit.cli.moments import moment_ms
from kit.errors import KitError
from kit.ledger.replays import LEFT_ALONE, READ_AGAIN, SENT_AGAIN
from kit.settings import read_settings

_WAITS = "line_up"


@click.command(name="replay")
@click.argument("one", metavar="[TRANSACTION_OR_WEBHOOK_ID]", required=False)
@click.option(
    "--state",
    type=click.Choice(("parked", "held", "done")),
    help="All in this state; parked, if only a time is said.",
)
@click.option("--reason", metavar="REASON", help="All with this reason, skipped messages as well.")
@click.option("--since", metavar="TIME", help="Not older than 2h, 3d, or a moment in ISO 8601.")
@click.option("--until", metavar="TIME", help="Older than that; a moment without a zone is UTC.")
@click.option("--release", metavar="REASON", help="Let go what is parked, and answer for it.")
@click.option(
    "--reattribute",
    metavar="TRANSACTION",
    help="Delete a sale at DataFast and report it again with the visitor that came too late.",
)
@click.option("--dry-run", is_flag=True, help="Say what it would do, and do nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def command(dry_run: bool, yes: bool, **wanted: str | None) -> None:
    """
    Send reports to DataFast again and read messages again; says first which.

    A report keeps its transaction id, so that nothing counts twice, and a verdict is never lowered.
    With a server running this asks the server, which owns the ledger.
    """
    settings = read_settings(environment())
    action = _action(wanted, now=time.time())
    plan = plan_of(settings, action)
    if "id" in action and not plan["lines"]:
        raise KitError(f"{action['id']} is neither a report nor a message of this ledger")
    for line in _told(plan["lines"], rate=settings.datafast_rate):
        click.echo(line)
    if dry_run or not any(_changes(line) for line in plan["lines"]):
        return
    agree("Do that?", yes=yes)
    click.echo(carry_out(settings, action))


def _action(wanted: Mapping[str, str | None], *, now: float) -> Action:
    """Turn the options into what is asked for. Raises KitError."""
    chosen = {name: value for name, value in wanted.items() if value is not None}
    kinds = [name for name in ("release", "reattribute") if name in chosen]
    filters = chosen.keys() - set(kinds)
    if len(kinds) + bool(filters) != 1 or ("one" in filters and len(filters) > 1):
        raise KitError(
            "say what to replay: an id, or --state, --reason, --since and --until; "
            "or --release REASON; or --reattribute TRANSACTION"
        )
    if "release" in chosen:
        return {"action": "release", "reason": chosen["release"]}
    if "reattribute" in chosen:
        return {"action": "reattribute", "transaction_id": chosen["reattribute"]}
    action = {"action": "replay"}
    for option, name in (("one", "id"), ("state", "state"), ("reason", "reason")):
        if option in chosen:
            action[name] = chosen[option]
    for option in ("since", "until"):
        if option in chosen:
            action[f"{option}_ms"] = str(moment_ms(chosen[option], option, now=now))
    return action


def _changes(line: Mapping[str, Any]) -> bool:
    return line["fate"] in (*SENT_AGAIN, *READ_AGAIN, "replace")


def _told(lines: list[dict[str, Any]], *, rate: float) -> Iterable[str]:
    """Say what becomes of the rows, one line for all that share kind, state and reason."""
    sent = [line for line in lines if _changes(line) and line["what"] == "report"]
    waiting = [line for line in sent if line["fate"] == _WAITS]
    sent = [line for line in sent if line["fate"] != _WAITS]
    read = [line for line in lines if _changes(line) and line["what"] == "message"]
    if sent:
        yield f"{_number(sent, 'report')} to DataFast again: {_sums(sent)}"
        yield from _table(sent)
    if waiting:
        yield f"{_number(waiting, 'report')} after the sale, once that is reported"
        yield from _table(waiting)
    if read:
        yield f"{_number(read, 'message')} to be read again"
        yield from _table(read)
    for fate, why in LEFT_ALONE.items():
        if left := [line for line in lines if line["fate"] == fate]:
            yield f"{_number(left, left[0]['what'])} left alone: {why}"
            yield from _table(left)
    if not lines:
        yield "Nothing fits."
    minutes = sum(line["number"] for line in sent) / rate
    if minutes >= 1:
        yield f"At {rate:g} calls a minute that takes about {_duration(minutes)}."


def _table(lines: list[dict[str, Any]]) -> Iterable[str]:
    rows = [
        (
            str(line["number"]),
            line["kind"],
            line["state"],
            line["reason"],
            f"{line['amount']} {line['currency']}" if line["currency"] else "",
        )
        for line in lines
    ]
    number, kind, state, reason, amount = (
        max(map(len, column)) for column in zip(*rows, strict=True)
    )
    for row in rows:
        yield (
            f"  {row[0]:>{number}}  {row[1]:{kind}}  {row[2]:{state}}  {row[3]:{reason}}  "
            f"{row[4]:>{amount}}"
        ).rstrip()


def _number(lines: list[dict[str, Any]], name: str) -> str:
    number = sum(line["number"] for line in lines)
    return f"{number} {name}" if number == 1 else f"{number} {name}s"


def _sums(lines: list[dict[str, Any]]) -> str:
    """Add up by kind and currency: what is taken back is never netted with what came in."""
    sums: dict[tuple[str, str], Decimal] = {}
    for line in lines:
        key = (line["kind"], line["currency"])
        sums[key] = sums.get(key, Decimal(0)) + Decimal(line["amount"])
    return ", ".join(f"{kind}s {amount} {code}" for (kind, code), amount in sorted(sums.items()))


def _duration(minutes: float) -> str:
    hours, rest = divmod(round(minutes), 60)
    return f"{hours} h {rest} min" if hours else f"{rest} min"
