"""`kit replay`: on its own, and beside a server that owns the ledger."""

import subprocess
import sys
from pathlib import Path

import pytest

from kit.cli.moments import moment_ms
from tests.cli.conftest import START_TIMEOUT_S, environment, kit, kit_here
from tests.cli.ledgers import fill, row_of, within
from tests.cli.test_serve import SETTINGS, serving
from tests.ledger.scenes import NOW_MS, change

PLAN = """\
2 reports to DataFast again: sales 39.50 USD
  2  sale  parked  horizon  39.50 USD
1 message to be read again
  1  payment.succeeded  parked  unknown_currency
"""


def test_it_says_what_it_will_do_and_does_it_when_that_is_agreed(tmp_path: Path) -> None:
    """Counts and sums first; without a server nothing is sent yet."""
    fill(tmp_path)
    done = kit(tmp_path, "replay", "--state", "parked", "--yes", **SETTINGS)
    row = row_of(tmp_path, "pay_0")

    assert done.returncode == 0, done.stderr
    assert done.stdout == PLAN + (
        "2 reports sent again, at DataFast's pace; 1 message read again; once a server runs\n"
    )
    assert (row["state"], row["attempts"]) == ("ready", 0)


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        pytest.param(["--dry-run"], 0, "", id="only looking"),
        pytest.param([], 1, "nothing was done: there was no answer", id="nobody to ask"),
    ],
)
def test_nothing_is_done_unless_it_is_agreed(
    tmp_path: Path, options: list[str], code: int, said: str
) -> None:
    """The plan is shown all the same."""
    fill(tmp_path)
    done = kit_here(tmp_path, "replay", "--state", "parked", *options, **SETTINGS)

    assert done.returncode == code
    assert done.stdout.startswith(PLAN)
    assert said in done.stderr
    assert row_of(tmp_path, "pay_0")["state"] == "parked"


@pytest.mark.parametrize(("answer", "state"), [("y", "ready"), ("n", "parked")])
def test_the_answer_decides(tmp_path: Path, answer: str, state: str) -> None:
    """Asked after the plan, with no as what a bare Enter means."""
    fill(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "kit", "replay", "pay_0"],
        cwd=tmp_path,
        env=environment(**SETTINGS),
        input=f"{answer}\n",
        capture_output=True,
        text=True,
        timeout=START_TIMEOUT_S,
        check=False,
    )

    assert done.returncode == (0 if answer == "y" else 1), done.stderr
    assert "Do that? [y/N]" in done.stdout
    assert row_of(tmp_path, "pay_0")["state"] == state


def test_one_is_replayed_by_its_id(tmp_path: Path) -> None:
    """Its own, or that of the message it came from."""
    fill(tmp_path)
    done = kit_here(tmp_path, "replay", "msg_2", "--yes", **SETTINGS)
    row = row_of(tmp_path, "pay_2")

    assert done.returncode == 0, done.stderr
    assert "1 report to DataFast again: sales 29.00 EUR" in done.stdout
    assert (row["state"], row["verdict"], row["due_at_ms"] is None) == ("done", "attributed", False)


@pytest.mark.parametrize(
    ("since", "until", "fits"),
    [
        ("2026-10-01T00:00", None, True),
        (None, "2026-10-01T12:00:00+00:00", False),
        ("2026-10-01T13:59:59+02:00", "2026-10-02", True),
    ],
)
def test_a_time_may_be_a_moment(
    tmp_path: Path, since: str | None, until: str | None, fits: bool
) -> None:
    """A moment without a zone is UTC; only what is parked is meant."""
    fill(tmp_path)
    options = [*(["--since", since] if since else []), *(["--until", until] if until else [])]
    done = kit_here(tmp_path, "replay", *options, "--dry-run", **SETTINGS)

    assert done.returncode == 0, done.stderr
    assert done.stdout == (PLAN if fits else "Nothing fits.\n")


@pytest.mark.parametrize(
    ("text", "ago_s"), [("30s", 30), ("15m", 900), ("2h", 7200), ("3d", 259_200), ("1w", 604_800)]
)
def test_a_time_may_be_so_long_ago(text: str, ago_s: int) -> None:
    """Counted from now, in milliseconds as the ledger has them."""
    assert moment_ms(text, "since", now=NOW_MS / 1000) == NOW_MS - ago_s * 1000


def test_what_is_left_alone_is_said_with_its_reason(tmp_path: Path) -> None:
    """And there is nothing to agree to."""
    fill(tmp_path)
    within(tmp_path, lambda connection: change(connection, "pay_0", state="sending"))
    left = kit_here(tmp_path, "replay", "pay_0", **SETTINGS)
    unknown = kit_here(tmp_path, "replay", "msg_unknown", "--yes", **SETTINGS)

    assert (left.returncode, unknown.returncode) == (0, 1)
    assert left.stdout == (
        "1 report left alone: on the way to DataFast at this moment\n"
        "  1  sale  sending  horizon  29.00 USD\n"
    )
    assert "msg_unknown is neither a report nor a message" in unknown.stderr


def test_beside_a_server_it_asks_the_server(tmp_path: Path) -> None:
    """Plan and deed: the server owns the SQLite file, and a second owner would be refused."""
    fill(tmp_path)
    with serving(tmp_path, **SETTINGS) as server:
        at_server = SETTINGS | {"KIT_BASE_URL": server.url}
        done = kit_here(tmp_path, "replay", "--release", "horizon", "--yes", **at_server)
        refused = kit_here(tmp_path, "replay", "--reattribute", "pay_unknown", **at_server)
        elsewhere = SETTINGS | {"KIT_BASE_URL": "http://127.0.0.1:9"}
        lost = kit_here(tmp_path, "replay", "--state", "parked", **elsewhere)

    assert done.returncode == 0, done.stderr
    assert done.stdout == PLAN.split("1 message")[0] + "2 reports released, at DataFast's pace\n"
    assert (refused.returncode, lost.returncode) == (1, 1)
    assert "pay_unknown is no sale that has been reported" in refused.stderr
    assert "does not answer at http://127.0.0.1:9" in lost.stderr
    assert "Traceback" not in refused.stderr + lost.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--release", "horizon", "--reattribute", "pay_1"],
        ["--release", "horizon", "--state", "parked"],
        ["pay_1", "--since", "2h"],
        ["--since", "yesterday"],
        ["--release", "test_mode"],
    ],
    ids=["nothing", "both", "a release of a state", "one of a time", "no time", "never overruled"],
)
def test_a_senseless_call_is_one_sentence(tmp_path: Path, arguments: list[str]) -> None:
    """On the standard error, with exit code 1."""
    done = kit_here(tmp_path, "replay", *arguments, **SETTINGS)

    assert done.returncode == 1
    assert done.stderr.startswith("kit: ")
    assert "Traceback" not in done.stderr
