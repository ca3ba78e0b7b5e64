"""
The fixtures, and what is kept of a test that failed.

What they need is imported inside them: this module loads in every pytest run.
"""

import contextlib
import re
import shutil
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from kit.lab.aside import BrowserThread
    from kit.lab.report import Report
    from kit.plugin.journeys import AttributionBrowser
    from kit.plugin.servers import DataFastServer, DodoServer, StandIns
    from kit.plugin.shops import StartShop
    from kit.plugin.webhooks import SignWebhook

STARTED_AT = pytest.StashKey[float]()
BROWSER = pytest.StashKey["AttributionBrowser"]()
KEPT = "dodo_datafast_trace"
"""The property of a test's report, in JUnit's XML too, that names a trace."""

_NEEDED = "pip install 'dodo-datafast-kit[browser]'"


# The stand-ins


@pytest.fixture(scope="session")
def dodo_webhook_secret() -> str:
    """Return the secret that webhooks are signed with; override it if your shop has one already."""
    from kit.sandbox.signer import new_secret

    return new_secret()


@pytest.fixture(scope="session")
def _dodo_datafast_servers(
    pytestconfig: pytest.Config, dodo_webhook_secret: str
) -> Iterator["StandIns"]:
    from kit.plugin.servers import running_stand_ins

    ports = pytestconfig.getini("dodo_datafast_ports")
    if len(ports) != 2 or not all(re.fullmatch("[0-9]{1,5}", port) for port in ports):
        raise pytest.UsageError("dodo_datafast_ports: two numbers, as in 8001 8002")
    with running_stand_ins(
        domain=pytestconfig.getini("dodo_datafast_domain"),
        website_id=pytestconfig.getini("dodo_datafast_website_id"),
        webhook_secret=dodo_webhook_secret,
        ports=(int(ports[0]), int(ports[1])),
        since=lambda: pytestconfig.stash.get(STARTED_AT, 0.0),
    ) as running:
        yield running


@pytest.fixture(scope="session")
def dodo_sandbox(_dodo_datafast_servers: "StandIns") -> "DodoServer":
    """Run a stand-in for Dodo: `.variables` for the shop, `.requests` of this test, `.payments`."""
    return _dodo_datafast_servers.dodo


@pytest.fixture(scope="session")
def datafast_sandbox(_dodo_datafast_servers: "StandIns") -> "DataFastServer":
    """Run a stand-in for DataFast: `.variables`, `.requests` of this test, `.payments`, `.tag`."""
    return _dodo_datafast_servers.datafast


@pytest.fixture(scope="session")
def signed_webhook(dodo_webhook_secret: str) -> "SignWebhook":
    """Sign webhooks: `signed_webhook("payment.succeeded", currency="JPY")` has headers and body."""
    from kit.plugin.webhooks import SignWebhook

    return SignWebhook(dodo_webhook_secret)


@pytest.fixture(scope="session")
def start_shop(
    dodo_sandbox: "DodoServer",
    datafast_sandbox: "DataFastServer",
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator["StartShop"]:
    """Start a shop by a command, pointed at the stand-ins, until the tests end: see its call."""
    from kit.plugin.shops import StartShop

    with contextlib.ExitStack() as stack:
        folder = tmp_path_factory.mktemp("shops")
        yield StartShop(dodo_sandbox, datafast_sandbox, folder, stack)


# The browser


@pytest.fixture(scope="session")
def _dodo_datafast_thread() -> Iterator["BrowserThread"]:
    try:
        from kit.lab.aside import BrowserThread
        from kit.lab.browser import BrowserMissing
        from kit.lab.engines import find_engines
        from kit.lab.fence import NOWHERE
    except ModuleNotFoundError as problem:
        pytest.fail(f"{problem}; install it with: {_NEEDED}", pytrace=False)
    try:
        [chromium] = find_engines(["chromium"])
    except BrowserMissing as missing:
        pytest.fail(str(missing), pytrace=False)
    with BrowserThread(chromium, hosts=NOWHERE) as thread:
        yield thread


@pytest.fixture
def attribution_browser(
    _dodo_datafast_thread: "BrowserThread",
    dodo_sandbox: "DodoServer",
    datafast_sandbox: "DataFastServer",
    request: pytest.FixtureRequest,
) -> Iterator["AttributionBrowser"]:
    """Open a browser that DataFast's script takes for a person's: `.journey`, `.run`."""
    from kit.plugin.journeys import AttributionBrowser

    browser = AttributionBrowser(_dodo_datafast_thread, dodo_sandbox, datafast_sandbox)
    request.node.stash[BROWSER] = browser
    yield browser
    browser.close()


@pytest.fixture
def checkout_journey(attribution_browser: "AttributionBrowser") -> Callable[..., "Report"]:
    """Buy in a shop as a visitor of a campaign does, and get the account of it."""
    return attribution_browser.journey


# What is kept of a test that failed


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Note when the test began: what stand-ins received before is another's."""
    item.config.stash[STARTED_AT] = time.time()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tell the journeys of a test that failed, and keep its traces and pictures."""
    report = yield
    browser = item.stash.get(BROWSER, None)
    if browser is None or not report.failed or report.when == "teardown":
        return report
    report.sections.extend((f"journey: {told.scenario}", str(told)) for told in browser.reports)
    for trace in browser.close(_folder(item)):
        kept: tuple[str, object] = (KEPT, str(trace))
        item.user_properties.append(kept)
        report.user_properties.append(kept)
    return report


def _folder(item: pytest.Item) -> Path:
    results: Path = item.config.rootpath / item.config.getini("dodo_datafast_results")
    folder = results / re.sub(r"[^\w.-]+", "-", item.nodeid).strip("-")
    shutil.rmtree(folder, ignore_errors=True)
    return folder


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say where the traces of failed tests are, and how to look at one."""
    reports: list[Any] = [
        *terminalreporter.getreports("failed"),
        *terminalreporter.getreports("error"),
    ]
    kept = {
        str(value): report.nodeid
        for report in reports
        # A file that could not be collected has a report without any.
        for name, value in getattr(report, "user_properties", ())
        if name == KEPT
    }
    if not kept:
        return
    from kit.lab.evidence import how_to_open

    terminalreporter.section("journeys that failed: traces and pictures")
    for trace, test in kept.items():
        terminalreporter.write_line(f"{test}\n  kept: {trace}\n  open: {how_to_open(Path(trace))}")
