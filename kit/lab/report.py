"""The account of one journey, and the continuity matrix of many: as text, as JSON, as a page."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Literal

from kit.hops import Hop
from kit.lab.findings import Outcome

Script = Literal["sandbox", "sdk"]
"""Whose script ran: the stand-in's, or DataFast's own SDK."""


@dataclass(frozen=True, slots=True)
class Report:
    """One journey: its hops, whether the visitor id was kept, and where it was lost."""

    scenario: str
    browser: str
    script: Script
    outcome: Outcome
    lost_at: str | None
    expected: Outcome
    visitor_id: str | None
    hops: tuple[Hop, ...]
    pictures: tuple[Path, ...] = ()

    @property
    def as_expected(self) -> bool:
        """Whether it ended as its scenario says."""
        return self.outcome == self.expected

    @property
    def observable(self) -> bool:
        """Whether every hop could be seen."""
        return all(hop.reason != "not_observable" for hop in self.hops)

    @property
    def reached_dodo(self) -> bool:
        """Whether the buy button led to a checkout page."""
        return not any(
            hop.reason in ("buy_button_missing", "checkout_not_reached") for hop in self.hops
        )

    @property
    def faults(self) -> tuple[Hop, ...]:
        """The hops at which somebody has to act."""
        return tuple(hop for hop in self.hops if hop.tone == "lost")

    def __str__(self) -> str:
        """Tell the journey for a terminal."""
        where = f" at: {self.lost_at}" if self.lost_at else ""
        return f"{self.scenario}: visitor id {self.outcome}{where}\n{hops_text(self.hops)}"

    def hop(self, name: str) -> Hop:
        """Return a hop by its name. Raises KeyError."""
        for hop in self.hops:
            if hop.name == name:
                return hop
        raise KeyError(name)

    def cell(self) -> dict[str, Any]:
        """Return the cell of the matrix, as continuity.json has it."""
        names = ("scenario", "browser", "script", "outcome", "lost_at", "expected")
        return {name: getattr(self, name) for name in names}


def matrix_json(reports: Sequence[Report]) -> str:
    """Return the matrix for programs: a list of cells."""
    return json.dumps([report.cell() for report in reports], indent=1, ensure_ascii=False) + "\n"


def matrix_text(reports: Sequence[Report]) -> str:
    """Return the matrix for a terminal: scenario, outcome, and where the id was lost."""
    rows = [
        (
            report.scenario,
            report.browser if report.script == "sandbox" else f"{report.browser}, SDK",
            report.outcome if report.as_expected else f"{report.outcome} (not {report.expected})",
            report.lost_at or "",
        )
        for report in reports
    ]
    head = ("scenario", "browser", "visitor id", "lost at")
    widths = [max(len(row[place]) for row in (head, *rows)) for place in range(3)]
    return "\n".join(
        "  ".join(
            [*(text.ljust(width) for text, width in zip(row, widths, strict=False)), row[3]]
        ).rstrip()
        for row in (head, *rows)
    )


_MARKS = {"ok": "ok", "wait": "wait", "warn": "warn", "lost": "WRONG"}


def hops_text(hops: Sequence[Hop]) -> str:
    """Return hops for a terminal: in words, with what was seen, and how to mend what is wrong."""
    width = max((len(hop.name) for hop in hops), default=0)
    lines = []
    for hop in hops:
        lines.append(f"  {_MARKS[hop.tone]:<5}  {hop.name:<{width}}  {hop.sentence}")
        more = {"seen": hop.seen}
        if hop.tone != "ok":
            more |= {"expected": hop.expected, "fix": hop.fix}
        lines += [f"         {name:<8}  {text}" for name, text in more.items() if text]
    return "\n".join(lines)


_STYLE = """
:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}
body{margin:2rem auto;max-width:70rem;padding:0 1rem}
table{border-collapse:collapse;width:100%}
th,td{border-bottom:1px solid #8884;padding:.4rem .6rem;text-align:left;vertical-align:top}
.kept{color:#0a7a3f}.lost{color:#c02b2b}.none{color:#8a6100}
@media (prefers-color-scheme:dark){.kept{color:#5fd38d}.lost{color:#ff8a80}.none{color:#f0c05a}}
details{margin:.3rem 0}img{border:1px solid #8884;height:11rem;margin:.3rem .3rem 0 0}
ol{margin:.3rem 0;padding-left:1.4rem;font-weight:400}small{opacity:.8}
"""


def matrix_html(
    reports: Sequence[Report],
    *,
    folder: Path,
    title: str = "Continuity matrix",
    lead: str = "Whether the visitor id of the landing page reaches DataFast's books, in each "
    "circumstance.",
) -> str:
    """Return the matrix as a page of its own; pictures are linked relative to `folder`."""
    rows = "".join(_row(report, folder) for report in reports)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>"
        f"<h1>{escape(title)}</h1><p>{escape(lead)}</p>"
        "<table><thead><tr><th scope=col>Scenario</th><th scope=col>Browser</th>"
        "<th scope=col>Visitor id</th><th scope=col>Lost at</th></tr></thead>"
        f"<tbody>{rows}</tbody></table></body></html>\n"
    )


def _row(report: Report, folder: Path) -> str:
    unexpected = "" if report.as_expected else f" (expected: {report.expected})"
    script = "" if report.script == "sandbox" else ", DataFast's SDK"
    return (
        f'<tr><th scope="row"><details><summary>{escape(report.scenario)}</summary>'
        f"{hops_html(report.hops)}{_pictures(report, folder)}</details></th>"
        f"<td>{escape(report.browser)}{script}</td>"
        f'<td class="{report.outcome}">{report.outcome}{unexpected}</td>'
        f"<td>{escape(report.lost_at or '')}</td></tr>"
    )


def hops_html(hops: Sequence[Hop]) -> str:
    """Return hops as a list: what was seen, in words, and what to do about it."""
    items = []
    for hop in hops:
        seen = f" <small>{escape(hop.seen)}</small>" if hop.seen else ""
        fix = f"<br><small>{escape(hop.fix)}</small>" if hop.fix and hop.tone != "ok" else ""
        items.append(f"<li><b>{escape(hop.name)}</b>: {escape(hop.sentence)}{seen}{fix}</li>")
    return f"<ol>{''.join(items)}</ol>"


def _pictures(report: Report, folder: Path) -> str:
    return "".join(
        f'<img loading="lazy" alt="{escape(path.stem.rpartition("-")[2])}" '
        f'src="{escape(path.relative_to(folder).as_posix())}">'
        for path in report.pictures
    )


def write_matrix(reports: Sequence[Report], folder: Path) -> Path:
    """Write `continuity.json` and `continuity.html` into a folder; return the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "continuity.json").write_text(matrix_json(reports), encoding="utf-8")
    page = folder / "continuity.html"
    page.write_text(matrix_html(reports, folder=folder), encoding="utf-8")
    return page
