"""
What a sender does with DataFast's answer: pure decisions, so that each is a line in a test.

What DataFast keeps of a payment whose visitor it does not know is not documented. So such a
payment is asked about again, and when the answer stays, posted once more under the same
`transaction_id` without the visitor: it counts if DataFast dropped the first, and is a duplicate
if it stored it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from kit.helpers.dodo_datafast import Verdict
from kit.ledger.claims import Delivery

FIRST_RETRY_S = 1.0
MAX_RETRY_S = 3600.0
HORIZON_S = 72 * 3600.0
RECHECK_S = 60.0
PAUSE_S = 900.0
_PROVEN = ("duplicate", "recorded", "attributed")
"""Verdicts that say DataFast has the payment; each says more than the one before."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a delivery stands after an answer. `due_in_s` None means it is not touched again."""

    state: str
    reason: str
    verdict: str | None = None
    due_in_s: float | None = None
    drop_visitor: bool = False
    pause_reason: str | None = None
    slow_lane_s: float | None = None
    counts_attempt: bool = True
    answered: bool = True
    """Whether DataFast judged the payment, which also proves that the lane is open."""

    @property
    def opens_lane(self) -> bool:
        """Whether a lane that was paused may go on."""
        return self.answered and self.pause_reason is None and self.slow_lane_s is None


@dataclass(frozen=True, slots=True)
class End:
    """How a claimed delivery ended, and what DataFast said."""

    delivery: Delivery
    outcome: Outcome
    message: str | None

    @property
    def transaction_id(self) -> str:
        """The delivery's key."""
        return self.delivery.payment.transaction_id

    @property
    def reports_sale(self) -> bool:
        """Whether its sale's reversals need to wait no longer."""
        reported = self.outcome.state == "done" and self.outcome.verdict is not None
        return reported and self.delivery.kind == "sale"

    def values(self, now_ms: int) -> dict[str, Any]:
        """Return the columns that hold it."""
        delivery, outcome = self.delivery, self.outcome
        due_in_s = outcome.due_in_s
        return {
            "state": outcome.state,
            "reason": outcome.reason,
            "verdict": outcome.verdict,
            "message": self.message,
            "answered_at_ms": now_ms if outcome.verdict else None,
            "due_at_ms": None if due_in_s is None else now_ms + int(due_in_s * 1000),
            "visitor_dropped": delivery.visitor_dropped or outcome.drop_visitor,
            "attempts": delivery.attempts + (0 if outcome.counts_attempt else -1),
        }


def outcome_of(
    delivery: Delivery, verdict: Verdict, *, age_s: float, random: Callable[[], float]
) -> Outcome:
    """
    Decide what becomes of a delivery of this age; `random` gives 0 to 1 for the jitter.

    What was proven once stays, whatever a later repeat is answered: a replay lowers no verdict.
    """
    if _adds_nothing(delivery, verdict):
        return Outcome("done", delivery.reason, delivery.verdict)
    match verdict.kind:
        case "attributed" | "recorded":
            return Outcome("done", verdict.reason, verdict.kind)
        case "duplicate":
            return _duplicate(delivery)
        case "no_pageview" | "unconfirmed":
            return _unproven(delivery, verdict, age_s=age_s)
        case "rejected":
            return Outcome("parked", verdict.reason, "rejected")
        case "misconfigured":
            # Not this payment's fault: it goes back as it was, and the lane waits.
            return replace(
                later(delivery, verdict.reason, due_in_s=0.0), pause_reason=verdict.reason
            )
        case _:
            slow = verdict.retry_after_s
            return retry(delivery, verdict.reason, age_s=age_s, random=random, wait_s=slow)


def _adds_nothing(delivery: Delivery, verdict: Verdict) -> bool:
    """Tell whether an answer says no more than an earlier one has proven."""
    if delivery.verdict not in _PROVEN or verdict.kind in ("retry", "misconfigured"):
        return False
    said = _PROVEN.index(verdict.kind) if verdict.kind in _PROVEN else -1
    return said <= _PROVEN.index(delivery.verdict)


