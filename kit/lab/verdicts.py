"""What journeys through somebody's shop are worth: well, weak, wrong, or not seen to their end."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from kit.hops import Hop
from kit.lab.findings import ASIDE
from kit.lab.report import Report
from kit.lab.scenarios import FIRST_VISIT, HOSTS_BLOCKED, NO_JAVASCRIPT

Grade = Literal["well", "weak", "wrong", "unseen"]
"""weak: a circumstance that many shops do without; wrong: somebody has to act."""

# Analytics never stops a sale: in a circumstance that loses the visitor this is what counts.
SALE: Final = frozenset(
    {"buy_button_missing", "checkout_not_reached", "journey_broken", "no_session", "not_reported"}
)


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong, and the journeys on which it was met."""

    hop: Hop
    journeys: tuple[str, ...]


def grade(report: Report, known: Collection[str] = ()) -> Grade:
    """Return what a journey is worth; `known` reasons have been told of an earlier one."""
    if not report.observable:
        return "unseen"
    blamed = [hop for hop in _blamed(report) if hop.reason not in known]
    if not blamed:
        return "well"
    return "weak" if _dispensable(report, blamed) else "wrong"


def faults(reports: Sequence[Report], wanted: Grade = "wrong") -> tuple[Fault, ...]:
    """Return what is wrong on journeys of a grade, each thing once, in the order of the hops."""
    found: dict[tuple[str, str], tuple[Hop, list[str]]] = {}
    for report in reports:
        given = grade(report)
        if given == wanted or (given == "unseen" and wanted == "wrong"):
            for hop in _blamed(report):
                place = found.setdefault((hop.name, hop.reason), (hop, []))
                place[1].append(report.scenario)
    return tuple(Fault(hop, tuple(journeys)) for hop, journeys in found.values())


def known_after(first: Report) -> frozenset[str]:
    """Return the reasons of a first journey that every other one would meet again."""
    return frozenset(hop.reason for hop in first.faults if hop.reason in ASIDE)


def exit_code(reports: Sequence[Report]) -> int:
    """Return 0 when all is well, 1 for faults, 2 when a journey could not be seen to its end."""
    grades = {grade(report) for report in reports}
    if "unseen" in grades or not reports:
        return 2
    return 1 if "wrong" in grades else 0


def _blamed(report: Report) -> tuple[Hop, ...]:
    """Return the hops at which a journey went another way than a good shop's."""
    if report.expected != "kept":
        return tuple(hop for hop in report.faults if hop.reason in SALE)
    if report.outcome == "kept" or any(hop.reason not in ASIDE for hop in report.faults):
        return report.faults
    lost_at = (hop for hop in report.hops if hop.tone != "ok" and hop.reason not in ASIDE)
    return (*report.faults, next(lost_at, report.hops[-1]))


def _dispensable(report: Report, blamed: Sequence[Hop]) -> bool:
    """Tell whether many good shops do no better: without a proxy, or with a scripted checkout."""
    if report.scenario == HOSTS_BLOCKED.name:
        return not any(hop.reason in SALE for hop in blamed)
    # An overlay, for one, has no page that could be opened elsewhere.
    unplayable = any(hop.reason == "not_paid" for hop in report.hops)
    return report.scenario == NO_JAVASCRIPT.name or (
        unplayable and report.scenario != FIRST_VISIT.name
    )
