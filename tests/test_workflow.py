"""What runs on each push and before each commit is what this project says it is."""

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from kit.cli.test import CHECKS

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.y*ml"))
TEST = ROOT / ".github/workflows/test.yml"
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def read(path: Path) -> dict[str, Any]:
    """Return a YAML file's content."""
    return dict(yaml.safe_load(path.read_text()))


def matrix() -> dict[str, Any]:
    """Return what the tests run on."""
    return dict(read(TEST)["jobs"]["test"]["strategy"]["matrix"])


def steps(path: Path) -> list[dict[str, Any]]:
    """Return all steps of a workflow."""
    return [step for job in read(path)["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_each_action_is_pinned_to_a_commit_and_names_its_version(path: Path) -> None:
    """A tag can be moved to other code; a commit cannot, and the comment says what it is."""
    used = [step["uses"] for step in steps(path) if "uses" in step]
    lines = re.findall(r"uses: (.+)", path.read_text())

    assert used
    assert len(lines) == len(used)
    for line in lines:
        assert re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line), line


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_read_the_repository_and_nothing_else(path: Path) -> None:
    """No job writes, none keeps a token where tests could find it, and none runs for hours."""
    workflow = read(path)
    checkouts = [step for step in steps(path) if "actions/checkout@" in step.get("uses", "")]

    assert workflow["permissions"] == {"contents": "read"}
    assert [job for job in workflow["jobs"].values() if "permissions" in job] == []
    assert all(job["timeout-minutes"] <= 60 for job in workflow["jobs"].values())
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_each_python_that_is_promised_is_tested_on_linux_and_macos() -> None:
    """The matrix and the package's classifiers name the same."""
    versions = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))

    assert matrix()["python"] == versions
    assert PROJECT["requires-python"] == f">={versions[0]}"
    assert {name.partition("-")[0] for name in matrix()["os"]} == {"ubuntu", "macos"}


def test_the_tests_are_started_as_the_readme_says() -> None:
    """There is one way to run them; the one that downloads is taken once."""
    readme = (ROOT / "README.md").read_text()
    [typed] = re.findall(r"^(python3 -m kit test)\b", readme, re.MULTILINE)
    [run] = [step["run"] for step in steps(TEST) if "run" in step]
    options = [each.get("options", "") for each in matrix()["include"]]
    by_hand = (ROOT / ".ci/run").read_text().strip().splitlines()[-1]

    assert run == f"{typed} ${{{{ matrix.options }}}}"
    assert [f"exec {typed} {each}" for each in options] == [by_hand]


def test_what_a_failure_leaves_is_kept() -> None:
    """Traces and pictures of the browser's tests, from the folder that they are written to."""
    [kept] = [step for step in steps(TEST) if "actions/upload-artifact@" in step.get("uses", "")]

    assert kept["if"] == "failure()"
    assert kept["with"]["path"] == "test-results/"
    assert all(f"matrix.{name}" in kept["with"]["name"] for name in ("os", "python"))


def test_the_checks_before_a_commit_are_those_of_the_test_run() -> None:
    """The same tools of the same environment, so their versions cannot differ."""
    [local] = read(ROOT / ".pre-commit-config.yaml")["repos"]
    entries = [shlex.split(hook["entry"]) for hook in local["hooks"]]

    assert local["repo"] == "local"
    assert entries == [[".venv/bin/python", "-m", s.module, *s.arguments] for s in CHECKS]
