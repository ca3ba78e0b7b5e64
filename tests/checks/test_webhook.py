"""The round trip: receivers of every kind, and what is said of each."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any

import pytest
from standardwebhooks import Webhook
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from kit.checks.webhook import MESSAGE_ID, check_webhook, odd, plain
from kit.sandbox.fixtures import load
from tests.checks.conftest import (
    NOW,
    OTHER_SECRET,
    SECRET,
    Handler,
    World,
    answering,
    app,
    reasons,
)

pytestmark = pytest.mark.anyio

READY = answering(JSONResponse({"status": "ready"}))
MESSAGE = load("payout.in_progress", amount=0)
Rewrite = Callable[[bytes], bytes]


def untouched(body: bytes) -> bytes:
    """Pass on what came."""
    return body


def by(**options: Any) -> Rewrite:
    """Return a rewriting through Python's writer."""
    return lambda body: json.dumps(json.loads(body), **options).encode()


def receiver(
    secret: str = SECRET, *, rewrite: Rewrite = untouched, refusal: int = 401, answer: int = 200
) -> Handler:
    """Compare signatures with those of the reference implementation."""

    async def receive(request: Request) -> Response:
        body = rewrite(await request.body()).decode()
        headers = request.headers
        at = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
        signature = Webhook(secret).sign(headers["webhook-id"], at, body)
        fits = signature == headers["webhook-signature"]
        return Response("read", answer if fits else refusal)

    return receive


def shop(world: World, webhooks: Handler, *, ready: Handler = READY) -> None:
    """Let a shop answer."""
    world.shop = app({"/readyz": ready, "/webhooks/dodo": webhooks})


async def test_a_receiver_that_verifies_raw_bytes(world: World) -> None:
    """One message is taken, and the one with a wrong signature is not."""
    shop(world, receiver())
    trip = await check_webhook(world.setup())

    assert reasons(trip.hops) == ["shop_ready", "message_accepted"]
    assert trip.stored == MESSAGE_ID
    assert [request.method for request in world.asked] == ["GET", "POST", "POST"]


async def test_a_shop_of_another_kind_has_no_ledger_of_ours(world: World) -> None:
    """Its receiver is tried all the same."""
    shop(world, receiver(), ready=answering(Response("nothing here", 404)))
    trip = await check_webhook(world.setup())

    assert reasons(trip.hops) == ["shop_is_another", "message_accepted"]
    assert trip.stored is None


@pytest.mark.parametrize(
    "rewrite",
    [
        by(separators=(",", ":"), ensure_ascii=False),
        by(separators=(",", ":")),
        by(separators=(",", ":"), sort_keys=True),
        by(),
        by(sort_keys=True, ensure_ascii=False),
    ],
    ids=["JavaScript", "PHP", "Go", "Python", "Python sorted"],
)
async def test_a_body_written_anew_is_named(world: World, rewrite: Rewrite) -> None:
    """Whatever wrote it: plain JSON gets through, and what no program writes does not."""
    shop(world, receiver(rewrite=rewrite))
    trip = await check_webhook(world.setup())

    assert reasons(trip.hops) == ["shop_ready", "message_rewritten"]
    assert trip.stored is None


async def test_a_body_trimmed_is_named(world: World) -> None:
    """A form filter that takes spaces off both ends is enough to break every odd body."""
    shop(world, receiver(rewrite=bytes.strip))

    assert reasons((await check_webhook(world.setup())).hops)[1] == "message_rewritten"


@pytest.mark.parametrize("refusal", [400, 401, 403])
async def test_a_server_with_another_secret(world: World, refusal: int) -> None:
    """No form of the message is taken; frameworks refuse with several statuses."""
    shop(world, receiver(OTHER_SECRET, refusal=refusal))

    assert reasons((await check_webhook(world.setup())).hops)[1] == "message_refused"


