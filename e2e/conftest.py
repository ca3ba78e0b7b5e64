"""
What all journeys share: browsers, a watched page, the running product, and the laboratory.

Every context is traced: steps, requests and console, with `--looks` what pages looked like at each
step too. The trace and pictures of its pages are kept under `test-results/`, only for a test that
fails. A page that reports an error in its console fails its test: see `console`.
The laboratory's journeys make the continuity matrix, which the run ends with.
"""

import re
import shutil
import sqlite3
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, sync_playwright

from e2e.laboratory import RESULTS, Lab
from e2e.product import ROOT, Demo, Products, eventually
from kit.lab.browser import BrowserMissing
from kit.lab.engines import ENGINES, Engine, find_engines, launch
from kit.lab.evidence import Console, Contexts, how_to_open
from kit.lab.evidence import OpenContext as NewContext
from kit.lab.report import Report, matrix_text, write_matrix

__all__ = ["RESULTS", "ROOT", "Console", "Demo", "Lab", "NewContext", "eventually"]

NETWORK = Path(__file__).parent / "network"
FAILED = pytest.StashKey[bool]()
FOUND = pytest.StashKey[tuple[Engine, ...]]()
REPORTS = pytest.StashKey[list[Report]]()
BEGAN_S = pytest.StashKey[float]()
CELLS_S = pytest.StashKey[float]()
"""How long after the beginning the last cell of the matrix was done."""

