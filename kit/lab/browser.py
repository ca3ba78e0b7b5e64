"""Find the Chromium to drive, or install one; it is proven to start before it is handed out."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

# The headless shell comes first: measured three times as fast at opening contexts and pages.
SYSTEM_NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
START_TIMEOUT_S = 20
INSTALL_TIMEOUT_S = 300

Kind = Literal["given", "playwright", "system"]


@dataclass(frozen=True, slots=True)
class Chromium:
    """A browser for Playwright's `executable_path`, and who brought it."""

    path: Path
    kind: Kind
    version: str  # as it prints it: "156.0.8078.79"


@dataclass(frozen=True, slots=True)
class Installer:
    """One way to get a browser: commands that must all succeed, in this order."""

    name: str
    commands: tuple[tuple[str, ...], ...]


class BrowserMissing(Exception):  # noqa: N818 - a state of the machine
    """No browser starts here; `tried` says of each candidate why not."""

    def __init__(self, tried: Sequence[str], name: str = "chromium") -> None:
        lines = "".join(f"\n  - {line}" for line in tried)
        if name == "chromium":
            advice = (
                "Try one of these, or name one in KIT_BROWSER:\n"
                f"  {sys.executable} -m playwright install --with-deps --only-shell chromium\n"
                "  sudo apt-get install --no-install-recommends chromium-headless-shell"
            )
        else:
            advice = f"Try: {sys.executable} -m playwright install --with-deps {name}"
        super().__init__(f"no {name.capitalize()} that starts was found.{lines}\n{advice}")
        self.tried = tuple(tried)


def find_browser(
    *,
    install: bool = False,
    environ: Mapping[str, str] = os.environ,
    installers: Sequence[Installer] | None = None,
    say: Callable[[str], None] = lambda _line: None,
) -> Chromium:
    """
    Return the first of these that starts.

    `$KIT_BROWSER` (then nothing else is looked at), Playwright's own build, the system's; with
    `install`, those again after each of the `installers`, of which `say` is told.
    Raises BrowserMissing.
    """
    tried: list[str] = []
    failures: list[str] = []
    found = _first_that_starts(environ, tried)
    if found is None and install and not environ.get("KIT_BROWSER"):
        for installer in default_installers() if installers is None else installers:
            say(f"No browser found; installing one with {installer.name}…")
            problem = _run(installer, environ)
            if problem:
                failures.append(problem)
                continue
            tried.clear()
            found = _first_that_starts(environ, tried)
            if found is not None:
                break
    if found is None:
        raise BrowserMissing([*(tried or [f"none of: {', '.join(SYSTEM_NAMES)}"]), *failures])
    return found


def default_installers() -> tuple[Installer, ...]:
    """Return the ways that can work here: Playwright's download, and Debian's package for root."""
    playwright = (sys.executable, "-m", "playwright", "install", "--only-shell", "chromium")
    ways = [Installer("Playwright", (playwright,))]
    if hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get"):
        wait = ("apt-get", "-o", "DPkg::Lock::Timeout=120")
        package = ("install", "-y", "--no-install-recommends", "chromium-headless-shell")
        ways.append(Installer("apt-get", ((*wait, "update"), (*wait, *package))))
    return tuple(ways)


def _first_that_starts(environ: Mapping[str, str], tried: list[str]) -> Chromium | None:
    for path, kind in _candidates(environ):
        version, problem = _start(path)
        if version:
            return Chromium(path, kind, version)
        tried.append(f"{path}: {problem}")
    return None


def _candidates(environ: Mapping[str, str]) -> Iterator[tuple[Path, Kind]]:
    given = environ.get("KIT_BROWSER")
    if given:
        yield Path(given), "given"
        return
    for path in _playwright_builds(environ):
        yield path, "playwright"
    for name in SYSTEM_NAMES:
        on_path = shutil.which(name, path=environ.get("PATH", os.defpath))
        if on_path:
            yield Path(on_path), "system"


def _playwright_builds(environ: Mapping[str, str]) -> Iterator[Path]:
    """
    Yield the builds this Playwright downloaded, the headless shell first.

    Playwright's own `executable_path` names the full Chromium even where only the shell is there,
    and asking it starts its driver (0.6 s); folder names are those of Playwright 1.50 to 1.65.
    """
    home, revisions = _playwright_knows(environ)
    if not revisions:
        return
    shell = f"chromium_headless_shell-{revisions['chromium-headless-shell']}/*"
    full = f"chromium-{revisions['chromium']}/*"
    for pattern in (
        f"{shell}/chrome-headless-shell",
        f"{shell}/headless_shell",
        f"{shell}/*headless*shell.exe",
        f"{full}/chrome",
        f"{full}/*.app/Contents/MacOS/*",
        f"{full}/chrome.exe",
    ):
        yield from sorted(home.glob(pattern))


def playwright_builds(name: str, environ: Mapping[str, str] = os.environ) -> list[Path]:
    """Return the folders of an engine that this Playwright has installed: "firefox", "webkit"."""
    home, revisions = _playwright_knows(environ)
    if name not in revisions:
        return []
    # On some systems the folder has the system's name in it, and a revision of its own.
    folders = [*home.glob(f"{name}-{revisions[name]}"), *home.glob(f"{name}_*_special-*")]
    return [folder for folder in folders if (folder / "INSTALLATION_COMPLETE").is_file()]


def _playwright_knows(environ: Mapping[str, str]) -> tuple[Path, dict[str, str]]:
    """Return where this Playwright keeps its browsers, and the revision of each that it wants."""
    spec = importlib.util.find_spec("playwright")
    if spec is None or spec.origin is None:
        return Path(), {}
    package = Path(spec.origin).parent / "driver" / "package"
    listed = json.loads((package / "browsers.json").read_text(encoding="utf-8"))["browsers"]
    revisions = {str(entry["name"]): str(entry["revision"]) for entry in listed}
    return _playwright_home(environ, package), revisions


def _playwright_home(environ: Mapping[str, str], package: Path) -> Path:
    given = environ.get("PLAYWRIGHT_BROWSERS_PATH")
    if given == "0":
        return package / ".local-browsers"
    if given:
        return Path(given)
    if sys.platform == "win32":
        cache = Path(environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        cache = Path.home() / "Library" / "Caches"
    else:
        cache = Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "ms-playwright"


def _start(path: Path) -> tuple[str, str]:
    """Return the version a browser prints and "", or "" and why it does not start."""
    if not path.is_file():
        return "", "there is no such file"
    if sys.platform == "win32":
        return "unknown", ""  # There, `--version` opens a window and prints nothing.
    try:
        # It loads all its libraries for this, which Playwright's build lacks on a bare desktop.
        done = subprocess.run(
            [path, "--version"],
            capture_output=True,
            text=True,
            timeout=START_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return "", str(error)
    version = re.search(r"\d+(\.\d+)+", done.stdout)
    if done.returncode or not version:
        return "", _last_line(done.stderr or done.stdout) or f"exit code {done.returncode}"
    return version.group(), ""


def _run(installer: Installer, environ: Mapping[str, str]) -> str:
    """Run an installer's commands; return an empty string, or what went wrong."""
    quiet = {**environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in installer.commands:
        try:
            done = subprocess.run(
                command,
                env=quiet,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=INSTALL_TIMEOUT_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"{installer.name}: {error}"
        if done.returncode:
            return f"{installer.name}: {_last_line(done.stdout)} (exit code {done.returncode})"
    return ""


def _last_line(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1] if lines else ""
