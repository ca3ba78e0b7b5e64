"""`kit add` as a process: plan, refusal, guidance, and the two ways to look at copies later."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kit import __version__
from kit.cli import COMMANDS
from kit.helpers.dodo_datafast import read_shop
from kit.sandbox.signer import new_secret
from tests.cli.conftest import ROOT, environment, kit, kit_here

CORE, VIEW = "dodo_datafast.py", "dodo_datafast_flask.py"
MINE, THEIRS = ("in a moment", "once more"), ("MAX_BYTES = 12.0", "MAX_BYTES = 11.0")
WORDS = "|".join(re.escape(word) for word in (*MINE, *THEIRS))


@pytest.fixture(scope="module")
def later(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install a later kit, in which the view for Flask has changed; there is no git around it."""
    folder = tmp_path_factory.mktemp("later")
    ignored = shutil.ignore_patterns("__pycache__", "node_modules")
    shutil.copytree(ROOT / "kit", folder / "kit", ignore=ignored)
    edit(folder / "kit" / "__init__.py", __version__, "9.0.0")
    edit(folder / "kit" / "helpers" / VIEW, *THEIRS)
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Make a project with the files for Flask."""
    kit_here(tmp_path, "add", "flask")
    return tmp_path


def edit(path: Path, before: str = MINE[0], after: str = MINE[1]) -> None:
    """Change a file as its owner does."""
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def later_kit(later: Path, folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the later kit in a folder."""
    return subprocess.run(
        [sys.executable, "-m", "kit", *arguments],
        cwd=folder,
        env=environment(PYTHONPATH=str(later)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


# --- Adding -------------------------------------------------------------------------------------


def test_it_says_what_it_does_and_what_is_left_to_do(tmp_path: Path) -> None:
    """The plan, then the lines to paste, the variables, and a command to try."""
    done = kit(tmp_path, "add", "flask")
    first, second, *rest = done.stdout.splitlines()

    assert (done.returncode, done.stderr) == (0, "")
    assert (first, second) == (f"+ create    {CORE}", f"+ create    {VIEW}")
    assert "    from dodo_datafast_flask import dodo" in rest
    assert "    app.register_blueprint(dodo)" in rest
    assert '    <form method="post" action="/checkout">' in rest
    assert "    kit demo --shop http://127.0.0.1:5000" in rest
    assert sorted(path.name for path in tmp_path.iterdir()) == [CORE, VIEW]


@pytest.mark.parametrize("framework", ["fastapi", "starlette", "django", "flask"])
def test_the_guidance_names_commands_that_exist_and_variables_that_are_read(
    tmp_path: Path, framework: str
) -> None:
    """With those variables alone a shop can be read."""
    printed = kit_here(tmp_path, "add", framework).stdout
    commands = re.findall(r"^ +kit (\w+)", printed, re.MULTILINE)
    variables = re.findall(r"^ +([A-Z]+_[A-Z_]+)  ", printed, re.MULTILINE)
    values = dict.fromkeys(variables, "df_1") | {
        "DODO_PAYMENTS_WEBHOOK_KEY": new_secret(),
        "DODO_PAYMENTS_RETURN_URL": "https://shop.example/thanks",
        "DODO_PAYMENTS_ENVIRONMENT": "live_mode",
    }

    assert commands
    assert set(commands) <= set(COMMANDS)
    assert read_shop(values).withholds is False
    for name in set(variables) - {"DODO_PAYMENTS_ENVIRONMENT"}:
        with pytest.raises(ValueError, match=name):
            read_shop({key: value for key, value in values.items() if key != name})


def test_fastapi_and_starlette_get_the_same_file(tmp_path: Path) -> None:
    """FastAPI's request is Starlette's."""
    views = [kit_here(tmp_path, "add", name, "--view").stdout for name in ("fastapi", "starlette")]

    assert views[0] == views[1]
    assert "kit: dodo_datafast_starlette" in views[0]


def test_a_second_time_there_is_nothing_to_do(project: Path) -> None:
    """Also after a formatter has been over the files, which stay as it left them."""
    for name in (CORE, VIEW):
        command = [sys.executable, "-m", "ruff", "format", "--isolated", "-q", name]
        subprocess.run(command, cwd=project, check=True)
    before = (project / VIEW).read_bytes()
    done = kit_here(project, "add", "flask")

    assert done.stdout.splitlines()[:2] == [f"= identical {CORE}", f"= identical {VIEW}"]
    assert done.returncode == 0
    assert (project / VIEW).read_bytes() == before


def test_in_a_package_the_lines_to_paste_name_it(tmp_path: Path) -> None:
    """As the app imports it."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").touch()
    done = kit_here(tmp_path, "add", "django", "shop")

    assert f"+ create    shop/{CORE}" in done.stdout
    assert 'urlpatterns += [path("", include("shop.dodo_datafast_django"))]' in done.stdout
    assert "{% csrf_token %}" in done.stdout
    assert "from . import dodo_datafast" in (tmp_path / "shop/dodo_datafast_django.py").read_text()


def test_the_core_alone_has_no_framework_to_paste_into(tmp_path: Path) -> None:
    """For all the others."""
    done = kit_here(tmp_path, "add", "core")

    assert done.stdout == f"+ create    {CORE}\n"
    assert [path.name for path in tmp_path.iterdir()] == [CORE]


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    """It is the plan alone."""
    done = kit_here(tmp_path, "add", "flask", "shop", "--dry-run")

    assert done.stdout == f"+ create    shop/{CORE}\n+ create    shop/{VIEW}\n"
    assert (done.returncode, list(tmp_path.iterdir())) == (0, [])


def test_view_prints_what_would_be_written(tmp_path: Path) -> None:
    """One file of it can be sent into a file."""
    (tmp_path / CORE).write_text(kit_here(tmp_path, "add", "core", "--view").stdout)
    done = kit_here(tmp_path, "add", "--check")

    assert (done.returncode, done.stdout) == (0, f"{CORE}: current, {__version__}\n")


def test_an_edited_file_is_not_overwritten(project: Path) -> None:
    """Exit code 2, nothing written, and what to do instead."""
    edit(project / VIEW)
    (project / CORE).unlink()
    done = kit_here(project, "add", "flask")

    assert done.returncode == 2
    assert f"! edited    {VIEW} (edited, {__version__})" in done.stdout
    assert done.stderr.startswith("Nothing was written: --force would overwrite what is yours")
    assert f"kit add --diff {VIEW}" in done.stderr
    assert done.stderr.endswith("kit add core\n")
    assert "once more" in (project / VIEW).read_text()
    assert not (project / CORE).exists()


def test_force_overwrites_an_edited_file(project: Path) -> None:
    """It was asked for."""
    edit(project / VIEW)
    done = kit_here(project, "add", "flask", "--force")

    assert (done.returncode, done.stderr) == (0, "")
    assert "once more" not in (project / VIEW).read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "problem"),
    [
        (["add"], 2, "name one of fastapi, starlette, django, flask, core"),
        (["add", "rails"], 2, "name one of"),
        (["add", "flask", "a", "b"], 2, "name one of"),
        (["add", "flask", "--diff", "--check"], 2, "each goes alone"),
        (["add", "flask", "--force", "--dry-run"], 2, "each goes alone"),
        (["add", "--check", "none.py"], 2, "there is no file or folder none.py"),
        (["add", "--check"], 2, "No copy was found here"),
        (["add", "flask", "../x"], 1, "../x is not inside this folder"),
        (["add", "flask", "/opt/x"], 1, "/opt/x is not inside this folder"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_done_is_a_sentence(
    tmp_path: Path, arguments: list[str], code: int, problem: str
) -> None:
    """And nothing is written."""
    done = kit_here(tmp_path, *arguments)

    assert (done.returncode, list(tmp_path.iterdir())) == (code, [])
    assert problem in done.stderr
    assert "Traceback" not in done.stderr


# --- Looking later ------------------------------------------------------------------------------


def test_current(project: Path) -> None:
    """No diff, exit code 0."""
    check, diff = kit_here(project, "add", "--check"), kit_here(project, "add", "--diff")

    assert (check.returncode, diff.returncode, diff.stdout) == (0, 0, "")
    assert check.stdout == f"{CORE}: current, {__version__}\n{VIEW}: current, {__version__}\n"


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"], ids=["lf", "crlf"])
def test_edited(project: Path, line_end: bytes) -> None:
    """One diff, the owner's, of what was changed alone; exit code 1."""
    edit(project / VIEW)
    (project / VIEW).write_bytes((project / VIEW).read_bytes().replace(b"\n", line_end))
    check, diff = (
        kit_here(project, "add", "--check", VIEW),
        kit_here(project, "add", "--diff", VIEW),
    )

    assert (check.returncode, diff.returncode) == (1, 1)
    assert check.stdout == f"{VIEW}: edited, {__version__}\n"
    assert changed(diff.stdout) == ["-in a moment", "+once more"]
    assert diff.stdout.startswith(f"# {VIEW}: edited, {__version__}\n# your edits since")


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"], ids=["lf", "crlf"])
def test_outdated(project: Path, later: Path, line_end: bytes) -> None:
    """One diff, the kit's; exit code 1, and an update without --force."""
    (project / VIEW).write_bytes((project / VIEW).read_bytes().replace(b"\n", line_end))
    check = later_kit(later, project, "add", "--check", VIEW)
    diff = later_kit(later, project, "add", "--diff", VIEW)
    update = later_kit(later, project, "add", "flask")
    after = later_kit(later, project, "add", "--check")

    assert (check.returncode, diff.returncode) == (1, 1)
    assert check.stdout == f"{VIEW}: outdated, {__version__} -> 9.0.0\n"
    assert changed(diff.stdout) == ["-MAX_BYTES = 12.0", "+MAX_BYTES = 11.0"]
    assert update.stdout.splitlines()[:2] == [
        f"= identical {CORE}",
        f"~ update    {VIEW} (outdated, {__version__} -> 9.0.0)",
    ]
    assert after.returncode == 0, after.stdout
    assert line_end in (project / VIEW).read_bytes()


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"], ids=["lf", "crlf"])
def test_edited_and_outdated(project: Path, later: Path, line_end: bytes) -> None:
    """Two diffs, from the text that both sides started from; exit code 1, and no update."""
    edit(project / VIEW)
    (project / VIEW).write_bytes((project / VIEW).read_bytes().replace(b"\n", line_end))
    check = later_kit(later, project, "add", "--check", VIEW)
    diff = later_kit(later, project, "add", "--diff", VIEW)
    update = later_kit(later, project, "add", "flask")
    _, yours, theirs = re.split(
        r"^# (?:your edits|changes upstream).*\n", diff.stdout, flags=re.MULTILINE
    )

    assert (check.returncode, diff.returncode, update.returncode) == (1, 1, 2)
    assert check.stdout == f"{VIEW}: edited and outdated, {__version__} -> 9.0.0\n"
    assert changed(yours) == ["-in a moment", "+once more"]
    assert changed(theirs) == ["-MAX_BYTES = 12.0", "+MAX_BYTES = 11.0"]


def test_a_framework_may_be_named_instead_of_its_files(project: Path, later: Path) -> None:
    """As in adding."""
    done = later_kit(later, project, "add", "flask", "--check")

    assert done.returncode == 1
    assert [line.partition(":")[0] for line in done.stdout.splitlines()] == [CORE, VIEW]


def test_a_copy_of_a_later_kit_is_named(project: Path, later: Path) -> None:
    """An older one cannot judge it."""
    later_kit(later, project, "add", "flask")
    done = kit_here(project, "add", "--check", VIEW)

    assert done.returncode == 1
    assert done.stdout == f"{VIEW}: from a later kit, 9.0.0 -> {__version__}\n"


def changed(diff: str) -> list[str]:
    """Return what a diff takes and adds, the stamp's lines left out, down to the telling words."""
    lines = [line for line in diff.splitlines() if re.match(r"[-+](?![-+#])", line)]
    return [f"{line[0]}{value}" for line in lines for value in re.findall(WORDS, line)]
