"""The set-up of a clone, in small clones of its own, with installers that only write down calls."""

import ast
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

PYPROJECT = """
[project]
name = "clone"
dependencies = ["needed-to-run>=1"]
[project.optional-dependencies]
more = ["needed-by-more"]
test = ["clone[more]", "needed-to-test==1; python_version > '3'"]
"""

# What stands for the command line: it says where it runs, with which arguments.
COMMAND_LINE = """
import json, sys
def main(prog_name):
    print(json.dumps({"prefix": sys.prefix, "arguments": sys.argv[1:]}))
"""

# What stands for pip: each call is written down, and "installs" the distributions' names.
INSTALLER = """
import json, os, sys, time
from pathlib import Path
calls = Path(os.environ["CALLS"])
if "--version" in sys.argv:
    if not os.environ["PIP_VERSION"]:
        sys.exit("No module named pip")
    sys.exit(print("pip " + os.environ["PIP_VERSION"] + " from somewhere"))
with calls.open("a") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
if "Broken" in os.environ.get("INSTALL", ""):
    print("no matching distribution")
    sys.exit(1)
go = Path(os.environ.get("GO", "/"))
while not go.exists():
    time.sleep(0.01)
site = Path(os.environ["SITE"])
METADATA = "Metadata-Version: 2.1\\nName: {}\\nVersion: 1\\n"
for name in ("needed_to_run", "needed_by_more") if "test" in sys.argv[-1] else ("needed_to_run",):
    folder = site / (name + "-1.dist-info")
    folder.mkdir(exist_ok=True)
    (folder / "METADATA").write_text(METADATA.format(name))
"""


@dataclass(frozen=True, slots=True)
class Clone:
    """A checkout with the real `__main__` and `bootstrap`, away from every network."""

    root: Path
    tools: Path

    @property
    def python(self) -> Path:
        return self.root / ".venv" / "bin" / "python"

    @property
    def stamp(self) -> Path:
        return self.root / ".venv" / "kit-stamp"

    def calls(self) -> list[list[str]]:
        """Return the arguments of each call of an installer so far."""
        log = self.tools / "calls"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def environ(self, changes: dict[str, str]) -> dict[str, str]:
        site = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
        return {
            "PATH": str(self.tools / "bin"),
            "PYTHONPATH": str(self.tools / "modules"),
            "CALLS": str(self.tools / "calls"),
            "SITE": str(self.root / ".venv" / site),
            "PIP_VERSION": "23.2",
            **changes,
        }

    def start(
        self, *arguments: str, python: Path | str = sys.executable, **changes: str
    ) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [python, "-m", "kit", *arguments],
            cwd=self.root,
            env=self.environ(changes),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def kit(
        self, *arguments: str, python: Path | str = sys.executable, **changes: str
    ) -> "subprocess.CompletedProcess[str]":
        process = self.start(*arguments, python=python, **changes)
        out, err = process.communicate(timeout=30)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)


def runs_in_venv(clone: Clone, done: "subprocess.CompletedProcess[str]") -> bool:
    """Tell whether the command line was reached, in the clone's own environment."""
    assert done.returncode == 0, done.stderr

    return bool(json.loads(done.stdout)["prefix"] == str(clone.root / ".venv"))


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    """Lay a clone out, with a pip and no uv."""
    root, tools = tmp_path / "a clone", tmp_path / "tools"
    (root / "kit" / "cli").mkdir(parents=True)
    for name in ("__init__.py", "__main__.py", "bootstrap.py"):
        shutil.copy(ROOT / "kit" / name, root / "kit")
    (root / "kit" / "cli" / "__init__.py").write_text(COMMAND_LINE)
    (root / "pyproject.toml").write_text(PYPROJECT)
    for module in ("pip", "ensurepip"):
        (tools / "modules" / module).mkdir(parents=True)
        (tools / "modules" / module / "__init__.py").touch()
    (tools / "modules" / "pip" / "__main__.py").write_text(INSTALLER)
    (tools / "modules" / "ensurepip" / "__main__.py").write_text("raise SystemExit(1)")
    (tools / "bin").mkdir()
    return Clone(root, tools)


