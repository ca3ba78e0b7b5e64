"""`kit replay`: on its own, and beside a server that owns the ledger."""

from pathlib import Path

import pytest

from tests.cli.conftest import kit
from tests.cli.test_serve import SETTINGS, serving


def test_without_a_server_it_acts_on_the_ledger_itself(tmp_path: Path) -> None:
    """And says that nothing is sent yet."""
    done = kit(tmp_path, "replay", "--release", "horizon", **SETTINGS)

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("0 released")
    assert "until a server runs" in done.stdout


def test_beside_a_server_it_asks_the_server(tmp_path: Path) -> None:
    """Which owns the SQLite file; a second owner would be refused."""
    with serving(tmp_path, **SETTINGS) as server:
        at_server = SETTINGS | {"KIT_BASE_URL": server.url}
        done = kit(tmp_path, "replay", "--release", "horizon", **at_server)
        refused = kit(tmp_path, "replay", "--reattribute", "pay_unknown", **at_server)

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("0 released")
    assert "until a server runs" not in done.stdout
    assert refused.returncode == 1
    assert "pay_unknown is no sale that has been reported" in refused.stderr


def test_a_server_elsewhere_is_named(tmp_path: Path) -> None:
    """The ledger is in use, and nobody answers where the settings say."""
    with serving(tmp_path, **SETTINGS):
        elsewhere = SETTINGS | {"KIT_BASE_URL": "http://127.0.0.1:9"}
        done = kit(tmp_path, "replay", "--release", "horizon", **elsewhere)

    assert done.returncode == 1
    assert "does not answer at http://127.0.0.1:9" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [[], ["--release", "horizon", "--reattribute", "pay_1"], ["--release", "test_mode"]],
    ids=["nothing", "both", "a reason that nobody may overrule"],
)
def test_a_senseless_call_is_one_sentence(tmp_path: Path, arguments: list[str]) -> None:
    """On the standard error, with exit code 1."""
    done = kit(tmp_path, "replay", *arguments, **SETTINGS)

    assert done.returncode == 1
    assert done.stderr.startswith("kit: ")
    assert "Traceback" not in done.stderr
