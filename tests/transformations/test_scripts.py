"""The scripts as files: their shared blocks, and the command that prints them."""

import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from click.testing import CliRunner, Result
from dodopayments.types import Currency, WebhookEventType

from kit import cli
from kit.helpers.dodo_datafast import exponent
from kit.transformations.scripts import FOLDER, NAMES, assembled, read_script, summary

ROOT = Path(__file__).resolve().parents[2]


def transform(*arguments: str) -> Result:
    """Run `kit transform`."""
    return CliRunner().invoke(cli.main, ["transform", *arguments], prog_name="kit")


def table(script: str) -> dict[str, int]:
    """Read the currencies of a script back."""
    block = re.search(r"^const CURRENCIES = \{\n(.*?)^\};", script, re.DOTALL | re.MULTILINE)
    assert block is not None
    found: dict[str, int] = {}
    for digits, words in re.findall(r"(\d):\n(.*?),\n", block[1], re.DOTALL):
        found |= dict.fromkeys(re.findall(r"[A-Z]{3}", words), int(digits))
    return found


@pytest.mark.parametrize("name", NAMES)
def test_the_shared_blocks_are_those_of_their_source(name: str) -> None:
    """After a change of a part or of an exponent the writer has been run."""
    assert read_script(name) == assembled(read_script(name))


@pytest.mark.parametrize("name", NAMES)
def test_the_currencies_are_the_official_sdk_s_with_the_core_s_exponents(name: str) -> None:
    """All 145 codes and no other."""
    assert table(read_script(name)) == {code: exponent(code) for code in get_args(Currency)}


@pytest.mark.parametrize(
    ("change", "by"),
    [("MGA ", ""), ("  return clock", "  return late"), ('" KWD"', '""'), ("JOD KWD", "JOD")],
)
def test_a_block_that_was_edited_by_hand_shows(change: str, by: str) -> None:
    """The comparison sees a lost currency and a changed line."""
    script = read_script("complete")
    edited = script.replace(change, by)

    assert assembled(edited) == script


def test_there_is_no_script_beside_those_with_a_name() -> None:
    """Each file can be printed, and each part is in a script."""
    parts = {path.stem for path in (FOLDER / "parts").glob("*.js")}
    used = set(re.findall(r"^// <([a-z]+)>$", read_script("complete"), re.MULTILINE))

    assert {path.stem for path in FOLDER.glob("*.js")} == set(NAMES)
    assert used == parts | {"currencies"}


@pytest.mark.parametrize("name", NAMES)
def test_a_script_says_which_events_to_send_it(name: str) -> None:
    """The events in its first comment are those of its table, and Dodo has them."""
    head, _, code = read_script(name).partition("\nfunction ")
    told = set(re.findall(r"\b[a-z]+\.[a-z]+\b", head.partition("Send it")[2]))

    assert told == set(re.findall(r'^ .*?"([a-z]+\.[a-z]+)"', code, re.MULTILINE)) | set(
        re.findall(r', "([a-z]+\.[a-z]+)": ', code)
    )
    assert told <= set(get_args(WebhookEventType))


@pytest.mark.parametrize("name", NAMES)
def test_a_script_survives_being_pasted(name: str) -> None:
    """Plain characters, short lines, and nothing that breaks when spaces at an end are lost."""
    script = read_script(name)

    assert script.isascii()
    assert max(map(len, script.split("\n"))) <= 100
    assert [line for line in script.split("\n") if line != line.rstrip()] == []
    assert script.endswith("\n")


def test_two_scripts_differ_in_their_comment_only() -> None:
    """No currency needs a script of its own, so the two of the guide are one."""
    basic, zero = (read_script(name).partition("\nfunction ") for name in NAMES[:2])

    assert basic[2] == zero[2]
    assert basic[0] != zero[0]


def test_kit_transform_prints_the_complete_script() -> None:
    """Ready for the clipboard: the file, nothing before and nothing after."""
    assert transform().output == read_script("complete")


@pytest.mark.parametrize("name", NAMES)
def test_kit_transform_prints_the_script_of_a_name(name: str) -> None:
    """Each of the four."""
    result = transform(name)

    assert result.exit_code == 0
    assert result.output == read_script(name)


def test_kit_transform_lists_the_scripts_a_line_each() -> None:
    """Name and what it reports, in the order of the guide."""
    lines = transform("--list").output.splitlines()

    assert [line.split()[0] for line in lines] == list(NAMES)
    assert [line.split(maxsplit=1)[1] for line in lines] == [summary(name) for name in NAMES]
    assert len(set(map(summary, NAMES))) == len(NAMES)
    assert max(map(len, lines)) <= 110


@pytest.mark.parametrize("name", ["nope", "complete.js", "../sandbox/script", ""])
def test_an_unknown_name_is_answered_with_those_there_are(name: str) -> None:
    """One sentence on stderr; no file outside the folder is ever read."""
    result = transform(name)

    assert result.exit_code == 1
    assert result.stdout == ""
    assert all(known in result.stderr for known in NAMES)


def test_the_writer_says_when_there_is_nothing_to_write() -> None:
    """Without --write it only looks."""
    done = subprocess.run(
        [sys.executable, "-m", "kit.transformations.scripts"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
