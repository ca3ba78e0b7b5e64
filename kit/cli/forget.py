"""`kit forget`: remove what names a visitor, here and, if that is wanted, at DataFast."""

from collections.abc import Iterable
from typing import Any

import click

from kit.cli.environment import environment
from kit.cli.errand import agree, carry_out, plan_of
from kit.settings import read_settings


@click.command(name="forget")
@click.argument("visitor", metavar="VISITOR")
@click.option(
    "--delete-revenue",
    is_flag=True,
    help="Have DataFast delete the visitor's payments, too: they leave its totals.",
)
@click.option("--dry-run", is_flag=True, help="Say what it would do, and do nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def command(visitor: str, delete_revenue: bool, dry_run: bool, yes: bool) -> None:
    """
    Forget a visitor, named by the id of the DataFast cookie; says first what goes.

    The money stays without a name. What Dodo sends of the visitor later, whose metadata keeps the
    id for years, is reported without naming anybody. With a server running this asks the server.
    """
    settings = read_settings(environment())
    action = {"action": "forget", "visitor_id": visitor}
    plan = plan_of(settings, action)
    for line in _told(plan, delete_revenue=delete_revenue):
        click.echo(line)
    if dry_run:
        return
    question = "Forget this visitor?"
    if delete_revenue:
        question = "Forget this visitor and delete the revenue at DataFast?"
        expected = sum(each["number"] for each in plan["reported"])
        action |= {"delete_revenue": "1", "expected": str(expected)}
    agree(question, yes=yes)
    click.echo(carry_out(settings, action))


def _told(plan: dict[str, Any], *, delete_revenue: bool) -> Iterable[str]:
    """Say what is here, and what is or will be at DataFast."""
    rows = [_number(number, name) for name, number in plan["removed"].items()]
    yield f"Here: {', '.join(rows) or 'nothing'}. What names the visitor is removed."
    sent = [each for each in plan["reported"] if each["sent"]]
    unsent = [each for each in plan["reported"] if not each["sent"]]
    if delete_revenue:
        if sent:
            yield "At DataFast, deleted for good and gone from its totals:"
            yield from map(_line, sent)
        if unsent:
            yield "Not sent yet, and never will be:"
            yield from map(_line, unsent)
        if not plan["reported"]:
            yield "At DataFast: nothing that was reported from here."
    elif sent:
        yield "At DataFast these stay, and may go on naming the visitor:"
        yield from map(_line, sent)
        yield (
            "--delete-revenue deletes them as well; afterwards nobody can tell any more which "
            "they were."
        )


def _line(each: dict[str, Any]) -> str:
    return f"  {_number(each['number'], each['kind'])}  {each['amount']} {each['currency']}"


def _number(number: int, name: str) -> str:
    return f"{number} {name}" if number == 1 else f"{number} {name}s"
