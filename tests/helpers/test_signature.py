"""Webhook signatures: the official package is the oracle, its looser points are refused."""

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Iterable
from datetime import UTC, datetime

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError
from starlette.datastructures import Headers

from kit.helpers.dodo_datafast import (
    SecretError,
    SignatureError,
    Signed,
    signing_key,
    verify_signature,
    verify_webhook,
)

# Fixture secrets: the two published test vectors' (whose keys are in every library's tests), the
# kit's own, and one more.
VECTOR_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER_VECTOR_SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
SECRET = "whsec_ZG9kby1kYXRhZmFzdC1raXQtdGVzdC1zZWNyZXQtMDE="
OTHER_SECRET = "whsec_" + base64.b64encode(b"fixture secret, number two").decode()

KIT_BODY = (
    b'{"business_id":"bus_test","type":"payment.succeeded",'
    b'"timestamp":"2026-10-01T12:00:00.000000Z","data":{"payload_type":"Payment",'
    b'"payment_id":"pay_test1","total_amount":2900,"currency":"USD"}}'
)
VECTORS = [
    pytest.param(
        VECTOR_SECRET,
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        id="library test-suite",
    ),
    pytest.param(
        OTHER_VECTOR_SECRET,
        "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk",
        1649367553,
        b'{"email":"test@example.com","username":"test_user"}',
        "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=",
        id="published example",
    ),
    pytest.param(
        SECRET,
        "msg_test_1",
        1790856000,
        KIT_BODY,
        "v1,nn6sJ2zqrlo4/Jw8suyJ439JcV21lKy7m11QYyQ19nw=",
        id="the kit's own",
    ),
]
NOW = 1790856000
quick = settings(max_examples=120)


