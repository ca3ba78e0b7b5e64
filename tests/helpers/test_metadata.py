"""What a checkout's metadata holds, and when it is refused."""

import re
from decimal import Decimal
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.helpers.dodo_datafast import (
    ORDER_REF_KEY,
    SESSION_COOKIE,
    VISITOR_COOKIE,
    MetadataConflict,
    MetadataError,
    Visitor,
    checkout_metadata,
)

Mode = Literal["preserve", "overwrite", "error"]

VISITOR = "1f0c8a52-7d0e-4c5b-9a53-2f6f1f3f9b11"
OTHER = "0b8e6c1e-2d1c-4f0a-9f2e-6a4f1f4d7c11"
SESSION = "s6a1f0c8e-52aa-4d0e-8c5b-9a532f6f1f3f"
OTHER_SESSION = "s7b1f0c8e-52aa-4d0e-8c5b-9a532f6f1f3f"
ADA = Visitor(VISITOR, SESSION, "captured")
NOBODY = Visitor(None, None, "absent")
MODES: tuple[Mode, ...] = ("preserve", "overwrite", "error")


def test_the_shop_s_pairs_and_the_visitor_s_stand_side_by_side() -> None:
    """The visitor's ids join what the shop already writes."""
    metadata = checkout_metadata(ADA, existing={"plan": "pro"}, order_ref="o-1001")

    assert metadata == {
        "plan": "pro",
        VISITOR_COOKIE: VISITOR,
        SESSION_COOKIE: SESSION,
        ORDER_REF_KEY: "o-1001",
    }


@pytest.mark.parametrize("existing", [None, {}])
def test_nobody_leaves_no_keys(existing: dict[str, object] | None) -> None:
    """Absent ids are left out: what Dodo makes of null is not documented."""
    assert checkout_metadata(NOBODY, existing=existing) == {}


def test_empty_and_null_values_are_left_out() -> None:
    """The shop's own empty pairs go the same way, and an empty order ref."""
    metadata = checkout_metadata(
        Visitor("", "", "absent"), existing={"a": "", "b": None, "c": "x"}, order_ref=""
    )

    assert metadata == {"c": "x"}


def test_an_empty_visitor_id_in_the_existing_metadata_is_no_conflict() -> None:
    """A template that always writes the key has not named anybody."""
    assert checkout_metadata(ADA, existing={VISITOR_COOKIE: ""}, on_conflict="error") == {
        VISITOR_COOKIE: VISITOR,
        SESSION_COOKIE: SESSION,
    }


def test_the_existing_metadata_is_not_changed() -> None:
    """The shop's own mapping is read, never written."""
    existing: dict[str, object] = {"plan": "pro", VISITOR_COOKIE: OTHER, SESSION_COOKIE: "x"}
    before = dict(existing)
    checkout_metadata(ADA, existing=existing, on_conflict="overwrite")

    assert existing == before


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (-7, "-7"),
        (1.5, "1.5"),
        (Decimal("19.90"), "19.90"),
        ("x", "x"),
    ],
)
def test_plain_values_become_strings(value: object, expected: str) -> None:
    """Only strings are sent: typed decoders elsewhere stumble over the rest."""
    assert checkout_metadata(NOBODY, existing={"k": value}) == {"k": expected}


@pytest.mark.parametrize("value", [[], {}, ("a",), b"x", object(), 1j], ids=repr)
def test_a_value_without_a_plain_text_is_refused(value: object) -> None:
    """A list or an object in metadata is a mistake that Dodo would answer with 422."""
    with pytest.raises(MetadataError, match="'k'"):
        checkout_metadata(NOBODY, existing={"k": value})


@pytest.mark.parametrize("mode", MODES)
def test_the_same_visitor_is_no_conflict(mode: Mode) -> None:
    """A second pass over one's own metadata changes nothing but the session."""
    existing = {VISITOR_COOKIE: VISITOR, SESSION_COOKIE: OTHER_SESSION}

    assert checkout_metadata(ADA, existing=existing, on_conflict=mode) == {
        VISITOR_COOKIE: VISITOR,
        SESSION_COOKIE: SESSION,
    }


def test_preserve_keeps_the_other_visitor_and_their_session() -> None:
    """The default never rewrites an attribution."""
    existing = {VISITOR_COOKIE: OTHER, SESSION_COOKIE: OTHER_SESSION}

    assert checkout_metadata(ADA, existing=existing) == existing


def test_preserve_keeps_this_session_away_from_the_other_visitor() -> None:
    """A session belongs to its visitor."""
    assert checkout_metadata(ADA, existing={VISITOR_COOKIE: OTHER}) == {VISITOR_COOKIE: OTHER}


def test_overwrite_replaces_the_other_visitor_and_drops_their_session() -> None:
    """Replacing the visitor replaces the session, or removes it where there is no new one."""
    existing = {VISITOR_COOKIE: OTHER, SESSION_COOKIE: OTHER_SESSION}
    without_session = Visitor(VISITOR, None, "captured")

    assert checkout_metadata(ADA, existing=existing, on_conflict="overwrite") == {
        VISITOR_COOKIE: VISITOR,
        SESSION_COOKIE: SESSION,
    }
    assert checkout_metadata(without_session, existing=existing, on_conflict="overwrite") == {
        VISITOR_COOKIE: VISITOR
    }


