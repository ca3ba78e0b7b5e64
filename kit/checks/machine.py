"""What this machine has: the kit's own files, and a browser for what needs one."""

from collections.abc import Callable
from pathlib import Path

from kit.errors import KitError
from kit.hops import Hop
from kit.lab.browser import BrowserMissing, Chromium, find_browser
from kit.resources import resource_dir


def check_machine(
    find: Callable[[], Chromium] = find_browser,
    folder: Callable[..., Path] = resource_dir,
) -> list[Hop]:
    """Look for what belongs to an installation; a browser that is found is started once."""
    return [_folders(folder), _browser(find)]


def _folders(folder: Callable[..., Path]) -> Hop:
    try:
        for name in ("static", "templates"):
            folder(name)
    except KitError as problem:
        return Hop("The kit's files", "folders_missing", seen=str(problem))
    return Hop("The kit's files", "folders_found")


def _browser(find: Callable[[], Chromium]) -> Hop:
    try:
        found = find()
    except BrowserMissing as problem:
        return Hop("Browser", "browser_missing", seen="; ".join(problem.tried))
    return Hop("Browser", "browser_found", seen=f"{found.path.name} {found.version}")