def sign(secret: str, message_id: str, sent_at: object, body: bytes) -> str:
    """Sign as the specification says, with no code of the kit or the package."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    text = f"{message_id}.{sent_at}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()


def headers(
    message_id: object = "msg_1", sent_at: object = NOW, signature: str = ""
) -> dict[str, str]:
    """Name the three headers of one message."""
    return {
        "webhook-id": str(message_id),
        "webhook-timestamp": str(sent_at),
        "webhook-signature": signature,
    }


def signed_headers(
    body: bytes = b"{}", message_id: str = "msg_1", sent_at: object = NOW, secret: str = SECRET
) -> dict[str, str]:
    """Sign a message and name its headers."""
    return headers(message_id, sent_at, sign(secret, message_id, sent_at, body))


def refusal(
    body: bytes,
    given_headers: dict[str, str] | Iterable[tuple[str, str]],
    secrets: str | bytes | Iterable[str | bytes] = SECRET,
    *,
    now: float = NOW,
) -> str:
    """Return the reason for which a message is refused."""
    with pytest.raises(SignatureError) as refused:
        verify_signature(body, given_headers, secrets, now=now)
    return refused.value.reason


def library_accepts(body: bytes, given_headers: dict[str, str], secrets: Iterable[str]) -> bool:
    """Ask the official package, which takes one secret and reads the system clock."""
    for secret in secrets:
        try:
            Webhook(secret).verify(body, given_headers, json_parse=False)
        except WebhookVerificationError:
            continue
        return True
    return False


def we_accept(
    body: bytes, given_headers: dict[str, str], secrets: Iterable[str], now: float
) -> bool:
    """Ask the core the same question."""
    try:
        verify_signature(body, given_headers, secrets, now=now)
    except SignatureError:
        return False
    return True


# --- Vectors and oracle -------------------------------------------------------------------------


@pytest.mark.parametrize(("secret", "message_id", "sent_at", "body", "signature"), VECTORS)
def test_vectors_verify(
    secret: str, message_id: str, sent_at: int, body: bytes, signature: str
) -> None:
    """The published vectors and our own, with and without the prefix; the package agrees."""
    given_headers = headers(message_id, sent_at, signature)
    moment = datetime.fromtimestamp(sent_at, UTC)

    assert Webhook(secret).sign(message_id, moment, body.decode()) == signature
    for written in (secret, secret.removeprefix("whsec_")):
        assert verify_signature(body, given_headers, written, now=sent_at) == Signed(
            message_id, moment, body
        )


@pytest.mark.parametrize(("secret", "message_id", "sent_at", "body", "signature"), VECTORS)
def test_vectors_changed_in_any_part_are_refused(
    secret: str, message_id: str, sent_at: int, body: bytes, signature: str
) -> None:
    """One character of id, time, body or signature, or another secret."""
    forged = signature[:-3] + ("A" if signature[-3] != "A" else "B") + signature[-2:]

    assert refusal(body + b" ", headers(message_id, sent_at, signature), secret, now=sent_at) == (
        "mismatch"
    )
    for changed, key in [
        (headers(message_id + "x", sent_at, signature), secret),
        (headers(message_id, sent_at + 1, signature), secret),
        (headers(message_id, sent_at, forged), secret),
        (headers(message_id, sent_at, signature), OTHER_SECRET),
    ]:
        assert refusal(body, changed, key, now=sent_at) == "mismatch"


def test_the_forged_signature_of_the_library_s_tests_is_refused() -> None:
    """It differs from the true one in the last character alone."""
    forged = headers(
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OA=",
    )

    assert refusal(b'{"test": 2432232314}', forged, VECTOR_SECRET, now=1614265330) == "mismatch"


def test_the_library_s_several_signatures_verify() -> None:
    """Entries of other versions and of other keys stand beside the true one."""
    wrong = "Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc="
    given_headers = signed_headers(secret=VECTOR_SECRET)
    given_headers["webhook-signature"] = " ".join(
        [f"v1,{wrong}", f"v2,{wrong}", given_headers["webhook-signature"], f"v1,{wrong}"]
    )

    assert verify_signature(b"{}", given_headers, VECTOR_SECRET, now=NOW).id == "msg_1"


keys = st.binary(min_size=24, max_size=64).map(lambda key: base64.b64encode(key).decode())
secrets_ = st.builds("{}{}".format, st.sampled_from(["", "whsec_"]), keys)
message_ids = st.from_regex(r"[A-Za-z0-9_-]{1,40}", fullmatch=True)
bodies = st.text(max_size=80).map(lambda text: text.encode("utf-8", "replace"))


@quick
@given(
    body=bodies,
    message_id=message_ids,
    age_s=st.one_of(st.integers(-280, 280), st.sampled_from([-9999, -320, 320, 100_000])),
    configured=st.lists(secrets_, min_size=1, max_size=3, unique=True),
    signing=st.lists(st.integers(0, 3), min_size=1, max_size=3),
    stranger=secrets_,
    noise=st.lists(st.sampled_from(["v1a,AAAA", "v2,AAAA", f"v1,{'A' * 43}="]), max_size=2),
    tampering=st.sampled_from(["", "", "", "id", "time", "body", "signature"]),
    position=st.integers(0, 60),
)
def test_the_official_package_agrees(
    body: bytes,
    message_id: str,
    age_s: int,
    configured: list[str],
    signing: list[int],
    stranger: str,
    noise: list[str],
    tampering: str,
    position: int,
) -> None:
    """Over bodies, ids, times, rotations and tampering of each part, both answer the same."""
    now = time.time()
    sent_at = int(now) - age_s
    signers = [*configured, stranger]
    entries = [sign(signers[index % len(signers)], message_id, sent_at, body) for index in signing]
    if tampering == "id":
        message_id += "x"
    elif tampering == "time":
        sent_at += 1
    elif tampering == "body":
        cut = position % (len(body) + 1)
        body = body[:cut] + b"!" + body[cut:]
    elif tampering == "signature":
        # The last character before the padding also holds bits outside the signature.
        place = 3 + position % 42
        entries = [
            entry[:place] + ("A" if entry[place] != "A" else "B") + entry[place + 1 :]
            for entry in entries
        ]
    try:
        body.decode()
    except UnicodeDecodeError:  # the cut fell inside a character; such bodies have their own test
        assume(False)
    given_headers = headers(message_id, sent_at, " ".join([*noise, *entries]))

    assert we_accept(body, given_headers, configured, now) == library_accepts(
        body, given_headers, configured
    )


@quick
@given(body=bodies, message_id=message_ids, secret=secrets_, sent_at=st.integers(0, 10**11))
def test_what_the_official_package_signs_verifies(
    body: bytes, message_id: str, secret: str, sent_at: int
) -> None:
    """The package's own signer is read at any time of the clock."""
    signature = Webhook(secret).sign(
        message_id, datetime.fromtimestamp(sent_at, UTC), body.decode()
    )
    proven = verify_signature(body, headers(message_id, sent_at, signature), secret, now=sent_at)

    assert proven == Signed(message_id, datetime.fromtimestamp(sent_at, UTC), body)