def test_error_refuses_the_other_visitor_by_name_of_the_key() -> None:
    """The sentence says what to do and holds neither id."""
    with pytest.raises(MetadataConflict, match="on_conflict='preserve'") as refused:
        checkout_metadata(ADA, existing={VISITOR_COOKIE: OTHER}, on_conflict="error")

    assert refused.value.key == VISITOR_COOKIE
    assert OTHER not in str(refused.value)
    assert VISITOR not in str(refused.value)


def test_an_unknown_conflict_mode_is_refused() -> None:
    """A mistyped mode must not quietly rewrite an attribution."""
    with pytest.raises(ValueError, match="on_conflict"):
        checkout_metadata(
            ADA,
            existing={VISITOR_COOKIE: OTHER},
            on_conflict="keep",  # type: ignore[arg-type]  # a caller without a type checker
        )


@pytest.mark.parametrize("mode", MODES)
def test_a_request_without_a_visitor_keeps_the_existing_one(mode: Mode) -> None:
    """Losing the cookie is no reason to lose the attribution."""
    existing = {VISITOR_COOKIE: OTHER, SESSION_COOKIE: OTHER_SESSION}

    assert checkout_metadata(NOBODY, existing=existing, on_conflict=mode) == existing


@pytest.mark.parametrize("mode", MODES)
def test_a_session_without_a_visitor_stays_away_from_an_existing_visitor(mode: Mode) -> None:
    """The browser's session is not proven to be the other visitor's."""
    lost = Visitor(None, SESSION, "malformed")

    assert checkout_metadata(lost, existing={VISITOR_COOKIE: OTHER}, on_conflict=mode) == {
        VISITOR_COOKIE: OTHER
    }


@pytest.mark.parametrize(
    ("key", "accepted"),
    [
        ("k" * 40, True),
        ("k" * 41, False),
        ("Az09_-", True),
        ("with space", False),
        ("dot.ted", False),
        ("k\n", False),
        ("", False),
        ("cl\u00e9", False),
        ("k\u0661", False),
    ],
)
def test_keys_stay_within_dodo_s_limit(key: str, accepted: bool) -> None:
    """1 to 40 of A-Z a-z 0-9 _ - (dodo/api-reference/metadata)."""
    if accepted:
        assert checkout_metadata(NOBODY, existing={key: "v"}) == {key: "v"}
    else:
        with pytest.raises(MetadataError):
            checkout_metadata(NOBODY, existing={key: "v"})


def test_values_stay_within_dodo_s_limit() -> None:
    """500 characters pass, 501 do not."""
    assert checkout_metadata(NOBODY, existing={"k": "v" * 500})
    with pytest.raises(MetadataError, match="501 characters"):
        checkout_metadata(NOBODY, existing={"k": "v" * 501})
    with pytest.raises(MetadataError, match=ORDER_REF_KEY):
        checkout_metadata(NOBODY, order_ref="o" * 501)


def test_a_number_too_long_to_write_is_refused_as_metadata() -> None:
    """Python itself refuses to print such an int; the caller still sees one kind of error."""
    with pytest.raises(MetadataError):
        checkout_metadata(NOBODY, existing={"k": 10**5000})


@pytest.mark.parametrize(
    ("own", "visitor", "accepted"),
    [(50, NOBODY, True), (51, NOBODY, False), (48, ADA, True), (49, ADA, False)],
)
def test_pairs_stay_within_dodo_s_limit(own: int, visitor: Visitor, accepted: bool) -> None:
    """50 pairs in all, the visitor's among them."""
    existing = {f"k{number}": "v" for number in range(own)}
    if accepted:
        assert len(checkout_metadata(visitor, existing=existing)) == 50
    else:
        with pytest.raises(MetadataError, match="51 metadata pairs"):
            checkout_metadata(visitor, existing=existing)


def test_pairs_left_out_do_not_count() -> None:
    """Null and empty pairs never reach Dodo, so they use up nothing."""
    existing: dict[str, object] = {f"k{number}": None for number in range(60)}

    assert checkout_metadata(ADA, existing=existing | {"e": ""}).keys() == {
        VISITOR_COOKIE,
        SESSION_COOKIE,
    }


ids = st.one_of(st.none(), st.uuids(version=4).map(str))


@settings(max_examples=150)
@given(
    existing=st.dictionaries(
        st.one_of(
            st.sampled_from([VISITOR_COOKIE, SESSION_COOKIE, ORDER_REF_KEY, "k" * 41]),
            st.text("abc-_ .\u00e9\n", max_size=3),
        ),
        st.one_of(
            st.none(),
            st.booleans(),
            st.integers(),
            st.floats(),
            st.decimals(),
            st.text(max_size=8),
            st.sampled_from([OTHER, OTHER_SESSION, "v" * 501]),
            st.lists(st.none(), max_size=1),
        ),
        max_size=5,
    ),
    filler=st.integers(0, 52),
    visitor=st.builds(Visitor, ids, ids, st.just("captured")),
    order_ref=st.one_of(st.none(), st.text(max_size=20)),
    mode=st.sampled_from(MODES),
)
def test_the_result_keeps_dodo_s_limits_or_is_refused(
    existing: dict[str, object],
    filler: int,
    visitor: Visitor,
    order_ref: str | None,
    mode: Mode,
) -> None:
    """No input slips past the limits, and none raises anything but MetadataError."""
    padding = {f"pad{number}": "v" for number in range(filler)}
    try:
        metadata = checkout_metadata(
            visitor, existing=existing | padding, order_ref=order_ref, on_conflict=mode
        )
    except MetadataError:
        return

    assert len(metadata) <= 50
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,40}", key) for key in metadata)
    assert all(isinstance(value, str) and 1 <= len(value) <= 500 for value in metadata.values())
