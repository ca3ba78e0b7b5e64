"""The README says what the code does: its commands, settings, reasons and verdicts are checked."""

import re
import shlex
from datetime import date
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import click
import pytest

from kit import __version__
from kit.cli import COMMANDS
from kit.hops import REASONS
from kit.ledger.drift import EVENT_TYPES

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    """Return the README's code blocks of a language."""
    return re.findall(rf"```{language}(?: run)?\n(.*?)```", README, re.DOTALL)


def console_lines() -> list[str]:
    """Return each command of the console blocks, and each one that stands in the text."""
    typed = [line for block in blocks("sh") for line in block.split("\n")]
    typed += re.findall(r"^\$ ((?:python3 -m )?kit .*)", "".join(blocks("console")), re.MULTILINE)
    lines = [line.partition("#")[0].strip(" &") for line in typed]
    inline = re.findall(r"`((?:uv run )?(?:python3? -m )?kit [a-z][^`…]*)`", README)
    return sorted({line for line in [*lines, *inline] if line})


def section(title: str) -> str:
    """Return the text under a heading."""
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", README, re.DOTALL | re.MULTILINE)
    assert found is not None, title
    return found[1]


@pytest.mark.parametrize("line", console_lines())
def test_each_command_of_the_readme_exists_with_its_options(line: str) -> None:
    """What the README tells people to type is understood."""
    words = shlex.split(line)
    if words[:2] == ["uv", "run"]:
        words = words[2:]
    if words[0].startswith("python") and words[1] == "-m":
        words = words[2:]
    if words[0] != "kit":
        assert words[0] == "pytest" or find_spec(words[0]) is not None
        return
    command = import_module(f"kit.cli.{words[1]}").command

    assert isinstance(command, click.Command)
    assert words[1] in COMMANDS
    # A name alone stands for the command, whatever arguments it takes.
    command.make_context("kit", words[2:], resilient_parsing=len(words) == 2)


def test_each_command_of_the_kit_is_in_the_readme() -> None:
    """A command nobody can find is no command."""
    assert [name for name in COMMANDS if f"| `kit {name}` |" not in section("Commands")] == []


def test_each_setting_is_in_the_readme_and_each_one_there_is_read() -> None:
    """The table of settings and the code that reads them name the same variables."""
    pattern = r"\b(?:DODO_PAYMENTS|DATAFAST|KIT)_[A-Z_]+\b"
    read = set(re.findall(rf'"({pattern})"', (ROOT / "kit/settings.py").read_text()))
    told = set(re.findall(rf"^\| `({pattern})`", section("Configuration"), re.MULTILINE))

    assert read == told


def test_troubleshooting_names_reasons_that_exist() -> None:
    """Each code in the first column is one the inspector shows, and one that needs a fix."""
    symptoms = re.findall(r"^\| (.*?) \|", section("Troubleshooting"), re.MULTILINE)
    codes = [code for text in symptoms for code in re.findall(r"`([a-z_]+)`", text)]

    assert [code for code in codes if code not in REASONS] == []
    assert [code for code in codes if REASONS[code].tone == "ok"] == []


def test_the_tables_of_events_hold_every_reason_that_is_skipped_for() -> None:
    """Which event becomes what: the README's codes are those that the code gives."""
    text = section("How it works")
    told = set(re.findall(r"`([a-z]+(?:_[a-z]+)+)`", text[text.index("### Which event") :]))
    sources = ("kit/helpers/dodo_datafast.py", "kit/ledger/mapping.py", "kit/ledger/reports.py")
    given = {
        code
        for source in sources
        for call in re.findall(r"Skip\((.*?)\)", (ROOT / source).read_text(), re.DOTALL)
        for code in re.findall(r'"([a-z_]+)"', call)
        if code in REASONS
    }

    assert given - told - {"original_unknown"} == set()


def test_each_event_type_in_the_readme_is_one_that_dodo_sends() -> None:
    """The left column names real types."""
    text = section("How it works")
    rows = re.findall(
        r"^\| (`[a-z_.`, ]+`) \|", text[text.index("### Which event") :], re.MULTILINE
    )
    types = {name for row in rows for name in re.findall(r"`([a-z_]+\.[a-z_]+)`", row)}

    assert types
    assert types - EVENT_TYPES == set()


def test_the_files_that_the_readme_shows_are_there() -> None:
    """No link leads to a file that is not in the repository."""
    links = re.findall(r"\]\((?!https?:|#)([^)]+)\)", README)
    links += re.findall(r'(?:src|srcset|href)="(?!https?:|#|/)([^"{]+)"', README)

    assert [link for link in links if not (ROOT / link).exists()] == []


def test_each_picture_is_shown_by_day_and_by_night_and_in_words() -> None:
    """Whoever sees none reads what is in it; none is kept that nobody is shown."""
    kept = {path.name for path in (ROOT / "static/screenshots").iterdir()}
    pictures = re.findall(r"<picture>(.*?)</picture>", README, re.DOTALL)
    shown = {name for each in pictures for name in re.findall(r"screenshots/([\w-]+\.png)", each)}
    said = [re.findall(r'<img src="[^"]+-light\.png" alt="([^"]+)">', each) for each in pictures]

    assert shown == kept
    assert {name.rpartition("-")[0] for name in kept if name.endswith("-dark.png")} == {
        name.rpartition("-")[0] for name in kept if name.endswith("-light.png")
    }
    assert all(len(alt) == 1 and len(alt[0]) > 20 for alt in said)
    assert "![" not in README


def test_the_python_of_the_readme_uses_names_that_the_core_exports() -> None:
    """The samples can be pasted: they compile, and each of the core's names in them exists."""
    core = import_module("kit.helpers.dodo_datafast")
    for block in blocks("python"):
        if block in section("Testing your own shop"):
            continue  # e2e/test_plugin.py runs these
        body = "\n".join(f"    {line}" for line in block.split("\n"))
        compile(f"async def view(request):\n{body}", "README.md", "exec")
        called = set(re.findall(r"\b([a-z]+_[a-z_]+|[A-Z][a-zA-Z]+Error|Skip|Payment)\(", block))

        # The frameworks' own words.
        others = {"status_code", "add_middleware", "register_blueprint"}
        assert called - set(dir(core)) <= others


def test_a_reader_finds_each_part_where_other_projects_have_it() -> None:
    """What it is, how to try it, how to use it, how it works, what may go wrong, what changed."""
    order = [
        "What you will see",
        "Put it in your shop",
        "How it works",
        "Configuration",
        "Commands",
        "Testing your own shop",
        "Troubleshooting",
        "Limits",
        "Licence",
        "Changelog",
    ]
    titles = re.findall(r"^## (.*)", README, re.MULTILINE)

    assert [title for title in titles if title in order] == order
    assert titles[-1] == "Changelog"
    assert blocks("mermaid")[0].startswith("sequenceDiagram")


def test_the_changelog_begins_with_this_version() -> None:
    """In the form of keepachangelog.com: a version and its day, and what kind of change each is."""
    versions = re.findall(r"^### (\S+) - (\S+)$", section("Changelog"), re.MULTILINE)
    kinds = set(re.findall(r"^#### (.*)", section("Changelog"), re.MULTILINE))
    days = [date.fromisoformat(day) for _, day in versions]

    assert versions[0][0] == __version__
    assert days == sorted(days, reverse=True)
    assert kinds
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
