"""The wheel: what it carries, and that an installed copy finds it without the checkout."""

import zipfile
from pathlib import Path

import pytest

from tests.wheels import ROOT, build_wheel, install_wheel, run_installed


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel."""
    return build_wheel(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    """List the files in the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install it."""
    return install_wheel(wheel, tmp_path_factory.mktemp("site"))


def below(folder: str) -> set[str]:
    """Return the paths of the project's files in a folder, relative to the checkout."""
    return {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_wheel_carries_the_whole_package(names: set[str]) -> None:
    """Events, scripts, helpers and the typing marker go along with the modules."""
    assert below("kit") <= names
    assert "kit/py.typed" in names
    assert "kit/helpers/dodo_datafast.py" in names
    assert "kit/sandbox/script.js" in names
    assert "kit/sandbox/events/payment.succeeded.json" in names


@pytest.mark.parametrize("folder", ["static", "templates"])
def test_the_wheel_carries_pages_and_stylesheets_inside_the_package(
    names: set[str], folder: str
) -> None:
    """What lies beside the package in a checkout lies in it when installed, but for pictures."""
    expected = {f"kit/{name}" for name in below(folder) if "/screenshots/" not in name}

    assert expected
    assert {name for name in names if name.startswith(f"kit/{folder}/")} == expected


def test_the_wheel_carries_nothing_else(names: set[str]) -> None:
    """No tests, no top-level folder that would clash with somebody's own."""
    tops = {name.partition("/")[0] for name in names}

    assert {top for top in tops if not top.endswith(".dist-info")} == {"kit"}
    assert any(name.endswith("/licenses/LICENSE") for name in names)


@pytest.mark.parametrize("folder", ["static", "templates"])
def test_an_installed_copy_finds_its_resources_inside_itself(installed: Path, folder: str) -> None:
    """It does not look into the checkout, although that is on the path of this environment too."""
    ask = f"from kit.resources import resource_dir; print(resource_dir({folder!r}))"
    done = run_installed(installed, "-c", ask)

    assert done.stdout.strip() == str(installed / "kit" / folder)


def test_an_installed_copy_runs_without_setting_anything_up(installed: Path) -> None:
    """There is no clone to make ready: the command runs in the Python that has it."""
    done = run_installed(installed, "-m", "kit", "--version")

    assert done.stdout.startswith("kit ")
    assert done.stderr == ""
    assert not (installed / ".venv").exists()


def test_a_lost_folder_is_named(installed: Path, tmp_path: Path) -> None:
    """A packager who left templates/ out reads which folder is missing, and where it was sought."""
    for name in ("__init__.py", "errors.py", "resources.py"):
        (tmp_path / "kit").mkdir(exist_ok=True)
        (tmp_path / "kit" / name).write_bytes((installed / "kit" / name).read_bytes())
    done = run_installed(
        tmp_path, "-c", "from kit.resources import resource_dir; resource_dir('templates')"
    )

    assert "KitError: the folder templates/ is missing" in done.stderr
    assert str(tmp_path / "kit") in done.stderr
