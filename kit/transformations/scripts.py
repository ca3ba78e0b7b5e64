"""
The scripts, and what writes the blocks that they share.

A script must be whole to be pasted, so each one holds its own copy of `parts/*.js` and of the
currencies, between `// <name>` and `// </name>`. After a change there, or of an exponent in the
core: `python -m kit.transformations.scripts --write`.
"""

import re
import textwrap
from itertools import product
from pathlib import Path
from string import ascii_uppercase

import click

from kit.errors import KitError
from kit.helpers.dodo_datafast import UnknownCurrency, exponent

FOLDER = Path(__file__).parent
# The first three are called as in Dodo's guide (dodo/integrations/datafast).
NAMES = ("basic_payment", "zero_decimal", "subscription_payment", "complete")

_BLOCK = re.compile(r"^// <([a-z]+)>\n.*?^// </\1>\n", re.DOTALL | re.MULTILINE)


def read_script(name: str) -> str:
    """Return a script, ready to paste. Raises KitError, which names those there are."""
    if name not in NAMES:
        raise KitError(f"there is no transformation {name!r}; there are {', '.join(NAMES)}")
    return (FOLDER / f"{name}.js").read_text(encoding="utf-8")


def summary(name: str) -> str:
    """Return what a script says of itself in its first line."""
    return read_script(name).partition("\n")[0].removeprefix("// ")


def assembled(script: str) -> str:
    """Return a script with its blocks as they are meant to be."""
    return _BLOCK.sub(lambda block: f"// <{block[1]}>\n{_part(block[1])}// </{block[1]}>\n", script)


def _part(name: str) -> str:
    if name == "currencies":
        return _currencies()
    return (FOLDER / "parts" / f"{name}.js").read_text(encoding="utf-8")


def _currencies() -> str:
    """Write every code the core knows, by its number of decimals."""
    codes: dict[int, list[str]] = {0: [], 2: [], 3: []}
    for letters in product(ascii_uppercase, repeat=3):
        code = "".join(letters)
        try:
            codes[exponent(code)].append(code)
        except UnknownCurrency:
            continue
    lines = ["// Dodo's currencies, by how many decimals they have. A code of none is cancelled."]
    lines.append("const CURRENCIES = {")
    for digits, words in codes.items():
        rows = textwrap.wrap(" ".join(words), 88)
        lines.append(f"  {digits}:")
        lines.extend(f'    "{row} " +' for row in rows[:-1])
        lines.append(f'    "{rows[-1]}",')
    return "\n".join([*lines, "};"]) + "\n"


@click.command()
@click.option("--write", is_flag=True, help="Bring the blocks up to date.")
def command(*, write: bool) -> None:
    """Name the scripts whose blocks are out of date, or write them."""
    stale = [name for name in NAMES if assembled(read_script(name)) != read_script(name)]
    for name in stale:
        if write:
            (FOLDER / f"{name}.js").write_text(assembled(read_script(name)), encoding="utf-8")
        click.echo(f"{name}.js {'written' if write else 'is out of date'}")
    if stale and not write:
        raise SystemExit(1)


if __name__ == "__main__":
    command()
