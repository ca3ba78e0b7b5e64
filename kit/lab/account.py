"""The account of a whole verification: for a terminal, for programs, and as a page."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from kit.lab.report import Report, matrix_html
from kit.lab.verdicts import Fault, exit_code, faults, grade, known_after

_MARKS: Final = {"well": "ok", "weak": "weak", "wrong": "WRONG", "unseen": "unseen"}
_VERDICTS: Final = ("well", "wrong", "unseen")
"""By exit code."""
NOT_OBSERVABLE: Final = (
    "What lies behind the redirect could not be seen: the shop is not pointed at the stand-ins. "
    "Start it with the variables above, and run this again."
)
_FEW: Final = 3


def journey_line(report: Report, first: Report) -> str:
    """Return a journey that came after a first one: what it is worth, its name, how it ended."""
    where = f", lost at: {report.lost_at}" if report.lost_at else ""
    mark = _MARKS[grade(report, known_after(first))]
    return f"  {mark:<6}  {report.scenario}: visitor id {report.outcome}{where}"


def summary(reports: Sequence[Report]) -> str:
    """Return what is wrong and how to mend it, what could be better, and the verdict."""
    wrong, weak = faults(reports), faults(reports, "weak")
    parts = [_told(fault, number) for number, fault in enumerate(wrong, start=1)]
    parts += [_told(fault, None) for fault in weak]
    code = exit_code(reports)
    if code == 2:
        parts.append(f"NOT OBSERVABLE  {NOT_OBSERVABLE}")
    if wrong:
        parts.append(f"WRONG  {len(wrong)} {'fault' if len(wrong) == 1 else 'faults'} to mend")
    elif code == 0:
        kept = sum(report.outcome == "kept" for report in reports)
        parts.append(
            f"OK  the visitor id was kept on {kept} of {len(reports)} journeys, "
            "and lost on none that can keep it"
        )
    return "\n\n".join(parts)


def _told(fault: Fault, number: int | None) -> str:
    hop = fault.hop
    head = f"{number}. {hop.name}" if number else f"Could be better: {hop.name}"
    lines = [f"{head}: {hop.sentence}"]
    details = {"seen": hop.seen, "expected": hop.expected, "fix": hop.fix, "met on": _met(fault)}
    lines += [f"   {name:<8}  {text}" for name, text in details.items() if text]
    return "\n".join(lines)


def _met(fault: Fault) -> str:
    more = len(fault.journeys) - _FEW
    return ", ".join(fault.journeys[:_FEW]) + (f" and {more} more" if more > 0 else "")


def account(url: str, reports: Sequence[Report]) -> dict[str, Any]:
    """Return everything as plain data."""
    return {
        "url": url,
        "verdict": _VERDICTS[exit_code(reports)],
        "exit_code": exit_code(reports),
        "faults": [
            fault.hop.as_dict() | {"journeys": list(fault.journeys)} for fault in faults(reports)
        ],
        "journeys": [
            report.cell()
            | {
                "grade": grade(report, known_after(reports[0]) if number else ()),
                "visitor_id": report.visitor_id,
                "hops": [hop.as_dict() for hop in report.hops],
            }
            for number, report in enumerate(reports)
        ],
    }


def account_json(url: str, reports: Sequence[Report]) -> str:
    """Return everything as JSON."""
    return json.dumps(account(url, reports), indent=1, ensure_ascii=False)


def write_account(url: str, reports: Sequence[Report], page: Path) -> None:
    """Write everything as a page; its pictures must be in a folder beside it."""
    lead = " ".join(summary(reports).split("\n\n")[-1].split())
    text = matrix_html(reports, folder=page.parent, title=f"Verification of {url}", lead=lead)
    page.write_text(text, encoding="utf-8")