# --- Where the core is stricter on purpose (reliability.md 4.1) ---------------------------------


@pytest.mark.parametrize("written", ["{}.0", "{}.9", "+{}", " {}", "{}_0", "{}e0", "{} "])
def test_a_timestamp_that_is_no_plain_integer_is_refused(written: str) -> None:
    """The package reads the header as a float, so it takes fractions, signs and underscores."""
    now = int(time.time())
    shown = written.format(now // 10 if "_" in written else now)
    given_headers = headers("msg_1", shown, sign(SECRET, "msg_1", int(float(shown)), b"{}"))

    assert library_accepts(b"{}", given_headers, [SECRET])
    assert refusal(b"{}", given_headers, now=now) == "malformed"


@pytest.mark.parametrize(
    "shown", ["nan", "inf", "-1", "", "0x10", "1" * 13, "\u0661\u0662", "hello", "1,2"]
)
def test_a_timestamp_that_is_no_time_is_refused(shown: str) -> None:
    """Nothing is read from it, not even to say that it is old."""
    assert refusal(b"{}", signed_headers(sent_at=shown)) == "malformed"


def test_an_id_with_a_dot_that_shifts_the_boundary_is_refused() -> None:
    """The same signed bytes, split elsewhere, are another message to the package."""
    now = int(time.time())
    body = f'{{"note":"x.{now}.y"}}'.encode()
    true_headers = signed_headers(body, "msg_1", now)
    before, _, after = body.partition(f".{now}.".encode())
    shifted = headers(f"msg_1.{now}.{before.decode()}", now, true_headers["webhook-signature"])

    assert library_accepts(after, shifted, [SECRET])
    assert refusal(after, shifted, now=now) == "malformed"
    assert verify_signature(body, true_headers, SECRET, now=now).body == body


@pytest.mark.parametrize("message_id", ["", "a.b", "a b", "a\n", "\u00e9", "a/b", "a" * 129])
def test_an_id_outside_its_alphabet_is_refused(message_id: str) -> None:
    """The id becomes a key in a database and a word in a log."""
    assert refusal(b"{}", signed_headers(message_id=message_id)) == "malformed"


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
@pytest.mark.parametrize("again", ["same value", "another value"])
def test_a_duplicate_header_is_refused(name: str, again: str) -> None:
    """Two readers would take different ones: verified under one id, stored under the other."""
    true_headers = signed_headers()
    extra = true_headers[name] if again == "same value" else "x"
    pairs = [(name.title(), extra), *true_headers.items()]

    assert refusal(b"{}", pairs) == "malformed"


def test_the_duplicate_that_starlette_hides_is_refused() -> None:
    """Its mapping verifies the last id in the package while indexing returns the first."""
    now = int(time.time())
    pairs = [("webhook-id", "msg_replayed"), *signed_headers(sent_at=now).items()]
    starlette = Headers(raw=[(name.encode(), value.encode()) for name, value in pairs])

    assert library_accepts(b"{}", starlette, [SECRET])  # type: ignore[arg-type]  # any mapping works there
    assert starlette["webhook-id"] == "msg_replayed"
    assert refusal(b"{}", starlette, now=now) == "malformed"  # type: ignore[arg-type]  # a Mapping


def test_a_body_that_is_not_utf_8_is_proven_or_refused_as_bytes() -> None:
    """The package decodes first and raises UnicodeDecodeError; raw bytes need no decoding."""
    now = int(time.time())
    body = b"\xff\xfe"
    given_headers = signed_headers(body, sent_at=now)
    with pytest.raises(UnicodeDecodeError):
        library_accepts(body, given_headers, [SECRET])

    assert verify_signature(body, given_headers, SECRET, now=now).body == body
    assert refusal(body + b"\xff", given_headers, now=now) == "mismatch"


@pytest.mark.parametrize(
    ("signature", "error"),
    [
        pytest.param("v1", ValueError, id="no comma"),
        pytest.param("v1,a,b", ValueError, id="two commas"),
        pytest.param("v1,AAAA  v1,AAAA", ValueError, id="double space"),
        pytest.param("v1,A", binascii.Error, id="broken base64"),
        pytest.param("v1,\u00e9" + "A" * 43, ValueError, id="not ASCII"),
    ],
)
def test_a_signature_that_breaks_the_package_is_refused(
    signature: str, error: type[Exception]
) -> None:
    """Anybody on the internet can send these; there the answer would be a 500."""
    now = int(time.time())
    with pytest.raises(error):
        library_accepts(b"{}", headers("msg_1", now, signature), [SECRET])

    assert refusal(b"{}", headers("msg_1", now, signature), now=now) == "malformed"


def test_a_true_signature_beside_a_broken_entry_still_verifies() -> None:
    """A broken neighbour is skipped, where the package stops with ValueError."""
    given_headers = signed_headers()
    given_headers["webhook-signature"] = "v1 x,y,z " + given_headers["webhook-signature"]

    assert verify_signature(b"{}", given_headers, SECRET, now=NOW).id == "msg_1"


def test_a_signature_in_another_spelling_is_refused() -> None:
    """Lenient base64 takes stray characters and unused bits; one signature has one spelling."""
    now = int(time.time())
    true_headers = signed_headers(sent_at=now)
    true_entry = true_headers["webhook-signature"]
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    unused_bits = true_entry[:-2] + alphabet[alphabet.index(true_entry[-2]) ^ 1] + "="
    stray = "v1,!" + true_entry[3:]
    for entry, reason in [(unused_bits, "mismatch"), (stray, "malformed")]:
        other = headers("msg_1", now, entry)

        assert library_accepts(b"{}", other, [SECRET])
        assert refusal(b"{}", other, now=now) == reason


def test_more_signatures_than_any_rotation_has_are_refused() -> None:
    """32 entries are tried, not a header full of them."""
    true_entry = sign(SECRET, "msg_1", NOW, b"{}")
    wrong = f"v1,{'A' * 43}="

    assert refusal(b"{}", headers(signature=" ".join([wrong] * 32 + [true_entry]))) == "malformed"
    assert we_accept(b"{}", headers(signature=" ".join([wrong] * 31 + [true_entry])), [SECRET], NOW)


# --- Secrets ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "secret",
    [
        pytest.param("", id="empty"),
        pytest.param("whsec_", id="prefix alone"),
        pytest.param("whsec_plJ3nmyCDGBKInavdOK15jsl", id="18 bytes, a published short one"),
        pytest.param("whsec_" + base64.b64encode(b"x" * 23).decode(), id="23 bytes"),
        pytest.param("whsec_" + base64.b64encode(b"x" * 65).decode(), id="65 bytes"),
        pytest.param("whsec_" + base64.b64encode(b"x" * 25).decode()[:-2], id="no padding"),
        pytest.param("whsec_" + base64.urlsafe_b64encode(b"\xff" * 32).decode(), id="URL-safe"),
        pytest.param("whsec_" + "A" * 20 + "\n" + "A" * 20, id="line end inside"),
        pytest.param("whsec_" + "A" * 41, id="impossible length"),
        pytest.param("whsec_\u00e9" + "A" * 32, id="not ASCII"),
        pytest.param("dodo_test_fixture_api_key_in_the_wrong_place", id="an API key"),
    ],
)
def test_a_secret_that_cannot_be_one_is_refused(secret: str) -> None:
    """Lenient decoding makes a short key of a mistyped secret without a word."""
    with pytest.raises(SecretError) as refused:
        signing_key(secret)
    with pytest.raises(SecretError):
        verify_signature(b"{}", signed_headers(), [SECRET, secret], now=NOW)

    assert secret[6:20] == "" or secret[6:20] not in str(refused.value)


