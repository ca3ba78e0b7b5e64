"""
The pytest plugin as its users have it: installed from a wheel, in a project of their own.

The project is the one of the README, word for word but for the port, around each example shop.
"""

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from kit.lab.browser import find_browser
from tests.shops.serving import FRAMEWORKS, copy_shop, free_port
from tests.wheels import ROOT, build_wheel, install_wheel, run_installed

README = (ROOT / "README.md").read_text(encoding="utf-8")
STARTED = {
    "flask": "flask run --port 5000",
    "django": "python manage.py runserver --noreload 5000",
    "fastapi": "uvicorn app:app --port 5000",
}
PYTEST = ("-m", "pytest", "-p", "no:cacheprovider", "-W", "error", "-o", "strict=true")

# Beside the documented test: what must go wrong, and does so with help.
MORE = """
import asyncio
import functools
import http.server
import threading

import pytest


async def nothing():
    return "done"


def test_beside_event_loops(shop, attribution_browser, dodo_sandbox):
    title = attribution_browser.run(lambda page: page.goto(SHOP) and page.title())

    assert (title, asyncio.run(nothing())) == ("Example shop", "done")
    assert dodo_sandbox.requests == []


def test_of_a_button_that_is_not_there(shop, checkout_journey):
    assert checkout_journey(shop, buy="#none").outcome == "kept"


def test_of_a_shop_that_is_not_pointed_at_the_stand_ins(tmp_path, checkout_journey):
    link = "https://test.checkout.dodopayments.com/session/cks_1"
    (tmp_path / "index.html").write_text(f"<link rel=icon href=data:,><a href={link}>Buy</a>")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            checkout_journey(f"http://127.0.0.1:{server.server_port}/")
        finally:
            server.shutdown()
"""


@dataclass(frozen=True, slots=True)
class Run:
    """A project's pytest, ended."""

    folder: Path
    exit_code: int
    printed: str


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the kit from its wheel."""
    wheel = build_wheel(tmp_path_factory.mktemp("dist"))
    return install_wheel(wheel, tmp_path_factory.mktemp("site"))


def documented() -> dict[str, str]:
    """Return the README's files by their names."""
    blocks = re.findall(r"```python\n# (\S+\.py)\n(.*?)```", README, re.DOTALL)
    return dict(blocks)


def make_project(framework: str, folder: Path) -> None:
    """Put the documented files beside an example shop, which listens on a free port."""
    copy_shop(framework, folder)
    (folder / "manage.py").write_text((folder / "app.py").read_text())
    port = str(free_port())
    for name, text in documented().items():
        own = text.replace(STARTED["flask"], STARTED[framework])
        (folder / name).write_text(own.replace("5000", port))
    if framework == "flask":
        (folder / "test_more.py").write_text(MORE.replace("SHOP", f'"http://127.0.0.1:{port}"'))


@pytest.fixture(scope="module")
def runs(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """Run the project of each framework, all at once."""
    folders = {framework: tmp_path_factory.mktemp(framework) for framework in FRAMEWORKS}

    def run(framework: str) -> Run:
        make_project(framework, folders[framework])
        done = run_installed(installed, *PYTEST, cwd=folders[framework])
        return Run(folders[framework], done.returncode, done.stdout + done.stderr)

    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor() as pool:
        patch.setenv("KIT_BROWSER", str(find_browser().path))
        return dict(zip(FRAMEWORKS, pool.map(run, FRAMEWORKS), strict=True))


def test_the_readme_names_a_command_for_each_framework() -> None:
    """The project's own is that of Flask; the others stand in the sentence after it."""
    files = documented()

    assert set(files) == {"conftest.py", "test_attribution.py"}
    assert [command for command in STARTED.values() if f'"{command}"' in files["conftest.py"]] == [
        STARTED["flask"]
    ]
    assert [command for command in STARTED.values() if command not in README] == []


@pytest.mark.parametrize("framework", ["django", "fastapi"])
def test_the_documented_example_passes(runs: dict[str, Run], framework: str) -> None:
    """Every warning is an error there."""
    run = runs[framework]

    assert run.exit_code == 0, run.printed
    assert "2 passed" in run.printed
    assert not (run.folder / "test-results").exists()


def test_it_passes_with_flask_too_and_what_fails_is_told_and_kept(runs: dict[str, Run]) -> None:
    """Hop by hop, with a trace, a picture, and how to open it."""
    run = runs["flask"]
    folder = run.folder / "test-results/dodo-datafast"
    traces = sorted(folder.glob("*/trace.zip"))

    assert "2 failed, 3 passed" in run.printed, run.printed
    assert "WRONG  Buy button" in run.printed
    assert "Name the page that has it, and a CSS selector of the button." in run.printed
    assert "is not pointed at the stand-ins, so nothing is proven" in run.printed
    assert len(traces) == 2
    assert [trace for trace in traces if f"kept: {trace}" not in run.printed] == []
    assert [trace for trace in traces if f"show-trace {trace}" not in run.printed] == []
    assert all(trace.with_name("page.png").stat().st_size > 0 for trace in traces)


LOADED = """
import sys

import pytest

import kit


def test_nothing_heavy_is_loaded(pytestconfig):
    assert kit.__file__.startswith(INSTALLED)
    assert not {"playwright", "starlette", "uvicorn", "httpx", "kit.lab"} & set(sys.modules)
    assert pytestconfig.pluginmanager.has_plugin("dodo_datafast")


def test_webhooks_need_no_server(signed_webhook):
    assert signed_webhook("refund.succeeded").headers["webhook-id"].startswith("msg_")
    assert not {"playwright", "starlette", "uvicorn", "httpx", "kit.lab"} & set(sys.modules)
"""


def test_it_loads_next_to_nothing(installed: Path, tmp_path: Path) -> None:
    """It is in every pytest run of whoever has it installed."""
    (tmp_path / "test_it.py").write_text(LOADED.replace("INSTALLED", repr(str(installed))))
    done = run_installed(installed, *PYTEST, cwd=tmp_path)

    assert "2 passed" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("off", [("-o", "dodo_datafast=false"), ("-p", "no:dodo_datafast")])
def test_it_can_be_turned_off(installed: Path, tmp_path: Path, off: tuple[str, ...]) -> None:
    """By a setting or, as any plugin, by its name; then its fixtures are not there."""
    (tmp_path / "test_it.py").write_text("def test_it(dodo_sandbox): pass\n")
    done = run_installed(installed, *PYTEST, *off, cwd=tmp_path)

    assert "fixture 'dodo_sandbox' not found" in done.stdout, done.stdout + done.stderr
    assert "checkout_journey" not in done.stdout
