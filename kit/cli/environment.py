"""The variables that a command is given: the environment, and a `.env` file beneath it."""

import os
from pathlib import Path

import click
from dotenv import dotenv_values

from kit.errors import KitError

ENV_FILE = Path(".env")


def environment(file: Path | None = None) -> dict[str, str]:
    """
    Return the environment, over what a `.env` file in the working directory says.

    A file that is named is all there is. Raises KitError when it cannot be read.
    """
    if file is not None and not file.is_file():
        raise KitError(f"there is no file {file}; `kit demo` writes one when it starts")
    written = {name: value for name, value in dotenv_values(file or ENV_FILE).items() if value}
    # An empty variable counts as unset, here as everywhere.
    given = {name: value for name, value in os.environ.items() if value}
    return written if file is not None else written | given


env_option = click.option(
    "--env",
    "env_file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Read the settings from this file alone; the demo writes .kit/demo.env.",
)