def outcome_of_delete(
    delivery: Delivery, verdict: Verdict | None, *, age_s: float, random: Callable[[], float]
) -> Outcome:
    """Decide what becomes of a report that DataFast was to delete; no verdict means it has."""
    if verdict is None:
        return Outcome("done", "deleted_at_datafast")
    if verdict.reason == "key_forbidden":
        # A key may be good for reports and not for this, so nothing else waits for it.
        return Outcome("parked", "delete_refused", answered=False)
    if verdict.kind in ("retry", "misconfigured"):
        return outcome_of(delivery, verdict, age_s=age_s, random=random)
    return Outcome("parked", "delete_refused")


def retry(
    delivery: Delivery,
    reason: str,
    *,
    age_s: float,
    random: Callable[[], float],
    wait_s: float | None = None,
) -> Outcome:
    """Try again: with full jitter from 1 s doubling to 1 h, not before `wait_s`, up to 72 h."""
    if is_tried_out(delivery, age_s=age_s):
        if delivery.verdict in _PROVEN:
            return Outcome("done", delivery.reason, delivery.verdict, answered=False)
        return Outcome("parked", "horizon", delivery.verdict, answered=False)
    return Outcome(
        *_standing(delivery, reason),
        # A short Retry-After, often repeated, would use up the attempts long before 72 h.
        due_in_s=max(_ceiling_s(delivery) * random(), wait_s or 0.1),
        slow_lane_s=wait_s,
        answered=False,
    )


def is_tried_out(delivery: Delivery, *, age_s: float) -> bool:
    """
    Tell whether trying has gone on for long enough: for 72 h, and until the wait was an hour.

    One that was held all the time, or could not go for a key that was refused, has hardly begun.
    """
    return age_s > HORIZON_S and _ceiling_s(delivery) >= MAX_RETRY_S


def _ceiling_s(delivery: Delivery) -> float:
    return min(MAX_RETRY_S, FIRST_RETRY_S * 2.0 ** min(delivery.attempts - 1, 12))


def later(delivery: Delivery, reason: str | None = None, *, due_in_s: float) -> Outcome:
    """Put a delivery back as it was: what keeps it is nothing of its own, and costs no attempt."""
    return Outcome(
        *_standing(delivery, reason or delivery.reason),
        due_in_s=due_in_s,
        counts_attempt=False,
        answered=False,
    )


def _standing(delivery: Delivery, reason: str) -> tuple[str, str, str | None]:
    """Return state, reason and verdict of what waits: a failed repeat undoes no earlier answer."""
    if delivery.verdict is None:
        return "ready", reason, None
    return "done", delivery.reason, delivery.verdict


def _duplicate(delivery: Delivery) -> Outcome:
    if delivery.verdict is not None:
        # It was stored the first time; the repeat proves nothing about the visitor.
        return Outcome("done", delivery.reason, delivery.verdict)
    if delivery.first_sent_at_ms is not None:
        return Outcome("done", "duplicate_after_lost_reply", "recorded")
    return Outcome("done", "duplicate", "duplicate")


def _unproven(delivery: Delivery, verdict: Verdict, *, age_s: float) -> Outcome:
    visitor_sent = delivery.payment.datafast_visitor_id is not None
    if delivery.verdict is None:
        return Outcome("done", verdict.reason, verdict.kind, due_in_s=RECHECK_S)
    if visitor_sent:
        return Outcome("done", verdict.reason, verdict.kind, due_in_s=0.0, drop_visitor=True)
    if verdict.kind != "unconfirmed":
        return Outcome("done", delivery.reason, delivery.verdict)
    # Nothing shows yet that the money counts, and asking again under the same id is harmless.
    if is_tried_out(delivery, age_s=age_s):
        return Outcome("parked", verdict.reason, delivery.verdict)
    wait_s = min(MAX_RETRY_S, RECHECK_S * 2.0 ** min(delivery.attempts, 6))
    return Outcome("done", delivery.reason, delivery.verdict, due_in_s=wait_s)
