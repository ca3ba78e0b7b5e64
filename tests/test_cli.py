"""The command line: its help, its errors, and what `kit test` makes of its arguments."""

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from kit import __version__, cli
from kit.cli import test as kit_test
from kit.errors import KitError
from kit.resources import resource_dir

ROOT = Path(__file__).resolve().parents[1]
ENVIRON = {**os.environ, "KIT_NO_BOOTSTRAP": "1"}


def kit(*arguments: str) -> Result:
    return CliRunner().invoke(cli.main, arguments, prog_name="kit")


def run(*command: str | Path, **changes: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env={**ENVIRON, **changes},
        capture_output=True,
        text=True,
        check=False,
    )


def test_kit_alone_prints_one_screen_and_starts_nothing() -> None:
    """A first look shows every command."""
    result = kit()

    assert result.exit_code == 0
    assert len(result.output.splitlines()) <= 24
    assert all(f"  {name} " in result.output for name in cli.COMMANDS)
    assert kit("--help").output == result.output


def test_help_imports_no_command() -> None:
    """Help is quick, and comes even when a command is broken."""
    done = run(
        "-c",
        "import sys; from kit.cli import main; main([], standalone_mode=False)\n"
        "print(sorted(name for name in sys.modules if name.startswith('kit.cli.')))",
    )

    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_each_command_has_a_module_with_help(name: str) -> None:
    """The table names what is there."""
    result = kit(name, "--help")

    assert result.exit_code == 0, result.output
    assert result.output.startswith(f"Usage: kit {name} ")


def test_version() -> None:
    """The version is the package's."""
    assert kit("--version").output == f"kit {__version__}\n"


def test_an_unknown_command_is_a_usage_error() -> None:
    """A typing mistake exits with 2, as click's own do."""
    assert kit("dmeo").exit_code == 2


def test_a_known_problem_is_a_sentence_on_stderr() -> None:
    """Whatever the kit raises on purpose is shown without a traceback."""

    @click.command()
    def failing() -> None:
        raise KitError("the shop is closed.")

    group = cli.LazyGroup("kit")
    group.get_command = lambda ctx, cmd_name: failing  # type: ignore[method-assign]  # one command
    result = CliRunner().invoke(group, ["failing"])

    assert result.exit_code == 1
    assert result.stderr == "kit: the shop is closed.\n"
    assert result.stdout == ""


def test_the_module_and_the_installed_script_start_the_same_program() -> None:
    """`python -m kit` and `kit` print the same."""
    module = run("-m", "kit", "--version")
    script = run("-c", "from kit.__main__ import main; main()", "--version")

    assert module.stdout == script.stdout == f"kit {__version__}\n"


