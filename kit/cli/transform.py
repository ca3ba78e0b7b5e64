"""`kit transform`: print a script for the transformation editor of Dodo's dashboard."""

import click

from kit.transformations.scripts import NAMES, read_script, summary


@click.command(name="transform")
@click.argument("name", default="complete")
@click.option("--list", "listed", is_flag=True, help="Name the scripts, a line each.")
def command(name: str, *, listed: bool) -> None:
    """
    Print a script to paste into Dodo's dashboard, for shops without a server.

    NAME is one of those that --list shows; without it, complete.
    """
    if not listed:
        click.echo(read_script(name), nl=False)
        return
    for each in NAMES:
        click.echo(f"{each:<{max(map(len, NAMES))}}  {summary(each)}")
