"""How far a reconciliation has come, written down and read again."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.reconcile.progress import Progress, read_progress

NUMBERS = st.integers(0, 10**15 - 1)
COUNTS = st.dictionaries(st.sampled_from(["payments", "refunds", "missing"]), NUMBERS)
WHOLE = {"since_ms": 1, "until_ms": 3, "reached_ms": 2, "seen": {}, "found": {"missing": 1}}


@given(st.builds(Progress, NUMBERS, NUMBERS, NUMBERS, COUNTS, COUNTS))
def test_what_is_written_can_be_read(progress: Progress) -> None:
    """Whole."""
    assert read_progress(progress.as_text()) == progress


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{}",
        "[" * 1000,
        "1" * 3000,
        json.dumps(WHOLE | {"more": 1}),
        json.dumps(WHOLE | {"since_ms": -1}),
        json.dumps(WHOLE | {"since_ms": 1.5}),
        json.dumps(WHOLE | {"since_ms": True}),
        json.dumps(WHOLE | {"until_ms": 10**15}),
        json.dumps(WHOLE | {"seen": []}),
        json.dumps(WHOLE | {"seen": {"payments": "many"}}),
        json.dumps(WHOLE | {"found": None}),
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    """It comes over HTTP where a server owns the ledger."""
    with pytest.raises(ValueError, match=r"progress|Expecting|Exceeds"):
        read_progress(text)


def test_the_pattern_of_the_refusals_is_itself_read() -> None:
    """So that each of them is refused for its own fault."""
    wanted: dict[str, Any] = WHOLE

    assert read_progress(json.dumps(wanted)) == Progress(**wanted)
