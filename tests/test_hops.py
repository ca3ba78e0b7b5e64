"""The table of reasons, held against every code that the source can write down."""

import ast
import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import pytest

from kit.diagnoses import DIAGNOSES
from kit.hops import REASONS, Hop, Tone

ROOT = Path(__file__).resolve().parents[1]
# The sandbox judges the kit and shares nothing with it; the table itself proves nothing.
SOURCES = [
    path
    for path in sorted((ROOT / "kit").rglob("*.py"))
    if "sandbox" not in path.parts and path.name not in ("hops.py", "diagnoses.py")
]

# Where a call names a reason: by its place, or by its keyword.
PLACES = {
    "Answer": 1,
    "Hop": 1,
    "Outcome": 1,
    "PayloadError": 0,
    "Skip": 0,
    "Verdict": 1,
    "Visitor": 2,
    "_Unreadable": 0,
    "_retry": 1,
    "retry": 1,
}
KEYWORDS = {"held_for", "parked_for", "pause_reason", "reason"}
# Returns a reason.
RETURNS = {"_return_reason", "_fault"}
# What a delivery counts as: the column "kind" is the reason of a journey's hop.
KINDS = {"sale", "refund", "dispute", "trial"}
# Written in a place for a reason, and none that a hop shows: the name of an action that is asked
# for, and a return from a browser that proves nothing.
NO_HOP = {"release", "reattribute", "another_browser"}
# Returns a tuple that names a reason: function and place.
TUPLES = {"_standing": 1}
# `TransportError.reason`, which the clients put behind the service's name.
TRANSPORT = ("timeout", "connect", "broken", "too_large")
# The design's two columns, and the answers that are no verdicts.
STATES = {"held", "ready", "sending", "done", "parked"}
VERDICTS = {"attributed", "recorded", "duplicate", "no_pageview", "unconfirmed", "rejected"}
ANSWERS = {"retry", "misconfigured"}


class Module:
    """One file of the source: its tree, and what its names may hold."""

    def __init__(self, path: Path) -> None:
        self.tree = ast.parse(path.read_text(encoding="utf-8"))
        self.assigned: dict[str, list[ast.expr]] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                for target in targets:
                    if isinstance(target, ast.Name):
                        self.assigned.setdefault(target.id, []).append(node.value)
                    elif isinstance(target, ast.Tuple):
                        for place, name in enumerate(target.elts):
                            if isinstance(name, ast.Name):
                                self.assigned.setdefault(name.id, []).extend(
                                    unpacked(node.value, place)
                                )

    def texts(self, node: ast.expr | None) -> Iterator[str]:
        """Yield the strings that an expression may come to, as far as this file shows."""
        match node:
            case ast.Constant(value=str(text)):
                yield text.strip("'")  # in SQL that is written out, a code stands in quotes
            case ast.JoinedStr(values=[ast.Constant(value=str(start)), ast.FormattedValue()]):
                yield from (start + end for end in TRANSPORT)
            case ast.IfExp(body=body, orelse=orelse):
                yield from (text for part in (body, orelse) for text in self.texts(part))
            case ast.BoolOp(values=values) | ast.Dict(values=values):
                yield from (text for part in values for text in self.texts(part))
            case ast.Name(id=name):
                for value in self.assigned.get(name, ()):
                    yield from self.texts(value)
            case ast.Subscript(value=ast.Name() as table):
                yield from self.texts(table)
            case ast.Call(func=ast.Attribute(value=ast.Name() as table, attr="get"), args=args):
                yield from self.texts(table)
                yield from (text for part in args[1:] for text in self.texts(part))
            case ast.Call(func=ast.Name(id="MappingProxyType"), args=[table]):
                yield from self.texts(table)
            case _:
                return

    def calls(self, name: str) -> Iterator[ast.Call]:
        """Yield the calls of a function or method of this name."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call) and called(node) == name:
                yield node

    def returned_tuples(self, function: str) -> Iterator[ast.Tuple]:
        """Yield the tuples that a function returns."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef) and node.name == function:
                for end in ast.walk(node):
                    if isinstance(end, ast.Return):
                        yield from (each for each in ast.walk(end) if isinstance(each, ast.Tuple))

    def reasons(self) -> Iterator[str]:
        """Yield every reason code that this file names in a place for one."""
        for node in ast.walk(self.tree):
            match node:
                case ast.Call():
                    place = PLACES.get(called(node))
                    if place is not None and len(node.args) > place:
                        yield from self.texts(node.args[place])
                    for keyword in node.keywords:
                        if keyword.arg in KEYWORDS:
                            yield from self.texts(keyword.value)
                case ast.Dict():
                    for key, value in zip(node.keys, node.values, strict=True):
                        if isinstance(key, ast.Constant) and key.value == "reason":
                            yield from self.texts(value)
                case ast.FunctionDef(name=name) if name in RETURNS:
                    for end in ast.walk(node):
                        if isinstance(end, ast.Return):
                            yield from self.texts(end.value)
                case ast.FunctionDef(name=name) if name in TUPLES:
                    for returned in self.returned_tuples(name):
                        yield from self.texts(returned.elts[TUPLES[name]])


def unpacked(value: ast.expr, place: int) -> Iterator[ast.expr]:
    """Yield what a name at this place of `a, b = value` may get."""
    match value:
        case ast.IfExp(body=body, orelse=orelse):
            yield from (each for part in (body, orelse) for each in unpacked(part, place))
        case ast.BinOp(left=ast.Tuple(elts=elements), op=ast.Mult()):
            yield elements[place % len(elements)]
        case ast.Tuple(elts=elements) if place < len(elements):
            yield elements[place]


