"""What an installation has, and what it says of what it lacks."""

from pathlib import Path

from kit.checks.machine import check_machine
from kit.errors import KitError
from kit.lab.browser import BrowserMissing, Chromium
from tests.checks.conftest import reasons


def found() -> Chromium:
    """Find a browser."""
    return Chromium(Path("/usr/bin/chromium"), "system", "156.0")


def missing() -> Chromium:
    """Find none."""
    raise BrowserMissing(["/opt/chrome: there is no such file"])


def lost(name: str) -> Path:
    """Have lost a folder."""
    raise KitError(f"the folder {name}/ is missing")


def test_a_whole_installation() -> None:
    """Folders and browser, which is named with its version."""
    hops = check_machine(found)

    assert reasons(hops) == ["folders_found", "browser_found"]
    assert hops[1].seen == "chromium 156.0"


def test_what_is_missing_is_named() -> None:
    """A browser is needed for some commands only; the kit's own files are needed."""
    hops = check_machine(missing, lost)

    assert reasons(hops) == ["folders_missing", "browser_missing"]
    assert [hop.tone for hop in hops] == ["lost", "warn"]
    assert [hop.seen for hop in hops] == [
        "the folder static/ is missing",
        "/opt/chrome: there is no such file",
    ]
