"""`kit forget`: what is said, what is asked, what is removed, and that nobody is named."""

from pathlib import Path

import pytest
from sqlalchemy import Connection, select

from kit.ledger.schema import interventions, tombstones
from tests.cli.conftest import kit, kit_here
from tests.cli.ledgers import fill, row_of, within
from tests.cli.test_serve import SETTINGS, serving
from tests.ledger.scenes import NAMELESS, VISITOR, person_of

HERE = "Here: 4 payments, 3 reports, 4 messages. What names the visitor is removed.\n"
STAYS = """\
At DataFast these stay, and may go on naming the visitor:
  1 sale  29.00 EUR
--delete-revenue deletes them as well; afterwards nobody can tell any more which they were.
"""
GOES = """\
At DataFast, deleted for good and gone from its totals:
  1 sale  29.00 EUR
Not sent yet, and never will be:
  2 sales  39.50 USD
"""


def buried(folder: Path) -> int:
    """Count the tombstones."""
    return within(folder, lambda c: len(c.execute(select(tombstones)).all()))


def test_a_visitor_is_forgotten_when_that_is_agreed(tmp_path: Path) -> None:
    """What was removed is said in numbers; the money stays, and no line holds the id."""
    fill(tmp_path)
    done = kit(tmp_path, "forget", VISITOR, "--yes", **SETTINGS)
    rows = [row_of(tmp_path, f"pay_{number}") for number in range(3)]

    def read(connection: Connection) -> list[tuple[str, str, int]]:
        query = select(interventions.c.action, interventions.c.subject, interventions.c.changed)
        return [(row.action, row.subject, row.changed) for row in connection.execute(query)]

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(HERE + STAYS + "forgotten; ")
    assert "removed here from 4 payments, 3 reports, 4 messages" in done.stdout
    assert VISITOR not in done.stdout + done.stderr
    assert [person_of(row) for row in rows] == [NAMELESS] * 3
    assert [row["amount"] for row in rows] == ["29.00", "10.50", "29.00"]
    assert within(tmp_path, read) == [("forget", "a visitor", 11)]
    assert buried(tmp_path) == 1


def test_revenue_is_deleted_after_saying_which(tmp_path: Path) -> None:
    """Number and sum by currency, sent and unsent apart."""
    fill(tmp_path)
    done = kit_here(tmp_path, "forget", VISITOR, "--delete-revenue", "--yes", **SETTINGS)
    rows = [row_of(tmp_path, f"pay_{number}") for number in range(3)]

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(HERE + GOES + "forgotten; ")
    assert "3 reports to be deleted at DataFast, at its pace; once a server runs" in done.stdout
    assert {(row["state"], row["reason"], row["delete_only"]) for row in rows} == {
        ("ready", "forgetting", True)
    }


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        pytest.param(["--dry-run"], 0, HERE + STAYS, id="only looking"),
        pytest.param([], 1, HERE + STAYS, id="nobody to ask"),
        pytest.param(["--delete-revenue"], 1, HERE + GOES, id="nobody to ask about revenue"),
    ],
)
def test_nothing_is_done_unless_it_is_agreed(
    tmp_path: Path, options: list[str], code: int, said: str
) -> None:
    """What would be is shown all the same."""
    fill(tmp_path)
    done = kit_here(tmp_path, "forget", VISITOR, *options, **SETTINGS)

    assert done.returncode == code
    assert done.stdout.startswith(said)
    assert row_of(tmp_path, "pay_0")["visitor_id"] == VISITOR
    assert buried(tmp_path) == 0


def test_beside_a_server_it_asks_the_server(tmp_path: Path) -> None:
    """Which writes no id to its log either."""
    fill(tmp_path)
    with serving(tmp_path, **SETTINGS) as server:
        at_server = SETTINGS | {"KIT_BASE_URL": server.url}
        done = kit_here(tmp_path, "forget", VISITOR, "--yes", **at_server)
        again = kit_here(tmp_path, "forget", VISITOR.upper(), "--yes", **at_server)
        server.stop()

    assert (done.returncode, again.returncode) == (0, 0), done.stderr + again.stderr
    assert done.stdout.startswith(HERE)
    assert again.stdout.startswith("Here: nothing.")
    assert buried(tmp_path) == 1
    assert VISITOR not in "".join(server.said) + done.stdout + again.stdout


@pytest.mark.parametrize("visitor", ["ada@example.com", "cus_1", VISITOR[:-1], ""])
def test_what_is_no_visitor_id_is_refused_without_repeating_it(
    tmp_path: Path, visitor: str
) -> None:
    """It may be an address, and the terminal may be logged."""
    done = kit_here(tmp_path, "forget", visitor, "--yes", **SETTINGS)

    assert done.returncode == 1
    assert "kit: that is no visitor id" in done.stderr
    assert not visitor or visitor not in done.stdout + done.stderr
