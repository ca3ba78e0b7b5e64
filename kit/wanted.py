"""What a form or a command line asks for: read, and refused where it makes no sense."""

import re
from collections.abc import Mapping
from dataclasses import replace

from kit.errors import KitError
from kit.hops import REASONS
from kit.ledger.policy import FOR_A_PERSON
from kit.ledger.replays import Selection

RELEASABLE = (
    "delete_refused",
    "horizon",
    "not_at_dodo",
    "original_not_reported",
    "rejected",
    "too_many_attempts",
)
"""Reasons of parked deliveries that a person may overrule."""
READABLE_AGAIN = tuple(sorted(FOR_A_PERSON))
"""Reasons of parked messages: what has changed since, here or at Dodo, may make them clear."""
TO_RELEASE = (*RELEASABLE, *READABLE_AGAIN)
_VISITOR_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_STATES = ("parked", "held", "done")


class ActionRefused(KitError):  # noqa: N818 - it says what happened
    """The action does not fit how things stand; nothing was changed."""


def selection_of(wanted: Mapping[str, str], *, holds_test: bool) -> Selection:
    """Read which reports and messages a replay or a release is about. Raises ActionRefused."""
    reason, state = wanted.get("reason") or None, wanted.get("state") or None
    if wanted.get("action") == "release":
        if reason not in TO_RELEASE:
            known = ", ".join(TO_RELEASE)
            raise ActionRefused(f"{reason} is no reason to release; use one of {known}")
        return Selection(state="parked", reason=reason, overrule=True, holds_test=holds_test)
    if wanted.get("action") != "replay":
        raise ActionRefused("no such action")
    if state is not None and state not in _STATES:
        raise ActionRefused(f"{state} is no state to replay; use one of {', '.join(_STATES)}")
    if reason is not None and reason not in REASONS:
        raise ActionRefused(f"no reason is called {reason}; the inspector shows them")
    selection = Selection(
        id=wanted.get("id") or None,
        state=state,
        reason=reason,
        since_ms=whole_number(wanted, "since_ms"),
        until_ms=whole_number(wanted, "until_ms"),
        holds_test=holds_test,
    )
    if not str(selection):
        raise ActionRefused("say what to replay: an id, a state, a reason or a time")
    if selection.id is None and state is None and reason is None:
        return replace(selection, state="parked")
    return selection


def whole_number(wanted: Mapping[str, str], name: str) -> int | None:
    """Read a number that may be left out. Raises ActionRefused."""
    value = wanted.get(name)
    if value and not re.fullmatch(r"[0-9]{1,15}", value):
        raise ActionRefused(f"{name} must be a whole number")
    return int(value) if value else None


def visitor_of(wanted: Mapping[str, str]) -> str:
    """Read whom to forget; a refusal does not repeat it. Raises ActionRefused."""
    visitor_id = wanted.get("visitor_id", "").strip().lower()
    if not _VISITOR_ID.fullmatch(visitor_id):
        raise ActionRefused(
            "that is no visitor id: one is a UUID, as the datafast_visitor_id cookie holds it"
        )
    return visitor_id
