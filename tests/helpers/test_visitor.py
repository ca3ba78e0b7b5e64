"""The visitor that a cookie header or a cookieless page shows."""

import uuid
from http.cookies import CookieError, SimpleCookie

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import cookie_parser

from kit.helpers.dodo_datafast import (
    SESSION_COOKIE,
    VISITOR_COOKIE,
    Visitor,
    visitor_from_cookies,
    visitor_from_page,
)

VISITOR = "1f0c8a52-7d0e-4c5b-9a53-2f6f1f3f9b11"
OTHER = "0b8e6c1e-2d1c-4f0a-9f2e-6a4f1f4d7c11"
SESSION = "s6a1f0c8e-52aa-4d0e-8c5b-9a532f6f1f3f"
OURS = f"{VISITOR_COOKIE}={VISITOR}"

visitor_ids = st.uuids(version=4).map(str)
# Any text but the separator, and never a cookie of our own.
neighbours = st.text(st.characters(exclude_characters=";"), max_size=40).filter(
    lambda text: not text.strip(" \t").startswith((VISITOR_COOKIE, SESSION_COOKIE))
)
quick = settings(max_examples=150)


def test_both_ids_are_captured() -> None:
    """Visitor and session are read from one header, in any order."""
    seen = visitor_from_cookies(f"{SESSION_COOKIE}={SESSION}; theme=dark; {OURS}")

    assert seen == Visitor(VISITOR, SESSION, "captured", "cookie")


@pytest.mark.parametrize("header", [None, "", ";", "; ;", "theme=dark", VISITOR_COOKIE, "=x"])
def test_no_cookie_is_absent(header: str | None) -> None:
    """A header without our cookie, or with its bare name, shows nobody."""
    assert visitor_from_cookies(header) == Visitor(None, None, "absent")


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("", id="empty"),
        pytest.param(VISITOR.upper(), id="upper case"),
        pytest.param(f'"{VISITOR}"', id="quoted"),
        pytest.param(f" {VISITOR}", id="padded"),
        pytest.param(f"{VISITOR}\n", id="line end"),
        pytest.param(f"{VISITOR}\r\nSet-Cookie: a=b", id="header injection"),
        pytest.param(f"{{{VISITOR}}}", id="braces"),
        pytest.param(f"urn:uuid:{VISITOR}", id="urn"),
        pytest.param(VISITOR.replace("-", ""), id="no hyphens"),
        pytest.param(VISITOR.replace("-", "%2D"), id="percent-encoded"),
        pytest.param(f"{VISITOR}%0a", id="encoded line end"),
        pytest.param(f"{VISITOR},{OTHER}", id="joined by a proxy"),
        pytest.param(f"{VISITOR}={VISITOR}", id="second equals sign"),
        pytest.param(VISITOR * 300, id="10 kB"),
        pytest.param(f"{VISITOR}\x00", id="null"),
        pytest.param(VISITOR.replace("1", "\u0661"), id="digits of another script"),
        pytest.param(VISITOR.replace("4c5b", "1c5b"), id="UUID version 1"),
        pytest.param(VISITOR.replace("4c5b", "7c5b"), id="UUID version 7"),
        pytest.param(VISITOR.replace("9a53", "ca53"), id="another UUID variant"),
        pytest.param(SESSION, id="a session id"),
        pytest.param("<script>alert(1)</script>", id="script"),
        pytest.param("' OR 1=1 --", id="SQL"),
        pytest.param("null", id="null as text"),
    ],
)
def test_a_value_that_is_no_canonical_uuid4_is_dropped(value: str) -> None:
    """Whoever sends the request can write anything into a cookie."""
    assert visitor_from_cookies(f"{VISITOR_COOKIE}={value}") == Visitor(None, None, "malformed")


@pytest.mark.parametrize(
    "name",
    [
        f"x{VISITOR_COOKIE}",
        f"{VISITOR_COOKIE}2",
        f"{VISITOR_COOKIE}.sig",
        f"__Host-{VISITOR_COOKIE}",
        VISITOR_COOKIE.upper(),
        f'"{VISITOR_COOKIE}"',
        f"{VISITOR_COOKIE} ",
        f"a {VISITOR_COOKIE}",
        "visitor_id",
    ],
)
def test_names_match_whole(name: str) -> None:
    """A cookie whose name only resembles ours is somebody else's."""
    assert visitor_from_cookies(f"{name}={VISITOR}").reason == "absent"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        pytest.param(f"{OURS}; {VISITOR_COOKIE}={OTHER}", VISITOR, id="two well-formed"),
        pytest.param(f"{VISITOR_COOKIE}={OTHER}; {OURS}", OTHER, id="the other way round"),
        pytest.param(f"{VISITOR_COOKIE}=x; {OURS}", VISITOR, id="broken one first"),
        pytest.param(f"{OURS}; {VISITOR_COOKIE}=x", VISITOR, id="broken one last"),
        pytest.param(
            f"{VISITOR_COOKIE}=; {VISITOR_COOKIE}; {OURS}", VISITOR, id="empty ones first"
        ),
        pytest.param(f"{VISITOR_COOKIE}=x; {VISITOR_COOKIE}=y", None, id="two broken ones"),
    ],
)
def test_the_first_well_formed_duplicate_wins(header: str, expected: str | None) -> None:
    """Frameworks keep the first or the last; here it is the first that can be an id."""
    assert visitor_from_cookies(header).visitor_id == expected


