"""What DataFast's answer to a payment meant."""

import json
import time
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.helpers.dodo_datafast import Verdict, read_reply

NOW = 1790856000.0
PAYMENT_ID = "pay_P1"
ATTRIBUTED = "Payment recorded and attributed successfully"
KINDS = {
    "attributed", "recorded", "duplicate", "unconfirmed",
    "no_pageview", "retry", "rejected", "misconfigured",
}  # fmt: skip


def judge(
    status: int, body: object = b"", headers: dict[str, str] | None = None, **options: Any
) -> Verdict:
    """Judge an answer; a body that is no bytes is written as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_reply(status, headers or {}, content, transaction_id=PAYMENT_ID, now=NOW, **options)


def verdict(status: int, body: object = b"", **options: Any) -> tuple[str, str]:
    """Judge an answer, kind and reason alone."""
    judged = judge(status, body, **options)
    return judged.kind, judged.reason


def accepted(
    message: object = ATTRIBUTED, transaction_id: object = PAYMENT_ID
) -> dict[str, object]:
    """Write DataFast's answer to a payment it took."""
    return {"message": message, "transaction_id": transaction_id}


def refused(message: object, code: int = 400) -> dict[str, object]:
    """Write DataFast's error envelope."""
    return {"status": "error", "error": {"code": code, "message": message}}


# --- 2xx ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 201, 299])
def test_the_documented_success_is_attributed(status: int) -> None:
    """The one documented message, with our id echoed."""
    assert judge(status, accepted()) == Verdict("attributed", "attributed", None, ATTRIBUTED)


@pytest.mark.parametrize(
    "message",
    [
        None, "", 5, [], "Payment recorded", "ok",
        "Payment recorded but not attributed",
        "Payment recorded, could not be attributed",
        "Payment recorded without attribution",
        "Payment recorded, cannot attribute it",
        "Payment recorded, unattributed",
        "Payment wasn't attributed",
        "Payment recorded but couldn't be attributed",
        "Payment recorded, not yet attributed",
        "Payment recorded and never attributed",
    ],
    ids=ascii,
)  # fmt: skip
def test_success_without_a_word_of_attribution_is_recorded(message: object) -> None:
    """The revenue counts; nothing says that the visitor does."""
    assert verdict(200, accepted(message)) == ("recorded", "attribution_not_stated")


@pytest.mark.parametrize("message", [ATTRIBUTED, None, "attributed", "Payment recorded"])
def test_without_a_visitor_sent_nothing_is_attributed(message: object) -> None:
    """We know better than the sentence in the reply."""
    assert verdict(200, accepted(message), visitor_sent=False) == (
        "recorded",
        "recorded_without_visitor",
    )


@pytest.mark.parametrize(
    "echo", [None, "", "pay_P2", "PAY_P1", " pay_P1", 5, True, [PAYMENT_ID], {"id": PAYMENT_ID}]
)
def test_a_success_that_does_not_echo_our_id_is_unconfirmed(echo: object) -> None:
    """A 2xx alone proves nothing: DataFast has answered 200 without keeping the payment."""
    assert verdict(200, accepted(ATTRIBUTED, echo)) == ("unconfirmed", "no_echo")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param({"message": ATTRIBUTED}, "no_echo", id="no id"),
        pytest.param({"status": "success", "data": [accepted()]}, "no_echo", id="wrapped"),
        pytest.param(b"<!doctype html><p>ok", "reply_html", id="HTML"),
        pytest.param(b"\n\t <html>", "reply_html", id="HTML after blanks"),
        pytest.param(b"", "reply_unreadable", id="empty"),
        pytest.param(b"ok", "reply_unreadable", id="text"),
        pytest.param(b"null", "reply_unreadable", id="null"),
        pytest.param(b'["pay_P1"]', "reply_unreadable", id="array"),
        pytest.param(b'"pay_P1"', "reply_unreadable", id="JSON text"),
        pytest.param(b'{"transaction_id":"pay_P1"', "reply_unreadable", id="cut off"),
        pytest.param(b'{"transaction_id":"pay_P1","x":NaN}', "reply_unreadable", id="NaN"),
        pytest.param(b'{"transaction_id":"pay_P1","x":1e999}', "reply_unreadable", id="1e999"),
        pytest.param(b"\xff\xfe", "reply_unreadable", id="no UTF-8"),
        pytest.param(b"[" * 100_000, "reply_unreadable", id="deep"),
        pytest.param(b'{"x":' + b"9" * 5000 + b"}", "reply_unreadable", id="5,000 digits"),
    ],
)
def test_a_success_that_proves_nothing_says_why(body: object, reason: str) -> None:
    """HTML, empty and broken bodies under 200 (row 24)."""
    assert verdict(200, body) == ("unconfirmed", reason)


