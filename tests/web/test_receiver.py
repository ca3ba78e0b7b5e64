"""Webhooks: what is answered, what is stored, and what is not. Numbers are the faults' own."""

import asyncio
import contextlib
import json
import logging
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection

from kit.sandbox import signer
from kit.web import receiver
from tests.web.conftest import (
    NOW,
    OLD_SECRET,
    SECRET,
    Clock,
    Shop,
    eventually,
    nobody,
    open_shop,
    payment_event,
    sign,
)

pytestmark = pytest.mark.anyio

REFUSED = {"status": "refused", "error": "the signature does not fit this body"}
BODY = json.dumps(payment_event())


@pytest.fixture
async def shop(tmp_path: Path, clock: Clock) -> AsyncIterator[Shop]:
    """Run a shop whose upstreams are away: a webhook needs neither."""
    async with open_shop(tmp_path, clock=clock, dodo=nobody, datafast=nobody) as running:
        yield running


async def post(shop: Shop, body: str | bytes, headers: Any) -> httpx.Response:
    """Send bytes and headers as they are."""
    content = body.encode() if isinstance(body, str) else body
    return await shop.http.post("/webhooks/dodo", content=content, headers=headers)


async def stored(shop: Shop) -> list[dict[str, Any]]:
    """Return the events on disk."""
    return await shop.rows("events")


async def test_32_fifty_identical_deliveries_at_once_are_one_row(shop: Shop) -> None:
    """Every one of them is answered 200, one as new, and the message is stored once."""
    answers = await asyncio.gather(*(post(shop, BODY, sign(BODY)) for _ in range(50)))
    [row] = await stored(shop)
    words = [answer.json()["status"] for answer in answers]

    assert {answer.status_code for answer in answers} == {200}
    assert (words.count("accepted"), words.count("duplicate")) == (1, 49)
    assert (row["times_received"], row["bodies_differ"]) == (50, 0)


async def test_33_another_id_for_the_same_payment_is_another_event(shop: Shop) -> None:
    """Both messages are on disk; what they mean is one payment."""
    answers = [await shop.webhook(payment_event(), id=name) for name in ("msg_1", "msg_2")]
    reports = await eventually(lambda: shop.rows("deliveries"))

    assert [answer.json()["status"] for answer in answers] == ["accepted", "accepted"]
    assert len(await stored(shop)) == 2
    assert [report["transaction_id"] for report in reports] == ["pay_example"]


async def test_34_the_first_body_of_an_id_stays(shop: Shop) -> None:
    """A repeat with another body is answered 200 and noted, and changes nothing."""
    await shop.webhook(payment_event(total_amount=100))
    answer = await shop.webhook(payment_event(total_amount=999))
    [row] = await stored(shop)

    assert (answer.status_code, answer.json()) == (200, {"status": "duplicate"})
    assert json.loads(row["body"])["data"]["total_amount"] == 100
    assert row["bodies_differ"] == 1


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(payment_event() | {"type": "payment.failed"}, id="payment.failed"),
        pytest.param(payment_event() | {"type": "moon.risen"}, id="unknown-type"),
        pytest.param(payment_event() | {"new": {"deep": [1]}}, id="new-field"),
        pytest.param({"type": "payment.succeeded", "data": {}}, id="no-optional-fields"),
    ],
)
async def test_37_an_event_that_is_no_sale_is_not_an_error(
    shop: Shop, event: dict[str, Any]
) -> None:
    """A non-2xx would make Dodo repeat it eight times, for nothing."""
    answer = await shop.webhook(event)

    assert (answer.status_code, answer.json()) == (200, {"status": "accepted"})


