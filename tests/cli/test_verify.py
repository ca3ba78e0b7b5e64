"""`kit verify` before any journey: what is asked for, the stand-ins, a shop that does not come."""

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from kit import cli
from kit.resources import resource_dir
from kit.sandbox.live import Live, live_sandboxes
from tests.shops.serving import free_port

NOWHERE = "http://127.0.0.1:1/"
"""Nobody listens there."""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def verify(*arguments: str) -> tuple[int, str]:
    """Run the command; return its exit code, and what it printed to either stream."""
    done = CliRunner().invoke(cli.main, ["verify", *arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, click.unstyle(done.output)


def test_a_shop_that_does_not_come_is_told_with_what_it_must_be_started() -> None:
    """Nothing is called well."""
    code, printed = verify(NOWHERE, "--port", "0", "--wait", "0")

    assert code == 1
    assert "set -a; . .kit/shop.env; set +a" in printed
    assert "DATAFAST_DOMAIN=127.0.0.1" in printed
    assert "DODO_PAYMENTS_API_KEY=(in that file)" in printed
    assert f"nobody answers at {NOWHERE} after 0 s" in printed


def test_a_shop_whose_command_ends_says_what_it_printed() -> None:
    """Its variables were there."""
    program = "import os; raise SystemExit(os.environ['DODO_PAYMENTS_BASE_URL'])"
    code, printed = verify(NOWHERE, "--port", "0", "--", sys.executable, "-c", program)

    assert code == 1
    assert "the shop did not start: its command has ended, with exit code 1" in printed
    assert "  | http://127.0.0.1:" in printed


def test_the_keys_are_those_of_the_folder(folder: Path) -> None:
    """A shop that was started before goes on working, with `kit demo --shop` too."""
    written = []
    for _ in range(2):
        verify(NOWHERE, "--port", "0", "--wait", "0")
        lines = (folder / ".kit/shop.env").read_text().splitlines()
        written.append([line for line in lines if "_KEY=" in line])
    keys = json.loads((folder / ".kit/keys.json").read_text())

    assert written[0] == written[1]
    assert f"DODO_PAYMENTS_API_KEY={keys['dodo_api_key']}" in written[0]
    assert (folder / ".kit/shop.env").stat().st_mode & 0o777 == 0o600


def test_the_shops_own_products_stay_what_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-in sells whatever it is asked for."""
    monkeypatch.setenv("KIT_PRODUCTS", "pdt_mine")
    _code, printed = verify(NOWHERE, "--port", "0", "--wait", "0")

    assert "KIT_PRODUCTS=pdt_mine\n" in printed


@contextlib.contextmanager
def stand_ins(port: int) -> Iterator[Live]:
    """Run stand-ins, as `kit demo` does, on this port and the next."""
    with live_sandboxes(
        templates_dir=resource_dir("templates"),
        static_dir=resource_dir("static"),
        domain="contour.test",
        ports=(port, port + 1),
    ) as live:
        yield live


def test_stand_ins_that_run_already_are_asked(folder: Path) -> None:
    """Found on the ports, or named; their shop has its variables."""
    port = free_port()
    with stand_ins(port) as live:
        _code, found = verify(NOWHERE, "--port", str(port), "--wait", "0")
        named = ("--stand-ins", live.dodo_page, live.datafast_page)
        _code, told = verify(NOWHERE, *named, "--wait", "0")

    for printed in (found, told):
        assert f"{live.dodo_page} (Dodo)  {live.datafast_api} (DataFast), which run already" in (
            printed
        )
    assert not (folder / ".kit/shop.env").exists()


def test_a_port_of_somebody_else_is_told() -> None:
    """With the way out."""
    port = free_port()
    with live_sandboxes(
        templates_dir=resource_dir("templates"),
        static_dir=resource_dir("static"),
        domain="contour.test",
        ports=(port, 0),
    ):
        code, printed = verify(NOWHERE, "--port", str(port), "--wait", "0")

    assert code == 1
    assert f"port {port} or {port + 1} is taken" in printed
    assert "--port" in printed


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("shop.example",), "shop.example is no address"),
        ((NOWHERE, "--journey", "to the moon"), "there is no journey 'to the moon'"),
        ((NOWHERE, "--cookie", "consent"), "'consent' is not NAME="),
        ((NOWHERE, "--resolve", "=127.0.0.1"), "'=127.0.0.1' is not NAME="),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: tuple[str, ...], told: str) -> None:
    """Before anything is started."""
    code, printed = verify(*arguments, "--port", "0", "--wait", "0")

    assert code == 2
    assert told in printed
    assert "Stand-ins" not in printed


def test_stand_ins_that_are_not_there_are_told() -> None:
    """By the address that was named."""
    code, printed = verify(NOWHERE, "--stand-ins", NOWHERE, NOWHERE)

    assert code == 1
    assert f"no stand-in answers at {NOWHERE}" in printed


def test_the_journeys_can_be_listed() -> None:
    """One name a line."""
    code, printed = verify(NOWHERE, "--list")

    assert code == 0
    assert printed.splitlines()[0] == "first visit"
    assert "script slow by 5 s" in printed.splitlines()