@pytest.mark.parametrize(
    "message",
    ["Duplicate transaction", "Payment already exists", "already recorded", "ALREADY PROCESSED"],
)
@pytest.mark.parametrize("echo", [PAYMENT_ID, None])
def test_a_repeated_payment_is_a_duplicate(message: str, echo: str | None) -> None:
    """The second post of one id changes nothing there."""
    assert verdict(200, accepted(message, echo)) == ("duplicate", "duplicate")
    assert verdict(200, accepted(message, echo), visitor_sent=False) == ("duplicate", "duplicate")


def test_a_duplicate_of_another_payment_is_unconfirmed() -> None:
    """It says nothing about ours."""
    assert verdict(200, accepted("Duplicate transaction", "pay_P2")) == ("unconfirmed", "no_echo")


@pytest.mark.parametrize("echo", [PAYMENT_ID, None])
def test_a_missing_first_event_under_200_is_no_pageview(echo: str | None) -> None:
    """The silent failure that integrators have reported."""
    message = f"First event not found for visitor {'x' * 36}"

    assert verdict(200, accepted(message, echo)) == ("no_pageview", "no_pageview")


# --- The rest -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (408, b"", ("retry", "datafast_unavailable")),
        (425, b"", ("retry", "datafast_unavailable")),
        (429, b"", ("retry", "rate_limited")),
        (429, refused("Too many requests", 429), ("retry", "rate_limited")),
        (500, b"", ("retry", "datafast_unavailable")),
        (500, refused("First event not found", 500), ("retry", "datafast_unavailable")),
        (502, b"<html>", ("retry", "datafast_unavailable")),
        (503, b"", ("retry", "datafast_unavailable")),
        (504, b"", ("retry", "datafast_unavailable")),
        (599, b"", ("retry", "datafast_unavailable")),
        (401, b"", ("misconfigured", "key_refused")),
        (401, refused("Invalid API key", 401), ("misconfigured", "key_refused")),
        (403, b"<html>", ("misconfigured", "key_forbidden")),
        (403, refused("Tracking suspended", 403), ("misconfigured", "key_forbidden")),
        (300, b"", ("misconfigured", "redirected")),
        (301, b"", ("misconfigured", "redirected")),
        (399, b"", ("misconfigured", "redirected")),
        (304, b"", ("misconfigured", "redirected")),
        (307, refused("x"), ("misconfigured", "redirected")),
        (404, b"", ("misconfigured", "wrong_address")),
        (404, b"<html>Not found", ("misconfigured", "wrong_address")),
        (404, {"message": "Not found"}, ("misconfigured", "wrong_address")),
        (404, {"status": "error", "error": "Not found"}, ("misconfigured", "wrong_address")),
        (404, {"error": {"message": "visitor"}}, ("misconfigured", "wrong_address")),
        (404, refused("Visitor not found", 404), ("no_pageview", "no_pageview")),
        (404, refused("Website not found", 404), ("rejected", "rejected")),
        (405, b"", ("misconfigured", "wrong_address")),
        (410, b"", ("misconfigured", "wrong_address")),
        (410, refused("Gone", 410), ("rejected", "rejected")),
        (415, b"", ("misconfigured", "wrong_address")),
        (400, b"<html>Bad request", ("misconfigured", "wrong_address")),
        (422, b" <html>", ("misconfigured", "wrong_address")),
        (400, b"", ("rejected", "rejected")),
        (400, refused("amount must be a number"), ("rejected", "rejected")),
        (400, refused(None), ("rejected", "rejected")),
        (400, refused("First event not found for visitor x"), ("no_pageview", "no_pageview")),
        (400, {"message": "Unknown visitor"}, ("no_pageview", "no_pageview")),
        (409, b"", ("rejected", "rejected")),
        (409, refused("Transaction already exists", 409), ("duplicate", "duplicate")),
        (413, b"", ("rejected", "rejected")),
        (422, refused("currency", 422), ("rejected", "rejected")),
        (100, b"", ("misconfigured", "wrong_address")),
    ],
)  # fmt: skip
def test_each_answer_has_its_row(status: int, body: object, expected: tuple[str, str]) -> None:
    """With the error envelope a 4xx concerns this payment, without it the address or the key."""
    assert verdict(status, body) == expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("datafast_visitor_id is required", "rejected"),
        ("First event not found for visitor undefined", "rejected"),
        ("Transaction of this visitor already exists", "duplicate"),
    ],
)
def test_a_refusal_is_one_where_no_visitor_was_named(words: str, expected: str) -> None:
    """Whatever it says of visitors: the payment went without, and was not taken."""
    assert verdict(400, refused(words), visitor_sent=False) == (expected, expected)