def _truncated(signed: dict[str, str]) -> dict[str, str]:
    return signed | {"webhook-signature": signed["webhook-signature"][:-4]}


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(
            lambda signed: signed | {"webhook-signature": "v1," + "A" * 43 + "="}, id="wrong"
        ),
        pytest.param(
            lambda signed: {k: v for k, v in signed.items() if k != "webhook-signature"},
            id="missing",
        ),
        pytest.param(_truncated, id="truncated"),
        pytest.param(lambda _: sign(BODY, secret=OLD_SECRET), id="other-key"),
        pytest.param(lambda signed: signed | {"webhook-id": "msg_2"}, id="other-id"),
        pytest.param(lambda signed: signed | {"webhook-timestamp": "12e3"}, id="timestamp-text"),
        pytest.param(lambda signed: signed | {"webhook-signature": ""}, id="empty"),
        pytest.param(lambda signed: signed | {"webhook-signature": "v1"}, id="no-comma"),
        pytest.param(
            lambda signed: signed | {"webhook-signature": "v1a," + signed["webhook-signature"][3:]},
            id="asymmetric",
        ),
        pytest.param(lambda _: {}, id="none-at-all"),
    ],
)
async def test_43_an_unproven_message_is_refused_and_not_stored(
    shop: Shop, spoil: Callable[[dict[str, str]], dict[str, str]]
) -> None:
    """The answer is the same whatever was wrong: it teaches a forger nothing."""
    answer = await post(shop, BODY, spoil(sign(BODY)))

    assert (answer.status_code, answer.json()) == (401, REFUSED)
    assert await stored(shop) == []


async def test_43_one_changed_byte_of_the_body_is_refused(shop: Shop) -> None:
    """The raw bytes are proven, not what they parse to."""
    answer = await post(shop, BODY + " ", sign(BODY))

    assert answer.status_code == 401
    assert await stored(shop) == []