def called(node: ast.Call) -> str:
    """Return the last name of what is called."""
    match node.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


MODULES: Mapping[str, Module] = {
    str(path.relative_to(ROOT / "kit")): Module(path) for path in SOURCES
}
WRITTEN = {reason for module in MODULES.values() for reason in module.reasons()}


def arguments(function: str, place: int) -> set[str]:
    """Return the strings that all calls of a function may have at one place."""
    return {
        text
        for module in MODULES.values()
        for call in module.calls(function)
        if len(call.args) > place
        for text in module.texts(call.args[place])
    }


def test_the_scan_finds_codes_of_every_kind() -> None:
    """So that the tests below cannot pass on nothing."""
    assert {
        "absent",  # an expression behind a name
        "cookieless_format",  # an argument by place
        "datafast_connect",  # put together
        "duplicate_key",
        "event_waiting",  # a value in a row
        "no_webhook",  # in a tuple
        "not_at_dodo",
        "queued",  # a default
        "returned",  # returned
        "original_not_reported",  # behind a name
        "session_opening",  # in a table with a default
        "test_mode",
        "too_many_attempts",  # a keyword
        "unexpected_error",
        "visitor_in_metadata",
    } <= WRITTEN


@pytest.mark.parametrize("name", MODULES)
def test_every_reason_in_the_source_is_in_the_table(name: str) -> None:
    """With a sentence for whoever reads it."""
    assert set(MODULES[name].reasons()) - {""} - NO_HOP <= set(REASONS)


def test_every_entry_of_the_table_can_occur() -> None:
    """A code that nothing writes would promise what the kit does not do."""
    stale_or_future = arguments("SignatureError", 0) & set(REASONS)

    assert set(REASONS) - WRITTEN - KINDS - stale_or_future == set()


def test_signatures_that_prove_something_have_a_sentence() -> None:
    """Validly signed and refused for its time is listed; anything unproven leaves no trace."""
    proven = {
        text
        for module in MODULES.values()
        for call in module.calls("SignatureError")
        if len(call.args) == 2
        for text in module.texts(call.args[0])
    }

    assert proven == {"stale", "future"}
    assert proven <= set(REASONS)


@pytest.mark.parametrize("code", REASONS)
def test_a_reason_is_told_in_whole_sentences(code: str) -> None:
    """A code is lower case; a sentence ends; what is lost or hurts says what to do."""
    reason = REASONS[code]

    assert re.fullmatch(r"[a-z][a-z0-9_]*", code)
    assert re.fullmatch(r"[A-Z].*\.", reason.sentence, re.DOTALL)
    assert code not in reason.sentence.split() or "_" not in code
    assert reason.fix is None or re.fullmatch(r"[A-Z].*[.?]", reason.fix, re.DOTALL)
    assert reason.fix is not None or reason.tone != "lost"
    assert reason.tone in get_args(Tone)


def test_no_two_reasons_say_the_same() -> None:
    """Else one of them is one too many."""
    sentences = sorted(reason.sentence for reason in REASONS.values())

    assert not [one for one, other in pairwise(sentences) if one == other]


def test_a_hop_brings_its_sentence_fix_and_tone() -> None:
    """A renderer needs no table of its own."""
    hop = Hop("Visitor cookie at checkout", "absent", seen=None, at_ms=5)
    shown = hop.as_dict()

    assert (hop.sentence, hop.fix, hop.tone) == (
        REASONS["absent"].sentence,
        REASONS["absent"].fix,
        "warn",
    )
    assert shown == {
        "name": "Visitor cookie at checkout",
        "reason": "absent",
        "seen": None,
        "expected": None,
        "at_ms": 5,
        "sentence": hop.sentence,
        "fix": hop.fix,
        "tone": "warn",
    }


def test_the_doctor_brings_no_code_that_is_there_already() -> None:
    """Two sentences for one code: the later would be told in place of the other."""
    tree = ast.parse((ROOT / "kit/hops.py").read_text(encoding="utf-8"))
    written = {
        key.value
        for table in ast.walk(tree)
        if isinstance(table, ast.Dict)
        for key in table.keys
        if isinstance(key, ast.Constant)
    }

    assert len(written) > 80
    assert written & set(DIAGNOSES) == set()


def test_the_table_cannot_be_changed() -> None:
    """It is one for all."""
    table: Any = REASONS
    with pytest.raises(TypeError):
        table["absent"] = None


def test_states_are_those_of_the_design() -> None:
    """Every state that a delivery may be given, and no other."""
    outcomes = MODULES["outcomes.py"]
    given = arguments("Outcome", 0)
    for ledger in (MODULES["ledger/deliveries.py"], MODULES["ledger/claims.py"]):
        for node in ast.walk(ledger.tree):
            if isinstance(node, ast.Call):
                for keyword in node.keywords:
                    if keyword.arg == "state":
                        given |= set(ledger.texts(keyword.value))
    for returned in outcomes.returned_tuples("_standing"):
        given |= set(outcomes.texts(returned.elts[0]))

    assert given == STATES


def test_verdicts_are_those_of_the_design() -> None:
    """The core gives verdicts and answers; an outcome keeps verdicts alone."""
    outcomes = MODULES["outcomes.py"]
    decided = {
        pattern.value.value
        for pattern in ast.walk(outcomes.tree)
        if isinstance(pattern, ast.MatchValue) and isinstance(pattern.value, ast.Constant)
    }

    assert arguments("Verdict", 0) == VERDICTS | ANSWERS
    assert decided == (VERDICTS | ANSWERS) - {"retry"}  # the default
    assert arguments("Outcome", 2) <= VERDICTS
