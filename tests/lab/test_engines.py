"""Which browsers there are, on machines made of folders."""

import json
from pathlib import Path

import playwright
import pytest

from kit.lab.browser import BrowserMissing
from kit.lab.engines import ENGINES, find_engines


def revision(name: str) -> str:
    """Return the build of a browser that this Playwright wants."""
    listed = Path(playwright.__file__).parent / "driver" / "package" / "browsers.json"
    browsers = json.loads(listed.read_text())["browsers"]
    return next(str(entry["revision"]) for entry in browsers if entry["name"] == name)


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """Describe a machine with Chromium and nothing else."""
    chromium = tmp_path / "bin" / "chromium"
    chromium.parent.mkdir()
    chromium.write_text("#!/bin/sh\necho 'Chromium 150.0.1.2'\n")
    chromium.chmod(0o755)
    return {
        "PATH": str(chromium.parent),
        "PLAYWRIGHT_BROWSERS_PATH": str(tmp_path / "playwright"),
    }


def install(environ: dict[str, str], folder: str, *, complete: bool = True) -> None:
    """Put a browser where Playwright keeps its own."""
    place = Path(environ["PLAYWRIGHT_BROWSERS_PATH"]) / folder
    place.mkdir(parents=True)
    if complete:
        (place / "INSTALLATION_COMPLETE").touch()


def test_chromium_alone_is_found_where_it_is_alone(environ: dict[str, str]) -> None:
    """Others are a bonus."""
    [found] = find_engines(environ=environ)

    assert (found.name, found.version) == ("chromium", "150.0.1.2")
    assert str(found) == f"chromium 150.0.1.2 {environ['PATH']}/chromium"


def test_all_that_playwright_installed_are_found(environ: dict[str, str]) -> None:
    """The build of this Playwright, or the one it has for a special system."""
    install(environ, f"firefox-{revision('firefox')}")
    install(environ, "webkit_mac14_special-2140")

    assert [engine.name for engine in find_engines(environ=environ)] == list(ENGINES)


def test_old_and_half_installed_builds_are_left_alone(environ: dict[str, str]) -> None:
    """A download that broke off has no mark."""
    install(environ, "firefox-1")
    install(environ, f"webkit-{revision('webkit')}", complete=False)

    assert [engine.name for engine in find_engines(environ=environ)] == ["chromium"]


def test_what_is_wanted_is_all_there_is(environ: dict[str, str]) -> None:
    """In the usual order, whatever the order of the wish."""
    install(environ, f"firefox-{revision('firefox')}")

    assert [engine.name for engine in find_engines(["firefox"], environ=environ)] == ["firefox"]


def test_a_wanted_browser_that_is_not_there_is_an_error(environ: dict[str, str]) -> None:
    """With the command that installs it."""
    with pytest.raises(BrowserMissing, match="playwright install --with-deps webkit"):
        find_engines(["chromium", "webkit"], environ=environ)
