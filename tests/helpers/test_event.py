"""Reading a proven message: open to what Dodo adds, strict where readers could disagree."""

import base64
import hmac
import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.helpers.dodo_datafast import Event, PayloadError, Signed, read_event, verify_webhook

SENT_AT = datetime(2026, 10, 1, 12, 0, tzinfo=UTC)


def signed(body: bytes | str) -> Signed:
    """Take a body as proven."""
    return Signed("msg_1", SENT_AT, body.encode() if isinstance(body, str) else body)


def read(envelope: dict[str, Any]) -> Event:
    """Read an envelope as Dodo would send it."""
    return read_event(signed(json.dumps(envelope)))


def reason(body: bytes | str) -> str:
    """Return the reason for which a body is refused."""
    with pytest.raises(PayloadError) as refused:
        read_event(signed(body))

    assert refused.value.signed == signed(body)
    return refused.value.reason


def test_an_event_is_read() -> None:
    """Id from the header, type, time and data from the envelope."""
    event = read(
        {
            "business_id": "bus_A1",
            "type": "payment.succeeded",
            "timestamp": "2026-10-02T09:15:27.402113Z",
            "data": {"payment_id": "pay_P1"},
        }
    )

    assert event == Event(
        "msg_1",
        "payment.succeeded",
        datetime(2026, 10, 2, 9, 15, 27, 402113, UTC),
        {"payment_id": "pay_P1"},
    )