def test_the_first_run_sets_up_and_the_second_calls_no_installer(clone: Clone) -> None:
    """The stamp is enough: later runs work offline."""
    first = clone.kit("demo", "--port", "0")
    second = clone.kit("demo")

    assert runs_in_venv(clone, first)
    assert json.loads(first.stdout)["arguments"] == ["demo", "--port", "0"]
    assert first.stderr.startswith("Setting up .venv (once, about")
    assert runs_in_venv(clone, second)
    assert second.stderr == ""
    assert [call[-2:] for call in clone.calls()] == [["-e", "."]]
    assert clone.calls()[0][:3] == ["--python", str(clone.python), "install"]


def test_kit_test_adds_its_extra_once_and_demo_is_content_with_it(clone: Clone) -> None:
    """A larger set-up serves the smaller command."""
    for command in ("demo", "test", "demo", "test"):
        assert runs_in_venv(clone, clone.kit(command))

    assert [call[-1] for call in clone.calls()] == [".", ".[test]"]


def test_kit_verify_adds_a_browser(clone: Clone) -> None:
    """It needs no test tools."""
    clone.kit("verify")

    assert [call[-1] for call in clone.calls()] == [".[browser]"]


def test_a_changed_pyproject_is_installed_again_with_the_extras_it_had(clone: Clone) -> None:
    """What `git pull` brings is there at the next start, and the test tools stay."""
    clone.kit("test")
    (clone.root / "pyproject.toml").write_text(PYPROJECT + "# newer\n")
    assert runs_in_venv(clone, clone.kit("demo"))

    assert [call[-1] for call in clone.calls()] == [".[test]", ".[test]"]


def test_a_stamp_of_another_python_rebuilds_the_environment(clone: Clone) -> None:
    """Packages of one Python are nothing to another."""
    clone.kit("demo")
    (clone.root / ".venv" / "left-over").touch()
    config = clone.root / ".venv" / "pyvenv.cfg"
    config.write_text(config.read_text().replace("version = 3.", "version = 4."))
    clone.stamp.write_text(clone.stamp.read_text().replace("python=cpython-3", "python=cpython-4"))
    assert runs_in_venv(clone, clone.kit("demo"))

    assert not (clone.root / ".venv" / "left-over").exists()


def test_a_failed_install_shows_the_installer_and_leaves_no_stamp(clone: Clone) -> None:
    """The installer's own words are the useful ones; the next run starts over."""
    failed = clone.kit("demo", INSTALL="Broken")
    again = clone.kit("demo")

    assert failed.returncode == 1
    assert "no matching distribution" in failed.stderr
    assert "kit: set-up failed" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert runs_in_venv(clone, again)
    assert len(clone.calls()) == 2


def test_a_killed_install_is_not_taken_for_ready(clone: Clone) -> None:
    """Killed at any moment, the next run installs again, from inside the environment too."""
    process = clone.start("demo", GO="/never")
    wait_for_calls(clone, 1)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    again = clone.kit("demo", python=clone.python)

    assert runs_in_venv(clone, again)
    assert len(clone.calls()) == 2
    assert clone.stamp.read_text().endswith("extras=\n")


def test_two_first_runs_at_once_install_once(clone: Clone) -> None:
    """The second says that it waits, and then finds everything ready."""
    go = clone.tools / "go"
    first = clone.start("demo", GO=str(go))
    wait_for_calls(clone, 1)
    second = clone.start("demo")
    assert second.stderr is not None
    waiting = second.stderr.readline()
    go.touch()
    out, rest = second.communicate(timeout=30)
    first.communicate(timeout=30)

    assert waiting == "Waiting for another kit that is setting up .venv…\n"
    assert rest == ""
    assert json.loads(out)["prefix"] == str(clone.root / ".venv")
    assert first.returncode == 0
    assert len(clone.calls()) == 1


def test_an_environment_that_somebody_else_made_is_used_as_it_is(clone: Clone) -> None:
    """`uv run kit` and an editor's environment need no installer when nothing is missing."""
    clone.kit("test")
    clone.stamp.unlink()
    inside = clone.kit("test", python=clone.python)
    outside = clone.kit("test")

    assert runs_in_venv(clone, inside)
    assert runs_in_venv(clone, outside)
    assert len(clone.calls()) == 1


