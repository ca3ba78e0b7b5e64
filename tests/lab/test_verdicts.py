"""What journeys are worth, and the account of them."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from kit.hops import Hop
from kit.lab.account import account_json, journey_line, summary, write_account
from kit.lab.report import Report
from kit.lab.scenarios import HOSTS_BLOCKED, NO_JAVASCRIPT
from kit.lab.verdicts import exit_code, faults, grade, known_after

URL = "http://127.0.0.1:5000/"
VISITOR = "0b8e6c1e-2d1c-4f0a-9f2e-6a4f1f4d7c11"
CAPTURED = Hop("Visitor cookie at checkout", "captured", seen=VISITOR)
LEAK = Hop("Address of the return page", "return_leaks", seen=URL)
MISNAMED = Hop("Metadata sent to Dodo", "metadata_misnamed", "visitor", "datafast_visitor_id")
GONE = Hop("Payment at DataFast", "not_reported", expected=VISITOR)
KEPT = Report(
    scenario="first visit",
    browser="chromium",
    script="sandbox",
    outcome="kept",
    lost_at=None,
    expected="kept",
    visitor_id=VISITOR,
    hops=(CAPTURED,),
)
LOST = replace(KEPT, outcome="lost", lost_at=MISNAMED.name, hops=(CAPTURED, MISNAMED))
BLOCKED = replace(
    KEPT,
    scenario="script blocked",
    outcome="none",
    expected="none",
    visitor_id=None,
    hops=(Hop("Script on the page", "script_blocked"), Hop(GONE.name, "recorded_without_visitor")),
)
UNSEEN = replace(KEPT, hops=(CAPTURED, Hop(GONE.name, "not_observable")))


def test_a_visitor_who_is_kept_is_well() -> None:
    """And so is the whole."""
    assert grade(KEPT) == "well"
    assert exit_code([KEPT, BLOCKED]) == 0
    assert summary([KEPT, BLOCKED]).startswith("OK  the visitor id was kept on 1 of 2 journeys")


def test_a_visitor_who_is_lost_for_no_reason_of_theirs_is_wrong() -> None:
    """The hop is blamed, once for all journeys that met it."""
    again = replace(LOST, scenario="second tab")
    [fault] = faults([LOST, again])

    assert grade(LOST) == "wrong"
    assert exit_code([LOST]) == 1
    assert (fault.hop, fault.journeys) == (MISNAMED, ("first visit", "second tab"))


def test_a_loss_without_a_fault_of_its_own_is_blamed_on_its_first_bad_hop() -> None:
    """A pageview that never arrives is a warning in general, and a fault on a first visit."""
    hop = Hop("Pageview to DataFast", "pageview_blocked")
    report = replace(KEPT, outcome="lost", lost_at=hop.name, hops=(CAPTURED, hop, LEAK))

    assert [fault.hop for fault in faults([report])] == [LEAK, hop]


def test_what_is_wrong_beside_a_kept_visitor_is_a_fault_too() -> None:
    """It is told once: of later journeys it is known."""
    first, later = replace(KEPT, hops=(LEAK,)), replace(KEPT, scenario="later", hops=(LEAK,))

    assert (grade(first), grade(later)) == ("wrong", "wrong")
    assert grade(later, known_after(first)) == "well"
    assert exit_code([first, later]) == 1
    assert journey_line(later, first) == "  ok      later: visitor id kept"


def test_where_the_visitor_must_be_lost_the_sale_counts() -> None:
    """Whatever became of the id; a payment that is not reported is a fault."""
    lost = replace(BLOCKED, outcome="lost", expected="lost", hops=(MISNAMED,))
    unreported = replace(BLOCKED, hops=(GONE,))

    assert grade(lost) == "well"
    assert grade(unreported) == "wrong"


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        (replace(BLOCKED, scenario=HOSTS_BLOCKED.name, expected="kept"), "weak"),
        (replace(LOST, scenario=HOSTS_BLOCKED.name, hops=(GONE,)), "wrong"),
        (
            replace(BLOCKED, scenario=NO_JAVASCRIPT.name, hops=(Hop("x", "checkout_not_reached"),)),
            "weak",
        ),
        (replace(LOST, scenario="paid elsewhere", hops=(Hop("Payment", "not_paid"),)), "weak"),
        (replace(LOST, hops=(Hop("Payment", "not_paid"),)), "wrong"),
    ],
    ids=["no proxy", "no sale for a blocker", "scripted checkout", "unplayable", "unpaid"],
)
def test_what_many_good_shops_do_without_is_weak(report: Report, expected: str) -> None:
    """It could be better, and is no fault."""
    assert grade(report) == expected
    assert exit_code([report]) == (1 if expected == "wrong" else 0)


def test_what_could_be_better_is_told_apart() -> None:
    """Without a number, and without a verdict of its own."""
    weak = replace(BLOCKED, scenario=HOSTS_BLOCKED.name, expected="kept")
    told = summary([KEPT, weak])

    assert "Could be better: Script on the page" in told
    assert told.split("\n\n")[-1].startswith("OK  ")


@pytest.mark.parametrize("reports", [[UNSEEN], [UNSEEN, LOST], []])
def test_what_cannot_be_seen_is_never_well(reports: list[Report]) -> None:
    """Its exit code is its own, whatever else was found."""
    assert exit_code(reports) == 2
    assert "OK  " not in summary(reports)


def test_a_person_reads_what_is_wrong_and_how_to_mend_it() -> None:
    """With what was seen and expected, and the journeys it was met on."""
    told = summary([LOST, *(replace(LOST, scenario=f"journey {n}") for n in range(4))])

    assert told.split("\n") == [
        "1. Metadata sent to Dodo: The metadata holds the visitor id under a name that nobody "
        "looks for.",
        "   seen      visitor",
        "   expected  datafast_visitor_id",
        "   fix       Name it datafast_visitor_id, exactly.",
        "   met on    first visit, journey 0, journey 1 and 2 more",
        "",
        "WRONG  1 fault to mend",
    ]


def test_a_program_reads_everything() -> None:
    """Verdict, faults and each journey with its hops."""
    found = json.loads(account_json(URL, [LOST, BLOCKED]))

    assert (found["url"], found["verdict"], found["exit_code"]) == (URL, "wrong", 1)
    assert [(fault["reason"], fault["journeys"]) for fault in found["faults"]] == [
        ("metadata_misnamed", ["first visit"])
    ]
    assert [journey["grade"] for journey in found["journeys"]] == ["wrong", "well"]
    assert found["journeys"][0]["hops"][1]["fix"] == MISNAMED.fix


def test_a_page_shows_everything(tmp_path: Path) -> None:
    """With the verdict first; an address is text."""
    page = tmp_path / "account.html"
    write_account("http://<b>", [LOST], page)
    text = page.read_text()

    assert "<h1>Verification of http://&lt;b&gt;</h1><p>WRONG 1 fault to mend</p>" in text
    assert str(MISNAMED.fix) in text