def test_verify_webhook_is_the_two_steps_together() -> None:
    """Proof first, then reading, from the bytes as they came."""
    key = b"fixture key of 32 bytes, no more"
    body = b'{"type": "x.y",\n "data": {"a": 1}}'
    signature = base64.b64encode(hmac.digest(key, b"msg_1.1790856000." + body, "sha256")).decode()
    pairs = [
        ("webhook-id", "msg_1"),
        ("webhook-timestamp", "1790856000"),
        ("webhook-signature", f"v1,{signature}"),
    ]

    assert verify_webhook(body, pairs, key, now=1790856000) == Event(
        "msg_1", "x.y", datetime(2026, 10, 1, 12, 0, tzinfo=UTC), {"a": 1}
    )


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(b"\xff\xfe{}", "not_utf8", id="bytes of no encoding"),
        pytest.param('{"type":"x"}'.encode("utf-16"), "not_utf8", id="UTF-16"),
        pytest.param(b'{"type":"\xe9"}', "not_utf8", id="Latin-1"),
        pytest.param(b'{"type":"\xed\xa0\x80"}', "not_utf8", id="surrogate as bytes"),
        pytest.param(b'{"type":"\xc0\xaf"}', "not_utf8", id="overlong"),
        pytest.param(b"", "not_json", id="empty"),
        pytest.param(b" \n", "not_json", id="blank"),
        pytest.param(b'\xef\xbb\xbf{"type":"x"}', "not_json", id="byte order mark"),
        pytest.param(b"<html>gateway</html>", "not_json", id="HTML"),
        pytest.param(b"{'type':'x'}", "not_json", id="single quotes"),
        pytest.param(b'{"type":"x",}', "not_json", id="trailing comma"),
        pytest.param(b'{"type":"x"}{}', "not_json", id="two documents"),
        pytest.param(b'{"type":"x"', "not_json", id="cut off"),
        pytest.param(b'{"type":"a\nb"}', "not_json", id="raw line end"),
        pytest.param(b'{"type":"x","data":{"a":01}}', "not_json", id="leading zero"),
        pytest.param(b'{"type":"x","data":{"a":+1}}', "not_json", id="plus sign"),
        pytest.param(b'{"type":"x","data":{"a":0x10}}', "not_json", id="hexadecimal"),
        pytest.param(
            b'{"type":"x","data":{"a":' + b"9" * 5000 + b"}}", "not_json", id="5,000 digits"
        ),
        pytest.param(b"[]", "not_object", id="array"),
        pytest.param(b'["type"]', "not_object", id="array of text"),
        pytest.param(b'"type"', "not_object", id="text"),
        pytest.param(b"7", "not_object", id="number"),
        pytest.param(b"null", "not_object", id="null"),
        pytest.param(b"true", "not_object", id="true"),
        pytest.param(b'{"type":"x","data":[]}', "not_object", id="data is an array"),
        pytest.param(b'{"type":"x","data":"y"}', "not_object", id="data is text"),
        pytest.param(b'{"type":"x","data":0}', "not_object", id="data is a number"),
        pytest.param(b'{"type":"x","data":false}', "not_object", id="data is false"),
        pytest.param(b'{"type":"x","type":"x"}', "duplicate_key", id="duplicate at the top"),
        pytest.param(b'{"type":"x","data":{"a":1,"a":2}}', "duplicate_key", id="in data"),
        pytest.param(b'{"type":"x","data":{"a":1,"\\u0061":1}}', "duplicate_key", id="escaped"),
        pytest.param(b'[{"a":[{"b":1,"b":1}]}]', "duplicate_key", id="deep inside"),
        pytest.param(b"[" * 100_000, "too_deep", id="100,000 arrays"),
        pytest.param(b"[" * 100_000 + b"]" * 100_000, "too_deep", id="100,000 closed arrays"),
        pytest.param(b'{"type":"x","data":' + b'{"a":' * 100_000, "too_deep", id="objects"),
        pytest.param(
            b'{"type":"x","data":{"a":' + b"[" * 300 + b"]" * 300 + b"}}", "too_deep", id="300"
        ),
        pytest.param(b'{"type":"x","data":{"a":NaN}}', "not_finite", id="NaN"),
        pytest.param(b'{"type":"x","data":{"a":Infinity}}', "not_finite", id="Infinity"),
        pytest.param(b'{"type":"x","data":{"a":-Infinity}}', "not_finite", id="-Infinity"),
        pytest.param(b'{"type":"x","data":{"a":1e999}}', "not_finite", id="1e999"),
        pytest.param(b'{"type":"x","data":{"a":-1.5E+309}}', "not_finite", id="-1.5E+309"),
        pytest.param(
            b'{"type":"x","data":{"a":1e99999999999999999999}}', "not_finite", id="vast exponent"
        ),
        pytest.param(b"{}", "no_type", id="empty object"),
        pytest.param(b'{"type":null}', "no_type", id="null type"),
        pytest.param(b'{"type":7}', "no_type", id="number as type"),
        pytest.param(b'{"type":""}', "no_type", id="empty type"),
        pytest.param(b'{"type":["payment.succeeded"]}', "no_type", id="list as type"),
        pytest.param(b'{"type":"a b"}', "no_type", id="type with a space"),
        pytest.param(b'{"type":"a\\n"}', "no_type", id="type with a line end"),
        pytest.param(b'{"type":"\\ud800"}', "no_type", id="type of a lone surrogate"),
        pytest.param(b'{"type":"\\u00e9"}', "no_type", id="type outside ASCII"),
        pytest.param(b'{"type":"' + b"x" * 129 + b'"}', "no_type", id="129 characters"),
    ],
)
def test_a_body_that_cannot_be_read_says_why(body: bytes, expected: str) -> None:
    """Signed but hostile or odd; each has its reason, and the message stays at hand."""
    assert reason(body) == expected


@pytest.mark.parametrize(("depth", "accepted"), [(61, True), (62, True), (63, False), (64, False)])
def test_depth_counts_from_the_envelope(depth: int, accepted: bool) -> None:
    """64 levels: the envelope, `data`, and what is inside it."""
    body = b'{"type":"x","data":{"a":' + b"[" * depth + b"]" * depth + b"}}"
    if accepted:
        assert read_event(signed(body)).data
    else:
        assert reason(body) == "too_deep"


@pytest.mark.parametrize(
    "body",
    [
        pytest.param('{"type":"x"}', id="no data"),
        pytest.param('{"type":"x","data":null}', id="null data"),
        pytest.param('{"type":"x","data":{}}', id="empty data"),
    ],
)
def test_an_event_without_data_is_read_as_empty(body: str) -> None:
    """Nothing to map is no reason to refuse a proven message."""
    assert read_event(signed(body)).data == {}


def test_unknown_types_and_new_fields_are_all_right() -> None:
    """Dodo adds events and fields; strict schemas there have lost subscriptions."""
    event = read(
        {"type": "orbit.reached", "new": [1], "data": {"later": {"a": [None, True]}}, "version": 9}
    )

    assert (event.type, event.data) == ("orbit.reached", {"later": {"a": [None, True]}})