@pytest.mark.parametrize("name", ["static", "templates"])
def test_a_checkout_keeps_its_folders_beside_the_package(name: str) -> None:
    """Templates and static files are found from any working directory."""
    assert resource_dir(name) == ROOT / name  # type: ignore[arg-type]  # both are of its literals


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("", True),
        ("-k visitor", True),
        ("e2e", True),
        (".", True),
        ("e2e/conftest.py::test_x -x", True),
        ("tests/test_cli.py -x", False),
        ("tests -k visitor", False),
    ],
)
def test_a_browser_is_looked_for_when_pytest_may_come_to_e2e(
    arguments: str, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A unit test starts at once on a machine without a browser."""
    monkeypatch.chdir(ROOT)

    assert kit_test.needs_browser(arguments.split()) == expected


def test_further_arguments_run_pytest_alone() -> None:
    """`kit test PATH` is pytest: no lint, no second lane, pytest's own exit code."""
    here = "tests/test_cli.py"
    chosen = run("-m", "kit", "test", here, "-k", "test_version", "-q", "-p", "no:cacheprovider")
    nothing = run("-m", "kit", "test", here, "-k", "no_such_test", "-p", "no:cacheprovider")

    assert chosen.returncode == 0, chosen.stderr
    assert "1 passed" in chosen.stdout
    assert "ruff" not in chosen.stdout
    assert nothing.returncode == 5


def test_network_goes_without_further_arguments() -> None:
    """Both at once would say two things."""
    result = kit("test", "--network", "tests")

    assert result.exit_code == 2
    assert "tests/network" in result.stderr


def test_a_browser_named_wrongly_ends_kit_test_before_it_starts(tmp_path: Path) -> None:
    """A missing browser is an error, never a skip."""
    done = run("-m", "kit", "test", KIT_BROWSER=str(tmp_path / "none"))

    assert done.returncode == 1
    assert done.stderr.startswith("kit: no Chromium that starts was found.")
    assert "playwright install" in done.stderr


TESTS_OF_EACH_END = """
import pytest

@pytest.fixture
def breaks_at_its_end():
    yield
    raise ValueError

def test_passes(): pass
def test_fails(): assert False
def test_cannot_begin(nothing): pass
def test_ends_badly(breaks_at_its_end): pass
def test_fails_twice(breaks_at_its_end): assert False
@pytest.mark.skip(reason="not here")
def test_skips(): pass
"""


@pytest.mark.anyio
async def test_a_step_counts_each_test_once(tmp_path: Path) -> None:
    """Errors count as failures, and a test that fails twice is one."""
    (tmp_path / "test_ends.py").write_text(TESTS_OF_EACH_END)
    arguments = (str(tmp_path), f"--rootdir={tmp_path}", "-p", "no:cacheprovider")
    step = kit_test.Step("ends", "pytest", arguments, budget_s=60)
    output, result = await kit_test.run_step(step, dict(os.environ))

    assert result.exit_code == 1
    assert str(result.counts) == "1 passed, 4 failed, 1 skipped"
    assert "test_fails_twice" in output


@pytest.mark.anyio
async def test_no_tests_are_a_failure(tmp_path: Path) -> None:
    """A lane that runs nothing must not pass."""
    arguments = (str(tmp_path), f"--rootdir={tmp_path}", "-p", "no:cacheprovider")
    step = kit_test.Step("none", "pytest", arguments, budget_s=60)
    _, result = await kit_test.run_step(step, dict(os.environ))

    assert result.exit_code == 5
    assert str(result.counts) == "0 passed, 0 failed"


def test_temporary_files_are_in_memory_where_that_has_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Elsewhere they are where they always are."""
    monkeypatch.setattr(kit_test, "ROOM_BYTES", 1)
    assert kit_test.usable(tmp_path) == tmp_path
    assert kit_test.usable(tmp_path / "none") is None

    monkeypatch.setattr(kit_test, "ROOM_BYTES", 1 << 60)
    assert kit_test.usable(tmp_path) is None


TESTS_OF_TEMPORARY_FILES = """
import tempfile
from pathlib import Path

def test_where(tmp_path):
    Path(__file__).with_name("told").write_text(f"{tempfile.gettempdir()} {tmp_path}")
"""


@pytest.mark.anyio
async def test_a_step_leaves_nothing_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it is given for temporary files, pytest's own too, goes when it ends."""
    memory = tmp_path / "memory"
    memory.mkdir()
    (tmp_path / "test_where.py").write_text(TESTS_OF_TEMPORARY_FILES)
    monkeypatch.setattr(kit_test, "ROOM_BYTES", 1)
    arguments = (str(tmp_path), f"--rootdir={tmp_path}", "-p", "no:cacheprovider")
    step = kit_test.Step("where", "pytest", arguments, budget_s=60, in_memory=True)
    _, result = await kit_test.run_step(step, dict(os.environ), in_memory=memory)
    told = (tmp_path / "told").read_text().split()

    assert str(result.counts) == "1 passed, 0 failed"
    assert all(Path(each).is_relative_to(memory) for each in told)
    assert list(memory.iterdir()) == []


@pytest.mark.anyio
async def test_lanes_run_at_once_and_show_each_step_whole(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A failing step stops neither its own lane nor the other one."""
    bad = tmp_path / "bad.py"
    bad.write_text("import os\n")
    lint = kit_test.Step("bad", "ruff", ("check", "--no-cache", "--isolated", str(bad)), 9)
    version = kit_test.Step("version", "ruff", ("--version",), 9)
    results = await kit_test.run_lanes([[lint, version], [version]], dict(os.environ))
    kit_test.summarise(results)
    out = capsys.readouterr().out

    assert [result.exit_code for result in results] == [1, 0, 0]
    assert "F401" in out
    assert out.splitlines()[-1] == "0 passed, 0 failed"
    assert "\x1b[K" not in out
