"""`kit reconcile` as its users run it: beside a server, and on a ledger of its own."""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from kit.ledger import Ledger
from kit.ledger.engine import open_engines
from kit.ledger.reader import reading
from kit.ledger.schema import deliveries, interventions
from kit.reconcile.progress import Progress, keep_progress, kept_progress
from tests.cli.conftest import START_TIMEOUT_S, Running, environment, kit, kit_here, running_demo
from tests.databases import DATABASES

EMAIL = "planted.buyer@example.com"
EVER = ("reconcile", "--since", "1d", "--until", "now")


@dataclass(frozen=True, slots=True)
class Shop:
    """A running demo, whose webhooks get lost, and what a command must know of it."""

    demo: Running
    folder: Path
    environ: dict[str, str]

    def reconcile(self, *arguments: str, **changes: str) -> tuple[int, dict[str, Any]]:
        """Run the command with `--json`; returns the exit code and what it printed."""
        done = kit_here(self.folder, *EVER, "--json", *arguments, **self.environ | changes)

        assert done.stdout, done.stderr
        assert "planted" not in done.stdout + done.stderr

        return done.returncode, json.loads(done.stdout)

    def sell(self) -> str:
        """Sell to a visitor; returns the payment's id. No webhook tells of it."""
        dodo = self.demo.urls["dodo_local"]
        key = {"authorization": f"Bearer {self.environ['DODO_PAYMENTS_API_KEY']}"}
        cart = {"product_cart": [{"product_id": "pdt_coastline", "quantity": 1}]}
        with httpx.Client() as http:
            session = http.post(f"{dodo}/checkouts", json=cart, headers=key).json()
            form = {"email": EMAIL, "name": "Planted Buyer", "outcome": "succeeded"}
            http.post(f"{dodo}/session/{session['session_id']}", data=form)
            listed = http.get(f"{dodo}/payments", headers=key).json()["items"]
        return str(listed[0]["payment_id"])

    def at_datafast(self) -> list[str]:
        """Return the transactions that DataFast holds."""
        held = httpx.get(f"{self.demo.urls['datafast_local']}/_sandbox/payments").json()
        return sorted(payment["transaction_id"] for payment in held)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """Run a demo for all tests of this file; its endpoint at Dodo is gone."""
    folder = tmp_path_factory.mktemp("demo")
    with running_demo(folder, "--port", "0") as demo:
        keys = json.loads((folder / ".kit" / "keys.json").read_text())
        environ = {
            "DODO_PAYMENTS_API_KEY": keys["dodo_api_key"],
            "DODO_PAYMENTS_WEBHOOK_KEY": keys["webhook_secret"],
            "DODO_PAYMENTS_BASE_URL": demo.urls["dodo_local"],
            "DATAFAST_API_KEY": keys["datafast_api_key"],
            "DATAFAST_BASE_URL": demo.urls["datafast_local"],
            "KIT_SECRET_KEY": keys["secret_key"],
            "KIT_BASE_URL": demo.urls["shop_local"],
            "KIT_DATABASE_URL": f"sqlite:///{folder}/.kit/shop.db",
        }
        bearer = {"authorization": f"Bearer {keys['dodo_api_key']}"}
        gone = httpx.delete(f"{demo.urls['dodo_local']}/webhooks/ep_shop", headers=bearer)
        gone.raise_for_status()
        yield Shop(demo, folder, environ)


def test_beside_a_server_it_reads_and_asks_the_server_to_take_in(shop: Shop) -> None:
    """Nothing is changed without --send; with it, the server reads Dodo and sends."""
    payment_id = shop.sell()
    only_looked, found = shop.reconcile()
    before = shop.at_datafast()
    code, report = shop.reconcile("--send")
    again, agreed = shop.reconcile()

    assert (only_looked, found["ok"], found["counts"]["missing"]) == (1, False, 1)
    assert [(each["what"], each["id"]) for each in found["findings"]] == [("missing", payment_id)]
    assert payment_id not in before
    assert code == 0, report
    assert (report["ok"], report["counts"]["missing"], report["counts"]["taken_in"]) == (True, 0, 1)
    assert [(each["id"], each["standing"]) for each in report["sent"]] == [(payment_id, "sent")]
    assert payment_id in shop.at_datafast()
    assert (again, agreed["counts"]["missing"], agreed["counts"]["taken_in"]) == (0, 0, 0)


@pytest.mark.parametrize("database", DATABASES)
def test_without_a_server_it_takes_in_and_sends_by_itself(
    shop: Shop, tmp_path: Path, database: str, request: pytest.FixtureRequest
) -> None:
    """At DataFast's pace, until each has its answer; what a person did is noted."""
    payment_id = shop.sell()
    url = f"sqlite:///{tmp_path}/own.db"
    if database == "postgresql":
        url = request.getfixturevalue("postgres_url")
    Ledger.open(url).close()
    code, report = shop.reconcile("--send", KIT_DATABASE_URL=url)
    engines = open_engines(url)
    with engines.reading.connect() as connection:
        row = connection.execute(
            deliveries.select().where(deliveries.c.transaction_id == payment_id)
        ).one()
        noted = connection.execute(interventions.select()).mappings().all()
    engines.close()

    assert code == 0, report
    assert payment_id in [each["id"] for each in report["sent"]]
    assert {each["standing"] for each in report["sent"]} == {"sent"}
    assert (row.state, row.owner) == ("done", None)
    assert {each["action"] for each in noted} == {"reconcile"}
    assert sum(each["changed"] for each in noted) == report["counts"]["taken_in"]


