"""What a person may do by hand. Inspector, HTTP and command line all call these."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

from sqlalchemy import Connection, func, select, true, update

from kit.ledger import Ledger, erasure, replays
from kit.ledger.checkouts import find_checkout
from kit.ledger.deliveries import find_delivery
from kit.ledger.interventions import note_intervention
from kit.ledger.replays import Line, Selection
from kit.ledger.rows import notify
from kit.ledger.schema import WITHOUT_REPORT, deliveries, events
from kit.wanted import TO_RELEASE, ActionRefused, selection_of, visitor_of, whole_number


@dataclass(frozen=True, slots=True)
class Plan:
    """What an action would do, before it is done."""

    lines: Sequence[Line] = ()
    """What a replay, a release or a reattribution makes of each group of rows."""
    removed: Mapping[str, int] = field(default_factory=dict)
    """How many rows of each kind a visitor left."""
    reported: Sequence[erasure.Reported] = ()
    """What DataFast has, or will get, of that visitor."""

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as plain data."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Done:
    """How many rows an action changed, and which sentence says so."""

    changed: int
    sentence: str
    sends: bool = True
    """Whether something is left for whoever sends."""


async def plan(ledger: Ledger, wanted: Mapping[str, str], *, holds_test: bool) -> Plan:
    """Say what `perform` would do with the same words. Raises ActionRefused."""
    if wanted.get("action") == "forget":
        visitor_id = visitor_of(wanted)
        return await ledger.read(lambda connection: _plan_forgetting(connection, visitor_id))
    if wanted.get("action") == "reattribute":
        transaction_id = wanted.get("transaction_id", "")
        return await ledger.read(lambda connection: _plan_reattribution(connection, transaction_id))
    selection = selection_of(wanted, holds_test=holds_test)
    return await ledger.read(
        lambda connection: Plan(replays.survey(connection, _resolved(connection, selection)))
    )


async def perform(ledger: Ledger, wanted: Mapping[str, str], *, holds_test: bool) -> Done:
    """
    Do what a form or a command line asks for.

    `action` is "replay" (with `id`, `state`, `reason`, `since_ms`, `until_ms`), "release" (with
    `reason`), "reattribute" (with `transaction_id`) or "forget" (with `visitor_id`, and with
    `delete_revenue` and the number of reports that is `expected`). `holds_test` says whether test
    payments stay here. Each leaves one row of what was done by hand. Raises ActionRefused.
    """
    match wanted.get("action"):
        case "forget":
            return await _forget(ledger, wanted)
        case "reattribute":
            act = partial(reattribute, transaction_id=wanted.get("transaction_id", ""))
        case _:
            act = partial(replay, selection=selection_of(wanted, holds_test=holds_test))
    return await ledger.write(lambda connection: act(connection, now_ms=ledger.now_ms()))


def replay(connection: Connection, *, selection: Selection, now_ms: int) -> Done:
    """
    Send reports and read messages again, as far as each one's state allows it.

    Safe to repeat: an id that DataFast has already is a duplicate there. Raises ActionRefused for
    a single one that must stay as it is.
    """
    selection = _resolved(connection, selection)
    reports, messages = replays.replay(connection, selection, now_ms=now_ms)
    if selection.id is not None and not (reports or messages):
        found = replays.survey(connection, selection)
        why = replays.LEFT_ALONE[found[0].fate] if found else "neither a report nor a message"
        raise ActionRefused(f"{selection.id} stays as it is: {why}")
    subject = str(selection.reason if selection.overrule else selection)
    action = "release" if selection.overrule else "replay"
    _note(connection, action, subject, changed=reports + messages, now_ms=now_ms)
    verb = "released" if selection.overrule else "sent again"
    said = [f"{_number(reports, 'report')} {verb}, at DataFast's pace"] if reports else []
    said += [f"{_number(messages, 'message')} read again"] if messages else []
    changed = reports + messages
    return Done(changed, "; ".join(said) or "nothing to do", sends=bool(changed))


def reattribute(connection: Connection, *, transaction_id: str, now_ms: int) -> Done:
    """
    Report a sale again with the visitor that came too late.

    It is deleted at DataFast and then posted under the same id, as two steps that each survive a
    crash. Raises ActionRefused where no later visitor is known.
    """
    visitor_id = _late_visitor(connection, transaction_id)
    connection.execute(
        update(deliveries)
        .where(deliveries.c.transaction_id == transaction_id)
        .values(
            visitor_id=visitor_id,
            visitor_source="return",
            state="ready",
            reason="reattributing",
            verdict=None,
            delete_first=True,
            due_at_ms=now_ms,
            replayed_at_ms=now_ms,
            attempts=0,
        )
    )
    _note(connection, "reattribute", transaction_id, changed=1, now_ms=now_ms)
    return Done(1, f"{transaction_id} is deleted at DataFast and reported again with its visitor")


def _late_visitor(connection: Connection, transaction_id: str) -> str:
    there = find_delivery(connection, transaction_id)
    if there is None or there["kind"] != "sale" or there["state"] != "done" or not there["verdict"]:
        raise ActionRefused(f"{transaction_id} is no sale that has been reported")
    checkout = find_checkout(connection, there["order_ref"]) if there["order_ref"] else None
    visitor_id = checkout["return_visitor_id"] if checkout is not None else None
    forgotten = there["visitor_source"] == "forgotten"
    if there["visitor_id"] is not None or visitor_id is None or forgotten:
        raise ActionRefused(f"{transaction_id} has no visitor that came too late")
    return str(visitor_id)


def _plan_reattribution(connection: Connection, transaction_id: str) -> Plan:
    _late_visitor(connection, transaction_id)
    [line] = replays.survey(connection, Selection(id=transaction_id))
    return Plan([replace(line, fate="replace")])


async def _forget(ledger: Ledger, wanted: Mapping[str, str]) -> Done:
    """
    Forget a visitor here and, if that is wanted, have DataFast delete the visitor's revenue.

    Bodies are looked through before and after: what came in between is found, and what comes later
    meets the tombstone.
    """
    visitor_id = visitor_of(wanted)
    expected = whole_number(wanted, "expected")
    deletes = wanted.get("delete_revenue") == "1"
    traces = await ledger.read(lambda connection: erasure.find_traces(connection, visitor_id))

    def act(connection: Connection) -> tuple[erasure.Traces, int]:
        now_ms = ledger.now_ms()
        found = erasure.forget(connection, traces, now_ms=now_ms)
        at_stake = sum(each.number for each in erasure.reported(connection, found))
        if deletes and expected not in (None, at_stake):
            raise ActionRefused(
                f"{_number(at_stake, 'report')} would be deleted by now, not {expected}: look again"
            )
        withdrawn = erasure.withdraw(connection, found, now_ms=now_ms) if deletes else 0
        subject = "a visitor, and the revenue at DataFast" if deletes else "a visitor"
        changed = sum(found.counts().values())
        _note(connection, "forget", subject, changed=changed, now_ms=now_ms)
        return found, withdrawn

    found, withdrawn = await ledger.write(act)
    late = await ledger.read(lambda connection: erasure.find_messages(connection, traces))
    late -= traces.messages
    if late:
        await ledger.write(lambda connection: erasure.drop_bodies(connection, late))
    removed = replace(found, messages=found.messages | late).counts()
    listed = ", ".join(_number(number, name) for name, number in removed.items())
    said = f"forgotten; what named the visitor is removed here from {listed or 'nothing'}"
    if deletes:
        said += f"; {_number(withdrawn, 'report')} to be deleted at DataFast, at its pace"
    return Done(sum(removed.values()), said, sends=bool(withdrawn))


def _plan_forgetting(connection: Connection, visitor_id: str) -> Plan:
    traces = erasure.find_traces(connection, visitor_id)
    return Plan(removed=traces.counts(), reported=erasure.reported(connection, traces))


def _note(connection: Connection, action: str, subject: str, *, changed: int, now_ms: int) -> None:
    note_intervention(connection, action, subject, changed=changed, now_ms=now_ms)
    notify(connection)  # whoever sends may be another process


def _number(number: int, name: str) -> str:
    return f"{number} {name}" if number == 1 else f"{number} {name}s"


def _resolved(connection: Connection, selection: Selection) -> Selection:
    """Take a message that became a report for that report."""
    became = replays.report_of(connection, selection.id) if selection.id is not None else None
    return selection if became is None else replace(selection, id=became)


def releasable(connection: Connection) -> dict[str, int]:
    """Count what is parked, by the reasons that a person may overrule."""
    counts: Counter[str] = Counter()
    # The index of such messages is used only where its own condition stands in the query.
    for table, indexed in ((deliveries, true()), (events, WITHOUT_REPORT)):
        parked = table.c.state == "parked", table.c.reason.in_(TO_RELEASE)
        query = (
            select(table.c.reason, func.count()).where(*parked, indexed).group_by(table.c.reason)
        )
        for reason, number in connection.execute(query):
            counts[reason] += number
    return dict(counts)