@pytest.mark.parametrize("answer", [202, 400, 422])
async def test_what_comes_after_the_signature_is_the_shops_affair(
    world: World, answer: int
) -> None:
    """A shop may have no use for payouts; that it says so proves that it verified."""
    shop(world, receiver(answer=answer))

    assert reasons((await check_webhook(world.setup())).hops)[1] == "message_accepted"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Response("taken"), "message_unguarded"),
        (HTMLResponse("<h1>Shop</h1>"), "message_unguarded"),
        (Response("nothing here", 404), "receiver_missing"),
        (Response("not like this", 405), "receiver_missing"),
        (RedirectResponse("/webhooks/dodo/"), "receiver_missing"),
        (Response("no robots", 406), "receiver_shut"),
        (Response("too large", 413), "receiver_shut"),
        (Response("which type?", 415), "receiver_shut"),
        (Response("slow down", 429), "receiver_shut"),
        (Response("oh", 500), "receiver_fails"),
        (Response("away", 503), "receiver_fails"),
    ],
)
async def test_a_receiver_that_is_none(world: World, answer: Response, expected: str) -> None:
    """The first answer tells, before anything validly signed is sent."""
    shop(world, answering(answer))
    trip = await check_webhook(world.setup())

    assert reasons(trip.hops)[1] == expected
    assert len([request for request in world.asked if request.method == "POST"]) == 1


async def test_a_receiver_that_fails_on_what_it_believes(world: World) -> None:
    """It verifies, and then something breaks."""
    shop(world, receiver(answer=500))

    assert reasons((await check_webhook(world.setup())).hops)[1] == "receiver_fails"


async def test_a_wrong_clock_is_not_taken_for_a_wrong_secret(world: World) -> None:
    """Signed with the receiver's own time, as it stands in its answers."""
    late = 1_790_860_000

    async def receive(request: Request) -> Response:
        answer = await receiver()(request)
        answer.headers["date"] = formatdate(late, usegmt=True)
        return answer

    shop(world, receive)
    await check_webhook(world.setup())
    stamps = [int(request.headers["webhook-timestamp"]) for request in world.asked[1:]]

    assert stamps == [int(NOW), late]


@pytest.mark.parametrize(
    ("ready", "expected"),
    [
        (
            JSONResponse({"status": "not ready", "problem": "the forwarder has stopped"}, 503),
            ["shop_not_ready", "message_accepted"],
        ),
        (Response("<h1>Shop</h1>"), ["shop_is_another", "message_accepted"]),
    ],
)
async def test_readiness_is_told(world: World, ready: Response, expected: list[str]) -> None:
    """By the kit's own page for it."""
    shop(world, receiver(), ready=answering(ready))

    assert reasons((await check_webhook(world.setup())).hops) == expected


async def test_nobody_there(world: World) -> None:
    """One line is enough."""
    assert reasons((await check_webhook(world.setup())).hops) == ["shop_silent"]


async def test_without_a_secret_nothing_is_sent(world: World) -> None:
    """It says what it needs."""
    shop(world, receiver())
    trip = await check_webhook(world.setup(DODO_PAYMENTS_WEBHOOK_KEY=None))

    assert reasons(trip.hops) == ["shop_ready", "not_checked"]
    assert [request.method for request in world.asked] == ["GET"]


def test_no_writer_leaves_the_odd_body_as_it_is() -> None:
    """It is JSON, says the same as the message, and every writer would change it."""
    body = odd(MESSAGE)
    read = json.loads(body)
    options: list[dict[str, Any]] = [
        {"separators": separators, "ensure_ascii": escaped, "sort_keys": ordered, "indent": indent}
        for separators in ((",", ":"), (", ", ": "), (" , ", " : "))
        for escaped in (True, False)
        for ordered in (True, False)
        for indent in (None, 2)
    ]

    assert read["type"] == MESSAGE["type"]
    assert {**read["data"], "remarks": None} == MESSAGE["data"]
    for each in options:
        assert json.dumps(read, **each).encode() != body
    assert body.strip() != body


@pytest.mark.parametrize(
    ("style", "rewrite"),
    [
        ("compact", by(separators=(",", ":"), ensure_ascii=False)),
        ("compact", by(separators=(",", ":"), sort_keys=True)),
        ("spaced", by()),
        ("spaced", by(sort_keys=True)),
    ],
    ids=["JavaScript", "Go", "Python", "Python sorted"],
)
def test_a_plain_body_is_written_anew_the_same(style: str, rewrite: Rewrite) -> None:
    """So it gets through, and shows that the odd one failed for being rewritten."""
    body = plain(MESSAGE)[style]

    assert rewrite(body) == body