@pytest.mark.parametrize("kind", ["x", "x" * 128, "a.b.c_d", "payment.succeeded", "!"])
def test_any_plain_word_can_be_a_type(kind: str) -> None:
    """Up to 128 visible ASCII characters."""
    assert read({"type": kind}).type == kind


def test_numbers_stay_exact() -> None:
    """Fractions become Decimal, integers int; no binary float is made."""
    data = read_event(
        signed('{"type":"x","data":{"a":0.1,"b":1e2,"c":9007199254740993,"d":1.50,"e":1e308}}')
    ).data

    assert data == {
        "a": Decimal("0.1"),
        "b": Decimal(100),
        "c": 9007199254740993,
        "d": Decimal("1.50"),
        "e": Decimal("1e308"),
    }
    assert {type(value) for value in data.values()} == {Decimal, int}


@pytest.mark.parametrize("number", ["0e999", "-0.0e9999", "1e-999", "0.0"])
def test_numbers_near_zero_are_finite(number: str) -> None:
    """However it is written, zero and almost zero are no infinity."""
    assert read_event(signed(f'{{"type":"x","data":{{"a":{number}}}}}')).data["a"] < 1


def test_a_lone_surrogate_in_the_data_is_read_as_it_stands() -> None:
    """JSON may escape one; it is read, and whoever writes the text must check it."""
    assert read_event(signed('{"type":"x","data":{"a":"\\ud800"}}')).data == {"a": "\ud800"}


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2026-10-02T09:15:27.402113Z", datetime(2026, 10, 2, 9, 15, 27, 402113, UTC)),
        ("2026-10-02T09:15:27Z", datetime(2026, 10, 2, 9, 15, 27, tzinfo=UTC)),
        ("2026-10-02T11:15:27+02:00", datetime(2026, 10, 2, 9, 15, 27, tzinfo=UTC)),
        ("2026-10-02T09:15:27", datetime(2026, 10, 2, 9, 15, 27, tzinfo=UTC)),
        ("2026-10-02T09:15:27.402113999Z", datetime(2026, 10, 2, 9, 15, 27, 402113, UTC)),
    ],
)
def test_the_envelope_s_time_is_utc(written: str, expected: datetime) -> None:
    """Whatever zone it is written in; without one it is UTC."""
    timestamp = read({"type": "x", "timestamp": written}).timestamp

    assert timestamp == expected
    assert timestamp.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "written",
    [
        None, "", "yesterday", 1790856000, 1.5, True, [], {}, "2026-13-01T00:00:00Z",
        "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2026-10-02T09:15:27\ud800",
        "\x00", "2" * 10_000, "2026-10-02T09:15:27Z" + " " * 60,
    ],
    ids=ascii,
)  # fmt: skip
def test_without_a_readable_time_the_attempt_s_counts(written: object) -> None:
    """A broken envelope time does not fail the event."""
    assert read({"type": "x", "timestamp": written}).timestamp == SENT_AT


def test_the_body_and_the_data_stay_out_of_reprs() -> None:
    """Names, e-mails and cards are in there; a log line shows none of it."""
    body = b'{"type":"x","data":{"email":"ada@example.com"}}'
    with pytest.raises(PayloadError) as refused:
        read_event(signed(body + b"}"))

    assert "ada" not in repr(signed(body)) + repr(read_event(signed(body))) + repr(refused.value)


json_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=8),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=6), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=200)
@given(
    st.one_of(
        st.binary(max_size=80),
        st.text(alphabet='{}[]:,"\\type0123.-eE+ ', max_size=40).map(str.encode),
        json_values.map(lambda value: json.dumps(value).encode()),
        st.fixed_dictionaries(
            {"type": st.text(max_size=9)}, optional={"timestamp": st.text(), "data": json_values}
        ).map(lambda value: json.dumps(value).encode()),
        st.datetimes(timezones=st.just(timezone(timedelta(hours=14)))).map(
            lambda moment: json.dumps({"type": "x", "timestamp": moment.isoformat()}).encode()
        ),
    )
)
def test_any_bytes_are_an_event_or_a_payload_error(body: bytes) -> None:
    """Nothing else escapes a proven message, however odd."""
    try:
        event = read_event(signed(body))
    except PayloadError:
        return

    assert event.timestamp.utcoffset() == timedelta(0)
    assert isinstance(event.data, dict)