def test_what_is_missing_from_it_is_added(clone: Clone) -> None:
    """An environment without the test extra gets it when `kit test` is asked for."""
    clone.kit("demo")
    clone.stamp.unlink()
    inside = clone.kit("test", python=clone.python)

    assert runs_in_venv(clone, inside)
    assert [call[-1] for call in clone.calls()] == [".", ".[test]"]


def test_it_can_be_turned_off(clone: Clone) -> None:
    """`KIT_NO_BOOTSTRAP=1` runs in the Python it was started with."""
    done = clone.kit("demo", KIT_NO_BOOTSTRAP="1")

    assert json.loads(done.stdout)["prefix"] == sys.prefix
    assert not (clone.root / ".venv").exists()


def test_an_installed_wheel_never_sets_up(clone: Clone) -> None:
    """Without pyproject.toml beside the package there is no clone to make ready."""
    (clone.root / "pyproject.toml").unlink()
    done = clone.kit("demo")

    assert json.loads(done.stdout)["prefix"] == sys.prefix
    assert not (clone.root / ".venv").exists()


def test_a_missing_package_is_a_sentence(clone: Clone) -> None:
    """Turned off in the wrong environment, it names the package and what to do."""
    (clone.root / "kit" / "cli" / "__init__.py").write_text("import not_installed_here")
    done = clone.kit("demo", KIT_NO_BOOTSTRAP="1")

    assert done.returncode == 1
    assert done.stderr.startswith("kit: the package not_installed_here is not installed in ")
    assert "Unset KIT_NO_BOOTSTRAP" in done.stderr


def test_uv_installs_where_there_is_no_pip(clone: Clone) -> None:
    """A machine with uv alone is enough."""
    uv = clone.tools / "bin" / "uv"
    uv.write_text(f"#!{sys.executable}\n{INSTALLER}")
    uv.chmod(0o755)
    assert runs_in_venv(clone, clone.kit("demo", PIP_VERSION=""))

    expected = ["pip", "install", "--quiet", "--python", str(clone.python), "-e", "."]
    assert clone.calls() == [expected]


def test_a_pip_too_old_for_another_environment_fetches_a_newer_one_into_it(clone: Clone) -> None:
    """`pip --python` came with 22.3; Ubuntu 22.04 has 22.0."""
    assert runs_in_venv(clone, clone.kit("demo", PIP_VERSION="22.0.2"))

    fetched, installed = clone.calls()
    assert [fetched[-3], fetched[-1]] == ["--target", "pip"]
    assert installed[0] == "install"
    assert installed[-2:] == ["-e", "."]


def test_without_any_installer_a_sentence_names_the_package(clone: Clone) -> None:
    """Debian's Python comes without pip: say which package has it."""
    done = clone.kit("demo", PIP_VERSION="")

    assert done.returncode == 1
    assert "apt-get install python3-pip" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["__main__.py", "bootstrap.py"])
def test_an_old_python_can_read_the_first_files(name: str) -> None:
    """Python 3.6 parses them, and meets no future import that it does not know."""
    tree = ast.parse((ROOT / "kit" / name).read_text(), feature_version=(3, 6))

    futures = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert "__future__" not in {node.module for node in futures}


def test_an_old_python_reads_a_sentence() -> None:
    """The version is looked at before anything is imported."""
    pretend = """
        import runpy, sys
        sys.version_info = (3, 8, 20, "final", 0)
        runpy.run_module("kit", run_name="__main__")
    """
    done = run([sys.executable, "-c", textwrap.dedent(pretend)])

    assert done.returncode == 1
    assert done.stderr.startswith("kit: needs Python 3.11 or newer, and ")
    assert " is Python 3.8. " in done.stderr
    assert "Traceback" not in done.stderr


def run(command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def wait_for_calls(clone: Clone, count: int) -> None:
    """Wait until the installer has been called so often."""
    deadline = time.monotonic() + 20
    while len(clone.calls()) < count:
        if time.monotonic() > deadline:
            pytest.fail("the installer was never called")
        os.sched_yield()
