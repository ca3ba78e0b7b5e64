"""Contexts that are watched and traced, and what is kept of them when something went wrong."""

import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from playwright.sync_api import Browser, BrowserContext

TIMEOUT_MS = 10_000

Trace = Literal["looks", "steps", "nothing"]


class OpenContext(Protocol):
    """Opens one more context, another visitor's, with Playwright's options for one."""

    def __call__(self, **options: Any) -> BrowserContext: ...


@dataclass(slots=True)
class Console:
    """What pages complained of: console errors (CSP violations are among them) and exceptions."""

    errors: list[str] = field(default_factory=list)
    _expected: list[tuple[re.Pattern[str], int]] = field(default_factory=list)

    def expect(self, pattern: str, *, at_least: int = 1) -> None:
        """Declare an error that belongs to this journey; with `at_least=0` it may stay away."""
        self._expected.append((re.compile(pattern), at_least))

    def watch(self, context: BrowserContext) -> None:
        """Collect the errors of all pages of a context."""
        context.on(
            "console",
            lambda message: (
                self.errors.append(f"{message.text} ({message.location.get('url', '')})")
                if message.type == "error"
                else None
            ),
        )
        context.on("weberror", lambda error: self.errors.append(str(error.error)))

    def problems(self) -> list[str]:
        """Return the errors nobody declared, and the declared ones that stayed away."""
        unexpected = [
            error
            for error in self.errors
            if not any(pattern.search(error) for pattern, _ in self._expected)
        ]
        absent = [
            f"expected in the console, and not there: {pattern.pattern}"
            for pattern, at_least in self._expected
            if sum(bool(pattern.search(error)) for error in self.errors) < at_least
        ]
        return unexpected + absent


@dataclass(slots=True)
class Contexts:
    """Opens contexts of one browser; `close` keeps their traces and pictures, or nothing."""

    browser: Browser
    console: Console = field(default_factory=Console)
    defaults: dict[str, Any] = field(default_factory=dict)
    trace: Trace = "looks"
    """What pages looked like at each step costs a third of a journey."""
    opened: list[BrowserContext] = field(default_factory=list)

    def open(self, **options: Any) -> BrowserContext:
        """Open a context: one visitor's browser."""
        context = self.browser.new_context(**{**self.defaults, **options})
        context.set_default_timeout(TIMEOUT_MS)
        self.console.watch(context)
        if self.trace != "nothing":
            looks = self.trace == "looks"
            context.tracing.start(screenshots=looks, snapshots=looks, sources=looks)
        self.opened.append(context)
        return context

    def close(self, keep_in: Path | None = None) -> list[Path]:
        """Close all contexts; return the traces that were kept, with pictures beside them."""
        traces = []
        for number, context in enumerate(self.opened, start=1):
            if keep_in is not None and self.trace != "nothing":
                folder = keep_in / str(number) if number > 1 else keep_in
                traces.append(_keep(context, folder))
            context.close()
        self.opened.clear()
        return traces


def _keep(context: BrowserContext, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number, page in enumerate(context.pages, start=1):
        page.screenshot(path=folder / f"page{number if number > 1 else ''}.png", full_page=True)
    trace = folder / "trace.zip"
    context.tracing.stop(path=trace)
    return trace


def how_to_open(trace: Path) -> str:
    """Return the command that shows a trace; it needs no browser of Playwright's own."""
    return f"{sys.executable} -m playwright show-trace {trace}"
