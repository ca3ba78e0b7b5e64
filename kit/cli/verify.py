"""`kit verify`: play the continuity journeys through a running shop, and say what to mend."""

from pathlib import Path
from typing import Any

import click

from kit.errors import KitError


@click.command(name="verify")
@click.argument("url")
@click.argument("shop_command", nargs=-1, type=click.UNPROCESSED, metavar="[-- COMMAND...]")
@click.option("--product", metavar="URL", help="The page with the buy button; else it is sought.")
@click.option("--buy", metavar="CSS", help="The buy button, its form or link; else it is guessed.")
@click.option("--domain", help="What the tag has in data-domain; else the shop's host, less www.")
@click.option(
    "--webhooks",
    metavar="PATH",
    default="/webhooks/dodo",
    show_default=True,
    help="Where the shop takes Dodo's webhooks.",
)
@click.option(
    "--cookie",
    "cookies",
    multiple=True,
    metavar="NAME=VALUE",
    help="A cookie that visitors bring, a consent for example. Repeatable.",
)
@click.option(
    "--journey", "names", multiple=True, metavar="NAME", help="Only this journey. Repeatable."
)
@click.option("--list", "list_only", is_flag=True, help="Say which journeys there are, and end.")
@click.option("--port", default=8001, show_default=True, help="First of two ports; 0 for any.")
@click.option(
    "--stand-ins",
    "running",
    nargs=2,
    metavar="DODO DATAFAST",
    help="The addresses of stand-ins that run already, as those of `kit demo` do.",
)
@click.option(
    "--resolve",
    multiple=True,
    metavar="NAME=ADDRESS",
    help="Where a name is, for the browser too: '*.example.com=127.0.0.1'. Repeatable.",
)
@click.option("--wait", default=60.0, show_default=True, help="Seconds until the shop must answer.")
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".kit"),
    show_default=True,
    help="Folder for keys, the shop's variables and its log.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the account as JSON instead.")
@click.option(
    "--html",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the account to this page as well, with pictures beside it.",
)
@click.option(
    "--keep",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep Playwright's traces of journeys that went wrong in this folder.",
)
def command(**options: Any) -> None:
    """
    Buy in the shop at URL as a campaign's visitors do, and say where their ids are lost.

    It runs stand-ins for Dodo and DataFast, says with which variables the shop must be started, and
    waits for it. With a COMMAND it starts the shop itself:

    \b
      kit verify http://127.0.0.1:5000 -- flask run --port 5000

    Exit code: 0 when all is well, 1 for faults, 2 when the shop is not pointed at the stand-ins, so
    that nothing behind its redirect can be seen.
    """  # noqa: D301 - click reads the \b: what follows it keeps its lines
    try:
        from kit.cli.verifying import Task, verify
    except ModuleNotFoundError as problem:
        raise KitError(
            f"kit verify drives a browser, and {problem.name} is not installed: "
            "python -m pip install 'dodo-datafast-kit[browser]'"
        ) from None
    raise SystemExit(verify(Task(**options)))