@pytest.mark.parametrize("status", [400, 401, 429, 500])
def test_datafast_s_own_words_are_kept(status: int) -> None:
    """One clean line of at most 200 characters."""
    words = judge(status, refused("Nope.\r\n\x1b[31m\ud800" + "z" * 900)).message

    assert words is not None
    assert words.isprintable()
    assert words.startswith("Nope.")
    assert len(words) == 200


# --- When to come back --------------------------------------------------------------------------


def wait(
    headers: dict[str, str] | None = None, body: object = b"", status: int = 429
) -> float | None:
    """Return after how many seconds to try again."""
    return judge(status, body, headers).retry_after_s


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("7", 7.0),
        (" 7 ", 7.0),
        ("+7", 7.0),
        ("0", 1.0),
        ("-5", 1.0),
        ("3600", 3600.0),
        ("3601", 3600.0),
        ("99999999999999999999", 3600.0),
        (format_datetime(datetime.fromtimestamp(NOW + 90, UTC), usegmt=True), 90.0),
        (format_datetime(datetime.fromtimestamp(NOW - 90, UTC), usegmt=True), 1.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 3600.0),
        ("Thursday, 01-Oct-26 12:01:30 GMT", 90.0),
        ("", None),
        ("soon", None),
        ("7 s", None),
        ("nan", None),
        ("inf", None),
        ("1e3", None),
        ("\u0667", None),
        ("7,8", None),
        ("Fri, 99 Dec 2026 99:99:99 GMT", None),
        ("Thu, 01 Oct 2026 12:01:30 +99999999", None),
        ("Thu, 01 Oct 999999999999 12:01:30 GMT", None),
        ("\x00", None),
        ("\ud800", None),
        ("9" * 6000, 3600.0),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_retry_after_is_honoured_and_clamped(value: str, expected: float | None) -> None:
    """Seconds or an HTTP date, between 1 s and 1 h; rubbish is no hint (row 19)."""
    assert wait({"Retry-After": value}) == expected


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/New_York"])
def test_an_http_date_without_a_zone_is_utc(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest form of an HTTP date names no zone; the machine's own does not come in."""
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        seconds = wait({"Retry-After": "Thu Oct  1 12:01:30 2026"})
    finally:
        monkeypatch.undo()
        time.tzset()

    assert seconds == 90.0


@pytest.mark.parametrize("name", ["Retry-After", "retry-after", "RETRY-AFTER"])
@pytest.mark.parametrize("status", [408, 425, 429, 500, 503])
def test_the_header_counts_for_every_retry(name: str, status: int) -> None:
    """In any case of its name, for any answer worth a retry."""
    assert wait({name: "7"}, status=status) == 7.0


def test_headers_may_be_pairs() -> None:
    """As ASGI and some clients hand them over."""
    pairs = [("Date", "x"), ("Retry-After", "7"), ("Retry-After", "9")]

    assert read_reply(429, iter(pairs), b"", transaction_id="x", now=NOW).retry_after_s == 7.0


@pytest.mark.parametrize(
    ("reset", "expected"),
    [
        (NOW + 42, 42.0),
        (int(NOW) + 42, 42.0),
        (int(NOW + 42) * 1000, 42.0),
        (int(NOW) * 1000 + 1500, 1.5),
        (int(NOW) - 42, 1.0),
        (int(NOW) * 1000 - 42_000, 1.0),
        (30, 30.0),
        (0.25, 1.0),
        (0, 1.0),
        (-30, 1.0),
        (10**15, 3600.0),
        (-(10**15), 1.0),
        (10**400, 3600.0),
        (-(10**400), 1.0),
        (1.5e300, 3600.0),
        ("30", None),
        (True, None),
        (False, None),
        (None, None),
        ([], None),
        ({}, None),
    ],
    ids=lambda value: ascii(value)[:24],
)
def test_the_body_s_reset_is_honoured_and_clamped(reset: object, expected: float | None) -> None:
    """Unix seconds in the docs, milliseconds live, or a number of seconds to wait."""
    assert wait(None, {"limit": 60, "remaining": 0, "reset": reset}) == expected


def test_the_header_comes_before_the_body() -> None:
    """Where both speak, the standard one counts; a useless one gives way."""
    assert wait({"Retry-After": "7"}, {"reset": 30}) == 7.0
    assert wait({"Retry-After": "soon"}, {"reset": 30}) == 30.0


@pytest.mark.parametrize("status", [200, 302, 400, 401, 404])
def test_only_a_retry_has_a_time(status: int) -> None:
    """Other verdicts do not come back by themselves."""
    assert wait({"Retry-After": "7"}, {"reset": 30}, status=status) is None


# --- Anything -----------------------------------------------------------------------------------

words = st.one_of(
    st.text(max_size=20),
    st.sampled_from([ATTRIBUTED, "duplicate", "First event not found", "visitor", PAYMENT_ID]),
)
values = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(10**300, 10**420), st.floats(), words,
    st.lists(st.none(), max_size=1), st.fixed_dictionaries({"message": words}),
)  # fmt: skip