@pytest.mark.parametrize("size", [24, 32, 64])
def test_a_secret_within_the_specification_is_decoded(size: int) -> None:
    """24 to 64 bytes, the prefix optional, surrounding white space of a copied line dropped."""
    text = base64.b64encode(b"k" * size).decode()

    assert signing_key(text) == signing_key(f" whsec_{text}\n") == b"k" * size


@pytest.mark.parametrize("key", [b"", b"x", b"x" * 23, b"x" * 65])
def test_a_decoded_key_of_another_size_is_refused(key: bytes) -> None:
    """An empty key would let anybody sign; the package refuses it too."""
    text = b"msg_1.%d.{}" % NOW
    entry = "v1," + base64.b64encode(hmac.digest(key, text, "sha256")).decode()
    with pytest.raises(SecretError):
        verify_signature(b"{}", headers(signature=entry), key, now=NOW)


@pytest.mark.parametrize("secrets", [[], (), ""])
def test_no_secret_at_all_is_refused(secrets: list[str]) -> None:
    """Without a secret nothing is proven, whatever the message says."""
    with pytest.raises(SecretError):
        verify_signature(b"{}", signed_headers(), secrets, now=NOW)


@pytest.mark.parametrize(
    "secrets",
    [
        SECRET,
        [SECRET],
        (OTHER_SECRET, SECRET),
        iter([SECRET, OTHER_SECRET]),
        signing_key(SECRET),
        [OTHER_SECRET, signing_key(SECRET)],
    ],
)
def test_one_secret_or_several_verify(secrets: str | bytes | list[str | bytes]) -> None:
    """Text, decoded bytes, or a rotation of both."""
    assert verify_signature(b"{}", signed_headers(), secrets, now=NOW).id == "msg_1"


