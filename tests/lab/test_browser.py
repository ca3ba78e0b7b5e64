"""Finding a browser, on machines made of folders and small programs."""

import os
import sys
from pathlib import Path

import pytest

from kit.lab.browser import (
    SYSTEM_NAMES,
    BrowserMissing,
    Installer,
    default_installers,
    find_browser,
)

WORKS = "echo 'Chromium 150.0.1.2 built on something'"
LACKS_A_LIBRARY = "echo 'error while loading shared libraries: libnss3.so' >&2; exit 127"


def program(path: Path, script: str) -> Path:
    """Write an executable shell script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


class Machine:
    """A PATH and a Playwright folder, empty at first."""

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "bin"
        self.playwright = folder / "playwright"
        self.environ = {"PATH": str(self.bin), "PLAYWRIGHT_BROWSERS_PATH": str(self.playwright)}

    def has(self, name: str, script: str = WORKS) -> Path:
        return program(self.bin / name, script)

    def has_playwrights(self, kind: str, inner: str, script: str = WORKS) -> Path:
        return program(self.playwright / f"{kind}-{playwright_revision()}" / inner, script)


def playwright_revision() -> str:
    """Return the build this Playwright wants, by its own word."""
    import json

    import playwright

    listed = Path(playwright.__file__).parent / "driver" / "package" / "browsers.json"
    browsers = json.loads(listed.read_text())["browsers"]
    return next(str(entry["revision"]) for entry in browsers if entry["name"] == "chromium")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Start with a machine that has no browser."""
    return Machine(tmp_path)


def test_the_named_browser_is_taken_before_all_others(machine: Machine, tmp_path: Path) -> None:
    """`KIT_BROWSER` decides."""
    machine.has("chromium")
    machine.environ["KIT_BROWSER"] = str(program(tmp_path / "mine", WORKS))
    found = find_browser(environ=machine.environ)

    assert (found.path, found.kind, found.version) == (tmp_path / "mine", "given", "150.0.1.2")


def test_a_named_browser_that_does_not_start_is_not_replaced(machine: Machine) -> None:
    """Somebody who names a browser wants that one: say so instead of taking another."""
    machine.has("chromium")
    machine.environ["KIT_BROWSER"] = "/nowhere/chromium"
    with pytest.raises(BrowserMissing, match="/nowhere/chromium: there is no such file"):
        find_browser(environ=machine.environ, install=True)


@pytest.mark.parametrize(
    ("kind", "inner"),
    [
        ("chromium_headless_shell", "chrome-headless-shell-linux64/chrome-headless-shell"),
        ("chromium_headless_shell", "chrome-linux/headless_shell"),
        ("chromium", "chrome-linux64/chrome"),
        ("chromium", "chrome-mac/Chromium.app/Contents/MacOS/Chromium"),
    ],
)
def test_playwrights_own_build_comes_before_the_systems(
    machine: Machine, kind: str, inner: str
) -> None:
    """Either the shell or the full browser may have been downloaded."""
    machine.has("chromium")
    build = machine.has_playwrights(kind, inner)
    found = find_browser(environ=machine.environ)

    assert (found.path, found.kind) == (build, "playwright")


def test_a_build_for_another_playwright_is_left_alone(machine: Machine) -> None:
    """Old builds stay in the folder after an upgrade."""
    program(machine.playwright / "chromium-1" / "chrome-linux" / "chrome", WORKS)
    with pytest.raises(BrowserMissing):
        find_browser(environ=machine.environ)


def test_a_build_that_lacks_libraries_gives_way_to_one_that_starts(machine: Machine) -> None:
    """On a bare desktop, Playwright's download is there and cannot start."""
    machine.has_playwrights("chromium", "chrome-linux64/chrome", LACKS_A_LIBRARY)
    expected = machine.has("chromium")

    assert find_browser(environ=machine.environ).path == expected


def test_the_headless_shell_comes_first_among_the_systems(machine: Machine) -> None:
    """It opens pages three times as fast."""
    for name in reversed(SYSTEM_NAMES):
        machine.has(name)

    assert find_browser(environ=machine.environ).path.name == "chromium-headless-shell"


def test_a_missing_browser_says_why_and_what_to_do(machine: Machine) -> None:
    """The error holds each candidate's own words, and two commands."""
    machine.has("chromium-browser", "echo 'requires the chromium snap to be installed'; exit 1")
    with pytest.raises(BrowserMissing) as caught:
        find_browser(environ=machine.environ)

    assert "requires the chromium snap to be installed" in caught.value.tried[0]
    assert f"{sys.executable} -m playwright install" in str(caught.value)
    assert "apt-get install --no-install-recommends chromium-headless-shell" in str(caught.value)


def test_nothing_is_installed_unless_asked(machine: Machine) -> None:
    """Looking for a browser changes nothing."""
    never = Installer("never", (("/bin/sh", "-c", "exit 1"),))
    with pytest.raises(BrowserMissing) as caught:
        find_browser(environ=machine.environ, installers=[never])

    assert all("never" not in line for line in caught.value.tried)


def test_installers_are_tried_in_turn_until_one_brings_a_browser(machine: Machine) -> None:
    """A blocked download is followed by the next way."""
    source = program(machine.bin.parent / "source", WORKS)
    machine.bin.mkdir()
    copy = f"cp {source} {machine.bin / 'chromium'}"
    said: list[str] = []
    found = find_browser(
        install=True,
        environ=machine.environ,
        installers=[
            Installer("blocked", (("/bin/sh", "-c", "echo no route; exit 1"),)),
            Installer("copy", (("/bin/sh", "-c", "true"), ("/bin/sh", "-c", f"PATH=/bin; {copy}"))),
            Installer("unneeded", (("/bin/sh", "-c", "exit 1"),)),
        ],
        say=said.append,
    )

    assert found.path == machine.bin / "chromium"
    assert [line.rpartition(" ")[2] for line in said] == ["blocked…", "copy…"]


def test_failed_installers_are_quoted(machine: Machine) -> None:
    """What the installer said last is what helps."""
    blocked = Installer("blocked", (("/bin/sh", "-c", "echo no route; exit 1"),))
    with pytest.raises(BrowserMissing, match=r"blocked: no route \(exit code 1\)"):
        find_browser(install=True, environ=machine.environ, installers=[blocked])


def test_playwright_comes_before_the_system_and_from_this_environment() -> None:
    """The driver that belongs to this Python knows which build it wants."""
    first, *others = default_installers()

    assert first.commands[0][:4] == (sys.executable, "-m", "playwright", "install")
    assert [way.name for way in others] in ([], ["apt-get"])


def test_the_browser_of_this_machine_starts() -> None:
    """Whatever runs the journeys is found the same way here."""
    found = find_browser(environ=os.environ)

    assert int(found.version.partition(".")[0]) >= 100