@pytest.mark.parametrize(
    ("reason", "age_s"),
    [pytest.param("stale", 301, id="stale"), pytest.param("future", -301, id="future")],
)
async def test_44_a_validly_signed_message_out_of_time_is_refused_counted_and_alarmed(
    shop: Shop, reason: str, age_s: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Lost payments that look like forgeries would never be found: this one raises an alarm."""
    answers = [await shop.webhook(payment_event(), at=NOW - age_s) for _ in range(3)]

    async def counted() -> list[dict[str, Any]]:
        rows = await shop.rows("refusals")
        return rows if rows and rows[0]["count"] == 3 else []

    await eventually(counted)
    inspector = (await shop.http.get("/inspector.json")).json()
    page = (await shop.http.get("/inspector")).text

    assert {answer.status_code for answer in answers} == {401}
    assert await stored(shop) == []
    assert inspector["refused_webhooks"] == [
        {"reason": reason, "count": 3, "last_at_ms": int(NOW * 1000)}
    ]
    assert "Validly signed webhooks were refused" in inspector["alarms"][0]["sentence"]
    assert "Validly signed webhooks were refused" in page
    assert caplog.text.count(f"validly signed webhook refused as {reason}") == 3


@pytest.mark.parametrize("age_s", [299, 300, -299, -300])
async def test_44_inside_the_window_the_id_alone_guards_against_a_replay(
    shop: Shop, age_s: int
) -> None:
    """The edges of the five minutes still count."""
    first = await shop.webhook(payment_event(), at=NOW - age_s)
    again = await shop.webhook(payment_event(), at=NOW - age_s)

    assert [first.json()["status"], again.json()["status"]] == ["accepted", "duplicate"]


async def test_44_a_forged_old_message_raises_no_alarm(shop: Shop) -> None:
    """The signature is looked at first, or anybody could cry wolf."""
    await shop.webhook(payment_event(), at=NOW - 4000, secret=OLD_SECRET)
    # A later note would be written after an earlier one.
    await shop.webhook(payment_event(), at=NOW + 4000)
    reasons = [row["reason"] for row in await eventually(lambda: shop.rows("refusals"))]

    assert reasons == ["future"]


async def test_45_a_clock_set_right_again_takes_what_it_refused(shop: Shop, clock: Clock) -> None:
    """Ten minutes off, every webhook is refused; Dodo's retry then finds the clock right."""
    clock.now = NOW + 600
    wrong = await shop.webhook(payment_event(), at=NOW)
    clock.now = NOW
    right = await shop.webhook(payment_event(), at=NOW)

    assert (wrong.status_code, right.status_code) == (401, 200)


@pytest.mark.parametrize("tolerance_s", [300, 108_000])
async def test_the_tolerance_is_a_setting(tmp_path: Path, tolerance_s: int) -> None:
    """Dodo's last retry comes after 27 h 35 min, should it keep the first attempt's time."""
    async with open_shop(
        tmp_path, dodo=nobody, datafast=nobody, KIT_WEBHOOK_TOLERANCE_S=str(tolerance_s)
    ) as shop:
        inside = await shop.webhook(payment_event(), at=NOW - tolerance_s)
        outside = await shop.webhook(payment_event(), id="msg_2", at=NOW - tolerance_s - 1)

    assert (inside.status_code, outside.status_code) == (200, 401)


@pytest.mark.parametrize(
    ("configured", "signed_with", "status"),
    [
        pytest.param(SECRET, SECRET, 200, id="new-only"),
        pytest.param(f"{SECRET},{OLD_SECRET}", SECRET, 200, id="both-new"),
        pytest.param(f"{SECRET},{OLD_SECRET}", OLD_SECRET, 200, id="both-old"),
        pytest.param(OLD_SECRET, OLD_SECRET, 200, id="old-only"),
        pytest.param(SECRET, OLD_SECRET, 401, id="old-removed"),
    ],
)
async def test_46_both_secrets_are_good_while_both_are_set(
    tmp_path: Path, configured: str, signed_with: str, status: int
) -> None:
    """A rotation loses nothing."""
    async with open_shop(
        tmp_path, dodo=nobody, datafast=nobody, DODO_PAYMENTS_WEBHOOK_KEY=configured
    ) as shop:
        answer = await shop.webhook(payment_event(), secret=signed_with)

    assert answer.status_code == status


async def test_46_a_message_may_carry_the_signatures_of_both_secrets(shop: Shop) -> None:
    """While rotating, a sender signs with each."""
    old, new = sign(BODY, secret=OLD_SECRET), sign(BODY)
    both = " ".join(("v1a,zzz", old["webhook-signature"], new["webhook-signature"]))
    answer = await post(shop, BODY, new | {"webhook-signature": both})

    assert answer.status_code == 200


@pytest.mark.parametrize(("size", "status"), [(65_536, 200), (65_537, 413)])
async def test_47_a_body_of_64_kb_is_taken_and_one_byte_more_is_not(
    shop: Shop, size: int, status: int
) -> None:
    """The limit is exact, and a refused body is nowhere."""
    body = BODY + " " * (size - len(BODY))
    answer = await post(shop, body, sign(body))

    assert answer.status_code == status
    assert len(await stored(shop)) == (status == 200)


async def test_47_a_body_that_does_not_say_its_length_is_cut_off(shop: Shop) -> None:
    """Not more than one piece past the limit is read."""
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 1024
            yield b" " * 1024

    answer = await shop.http.post("/webhooks/dodo", content=endless(), headers=sign(BODY))

    assert answer.status_code == 413
    assert answer.json() == {"status": "refused", "error": "the body is too large"}
    assert answer.headers["connection"] == "close"
    assert read == 65 * 1024


@pytest.mark.parametrize(
    ("length", "status"),
    [("65537", 413), ("1" * 4000, 413), ("9" * 20, 413), ("3", 200), ("-5", 200), ("x", 200)],
)
async def test_47_a_declared_length_is_refused_early_and_never_trusted(
    shop: Shop, length: str, status: int
) -> None:
    """A large number needs no reading; a small or broken one proves nothing."""
    answer = await post(shop, BODY, sign(BODY) | {"content-length": length})

    assert answer.status_code == status


ODD_BODIES = {
    "invalid-utf8": (b'{"type": "\xff"}', "not_utf8"),
    "byte-order-mark": (b'\xef\xbb\xbf{"type": "payment.succeeded"}', "not_json"),
    "empty": (b"", "not_json"),
    "html": (b"<!doctype html><title>Error</title>", "not_json"),
    "deep": (b"[" * 60_000, "too_deep"),
    "five-thousand-digits": (b'{"type": "x", "data": {"n": ' + b"9" * 5000 + b"}}", "not_json"),
    "duplicate-key": (b'{"type": "x", "type": "payment.succeeded"}', "duplicate_key"),
    "not-finite": (b'{"type": "x", "data": {"n": 1e999}}', "not_finite"),
    "list": (b"[]", "not_object"),
    "no-type": (b"{}", "no_type"),
}


@pytest.mark.parametrize(("body", "reason"), ODD_BODIES.values(), ids=ODD_BODIES.keys())
async def test_48_a_signed_oddity_is_kept_with_its_reason(
    shop: Shop, body: bytes, reason: str
) -> None:
    """200, because sending it again cannot help; the shop goes on. Signed by the sandbox: bytes."""
    headers = signer.sign(SECRET, message_id="msg_odd", timestamp_s=int(NOW), body=body)
    answer = await post(shop, body, headers)

    async def read() -> list[dict[str, Any]]:
        return [row for row in await stored(shop) if row["state"] == "unreadable"]

    [row] = await eventually(read)
    after = await shop.webhook(payment_event(), id="msg_after")

    assert (answer.status_code, row["reason"], row["body"]) == (200, reason, body)
    assert after.status_code == 200


@pytest.mark.parametrize("body", [body for body, _ in ODD_BODIES.values()], ids=ODD_BODIES.keys())
async def test_48_an_unsigned_oddity_is_refused(shop: Shop, body: bytes) -> None:
    """Nothing is parsed before it is proven."""
    assert (await post(shop, body, sign(BODY))).status_code == 401
    assert await stored(shop) == []


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
async def test_49_a_header_that_comes_twice_is_refused(shop: Shop, name: str) -> None:
    """Two readers could take one each, and a replay would pass under a new id."""
    signed = sign(BODY)
    twice = [*signed.items(), (name, signed[name])]
    answer = await post(shop, BODY, twice)

    assert (answer.status_code, answer.json()) == (401, REFUSED)
    assert await stored(shop) == []


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
async def test_49_a_missing_header_is_refused(shop: Shop, name: str) -> None:
    """Each of the three is needed."""
    signed = sign(BODY)
    del signed[name]

    assert (await post(shop, BODY, signed)).status_code == 401
    assert await stored(shop) == []


@pytest.mark.parametrize("message_id", ["msg.1790856000.x", "", "m" * 129, "msg 1", "msg\x00"])
async def test_49_an_id_that_could_shift_the_signed_text_is_refused(
    shop: Shop, message_id: str
) -> None:
    """The signed text is `id.timestamp.body`: a dot in the id moves its borders."""
    answer = await post(shop, BODY, sign(BODY, id=message_id))

    assert (answer.status_code, answer.json()) == (401, REFUSED)
    assert await stored(shop) == []


async def test_49_header_bytes_beyond_ascii_are_refused(shop: Shop) -> None:
    """They must fail like everything else that is unsigned, not as an error of ours."""
    signed = {name: value.encode() for name, value in sign(BODY).items()}
    answer = await post(shop, BODY, signed | {"webhook-signature": b"v1,\xff\xfe"})

    assert answer.status_code == 401


async def test_50_a_body_that_does_not_come_is_given_up(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """408 after the deadline, here shortened from ten seconds by its module constant."""
    monkeypatch.setattr(receiver, "BODY_DEADLINE_S", 0.05)

    async def stuck() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    sent: list[dict[str, Any]] = []
    pieces = stuck()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": await anext(pieces), "more_body": True}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/webhooks/dodo", "headers": []}
    await shop.app(scope, receive, send)

    assert sent[0]["status"] == 408
    assert (b"connection", b"close") in sent[0]["headers"]
    assert await stored(shop) == []


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_51_another_method_is_told_which_one_to_use(shop: Shop, method: str) -> None:
    """405 names POST, even for a message that is signed."""
    answer = await shop.http.request(
        method, "/webhooks/dodo", content=BODY.encode(), headers=sign(BODY)
    )

    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert answer.headers["content-type"] == "application/json"
    assert await stored(shop) == []


@pytest.mark.parametrize("content_type", ["text/plain", "application/json; charset=x", "", None])
async def test_51_the_content_type_is_not_relied_upon(shop: Shop, content_type: str | None) -> None:
    """The signature says what it is."""
    extra = {} if content_type is None else {"content-type": content_type}

    assert (await post(shop, BODY, sign(BODY) | extra)).status_code == 200


async def test_11_a_locked_ledger_is_503_and_recovers_by_itself(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    """Another program holds the database: no 200 without a row, and Dodo is asked to come back."""
    before = await shop.webhook(payment_event(), id="msg_before")
    with sqlite3.connect(shop.file, isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        refused = await shop.webhook(payment_event(), id="msg_during")
        other.execute("ROLLBACK")
    other.close()
    again = await shop.webhook(payment_event(), id="msg_during")

    assert (before.status_code, refused.status_code, again.status_code) == (200, 503, 200)
    assert refused.json() == {"status": "unavailable", "error": "not stored; send it again"}
    assert refused.headers["retry-after"] == "5"
    assert again.json() == {"status": "accepted"}
    assert logged(caplog, "webhook not stored") == ["msg_during"]


@pytest.mark.parametrize(
    ("named", "logged_as"),
    [("msg_other", "msg_other"), ("msg\t1", None), ("x" * 129, None), ("ada@example.com", None)],
)
async def test_an_unproven_message_is_logged_as_it_names_itself(
    shop: Shop, named: str, logged_as: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    """If that is an id and nothing else: anybody can write the header."""
    caplog.set_level(logging.INFO)
    answer = await post(shop, BODY, sign(BODY) | {"webhook-id": named})

    assert answer.status_code == 401
    assert logged(caplog, "webhook refused") == [logged_as]
    assert logged_as is not None or named not in caplog.text


def logged(caplog: pytest.LogCaptureFixture, words: str) -> list[str | None]:
    """Return which webhook each entry with these words names."""
    found = (record for record in caplog.records if words in record.getMessage())
    return [getattr(record, "webhook_id", None) for record in found]


@contextlib.asynccontextmanager
async def held(shop: Shop, then: Callable[[Connection], None]) -> AsyncIterator[None]:
    """Keep the ledger's writer in a transaction until the block ends, and end it with `then`."""
    begun, go_on = threading.Event(), threading.Event()

    def hold(connection: Connection) -> None:
        begun.set()
        go_on.wait(10)
        then(connection)

    write = asyncio.create_task(shop.ledger.write(hold))
    await asyncio.to_thread(begun.wait, 10)
    try:
        yield
    finally:
        go_on.set()
        await asyncio.wait([write])
        write.exception()


async def test_11_a_ledger_that_gives_no_answer_is_503_in_time(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before Dodo has hung up; what was stored after all is a duplicate when it comes again."""
    async with held(shop, lambda _: None):
        with monkeypatch.context() as hurried:
            hurried.setattr(receiver, "ANSWER_DEADLINE_S", 0.05)
            answer = await shop.webhook(payment_event())
    again = await shop.webhook(payment_event())

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert again.json() == {"status": "duplicate"}


async def test_32_no_duplicate_is_answered_before_the_first_is_on_disk(shop: Shop) -> None:
    """Twenty at once while the disk is busy: no answer yet, and then one stored row for all."""
    async with held(shop, lambda _: None):
        posts = [asyncio.create_task(shop.webhook(payment_event())) for _ in range(20)]
        early, _ = await asyncio.wait(posts, timeout=0.1)
    words = [(await post).json()["status"] for post in posts]

    assert early == set()
    assert (words.count("accepted"), words.count("duplicate")) == (1, 19)


async def test_32_duplicates_of_what_could_not_be_stored_are_not_told_that_it_was(
    shop: Shop,
) -> None:
    """The group's commit fails: 503 for the first and for every repeat of it."""

    def fill(connection: Connection) -> None:
        connection.exec_driver_sql("PRAGMA max_page_count = 1").scalar()

    body = BODY + " " * (60_000 - len(BODY))
    async with held(shop, fill):
        posts = [asyncio.create_task(post(shop, body, sign(body))) for _ in range(20)]
    answers = await asyncio.gather(*posts)

    assert {answer.status_code for answer in answers} == {503}
    assert await stored(shop) == []


async def test_the_host_a_webhook_names_is_not_looked_at(shop: Shop) -> None:
    """Its signature is its proof; a tunnel in between may write any name."""
    answer = await shop.webhook(payment_event(), headers={"host": "abc.tunnel.example"})

    assert answer.status_code == 200