@pytest.mark.parametrize("value", ["", SESSION[1:], SESSION.upper(), f'"{SESSION}"', f"x{SESSION}"])
def test_a_broken_session_leaves_the_visitor(value: str) -> None:
    """The session id is extra; a bad one costs nothing but itself."""
    assert visitor_from_cookies(f"{SESSION_COOKIE}={value}; {OURS}") == Visitor(
        VISITOR, None, "captured"
    )


def test_a_session_alone_is_no_visitor() -> None:
    """Without a visitor id there is nobody to attribute to."""
    assert visitor_from_cookies(f"{SESSION_COOKIE}={SESSION}") == Visitor(None, SESSION, "absent")


@pytest.mark.parametrize("separator", ["; ", ";", ";\t", " ;  "])
def test_spaces_between_cookies_do_not_matter(separator: str) -> None:
    """Clients and proxies differ in what they put around the semicolon."""
    seen = visitor_from_cookies(separator.join(["a=1", OURS, f"{SESSION_COOKIE}={SESSION}", "b"]))

    assert seen == Visitor(VISITOR, SESSION, "captured")


@quick
@given(before=st.lists(neighbours, max_size=4), after=st.lists(neighbours, max_size=4))
def test_broken_neighbours_change_nothing(before: list[str], after: list[str]) -> None:
    """Whatever stands beside our cookie, it is read as if it stood alone."""
    header = ";".join([*before, OURS, *after])

    assert visitor_from_cookies(header) == visitor_from_cookies(OURS)


@quick
@given(
    st.lists(
        st.one_of(
            st.text(max_size=60),
            st.builds(
                "{}={}".format,
                st.sampled_from([VISITOR_COOKIE, SESSION_COOKIE]),
                st.one_of(st.text(max_size=40), visitor_ids, visitor_ids.map("s{}".format)),
            ),
        ),
        max_size=6,
    ).map(";".join)
)
def test_any_header_is_read_without_an_error(header: str) -> None:
    """No header raises, and what comes out is a canonical id or nothing."""
    seen = visitor_from_cookies(header)

    assert seen.visitor_id is None or str(uuid.UUID(seen.visitor_id)) == seen.visitor_id
    assert seen.session_id is None or str(uuid.UUID(seen.session_id[1:])) == seen.session_id[1:]
    assert (seen.reason == "captured") is (seen.visitor_id is not None)


@quick
@given(
    cookies=st.dictionaries(
        st.from_regex(r"[A-Za-z][A-Za-z0-9_.-]{0,11}", fullmatch=True).filter(
            lambda name: (
                name.lower()
                not in ("expires", "path", "comment", "domain", "version", "secure", "httponly")
                and not name.lower().startswith(("max-age", "samesite", "partitioned"))
            )
        ),
        st.from_regex(r"[A-Za-z0-9_.%-]{0,20}", fullmatch=True),
        max_size=4,
    ),
    visitor_id=st.one_of(visitor_ids, visitor_ids.map(str.upper), st.just("x")),
    place=st.integers(0, 4),
)
def test_ordinary_headers_read_as_other_parsers_read_them(
    cookies: dict[str, str], visitor_id: str, place: int
) -> None:
    """Where Starlette and http.cookies agree on our cookie, so do we, as far as it is an id."""
    pairs = [f"{name}={value}" for name, value in cookies.items() if name != VISITOR_COOKIE]
    pairs.insert(place, f"{VISITOR_COOKIE}={visitor_id}")
    header = "; ".join(pairs)
    standard = SimpleCookie()
    try:
        standard.load(header)
    except CookieError:  # http.cookies refuses some names outright
        return
    theirs = {cookie_parser(header).get(VISITOR_COOKIE), standard[VISITOR_COOKIE].value}
    assert theirs == {visitor_id}

    expected = visitor_id if visitor_id == visitor_id.lower() != "x" else None

    assert visitor_from_cookies(header).visitor_id == expected


def test_a_cookie_that_http_cookies_trips_over_is_read() -> None:
    """One malformed neighbour makes the standard library drop every later cookie; not ours."""
    header = f"consent=[1, 2]; {OURS}"
    standard: SimpleCookie = SimpleCookie()
    standard.load(header)

    assert VISITOR_COOKIE not in standard
    assert visitor_from_cookies(header).visitor_id == VISITOR


@pytest.mark.parametrize("version", [1, 3, 4, 5, 7])
def test_a_page_may_hand_over_any_canonical_uuid(version: int) -> None:
    """The cookieless script's id is not documented, so no version is asked for."""
    value = f"{VISITOR[:14]}{version}{VISITOR[15:]}"

    assert visitor_from_page(value) == Visitor(value, None, "captured", "page")


@pytest.mark.parametrize("value", [None, ""])
def test_a_page_that_hands_over_nothing_is_absent(value: str | None) -> None:
    """An empty form field is the ordinary case without the script."""
    assert visitor_from_page(value) == Visitor(None, None, "absent", "page")


@pytest.mark.parametrize(
    "value",
    ["x", " ", VISITOR.upper(), f"{VISITOR}\n", f" {VISITOR}", "0" * 64, "undefined", "\ud800"],
)
def test_a_page_value_of_another_format_is_dropped(value: str) -> None:
    """What does not fit is dropped under its own reason, so that it can be shown."""
    assert visitor_from_page(value) == Visitor(None, None, "cookieless_format", "page")


@quick
@given(st.text(max_size=60))
def test_any_page_value_is_read_without_an_error(value: str) -> None:
    """A posted value never raises and never names a session."""
    seen = visitor_from_page(value)

    assert seen.session_id is None
    assert seen.source == "page"