def test_the_table_says_what_was_found_and_what_to_do(shop: Shop, tmp_path: Path) -> None:
    """In words, on the standard output; the bar is for a terminal."""
    payment_id = shop.sell()
    url = f"sqlite:///{tmp_path}/own.db"
    Ledger.open(url).close()
    done = kit(shop.folder, *EVER, **shop.environ | {"KIT_DATABASE_URL": url})

    assert done.returncode == 1, done.stderr
    assert re.search(
        r"^\d{4}-\d\d-\d\d \d\d:\d\d to \d{4}-\d\d-\d\d \d\d:\d\d UTC$", done.stdout, re.MULTILINE
    )
    assert re.search(
        r"^ *\d+ +missing +Dodo has it, and no report was ever made", done.stdout, re.MULTILINE
    )
    assert re.search(rf"payment +{payment_id} +Dodo: [0-9.]+ [A-Z]{{3}}", done.stdout)
    assert "never_reported: Dodo has this" in done.stdout
    assert "Run `kit reconcile --send`" in done.stdout
    assert "planted" not in done.stdout + done.stderr
    assert done.stderr == ""


def test_an_interrupted_run_is_gone_on_with(shop: Shop, tmp_path: Path) -> None:
    """From the moment that it had reached, with what it had found."""
    url = f"sqlite:///{tmp_path}/own.db"
    began = Progress(0, 2_000_000_000_000, 1_999_999_990_000, {"payments": 7}, {"taken_in": 3})
    engines = open_engines(url)
    with engines.writing.begin() as connection:
        keep_progress(connection, began)
    engines.close()
    code, report = resumed(shop, url)
    engines = open_engines(url)
    with engines.reading.connect() as connection:
        left = kept_progress(connection)
    engines.close()

    assert code == 0, report
    assert report["seen"]["payments"] == 7
    assert report["counts"]["taken_in"] == 3
    assert report["complete"] is True
    assert left is None


def resumed(shop: Shop, url: str) -> tuple[int, dict[str, Any]]:
    """Go on with what is kept in a ledger."""
    changes = {"KIT_DATABASE_URL": url}
    done = kit_here(shop.folder, "reconcile", "--resume", "--json", **shop.environ | changes)

    assert done.stdout, done.stderr

    return done.returncode, json.loads(done.stdout)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_keeps_what_was_found_and_says_how_to_go_on(shop: Shop, tmp_path: Path) -> None:
    """The report is of the part that was compared."""
    url = f"sqlite:///{tmp_path}/own.db"
    Ledger.open(url).close()
    # Three calls at once, enough for the first window, and then hardly any.
    slow = ["--since", "9d", "--dodo-rate", "6", "--json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "kit", "reconcile", *slow],
        cwd=tmp_path,
        env=environment(**shop.environ | {"KIT_DATABASE_URL": url}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    kept = None
    try:
        while kept is None and process.poll() is None:
            with reading(url) as connection:
                kept = kept_progress(connection) if connection is not None else None
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        said, complained = process.communicate(timeout=START_TIMEOUT_S)
    finally:
        # Left behind, it would fail whichever test runs when it is collected.
        process.kill()
        process.communicate()
    report = json.loads(said)

    assert process.returncode == 130, complained
    assert kept is not None
    assert (report["complete"], report["ok"]) == (False, False)
    assert report["since"] < report["reached"] < report["until"]
    assert complained == "kit: interrupted; kit reconcile --resume goes on from here\n"


def test_a_failure_on_the_way_says_how_to_go_on(shop: Shop, tmp_path: Path) -> None:
    """With what was found up to there; the key is not shown."""
    url = f"sqlite:///{tmp_path}/own.db"
    Ledger.open(url).close()
    changes = {"KIT_DATABASE_URL": url, "DODO_PAYMENTS_API_KEY": "dodo_test_wrong-key"}
    done = kit_here(shop.folder, *EVER, "--json", **shop.environ | changes)
    report = json.loads(done.stdout)

    assert done.returncode == 1
    assert (report["ok"], report["complete"]) == (False, False)
    assert "DODO_PAYMENTS_API_KEY may not read" in done.stderr
    assert "kit reconcile --resume goes on from here" in done.stderr
    assert "wrong-key" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "--since 7d"),
        (["--since", "7d", "--resume"], "--since 7d"),
        (["--resume", "--until", "now"], "--since 7d"),
        (["--since", "soon"], "--since soon: use 30m, 2h, 7d"),
        (["--since", "1h", "--until", "2h"], "--since must be before --until"),
        (["--since", "1m"], "--since must be before --until"),
        (["--resume"], "no run was interrupted"),
        (["--since", "7d"], "there is no ledger own.db"),
    ],
    ids=" ".join,
)
def test_a_senseless_call_is_one_sentence(
    shop: Shop, tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    """And makes no ledger where there was none."""
    url = f"sqlite:///{tmp_path}/own.db"
    if arguments == ["--resume"]:
        Ledger.open(url).close()
    done = kit_here(
        shop.folder, "reconcile", *arguments, **shop.environ | {"KIT_DATABASE_URL": url}
    )

    assert done.returncode == 1
    assert sentence in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert arguments == ["--resume"] or list(tmp_path.iterdir()) == []