@pytest.mark.parametrize(
    ("signers", "configured", "accepted"),
    [
        ("new", ["new"], True),
        ("new old", ["new"], True),
        ("old new", ["old"], True),
        ("old", ["new", "old"], True),
        ("old", ["new"], False),
    ],
)
def test_a_rotation_loses_nothing(signers: str, configured: list[str], accepted: bool) -> None:
    """Dodo signs with both for 24 h; afterwards the old one counts only while configured."""
    known = {"new": SECRET, "old": OTHER_SECRET}
    entries = " ".join(sign(known[name], "msg_1", NOW, b"{}") for name in signers.split())

    assert accepted is we_accept(
        b"{}", headers(signature=entries), [known[name] for name in configured], NOW
    )


# --- Time and headers ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("age_s", "reason"),
    [(0, None), (300, None), (300.5, "stale"), (301, "stale"), (-300, None), (-301, "future")],
)
def test_the_tolerance_is_five_minutes_either_way(age_s: float, reason: str | None) -> None:
    """At 300 s it still counts, past it the message is stale or from the future."""
    if reason is None:
        assert we_accept(b"{}", signed_headers(), [SECRET], NOW + age_s)
    else:
        assert refusal(b"{}", signed_headers(), now=NOW + age_s) == reason


def test_a_stale_message_is_proven_all_the_same() -> None:
    """A receiver with a wrong clock can still tell Dodo's messages from noise."""
    with pytest.raises(SignatureError) as refused:
        verify_signature(b"{}", signed_headers(), SECRET, now=NOW + 900)

    assert refused.value.signed == Signed("msg_1", datetime.fromtimestamp(NOW, UTC), b"{}")


