"""Which browsers there are to run journeys in, and how each is launched."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from playwright.sync_api import Browser, Playwright

from kit.lab.browser import BrowserMissing, find_browser, playwright_builds

EngineName = Literal["chromium", "firefox", "webkit"]
ENGINES: Final[tuple[EngineName, ...]] = ("chromium", "firefox", "webkit")

# DataFast's real client refuses automated browsers: `navigator.webdriver` and a headless user agent
# give one away (measured with the SDK 3.0.18; facts of the script, 2026).
_CHROMIUM_ARGUMENTS: Final = ("--disable-blink-features=AutomationControlled",)


@dataclass(frozen=True, slots=True)
class Engine:
    """A browser that can be launched; without a `path` Playwright knows where its own is."""

    name: EngineName
    path: Path | None = None
    version: str = ""

    def __str__(self) -> str:
        """Name the engine, its version and its place, as a report's header shows them."""
        return " ".join(filter(None, (self.name, self.version, str(self.path or ""))))


def find_engines(
    wanted: Sequence[str] = (), *, environ: Mapping[str, str] = os.environ
) -> tuple[Engine, ...]:
    """
    Return the browsers named in `wanted`, or all that are there; Chromium is always among these.

    Raises BrowserMissing for one that is wanted, or Chromium, and is not there.
    """
    found = []
    for name in ENGINES:
        if wanted and name not in wanted:
            continue
        if name == "chromium":
            chromium = find_browser(environ=environ)
            found.append(Engine(name, chromium.path, chromium.version))
        elif build := next(iter(playwright_builds(name, environ)), None):
            found.append(Engine(name, None, build.name.rpartition("-")[2]))
        elif wanted:
            raise BrowserMissing([f"{name}: Playwright has not installed it"], name)
    return tuple(found)


def launch(
    playwright: Playwright,
    engine: Engine,
    *,
    hosts: Mapping[str, str] | None = None,
    **options: Any,
) -> Browser:
    """
    Start a browser, one that DataFast's own client takes for a person's where that is possible.

    `hosts` maps host names (`*.contour.test` too) to addresses; only Chromium can do that.
    """
    if engine.name != "chromium":
        return getattr(playwright, engine.name).launch(**options)  # type: ignore[no-any-return]
    arguments = [*_CHROMIUM_ARGUMENTS, *options.pop("args", ())]
    if hosts:
        rules = ", ".join(f"MAP {name} {address}" for name, address in hosts.items())
        arguments.append(f"--host-resolver-rules={rules}")
    return playwright.chromium.launch(executable_path=engine.path, args=arguments, **options)


def ordinary_user_agent(browser: Browser) -> str:
    """Return the user agent that this Chromium would have with a window."""
    major = browser.version.partition(".")[0]
    return (
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
        f"Chrome/{major}.0.0.0 Safari/537.36"
    )