@settings(max_examples=300)
@given(
    status=st.integers(100, 599),
    body=st.one_of(
        st.binary(max_size=60),
        st.fixed_dictionaries(
            {},
            optional=dict.fromkeys(
                ["status", "error", "message", "transaction_id", "reset", "x"], values
            ),
        ).map(lambda value: json.dumps(value).encode()),
    ),
    headers=st.lists(
        st.tuples(
            st.one_of(st.just("Retry-After"), st.text(max_size=8)),
            st.one_of(
                st.text(max_size=30),
                st.integers().map(str),
                st.text("Thu, 01 Oct 2026 12:99:30 GMT+-0123456789", max_size=40),
                st.builds(
                    "Thu, {} Oct {} {}:{}:30 {}".format,
                    *[st.integers(-1, 99999)] * 4,
                    st.sampled_from(["GMT", "", "-0000", "+0200", "EST", "-99999999999", "(x)"]),
                ),
            ),
        ),
        max_size=2,
    ),
    now=st.floats(0, 1e11),
    visitor_sent=st.booleans(),
)
def test_any_answer_has_a_verdict(
    status: int, body: bytes, headers: list[tuple[str, str]], now: float, visitor_sent: bool
) -> None:
    """Nothing a server may send raises, and without a visitor sent none is attributed."""
    judged = read_reply(
        status, headers, body, transaction_id=PAYMENT_ID, now=now, visitor_sent=visitor_sent
    )

    assert judged.kind in KINDS
    assert judged.reason
    assert judged.kind != "attributed" or (visitor_sent and 200 <= status < 300)
    assert judged.retry_after_s is None or 1 <= judged.retry_after_s <= 3600
    assert judged.message is None or judged.message.isprintable()
