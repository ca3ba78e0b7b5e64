"""What a sender does with an answer: one line for each prior state and verdict."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.helpers.dodo_datafast import Payment, Verdict
from kit.ledger.claims import MAX_ATTEMPTS, Delivery
from kit.outcomes import (
    FIRST_RETRY_S,
    HORIZON_S,
    MAX_RETRY_S,
    RECHECK_S,
    Outcome,
    outcome_of,
    outcome_of_delete,
    retry,
)

VISITOR_ID = "0b8e6c1e-2d1c-4f0a-9f2e-6a4f1f4d7c11"
PAYMENT = Payment(
    amount=Decimal("29.00"),
    currency="USD",
    transaction_id="pay_1",
    datafast_visitor_id=VISITOR_ID,
    email=None,
    name=None,
    customer_id="cus_1",
    renewal=False,
    refunded=False,
    is_free_trial=False,
    timestamp=datetime(2026, 10, 2, tzinfo=UTC),
)
FIRST = Delivery(
    payment=PAYMENT,
    kind="sale",
    payment_id="pay_1",
    subscription_id=None,
    order_ref=None,
    state="ready",
    reason="queued",
    verdict=None,
    confirmed=True,
    renewal_proven=True,
    visitor_source="metadata",
    visitor_dropped=False,
    pageview_passed=True,
    delete_first=False,
    delete_only=False,
    created_at_ms=0,
    begun_at_ms=0,
    first_sent_at_ms=None,
    attempts=1,
)
REPEATED = replace(FIRST, reason="datafast_timeout", first_sent_at_ms=1, attempts=2)
UNKNOWN = replace(REPEATED, state="done", reason="no_pageview", verdict="no_pageview")
UNCONFIRMED = replace(REPEATED, state="done", reason="no_echo", verdict="unconfirmed")
SHOWN = replace(REPEATED, state="done", reason="attributed", verdict="attributed")
COUNTED = replace(REPEATED, state="done", reason="duplicate_after_lost_reply", verdict="recorded")
OFTEN = 13
"""So many attempts, and the wait between two of them is an hour."""
NAMELESS = replace(PAYMENT, datafast_visitor_id=None)
DROPPED = replace(UNKNOWN, payment=NAMELESS, visitor_dropped=True)
NEVER_NAMED = replace(UNCONFIRMED, payment=NAMELESS)

ATTRIBUTED = Verdict("attributed", "attributed")
RECORDED = Verdict("recorded", "recorded_without_visitor")
UNSTATED = Verdict("recorded", "attribution_not_stated")
DUPLICATE = Verdict("duplicate", "duplicate")
NO_PAGEVIEW = Verdict("no_pageview", "no_pageview")
NO_ECHO = Verdict("unconfirmed", "no_echo")
HTML = Verdict("unconfirmed", "reply_html")
REJECTED = Verdict("rejected", "rejected")
FORBIDDEN = Verdict("misconfigured", "key_forbidden")
KEY_REFUSED = Verdict("misconfigured", "key_refused")
TIMEOUT = Verdict("retry", "datafast_timeout")
LIMITED = Verdict("retry", "rate_limited", 30.0)

PRIOR = {
    "new": FIRST,
    "reply lost": REPEATED,
    "visitor unknown": UNKNOWN,
    "unconfirmed": UNCONFIRMED,
    "visitor dropped": DROPPED,
    "unconfirmed, no visitor": NEVER_NAMED,
    "attributed": SHOWN,
    "recorded": COUNTED,
    "somebody else's": replace(REPEATED, state="done", reason="duplicate", verdict="duplicate"),
}
TABLE = [
    # The first answer.
    ("new", ATTRIBUTED, Outcome("done", "attributed", "attributed")),
    ("new", RECORDED, Outcome("done", "recorded_without_visitor", "recorded")),
    ("new", UNSTATED, Outcome("done", "attribution_not_stated", "recorded")),
    ("new", DUPLICATE, Outcome("done", "duplicate", "duplicate")),
    ("new", REJECTED, Outcome("parked", "rejected", "rejected")),
    ("new", NO_PAGEVIEW, Outcome("done", "no_pageview", "no_pageview", due_in_s=RECHECK_S)),
    ("new", NO_ECHO, Outcome("done", "no_echo", "unconfirmed", due_in_s=RECHECK_S)),
    ("new", HTML, Outcome("done", "reply_html", "unconfirmed", due_in_s=RECHECK_S)),
    ("new", TIMEOUT, Outcome("ready", "datafast_timeout", due_in_s=0.5, answered=False)),
    (
        "new",
        LIMITED,
        Outcome("ready", "rate_limited", due_in_s=30.0, slow_lane_s=30.0, answered=False),
    ),
    (
        "new",
        KEY_REFUSED,
        Outcome(
            "ready",
            "key_refused",
            due_in_s=0.0,
            pause_reason="key_refused",
            counts_attempt=False,
            answered=False,
        ),
    ),
    # After an answer that was lost.
    ("reply lost", ATTRIBUTED, Outcome("done", "attributed", "attributed")),
    ("reply lost", DUPLICATE, Outcome("done", "duplicate_after_lost_reply", "recorded")),
    ("reply lost", NO_PAGEVIEW, Outcome("done", "no_pageview", "no_pageview", due_in_s=RECHECK_S)),
    ("reply lost", TIMEOUT, Outcome("ready", "datafast_timeout", due_in_s=1.0, answered=False)),
    # The visitor was unknown, or nothing was proven: asked again.
    ("visitor unknown", ATTRIBUTED, Outcome("done", "attributed", "attributed")),
    ("visitor unknown", UNSTATED, Outcome("done", "attribution_not_stated", "recorded")),
    ("visitor unknown", DUPLICATE, Outcome("done", "no_pageview", "no_pageview")),
    ("visitor unknown", REJECTED, Outcome("parked", "rejected", "rejected")),
    (
        "visitor unknown",
        NO_PAGEVIEW,
        Outcome("done", "no_pageview", "no_pageview", due_in_s=0.0, drop_visitor=True),
    ),
    (
        "visitor unknown",
        TIMEOUT,
        Outcome("done", "no_pageview", "no_pageview", due_in_s=1.0, answered=False),
    ),
    (
        "visitor unknown",
        KEY_REFUSED,
        Outcome(
            "done",
            "no_pageview",
            "no_pageview",
            due_in_s=0.0,
            pause_reason="key_refused",
            counts_attempt=False,
            answered=False,
        ),
    ),
    ("unconfirmed", DUPLICATE, Outcome("done", "no_echo", "unconfirmed")),
    (
        "unconfirmed",
        HTML,
        Outcome("done", "reply_html", "unconfirmed", due_in_s=0.0, drop_visitor=True),
    ),
    # The visitor was dropped: whatever proves something is the end; what proves nothing is not.
    ("visitor dropped", RECORDED, Outcome("done", "recorded_without_visitor", "recorded")),
    ("visitor dropped", DUPLICATE, Outcome("done", "no_pageview", "no_pageview")),
    ("visitor dropped", NO_PAGEVIEW, Outcome("done", "no_pageview", "no_pageview")),
    (
        "visitor dropped",
        NO_ECHO,
        Outcome("done", "no_pageview", "no_pageview", due_in_s=4 * RECHECK_S),
    ),
    ("visitor dropped", REJECTED, Outcome("parked", "rejected", "rejected")),
    (
        "unconfirmed, no visitor",
        NO_ECHO,
        Outcome("done", "no_echo", "unconfirmed", due_in_s=4 * RECHECK_S),
    ),
    # Replayed although done: what was proven stays, and only more than that is news.
    *(
        ("attributed", answer, Outcome("done", "attributed", "attributed"))
        for answer in (ATTRIBUTED, RECORDED, DUPLICATE, NO_PAGEVIEW, NO_ECHO, REJECTED)
    ),
    *(
        ("recorded", answer, Outcome("done", "duplicate_after_lost_reply", "recorded"))
        for answer in (UNSTATED, DUPLICATE, NO_PAGEVIEW, HTML, REJECTED)
    ),
    ("recorded", ATTRIBUTED, Outcome("done", "attributed", "attributed")),
    ("somebody else's", DUPLICATE, Outcome("done", "duplicate", "duplicate")),
    ("somebody else's", REJECTED, Outcome("done", "duplicate", "duplicate")),
    ("somebody else's", RECORDED, Outcome("done", "recorded_without_visitor", "recorded")),
    (
        "attributed",
        TIMEOUT,
        Outcome("done", "attributed", "attributed", due_in_s=1.0, answered=False),
    ),
]


def half() -> float:
    """Give a jitter in the middle."""
    return 0.5


@pytest.mark.parametrize(
    ("prior", "verdict", "expected"),
    [pytest.param(*line, id=f"{line[0]}: {line[1].kind}, {line[1].reason}") for line in TABLE],
)
def test_an_answer_decides(prior: str, verdict: Verdict, expected: Outcome) -> None:
    """State, reason and verdict that are written down, and when it is touched again."""
    assert outcome_of(PRIOR[prior], verdict, age_s=60, random=half) == expected


any_verdict = st.builds(
    Verdict,
    st.sampled_from(
        [
            "attributed",
            "recorded",
            "duplicate",
            "unconfirmed",
            "no_pageview",
            "retry",
            "rejected",
            "misconfigured",
        ]
    ),
    st.just("queued"),
    st.none() | st.floats(1, 3600),
)
any_delivery = st.builds(
    replace,
    st.sampled_from(list(PRIOR.values())),
    attempts=st.integers(1, MAX_ATTEMPTS),
)
jitters = st.floats(0, 1, exclude_max=True)


@given(delivery=any_delivery, verdict=any_verdict, age_s=st.floats(0, 1e6), jitter=jitters)
def test_every_answer_leaves_a_state_that_goes_on_or_ends(
    delivery: Delivery, verdict: Verdict, age_s: float, jitter: float
) -> None:
    """What is ready is due; what is parked is not; a repeat never raises or loses a verdict."""
    outcome = outcome_of(delivery, verdict, age_s=age_s, random=lambda: jitter)

    assert outcome.state in ("ready", "done", "parked")
    assert outcome.verdict is None or outcome.state != "ready"
    assert outcome.due_in_s is not None or outcome.state != "ready"
    assert outcome.due_in_s is None or outcome.state != "parked"
    assert outcome.verdict is not None or delivery.verdict is None
    if verdict.kind == "duplicate" and delivery.verdict is not None:
        assert (outcome.state, outcome.verdict) == ("done", delivery.verdict)
    if verdict.kind == "misconfigured":
        assert (outcome.counts_attempt, outcome.verdict) == (False, delivery.verdict)


@given(attempts=st.integers(1, MAX_ATTEMPTS), jitter=jitters, wait_s=st.none() | st.floats(1, 3600))
def test_a_retry_waits_between_a_moment_and_an_hour(
    attempts: int, jitter: float, wait_s: float | None
) -> None:
    """Twice as long each time at most, and never before DataFast asked for."""
    delivery = replace(FIRST, attempts=attempts)
    outcome = retry(delivery, "rate_limited", age_s=HORIZON_S, random=lambda: jitter, wait_s=wait_s)
    ceiling_s = min(MAX_RETRY_S, FIRST_RETRY_S * 2 ** (attempts - 1))

    assert outcome.due_in_s is not None
    assert (wait_s or 0.1) <= outcome.due_in_s <= max(ceiling_s, wait_s or 0.1)
    assert outcome.slow_lane_s == wait_s


@pytest.mark.parametrize("wait_s", [None, 1.0, 60.0, 3600.0])
def test_the_horizon_comes_before_the_attempts_are_used_up(wait_s: float | None) -> None:
    """72 hours of failure end as such, however short a wait DataFast asks for each time."""
    age_s, attempts = 0.0, 0
    while True:
        attempts += 1
        delivery = replace(FIRST, attempts=attempts)
        outcome = retry(delivery, "rate_limited", age_s=age_s, random=half, wait_s=wait_s)
        if outcome.due_in_s is None:
            break
        age_s += outcome.due_in_s

    assert (outcome.state, outcome.reason) == ("parked", "horizon")
    assert HORIZON_S < age_s <= HORIZON_S + MAX_RETRY_S
    assert attempts < MAX_ATTEMPTS


@pytest.mark.parametrize(
    ("age_s", "attempts", "state"),
    [
        (HORIZON_S, OFTEN, "ready"),
        (HORIZON_S + 1, OFTEN, "parked"),
        (HORIZON_S + 1, OFTEN - 1, "ready"),
        (30 * HORIZON_S, 1, "ready"),
    ],
    ids=["at it", "past it", "past it, not tried often", "past it, never tried"],
)
def test_trying_ends_past_the_horizon(age_s: float, attempts: int, state: str) -> None:
    """Not at it, and not for what was held or had no key until then: that is tried first."""
    delivery = replace(FIRST, attempts=attempts)

    assert retry(delivery, "datafast_timeout", age_s=age_s, random=half).state == state


def test_what_has_a_verdict_keeps_it_past_the_horizon() -> None:
    """It may well be stored; a person is to look."""
    tried = replace(UNCONFIRMED, attempts=OFTEN)
    outcome = retry(tried, "datafast_timeout", age_s=HORIZON_S + 1, random=half)

    assert outcome == Outcome("parked", "horizon", "unconfirmed", answered=False)


@pytest.mark.parametrize("name", ["attributed", "recorded", "somebody else's"])
def test_a_replay_of_what_is_proven_gives_up_without_a_trace(name: str) -> None:
    """DataFast has the payment; 72 hours of failing repeats say nothing against it."""
    prior = replace(PRIOR[name], attempts=OFTEN)
    outcome = retry(prior, "datafast_timeout", age_s=HORIZON_S + 1, random=half)

    assert outcome == Outcome("done", prior.reason, prior.verdict, answered=False)


DELETING = replace(FIRST, reason="forgetting", delete_only=True)


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        (None, Outcome("done", "deleted_at_datafast")),
        (TIMEOUT, Outcome("ready", "datafast_timeout", due_in_s=0.5, answered=False)),
        (REJECTED, Outcome("parked", "delete_refused")),
        (NO_PAGEVIEW, Outcome("parked", "delete_refused")),
        (FORBIDDEN, Outcome("parked", "delete_refused", answered=False)),
        (
            KEY_REFUSED,
            Outcome(
                "ready",
                "key_refused",
                due_in_s=0.0,
                pause_reason="key_refused",
                counts_attempt=False,
                answered=False,
            ),
        ),
    ],
    ids=[
        "gone",
        "no answer",
        "refused",
        "refused as if for its visitor",
        "not allowed",
        "wrong key",
    ],
)
def test_an_answer_decides_about_a_delete(verdict: Verdict | None, expected: Outcome) -> None:
    """Gone is gone; a fault is waited out; a refusal is for a person."""
    assert outcome_of_delete(DELETING, verdict, age_s=60, random=half) == expected


def test_what_stays_unproven_is_asked_again_for_72_hours_and_then_shown_to_a_person() -> None:
    """A web page with status 200 proves nothing, and the money may not be counted."""
    tried = replace(NEVER_NAMED, attempts=OFTEN)
    again = outcome_of(tried, HTML, age_s=HORIZON_S, random=half)
    given_up = outcome_of(tried, HTML, age_s=HORIZON_S + 1, random=half)

    assert again.due_in_s is not None
    assert given_up == Outcome("parked", "reply_html", "unconfirmed")
