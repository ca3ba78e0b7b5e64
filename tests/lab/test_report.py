"""The continuity matrix as text, JSON and a page."""

import json
import re
from dataclasses import replace
from html import escape
from pathlib import Path

import pytest

from kit.hops import Hop
from kit.lab.report import Report, matrix_text, write_matrix

VISITOR = "0b8e6c1e-2d1c-4f0a-9f2e-6a4f1f4d7c11"
ORDER = "Visitor cookie at checkout"
KEPT = Report(
    scenario="first visit",
    browser="chromium",
    script="sandbox",
    outcome="kept",
    lost_at=None,
    expected="kept",
    visitor_id=VISITOR,
    hops=(Hop(ORDER, "captured", seen=VISITOR),),
)
LOST = Report(
    scenario="<b>cleared</b>",
    browser="chromium",
    script="sdk",
    outcome="lost",
    lost_at=ORDER,
    expected="kept",
    visitor_id=VISITOR,
    hops=(Hop(ORDER, "visitor_replaced", seen="<i>", expected=VISITOR),),
)
UNSEEN = Report(
    scenario="real Dodo",
    browser="webkit",
    script="sandbox",
    outcome="none",
    lost_at=None,
    expected="none",
    visitor_id=None,
    hops=(Hop(ORDER, "absent"), Hop("Payment at DataFast", "not_observable")),
)


def test_a_terminal_reads_scenario_browser_outcome_and_place() -> None:
    """Columns stand under one another; an unexpected end is called so."""
    assert matrix_text([KEPT, LOST, UNSEEN]).splitlines() == [
        "scenario        browser        visitor id       lost at",
        "first visit     chromium       kept",
        "<b>cleared</b>  chromium, SDK  lost (not kept)  Visitor cookie at checkout",
        "real Dodo       webkit         none",
    ]


def test_programs_read_cells(tmp_path: Path) -> None:
    """A list of objects with six fields each."""
    write_matrix([KEPT, LOST], tmp_path)
    cells = json.loads((tmp_path / "continuity.json").read_text())

    assert cells == [
        {
            "scenario": "first visit",
            "browser": "chromium",
            "script": "sandbox",
            "outcome": "kept",
            "lost_at": None,
            "expected": "kept",
        },
        {
            "scenario": "<b>cleared</b>",
            "browser": "chromium",
            "script": "sdk",
            "outcome": "lost",
            "lost_at": ORDER,
            "expected": "kept",
        },
    ]


def test_people_read_a_page_with_every_hop_and_picture(tmp_path: Path) -> None:
    """What was seen is text, never markup; pictures are named relative to the page."""
    picture = tmp_path / "continuity" / "first-visit-landing.jpg"
    page = write_matrix([replace(KEPT, pictures=(picture,)), LOST], tmp_path).read_text()

    assert 'src="continuity/first-visit-landing.jpg"' in page
    assert 'alt="landing"' in page
    assert escape(KEPT.hops[0].sentence) in page
    assert escape(str(LOST.hops[0].fix)) in page
    assert "&lt;b&gt;cleared" in page
    assert "&lt;i&gt;" in page
    assert not re.search("<[bi]>(cleared|<)", page)


def test_a_report_knows_what_it_is_worth() -> None:
    """As expected or not, seen to its end or not, and the hops that need somebody."""
    assert (KEPT.as_expected, LOST.as_expected) == (True, False)
    assert (KEPT.observable, UNSEEN.observable) == (True, False)
    assert KEPT.faults == ()
    assert LOST.faults == LOST.hops


def test_a_terminal_reads_a_journey_hop_by_hop() -> None:
    """Each with what was seen; what is wrong also with what was expected, and with its fix."""
    assert str(LOST).splitlines() == [
        "<b>cleared</b>: visitor id lost at: Visitor cookie at checkout",
        "  WRONG  Visitor cookie at checkout  " + LOST.hops[0].sentence,
        "         seen      <i>",
        f"         expected  {VISITOR}",
        f"         fix       {LOST.hops[0].fix}",
    ]
    assert str(KEPT).splitlines() == [
        "first visit: visitor id kept",
        "  ok     Visitor cookie at checkout  " + KEPT.hops[0].sentence,
        f"         seen      {VISITOR}",
    ]


def test_a_report_knows_whether_its_visitor_came_to_dodo() -> None:
    """Or was stopped before."""
    stopped = replace(LOST, hops=(Hop("Buy button", "buy_button_missing"),))

    assert (KEPT.reached_dodo, stopped.reached_dodo) == (True, False)


def test_a_hop_is_found_by_its_name() -> None:
    """Or not at all."""
    assert LOST.hop(ORDER).reason == "visitor_replaced"
    with pytest.raises(KeyError):
        LOST.hop("Payment")
