"""Whether a formatter or a person changed a file."""

import subprocess
import sys
from pathlib import Path

import pytest

from kit.sameness import same_code

HELPERS = Path(__file__).resolve().parents[1] / "kit" / "helpers"
NAMES = sorted(path.name for path in HELPERS.glob("dodo_datafast*.py"))
TEXT = '''"""Do this.

    And that.
"""

import os
from json import dumps, loads

# A reason.
LIMIT = 10


def take(one: int, two: str = "x") -> str:
    """Take both."""
    return dumps({"one": one, "two": two}) + os.sep + loads("1")
'''


def reformatted(text: str, *options: str) -> str:
    """Lay a text out as somebody's Ruff does, and sort its imports."""
    for command in (
        ["format", "--isolated", "-q", *options, "-"],
        ["check", "--isolated", "-q", "--select", "I", "--fix", "-"],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command],
            input=text,
            capture_output=True,
            text=True,
            check=True,
        )
        text = done.stdout
    return text


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "options",
    [
        ["--line-length", "79"],
        ["--line-length", "120", "--config", "format.quote-style = 'single'"],
        ["--line-length", "60", "--config", "format.indent-style = 'tab'"],
    ],
    ids=["79", "120-single", "60-tabs"],
)
def test_a_reformatted_helper_is_the_same(name: str, options: list[str]) -> None:
    """Wrapped, quoted and indented in another way, its imports sorted anew."""
    text = (HELPERS / name).read_text(encoding="utf-8")
    other = reformatted(text, *options)

    assert other != text
    assert same_code(text, other)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("import os\nfrom json import dumps, loads", "from json import loads, dumps\nimport os"),
        ("import dumps, loads", "import dumps\nfrom json import loads"),
        ("    And that.\n", "And that.\n"),
        ('"x"', "'x'"),
        ("# A reason.", "#A reason."),
        ("LIMIT = 10", "LIMIT = (\n    10\n)"),
        ('"""Take both."""', '"""\n    Take both.\n    """'),
        ('"""Take both."""', 'u"""Take both."""'),
    ],
    ids=["order", "split", "docstring", "quotes", "hash", "parentheses", "own-lines", "prefix"],
)
def test_layout_is_no_edit(before: str, after: str) -> None:
    """What formatters change, each by itself."""
    assert before in TEXT
    assert same_code(TEXT, TEXT.replace(before, after))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("LIMIT = 10", "LIMIT = 11"),
        ("LIMIT = 10", "LIMIT = 10\nMORE = 1"),
        ('"x"', '" x"'),
        ("# A reason.", "# Another reason."),
        ("# A reason.", "# A reason.\n# And a note."),
        ("# A reason.\n", ""),
        ("Take both.", "Take one."),
        ("import os\n", "import os\nimport sys\n"),
        ("from json import", "from simplejson import"),
        ("one: int", "one: str"),
        ("LIMIT = 10", "LIMIT = 10.0"),
        ("LIMIT = 10", "LIMIT = True"),
    ],
)
def test_whatever_says_something_else_is_an_edit(before: str, after: str) -> None:
    """Code, strings, docstrings, and comments: somebody wrote them to stay."""
    assert before in TEXT
    assert not same_code(TEXT, TEXT.replace(before, after))


@pytest.mark.parametrize(
    "text", ["def (:\n", "<<<<<<< yours\n", "x = '\n", "\0", "  x\n y\n", "(" * 500], ids=repr
)
def test_what_is_no_python_is_the_same_as_itself_only(text: str) -> None:
    """A conflict that was left in a file is no layout."""
    assert same_code(text, text)
    assert not same_code(text, TEXT)
    assert not same_code(TEXT, text)
