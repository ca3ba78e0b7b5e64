"""`kit verify` on shops that run: the storefront, six that are wrong on purpose, one unpointed."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse
from starlette.routing import Route

from e2e.test_script import serving_alone
from kit.cli import main
from kit.lab.browser import find_browser
from kit.sandbox.script import serve_script
from tests.shops.serving import free_port
from tests.shops.small import Make, open_small_shop

FIRST = ("--journey", "first visit")
MADE_UP = ("--resolve", "*.contour.test=127.0.0.1")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder of its own, as somebody with a shop does."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KIT_BROWSER", str(find_browser().path))
    return tmp_path


def verify(*arguments: str) -> tuple[int, str]:
    """Run the command; return its exit code, and what it printed."""
    done = CliRunner().invoke(main, ["verify", *arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, click.unstyle(done.output)


def account(*arguments: str) -> tuple[dict[str, Any], str]:
    """Run the command for a program's sake; return its account, and what it told a person."""
    done = CliRunner().invoke(main, ["verify", "--json", *arguments])
    found: dict[str, Any] = json.loads(done.stdout)

    assert found["exit_code"] == done.exit_code

    return found, done.stderr


def test_the_storefront_is_started_and_verified(folder: Path) -> None:
    """By its command, with the variables that are said; the page with its button is found."""
    port = free_port()
    shop = (sys.executable, "-m", "kit", "demo", "--port", str(port))
    page, traces = folder / "account.html", folder / "traces"
    code, printed = verify(
        f"http://127.0.0.1:{port}",
        *("--port", "0", "--html", str(page), "--keep", str(traces)),
        *(*FIRST, "--journey", "cookies cleared on the way"),
        *("--", *shop),
    )
    written = (folder / ".kit" / "shop.env").read_text()
    names = [line.partition("=")[0] for line in written.splitlines()]
    secrets = [line.partition("=")[2] for line in written.splitlines() if "_KEY=" in line]

    assert code == 0, printed
    assert "Buying     “Buy for $29.00” on" in printed
    assert "WRONG" not in printed
    assert "  ok      cookies cleared on the way: visitor id lost" in printed
    assert "OK  the visitor id was kept on 1 of 2 journeys" in printed
    assert [name for name in names if f"{name}=" not in printed] == []
    assert len(secrets) == 4
    assert not [secret for secret in secrets if secret in printed]
    assert page.read_text().count("<img") == 6
    assert not traces.exists()


WRONG: dict[str, tuple[Make, str, str, tuple[str, ...]]] = {
    "no script": (Make(script=False), "Script on the page", "script_missing", ()),
    "wrong domain": (
        Make("shop.contour.test", "contour.test", data_domain="relief.test"),
        "Domain of the script",
        "script_domain_foreign",
        MADE_UP,
    ),
    "captured by the page alone": (
        Make(capture="page"),
        "Visitor in the order",
        "captured_by_page",
        (),
    ),
    "misspelt key": (
        Make(metadata_key="datafast_visitorid"),
        "Metadata sent to Dodo",
        "metadata_misnamed",
        (),
    ),
    "cookie of a sibling subdomain": (
        Make(
            "shop.contour.test",
            "contour.test",
            data_domain="www.contour.test",
            landing_host="www.contour.test",
        ),
        "Visitor cookie",
        "cookie_out_of_reach",
        (*MADE_UP, "--domain", "contour.test"),
    ),
    "return address with the e-mail": (
        Make(clean_return=False),
        "Address of the return page",
        "return_leaks",
        (),
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_shop_is_told_what_is_wrong(name: str) -> None:
    """The fault has its hop, its reason, and how to mend it."""
    make, place, reason, arguments = WRONG[name]
    with open_small_shop(make) as shop:
        found, _told = account(
            shop.url,
            *("--product", shop.product_url),
            *("--stand-ins", shop.live.dodo_page, shop.live.datafast_api),
            *FIRST,
            *arguments,
        )
    faults = {(fault["name"], fault["reason"]): fault for fault in found["faults"]}

    assert (found["exit_code"], found["verdict"]) == (1, "wrong"), faults
    assert (place, reason) in faults
    assert faults[place, reason]["fix"]
    assert faults[place, reason]["journeys"] == ["first visit"]


@pytest.fixture
def unpointed() -> Iterator[str]:
    """Serve a shop that sells through the real Dodo and is measured by the real DataFast."""

    async def home(_request: Request) -> HTMLResponse:
        return HTMLResponse(
            '<!doctype html><title>Shop</title><link rel="icon" href="data:,">'
            '<script src="/js/script.js" data-website-id="dfid_1" data-domain="127.0.0.1" '
            'data-allow-localhost="true" data-api-url="https://datafa.st/api/events"></script>'
            '<form method="post" action="/buy"><button>Buy</button></form>'
        )

    async def buy(_request: Request) -> RedirectResponse:
        return RedirectResponse("https://test.checkout.dodopayments.com/session/cks_1", 303)

    routes = [
        Route("/", home),
        Route("/buy", buy, methods=["POST"]),
        Route("/js/script.js", serve_script),
    ]
    with serving_alone(Starlette(routes=routes)) as port:
        yield f"http://127.0.0.1:{port}/"


def test_a_shop_that_is_not_pointed_at_the_stand_ins_is_never_green(unpointed: str) -> None:
    """Up to its redirect it is judged; what lies behind is not observable, and nobody is told."""
    found, told = account(unpointed, "--port", "0")
    [journey] = found["journeys"]
    reasons = {hop["name"]: hop["reason"] for hop in journey["hops"]}

    assert "NOT OBSERVABLE" in told
    assert "DODO_PAYMENTS_BASE_URL=http://127.0.0.1:" in told
    assert (found["exit_code"], found["verdict"], found["faults"]) == (2, "unseen", [])
    assert reasons == {
        "Script on the page": "script_loaded",
        "Visitor cookie": "cookie_set",
        "Pageview to DataFast": "not_observable",
        "Visitor cookie at checkout": "captured",
        "Metadata sent to Dodo": "not_observable",
        "Payment": "not_observable",
        "Return from Dodo's page": "not_observable",
        "Payment at DataFast": "not_observable",
    }
