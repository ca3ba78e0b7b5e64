"""Faults on request: which calls a rule matches, and for how many times."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kit.sandbox.calls import Call

WIRE_MODES = frozenset({"429", "500", "timeout", "drip", "reset", "html", "redirect", "empty"})
# Answers that only the DataFast stand-in can give; it reads them from the request's scope.
ANSWER_MODES = frozenset({"no_pageview_404", "no_pageview_200"})
OFF = "off"
MATCHABLE = ("path", "method", "visitor_id", "transaction_id")


@dataclass(slots=True)
class Rule:
    """One fault: `match` holds all conditions, `times` counts down and None never ends.

    With `after` the request is handled first and only its answer is lost or replaced, as when a
    connection breaks between a commit and the reply.
    """

    match: Mapping[str, str]
    mode: str
    times: int | None
    after: bool

    @property
    def key(self) -> str:
        """What rules of the same fault for the same calls have in common."""
        return json.dumps([self.mode, sorted(self.match.items())])

    def matches(self, subjects: Mapping[str, set[str]]) -> bool:
        """Say whether every condition holds; an empty match takes every call."""
        return all(wanted in subjects[name] for name, wanted in self.match.items())

    def as_json(self) -> dict[str, Any]:
        """Return the rule as it was posted, with the times that are left."""
        return {
            "match": dict(self.match),
            "mode": self.mode,
            "times": self.times,
            "after": self.after,
        }


class RuleError(ValueError):
    """A posted rule that is none; the message says what to write."""


class Chaos:
    """The rules in force, first match first; kept in memory, so a restart is calm again."""

    def __init__(self) -> None:
        """Start without a rule."""
        self.rules: list[Rule] = []

    def post(self, document: Any) -> None:
        """Add the posted rule, or clear with `{"mode": "off"}`: all, or those of the same match.

        Raises RuleError with a sentence for what is not a rule.
        """
        rule = _read_rule(document)
        if rule.mode != OFF:
            self.rules.append(rule)
        elif rule.match:
            self.rules = [kept for kept in self.rules if kept.match != rule.match]
        else:
            self.rules.clear()

    def take(self, call: Call) -> Rule | None:
        """Return the first rule for this call and use it up by one."""
        if not self.rules:
            return None
        subjects = call.subjects()
        for rule in self.rules:
            if rule.matches(subjects):
                if rule.times is not None:
                    rule.times -= 1
                    if rule.times == 0:
                        self.rules.remove(rule)
                return rule
        return None


def _read_rule(document: Any) -> Rule:
    if not isinstance(document, Mapping):
        raise RuleError("A chaos rule is a JSON object.")
    modes = WIRE_MODES | ANSWER_MODES | {OFF}
    mode = document.get("mode")
    if mode not in modes:
        raise RuleError(f"mode must be one of: {', '.join(sorted(modes))}.")
    match = dict(document.get("match") or {})
    match.update({name: document[name] for name in MATCHABLE if name in document})
    for name, wanted in match.items():
        if name not in MATCHABLE or not isinstance(wanted, str):
            raise RuleError(f"match takes strings by the names {', '.join(MATCHABLE)}.")
    times = document.get("times")
    if times is not None and (type(times) is not int or times < 1):
        raise RuleError("times is a whole number from 1, or null for always.")
    return Rule(match=match, mode=mode, times=times, after=document.get("after") is True)