@pytest.mark.parametrize("age_s", [-9999, 9999])
def test_a_forged_old_message_is_a_mismatch(age_s: int) -> None:
    """The signature is judged first, so that the time reveals nothing to a forger."""
    with pytest.raises(SignatureError) as refused:
        verify_signature(b"{} ", signed_headers(), SECRET, now=NOW + age_s)

    assert (refused.value.reason, refused.value.signed) == ("mismatch", None)


def test_a_wider_tolerance_can_be_asked_for() -> None:
    """For a sender that keeps the first attempt's time over its retries."""
    late = NOW + 100_000
    proven = verify_signature(b"{}", signed_headers(), SECRET, now=late, tolerance_s=108_000)

    assert proven.id == "msg_1"


def test_a_time_past_the_year_9999_is_from_the_future() -> None:
    """Twelve digits reach past what a datetime holds, and must not raise."""
    assert refusal(b"{}", signed_headers(sent_at="9" * 12)) == "future"


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_missing_header_is_named_so(name: str) -> None:
    """Each of the three is needed."""
    given_headers = signed_headers()
    del given_headers[name]

    assert refusal(b"{}", given_headers) == "missing"


def test_other_header_families_do_not_count() -> None:
    """`svix-*` names are not Dodo's, here as in the package."""
    renamed = {name.replace("webhook", "svix"): value for name, value in signed_headers().items()}

    assert refusal(b"{}", renamed) == "missing"


@pytest.mark.parametrize("signature", ["", "v1,", "v1a," + "A" * 43 + "=", "v2,AAAA", "AAAA", ","])
def test_a_signature_of_no_known_form_is_malformed(signature: str) -> None:
    """Truncated, empty, or of another version only."""
    assert refusal(b"{}", headers(signature=signature)) == "malformed"


def test_header_names_of_any_case_and_shape_are_read() -> None:
    """A dict, pairs, an iterator and Starlette's headers, in any case."""
    plain = signed_headers()
    upper = {name.upper(): value for name, value in plain.items()}
    for given_headers in (plain, upper, list(plain.items()), iter(upper.items()), Headers(plain)):
        assert verify_signature(b"{}", given_headers, SECRET, now=NOW).id == "msg_1"


def test_refusals_say_nothing_but_their_reason() -> None:
    """The same words for the same reason, whatever was sent."""
    with pytest.raises(SignatureError, match=r"^webhook signature refused: mismatch$"):
        verify_signature(b"secret body", signed_headers(), SECRET, now=NOW)


header_text = st.one_of(
    st.text(max_size=30),
    message_ids,
    st.integers(0, 10**13).map(str),
    st.text("v1a,= AB+/\u00e9\n", max_size=60),
    st.just(f"v1,{'A' * 43}="),
)


@settings(max_examples=300)
@given(
    body=st.binary(max_size=60),
    pairs=st.lists(
        st.tuples(
            st.one_of(
                st.sampled_from(["webhook-id", "Webhook-Timestamp", "webhook-signature"]),
                st.text(max_size=12),
            ),
            header_text,
        ),
        max_size=6,
    ),
    full=st.tuples(header_text, header_text, header_text),
    now=st.floats(0, 1e11),
)
def test_only_signature_errors_escape_for_unsigned_input(
    body: bytes, pairs: list[tuple[str, str]], full: tuple[str, str, str], now: float
) -> None:
    """Whatever headers and bytes a stranger sends, the answer is one kind of refusal."""
    names = ("webhook-id", "webhook-timestamp", "webhook-signature")
    for given_headers in (pairs, list(zip(names, full, strict=True))):
        with pytest.raises(SignatureError) as refused:
            verify_webhook(body, given_headers, [SECRET, OTHER_SECRET], now=now)

        assert refused.value.reason in ("missing", "malformed", "mismatch")
