"""The command line: one module per command in this folder, imported when it is used."""

import os
from importlib import import_module

import click

from kit import __version__
from kit.errors import KitError

# What `kit --help` says of each command, so that it need not import any of them.
COMMANDS = {
    "demo": "Show the whole journey on a sandbox: no account, no key.",
    "serve": "Run receiver, first-party proxy, forwarder and inspector.",
    "work": "Run a forwarder alone, beside servers that share a PostgreSQL.",
    "add": "Copy the helpers into a shop, and see what changed since.",
    "transform": "Print a script for Dodo's dashboard, for shops without a server.",
    "webhook": "Make Dodo's webhook endpoint, and print the variable of its secret.",
    "doctor": "Look at all that a sale passes; say what to mend, and how.",
    "replay": "Send reports and read messages again, after saying which.",
    "forget": "Forget a visitor here and, if wanted, at DataFast.",
    "reconcile": "Compare Dodo's payments with the reports; send what is missing.",
    "trigger": "Send signed webhooks of any of Dodo's event types to a shop.",
    "verify": "Buy in a running shop, and say where visitors' ids are lost.",
    "test": "Run this clone's own tests, in a real browser too.",
}


class LazyGroup(click.Group):
    """A group that knows its commands by name and loads the one that is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module; it names its click command `command`."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"kit.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; a problem that the kit knows is one sentence, not a traceback."""
        if os.environ.get("NO_COLOR"):  # click itself looks at the terminal only
            ctx.color = False
        try:
            return super().invoke(ctx)
        except KitError as error:
            click.echo(f"{click.style('kit:', fg='red')} {error}", err=True)
            ctx.exit(1)


@click.group(cls=LazyGroup, invoke_without_command=True)
@click.version_option(__version__, message="kit %(version)s")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Prove which marketing brought which payment: Dodo checkouts, measured in DataFast."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