# Names that only this browser knows: cookies have a Domain there, as they have on no localhost.
MADE_UP = {"*.test": "127.0.0.1"}
NO_TLS = "Cross-Origin-Opener-Policy"
"""Chromium ignores that header on a made-up name without https, and says so."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let a run choose its browsers, whether it may download, and whether it takes pictures."""
    parser.addoption(
        "--browser",
        action="append",
        choices=ENGINES,
        default=[],
        help="a browser for the continuity matrix; may be repeated (default: all that are found)",
    )
    parser.addoption(
        "--looks",
        action="store_true",
        help="have what pages looked like at each step in the traces of failures; it takes longer",
    )
    parser.addoption(
        "--network",
        action="store_true",
        help="run e2e/network as well: it downloads DataFast's SDK from npm",
    )
    parser.addoption(
        "--screenshots",
        action="store_true",
        help="take the README's pictures anew, in e2e/test_screenshots.py",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Begin with an empty matrix; a browser that was named and is not there ends the run."""
    config.stash[REPORTS] = []
    config.stash[BEGAN_S] = time.monotonic()
    if config.getoption("browser"):
        try:
            _engines(config)
        except BrowserMissing as error:
            raise pytest.UsageError(str(error)) from None


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out what downloads, unless it is asked for."""
    wanted = config.getoption("network") or any("e2e/network" in word for word in config.args)
    return True if collection_path == NETWORK and not wanted else None


def _engines(config: pytest.Config) -> tuple[Engine, ...]:
    if FOUND not in config.stash:
        config.stash[FOUND] = find_engines(config.getoption("browser"))
    return config.stash[FOUND]


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Name the browsers: Debian's Chromium trails the one that Playwright was made for."""
    try:
        found = ", ".join(map(str, _engines(config)))
    except BrowserMissing as error:
        found = str(error).partition("\n")[0]
    tools = f"Playwright {version('playwright')}, SQLite {sqlite3.sqlite_version}"
    return [f"browsers: {found}", f"e2e: {tools}"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each journey of the matrix in every browser there is."""
    if "engine" in metafunc.fixturenames:
        try:
            engines = _engines(metafunc.config)
        except BrowserMissing as error:
            raise pytest.UsageError(str(error)) from None
        metafunc.parametrize("engine", engines, ids=lambda engine: engine.name, scope="session")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Run the matrix first, and leave out of other browsers what Chromium alone can do."""
    left_out = [item for item in items if _needs_chromium(item)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]
    items.sort(key=_is_cell, reverse=True)


def _is_cell(item: pytest.Item) -> bool:
    return isinstance(item, pytest.Function) and "engine" in item.fixturenames


def _needs_chromium(item: pytest.Item) -> bool:
    if not isinstance(item, pytest.Function) or "only_chromium" not in item.fixturenames:
        return False
    engine = item.callspec.params["engine"]
    return isinstance(engine, Engine) and engine.name != "chromium"


def pytest_sessionstart() -> None:
    """Forget the artefacts of the last run."""
    shutil.rmtree(RESULTS, ignore_errors=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let fixtures know, when they end, that the test failed."""
    report = yield
    if _is_cell(item):
        item.config.stash[CELLS_S] = time.monotonic() - item.config.stash[BEGAN_S]
    item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed
    return report


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the continuity matrix, and keep it as JSON and as a page."""
    reports = config.stash[REPORTS]
    if reports:
        page = write_matrix(reports, RESULTS)
        terminalreporter.section("continuity matrix")
        terminalreporter.write_line(matrix_text(reports))
        took_s = config.stash[CELLS_S]
        terminalreporter.write_line(
            f"\n{len(reports)} cells, the last {took_s:.0f} s from the start"
        )
        terminalreporter.write_line(f"{page} shows each journey, {page.stem}.json has the cells")


# Browsers and their pages


@dataclass(slots=True)
class Browsers:
    """Starts each browser once, when it is first needed."""

    playwright: Playwright
    _started: dict[str, Browser] = field(default_factory=dict)

    def get(self, engine: Engine) -> Browser:
        """Return the running browser."""
        if engine.name not in self._started:
            self._started[engine.name] = launch(self.playwright, engine, hosts=MADE_UP)
        return self._started[engine.name]


@pytest.fixture(scope="session")
def browsers() -> Iterator[Browsers]:
    """Run Playwright, which ends with its browsers."""
    with sync_playwright() as playwright:
        yield Browsers(playwright)


@pytest.fixture(scope="session")
def browser(browsers: Browsers) -> Browser:
    """Return Chromium; a machine without one fails, it does not skip."""
    try:
        [chromium] = find_engines(["chromium"])
    except BrowserMissing as error:
        problem = str(error)
    else:
        return browsers.get(chromium)
    pytest.fail(problem, pytrace=False)


@pytest.fixture
def console() -> Console:
    """Hold the errors of this test's pages; those it did not expect fail it at its end."""
    return Console()


def _watched(browser: Browser, console: Console, request: Any) -> Iterator[Contexts]:
    """Give contexts; close them all, and keep the traces of a failure."""
    looks = request.config.getoption("looks")
    contexts = Contexts(browser, console, trace="looks" if looks else "steps")
    yield contexts
    failed = request.node.stash.get(FAILED, False)
    problems = console.problems()
    folder = RESULTS / re.sub(r"[^\w.-]+", "-", request.node.nodeid).strip("-")
    for trace in contexts.close(folder if failed or problems else None):
        print(f"\nkept: {trace.parent}\nopen: {how_to_open(trace)}")
    if not failed and problems:
        pytest.fail("the console is not clean:\n" + "\n".join(problems), pytrace=False)


@pytest.fixture
def new_context(
    browser: Browser, console: Console, request: pytest.FixtureRequest
) -> Iterator[NewContext]:
    """Open contexts with Playwright's options, for one more visitor, screen or setting."""
    for contexts in _watched(browser, console, request):
        yield contexts.open


@pytest.fixture
def context(new_context: NewContext) -> BrowserContext:
    """Open a fresh visitor's context."""
    return new_context()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    """Open a page of that visitor."""
    return context.new_page()


# The product


@pytest.fixture(scope="session")
def products(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Products]:
    """Start the product as its users do, for all tests; it must end well when it is told to."""
    products = Products(tmp_path_factory.mktemp("products"))
    yield products
    logs = products.logs()
    problems = products.stop()
    if request.session.testsfailed:
        RESULTS.mkdir(exist_ok=True)
        for log in logs:
            shutil.copy(log, RESULTS / f"demo-{log.parent.name}.log")

    assert problems == []


@pytest.fixture(scope="session")
def demo(products: Products) -> Demo:
    """Run the product as it comes."""
    return products.running()


@pytest.fixture(scope="session")
def hasty(products: Products) -> Demo:
    """Run it with short waits, for the matrix: its sales would bury what other tests look at."""
    return products.running(KIT_HOLD_S="2")


@pytest.fixture(scope="session")
def made_up(products: Products) -> Demo:
    """Run it at `shop.contour.test`: cookies belong to the whole domain there, as on the web."""
    return products.running("--domain", "contour.test")


# The laboratory


@pytest.fixture
def only_chromium() -> None:
    """Keep a journey to Chromium: no other browser can be told of made-up names."""


@pytest.fixture
def lab(
    engine: Engine,
    browsers: Browsers,
    console: Console,
    hasty: Demo,
    request: pytest.FixtureRequest,
) -> Iterator[Lab]:
    """Play journeys through the product, in each browser that is there."""
    for contexts in _watched(browsers.get(engine), console, request):
        yield Lab(engine, contexts.open, request.config.stash[REPORTS], hasty)
