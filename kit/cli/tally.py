"""What `kit reconcile` shows: bars while it works, a table at its end, or the same as JSON."""

from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

from kit.hops import REASONS
from kit.ledger.stamps import moment_of
from kit.reconcile.findings import MEANINGS, NEEDS_HANDS, Finding, What
from kit.reconcile.follow import Fate
from kit.reconcile.run import Report

SHOWN = 20
"""Findings of one kind that the table lists; JSON has all."""


class Bars:
    """Progress on the standard error, where somebody looks at it."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[said]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._walk: TaskID | None = None
        self._follow: TaskID | None = None

    def __enter__(self) -> "Bars":
        self._bars.start()
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def walked(self, report: Report) -> None:
        """Show how far through the days it is."""
        began, day_ms = report.began, 86_400_000
        days = -(-(began.until_ms - began.since_ms) // day_ms)
        if self._walk is None:
            self._walk = self._bars.add_task("Days at Dodo", total=days, said="")
        done = days * (report.reached_ms - began.since_ms) // (began.until_ms - began.since_ms)
        said = ", ".join(f"{number} {name}" for name, number in report.progress.seen.items())
        self._bars.update(self._walk, completed=done, said=said)

    def followed(self, fates: Sequence[Fate]) -> None:
        """Show how many of what was taken in have an answer."""
        if self._follow is None:
            self._follow = self._bars.add_task("Reports", total=len(fates), said="")
        done = sum(fate.standing != "waiting" for fate in fates)
        self._bars.update(self._follow, completed=done, said="")


def report_as_dict(report: Report, fates: Sequence[Fate], *, complete: bool) -> dict[str, Any]:
    """Return everything as plain data; `complete` tells whether the walk came to its end."""
    counts = report.counts
    return {
        "ok": complete
        and not report.left_out
        and not any(counts.get(what) for what in NEEDS_HANDS),
        "complete": complete,
        "since": moment_of(report.began.since_ms).isoformat(),
        "until": moment_of(report.began.until_ms).isoformat(),
        "reached": moment_of(report.reached_ms).isoformat(),
        "seen": dict(report.progress.seen),
        "counts": {what: counts.get(what, 0) for what in MEANINGS},
        "not_in_dodos_list": report.left_out,
        "findings": [finding.as_dict() for finding in report.found],
        "sent": [
            {
                "kind": fate.entry.kind.name,
                "id": fate.entry.id,
                "standing": fate.standing,
                "verdict": fate.verdict,
                "reason": fate.reason,
            }
            for fate in fates
        ],
    }


def print_report(report: Report, fates: Sequence[Fate]) -> None:
    """Print the table, and what to do about it."""
    console = Console(highlight=False, markup=False, soft_wrap=True)
    began, reached = report.began, moment_of(report.reached_ms)
    console.print(f"{moment_of(began.since_ms):%Y-%m-%d %H:%M} to {reached:%Y-%m-%d %H:%M} UTC")
    seen = ", ".join(f"{number:,} {name}" for name, number in report.progress.seen.items())
    console.print(f"{seen or 'nothing'} at Dodo\n")
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(justify="right")
    table.add_column(no_wrap=True, style="bold")
    table.add_column()
    for what, meaning in MEANINGS.items():
        if number := report.counts.get(what):
            table.add_row(f"{number:,}", what.replace("_", " "), meaning)
    console.print(table if table.rows else "Everything agrees.")
    for what in NEEDS_HANDS:
        _print_findings(console, what, [each for each in report.found if each.what == what])
    if fates:
        _print_fates(console, fates)
    if report.left_out:
        console.print(
            f"\n{report.left_out} payments are at Dodo and not in its list: compare again later, "
            "more may be missing than was seen."
        )


def _print_findings(console: Console, what: What, found: Sequence[Finding]) -> None:
    if not found:
        return
    console.print(f"\n{what}", style="bold")
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 2))
    for _ in range(5):
        table.add_column(no_wrap=True)
    for each in found[:SHOWN]:
        hop = each.hop
        at = f"{moment_of(hop.at_ms):%Y-%m-%d}" if hop.at_ms is not None else ""
        dodo = f"Dodo: {hop.expected}" if hop.expected else ""
        sent = f"reported: {hop.seen}" if hop.seen else ""
        table.add_row(*map(Text, (at, each.kind, each.id, dodo, sent)))
    console.print(table)
    if len(found) > SHOWN:
        console.print(f"  and {len(found) - SHOWN:,} more; --json has all")
    for reason in dict.fromkeys(each.hop.reason for each in found):
        told = REASONS[reason]
        console.print(f"  {reason}: {told.sentence}" + (f" {told.fix}" if told.fix else ""))


def _print_fates(console: Console, fates: Sequence[Fate]) -> None:
    console.print("\ntaken in", style="bold")
    number = Counter((fate.standing, fate.verdict or "", fate.reason) for fate in fates)
    for (standing, verdict, reason), times in sorted(number.items()):
        said = REASONS[reason].sentence
        named = verdict or {"put_off": "waiting", "not_sent": "not sent"}.get(standing, standing)
        console.print(f"  {times:,} {named}: {said}")
