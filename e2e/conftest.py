"""
What all journeys share: a browser, a watched page, and the running product.

Every context is traced; the trace and pictures of its pages are kept under `test-results/`, only
for a test that fails. A page that reports an error in its console fails its test: see `console`.
"""

import contextlib
import json
import os
import re
import select
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol, TypeVar

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from kit.lab.browser import BrowserMissing, Chromium, find_browser

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "test-results"
FAILED = pytest.StashKey[bool]()
START_TIMEOUT_S = 20
STOP_TIMEOUT_S = 10


def pytest_report_header() -> str:
    """Name the browser: Debian's trails the one that Playwright was made for."""
    try:
        found = find_browser()
    except BrowserMissing as error:
        browser = str(error).partition("\n")[0]
    else:
        browser = f"{found.path} ({found.kind}) {found.version}"
    return (
        f"browser: {browser}, Playwright {version('playwright')}, SQLite {sqlite3.sqlite_version}"
    )


def pytest_sessionstart() -> None:
    """Forget the artefacts of the last run."""
    shutil.rmtree(RESULTS, ignore_errors=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let fixtures know, when they end, that the test failed."""
    report = yield
    item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed
    return report


# The browser and its pages


@pytest.fixture(scope="session")
def chromium() -> Chromium:
    """Find the browser; a machine without one fails, it does not skip."""
    try:
        return find_browser()
    except BrowserMissing as error:
        problem = str(error)
    pytest.fail(problem, pytrace=False)


@pytest.fixture(scope="session")
def browser(chromium: Chromium) -> Iterator[Browser]:
    """Start the browser once."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium.path)
        yield started
        started.close()


@dataclass(slots=True)
class Console:
    """What pages complained of: console errors (CSP violations are among them) and exceptions."""

    errors: list[str] = field(default_factory=list)
    _expected: list[tuple[re.Pattern[str], int]] = field(default_factory=list)

    def expect(self, pattern: str, *, at_least: int = 1) -> None:
        """Declare an error that belongs to this test; with `at_least=0` it may stay away."""
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


@pytest.fixture
def console() -> Console:
    """Hold the errors of this test's pages; those it did not expect fail it at its end."""
    return Console()


class NewContext(Protocol):
    """Opens one more watched and traced context: another visitor, another screen, no script."""

    def __call__(self, **options: Any) -> BrowserContext: ...


@pytest.fixture
def new_context(
    browser: Browser, console: Console, request: pytest.FixtureRequest
) -> Iterator[NewContext]:
    """Open contexts with Playwright's options; close them all, and keep the traces of a failure."""
    contexts: list[BrowserContext] = []

    def open_context(**options: Any) -> BrowserContext:
        context = browser.new_context(**options)
        context.set_default_timeout(10_000)
        console.watch(context)
        context.tracing.start(screenshots=True, snapshots=True, sources=True)
        contexts.append(context)
        return context

    yield open_context
    failed = request.node.stash.get(FAILED, False)
    problems = console.problems()
    folder = RESULTS / re.sub(r"[^\w.-]+", "-", request.node.nodeid).strip("-")
    for number, context in enumerate(contexts, start=1):
        own = folder / str(number) if number > 1 else folder
        _close(context, own, keep=failed or bool(problems))
    if not failed and problems:
        pytest.fail("the console is not clean:\n" + "\n".join(problems), pytrace=False)


def _close(context: BrowserContext, folder: Path, *, keep: bool) -> None:
    """Close a context; keep its trace and pictures of its open pages, and say where."""
    if not keep:
        context.tracing.stop()
        context.close()
        return
    folder.mkdir(parents=True, exist_ok=True)
    for number, page in enumerate(context.pages, start=1):
        page.screenshot(path=folder / f"page{number if number > 1 else ''}.png", full_page=True)
    trace = folder / "trace.zip"
    context.tracing.stop(path=trace)
    context.close()
    print(f"\nkept: {folder}\nopen: {sys.executable} -m playwright show-trace {trace}")


@pytest.fixture
def context(new_context: NewContext) -> BrowserContext:
    """Open a fresh visitor's context."""
    return new_context()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    """Open a page of that visitor."""
    return context.new_page()


# The product


@dataclass(frozen=True, slots=True)
class Demo:
    """The running `kit demo`: addresses as a browser names them, and as a program reaches them."""

    shop: str
    dodo: str
    datafast: str
    shop_local: str
    dodo_local: str
    datafast_local: str

    def at_dodo(self, kind: str, **query: str) -> Any:
        """Return what the stand-in for Dodo received or holds: `/_sandbox/{kind}`."""
        return _get_json(f"{self.dodo_local}/_sandbox/{kind}", query)

    def at_datafast(self, kind: str, **query: str) -> Any:
        """Return what the stand-in for DataFast received or holds: `/_sandbox/{kind}`."""
        return _get_json(f"{self.datafast_local}/_sandbox/{kind}", query)

    def inspector(self, **query: str) -> Any:
        """Return `/inspector.json`."""
        return _get_json(f"{self.shop_local}/inspector.json", query)


def _get_json(url: str, query: dict[str, str]) -> Any:
    return httpx.get(url, params=query, trust_env=False).raise_for_status().json()


Found = TypeVar("Found")


def eventually(
    look: Callable[[], Found], *, what: str, within_s: float = 10, page: Page | None = None
) -> Found:
    """
    Return the first true answer of `look`; fail with `what` if none comes within `within_s`.

    Name the `page` when this test answers its requests (`page.route`): it goes on meanwhile.
    """
    deadline = time.monotonic() + within_s
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            pytest.fail(f"{what}: not within {within_s:g} s; the last answer was {found!r}")
        if page is None:
            time.sleep(0.05)
        else:
            page.wait_for_timeout(50)


@pytest.fixture(scope="session")
def demo(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Demo]:
    """Run the product as its users do, for all tests."""
    with run_demo(tmp_path_factory.mktemp("demo"), request) as running:
        yield running


@contextlib.contextmanager
def run_demo(folder: Path, request: pytest.FixtureRequest, **environ: str) -> Iterator[Demo]:
    """Run `kit demo`, in another mode if wanted; it must end well when it is told to."""
    log = folder / "demo.log"
    ready, ready_fd = os.pipe()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "kit", "demo", "--port", "0"),
                *("--ready-fd", str(ready_fd), "--data", str(folder / "data")),
            ],
            cwd=ROOT,
            env={**os.environ, "KIT_NO_BOOTSTRAP": "1", **environ},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=(ready_fd,),
        )
    os.close(ready_fd)
    try:
        line = _read_line(ready)
        if not line:
            pytest.fail(f"kit demo did not start:\n{log.read_text()}", pytrace=False)
        yield Demo(**json.loads(line))
        exit_code = _stop(process)
    finally:
        os.close(ready)
        process.kill()
        process.wait()
        if request.session.testsfailed:
            RESULTS.mkdir(exist_ok=True)
            shutil.copy(log, RESULTS / f"{folder.name}.log")

    assert exit_code == 0, log.read_text()


def _read_line(descriptor: int) -> bytes:
    """Return the line that says the product is ready; nothing if it died or took too long."""
    deadline = time.monotonic() + START_TIMEOUT_S
    line = b""
    while not line.endswith(b"\n"):
        seconds = max(0.0, deadline - time.monotonic())
        if not select.select([descriptor], [], [], seconds)[0]:
            return b""
        piece = os.read(descriptor, 4096)
        if not piece:
            return b""
        line += piece
    return line


def _stop(process: "subprocess.Popen[bytes]") -> int | str:
    process.send_signal(signal.SIGTERM)
    try:
        return process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return f"still there {STOP_TIMEOUT_S} s after SIGTERM"
