"""A shop without a memory: its variables, its checkout, and what each webhook is answered with."""

import json
import logging
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.helpers.dodo_datafast import (
    Answer,
    CheckoutError,
    CheckoutSession,
    Exchange,
    Outgoing,
    Reply,
    SetupError,
    Shop,
    Visitor,
    answer_webhook,
    carry_out,
    carry_out_async,
    open_checkout,
    read_shop,
)
from kit.sandbox.fixtures import event_types, load
from kit.sandbox.signer import new_secret, sign

NOW = 1790856000
SECRET = new_secret()
VISITOR = "0b8e6c1e-2d1c-4f0a-9f2e-6a4f1f4d7c11"
ENVIRON = {
    "DODO_PAYMENTS_API_KEY": "dodo_live_key",
    "DODO_PAYMENTS_WEBHOOK_KEY": SECRET,
    "DODO_PAYMENTS_RETURN_URL": "https://shop.example/thanks",
    "DODO_PAYMENTS_ENVIRONMENT": "live_mode",
    "DATAFAST_API_KEY": "df_key",
    "KIT_PRODUCTS": "pdt_a, pdt_b",
}
TEST_MODE = {"DODO_PAYMENTS_ENVIRONMENT": "test_mode", "DODO_PAYMENTS_API_KEY": "dodo_test_key"}
NO_ANSWER = None

T = TypeVar("T")


class Played(list[Outgoing]):
    """What an exchange asked for, in order; each request gets the next of the replies."""

    def __init__(self, replies: Iterable[Reply | None]) -> None:
        super().__init__()
        self.replies = list(replies)

    def send(self, outgoing: Outgoing, ends: float) -> Reply | None:
        """Take a request and give its reply."""
        assert ends == 7.0
        self.append(outgoing)
        return self.replies.pop(0)


def play(exchange: Exchange[T], *replies: Reply | None) -> tuple[T, Played]:
    """Run an exchange with these replies, all of which it must ask for."""
    played = Played(replies)
    outcome = carry_out(exchange, played.send, 7.0)
    assert played.replies == []
    return outcome, played


def shop(**changes: str) -> Shop:
    """Read a live shop, with variables changed."""
    return read_shop(ENVIRON | changes)


def webhook(message: Mapping[str, Any] | bytes, **options: Any) -> Exchange[Answer]:
    """Have a message answered, signed now."""
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    headers = sign(SECRET, message_id="msg_1", timestamp_s=NOW, body=body)
    given_shop = options.pop("shop", None) or shop()
    return answer_webhook(
        given_shop, body, headers | options.pop("headers", {}), now=NOW, **options
    )


def datafast(message: str | None = None, *, transaction_id: str = "pay_example") -> Reply:
    """Let DataFast take a payment."""
    told = message or "Payment recorded and attributed successfully"
    return reply(200, {"message": told, "transaction_id": transaction_id})


def refusal(status: int, message: str) -> Reply:
    """Let DataFast refuse a payment."""
    return reply(status, {"status": "error", "error": {"code": status, "message": message}})


def reply(status: int, body: object) -> Reply:
    """Answer with JSON."""
    return Reply(status, [("content-type", "application/json")], json.dumps(body).encode())


def sent(outgoing: Outgoing) -> dict[str, Any]:
    """Read what was sent."""
    body: dict[str, Any] = json.loads(outgoing.content)
    return body


# --- Variables ----------------------------------------------------------------------------------


def test_a_shop_is_read_from_the_names_its_owner_has() -> None:
    """What is optional has the value that goes live."""
    read = shop()

    assert read.dodo_api_key == "dodo_live_key"
    assert read.webhook_keys == (SECRET,)
    assert read.products == {"pdt_a", "pdt_b"}
    assert read.datafast_base_url == "https://datafa.st"
    assert read.checkout_hosts == ("checkout.dodopayments.com", "test.checkout.dodopayments.com")
    assert (read.dodo_base_url, read.website_id, read.sends_test) == (None, None, False)


def test_several_webhook_secrets_are_taken_while_rotating() -> None:
    """Dodo keeps the old one for a day."""
    other = new_secret()

    assert shop(DODO_PAYMENTS_WEBHOOK_KEY=f"{SECRET}, {other}").webhook_keys == (SECRET, other)


def test_every_missing_variable_is_named_at_once() -> None:
    """One look at the log is enough."""
    with pytest.raises(SetupError) as caught:
        read_shop(dict.fromkeys(ENVIRON, "  "))
    named = {problem.partition(" ")[0] for problem in caught.value.problems}

    assert named == set(ENVIRON) - {"DODO_PAYMENTS_ENVIRONMENT"}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"DODO_PAYMENTS_WEBHOOK_KEY": "whsec_oops!"}, "the webhook secret is not base64"),
        ({"DODO_PAYMENTS_WEBHOOK_KEY": "whsec_c2hvcnQ="}, "the webhook secret has 5 bytes"),
        ({"DODO_PAYMENTS_ENVIRONMENT": "production"}, "must be test_mode or live_mode"),
        ({"DODO_PAYMENTS_ENVIRONMENT": "test_mode"}, "is a key of live_mode"),
        ({"DODO_PAYMENTS_API_KEY": "dodo_test_key"}, "is a key of test_mode"),
        ({"DATAFAST_API_KEY": "dft_token"}, "set DATAFAST_API_WEBSITE_ID"),
        ({"DODO_PAYMENTS_RETURN_URL": "/thanks"}, "DODO_PAYMENTS_RETURN_URL must be an https"),
        ({"DODO_PAYMENTS_RETURN_URL": "http://shop.example/"}, "must be an https URL"),
        ({"DODO_PAYMENTS_BASE_URL": "http://dodo.example"}, "must be an https URL"),
        ({"DATAFAST_BASE_URL": "https://user@datafa.st"}, "must be an https URL"),
        ({"DATAFAST_BASE_URL": "https://datafa.st:port"}, "must be an https URL"),
    ],
    ids=lambda value: "=".join(*value.items()) if isinstance(value, dict) else "",
)
def test_a_variable_that_cannot_be_used_is_refused(changes: dict[str, str], problem: str) -> None:
    """With what it must be, and never with its value."""
    with pytest.raises(SetupError) as caught:
        shop(**changes)

    assert problem in str(caught.value)
    assert not any(value in str(caught.value) for value in changes.values() if "_" not in value)
    assert SECRET not in str(caught.value)


def test_stand_ins_on_this_machine_may_speak_http() -> None:
    """By address and by the names that browsers know."""
    local = shop(
        DODO_PAYMENTS_BASE_URL="http://127.0.0.1:8001",
        DATAFAST_BASE_URL="http://datafast.localhost:8002",
        DODO_PAYMENTS_RETURN_URL="http://localhost:5000/",
        KIT_CHECKOUT_HOSTS="http://checkout.localhost:8001",
    )

    assert local.dodo_base_url == "http://127.0.0.1:8001"
    assert local.checkout_hosts == ("http://checkout.localhost:8001",)


def test_the_repr_of_a_shop_shows_no_key() -> None:
    """It ends up in tracebacks."""
    assert repr(shop()) == "Shop('live_mode', …)"
    assert "key" not in f"{shop()}"


# --- Checkout -----------------------------------------------------------------------------------

OPENED = {"session_id": "cks_1", "checkout_url": "https://checkout.dodopayments.com/session/cks_1"}
CART = [{"product_id": "pdt_a", "quantity": 1}]
BUYER = Visitor(VISITOR, None, "captured")


def test_a_checkout_takes_the_visitor_along() -> None:
    """And the shop's own pairs and fields, and its own return page for this order."""
    exchange = open_checkout(
        shop(),
        CART,
        BUYER,
        metadata={"order": 42},
        return_url="https://shop.example/orders/42",
        customer={"email": "ada@example.com"},
    )
    session, [asked] = play(exchange, reply(200, OPENED))

    assert session == CheckoutSession("cks_1", OPENED["checkout_url"])
    assert (asked.method, asked.url) == ("POST", "https://live.dodopayments.com/checkouts")
    assert asked.headers["Authorization"] == "Bearer dodo_live_key"
    assert sent(asked) == {
        "product_cart": CART,
        "metadata": {"order": "42", "datafast_visitor_id": VISITOR},
        "return_url": "https://shop.example/orders/42",
        "customer": {"email": "ada@example.com"},
    }


def test_a_checkout_without_a_visitor_is_opened_all_the_same() -> None:
    """Analytics never stops a sale."""
    _, [asked] = play(
        open_checkout(shop(), CART, Visitor(None, None, "absent")), reply(200, OPENED)
    )

    assert sent(asked)["metadata"] == {}
    assert sent(asked)["return_url"] == "https://shop.example/thanks"


@pytest.mark.parametrize(
    ("answer", "status", "retryable"),
    [
        (NO_ANSWER, 0, True),
        (reply(500, {}), 500, True),
        (reply(401, {"code": "UNAUTHORIZED", "message": "no"}), 401, False),
        (reply(200, OPENED | {"checkout_url": "https://evil.example/"}), 200, False),
    ],
    ids=["none", "500", "401", "elsewhere"],
)
def test_a_checkout_that_is_not_opened_is_an_error(
    answer: Reply | None, status: int, retryable: bool
) -> None:
    """Also one that would send the buyer somewhere else."""
    with pytest.raises(CheckoutError) as caught:
        play(open_checkout(shop(), CART, BUYER), answer)

    assert (caught.value.status, caught.value.retryable) == (status, retryable)


@pytest.mark.anyio
async def test_the_async_driver_does_the_same() -> None:
    """One exchange, two ways to carry it out."""
    played = Played([reply(200, OPENED)])

    async def send(outgoing: Outgoing, ends: float) -> Reply | None:
        return played.send(outgoing, ends)

    session = await carry_out_async(open_checkout(shop(), CART, BUYER), send, 7.0)

    assert session.session_id == "cks_1"
    assert len(played) == 1


# --- Webhook ------------------------------------------------------------------------------------

SALE = load("payment.succeeded")
REFUND = load("refund.succeeded")
NOT_KNOWN = refusal(404, "First event not found for visitor")
PARKED_SKIPS = {"unknown_currency", "amount_invalid", "no_payment_id"}


def test_a_sale_is_reported_before_dodo_is_answered() -> None:
    """With the visitor of its metadata, under its own id."""
    answer, [asked] = play(webhook(SALE), datafast())

    assert answer == Answer(200, "attributed", "msg_1")
    assert answer.level == logging.INFO
    assert asked.url == "https://datafa.st/api/v1/payments"
    assert sent(asked)["transaction_id"] == "pay_example"
    assert sent(asked)["datafast_visitor_id"] == VISITOR
    assert "email" not in sent(asked)


def test_an_unproven_webhook_is_401() -> None:
    """Nothing is sent, and the log hears of it."""
    answer, asked = play(webhook(SALE, headers={"webhook-signature": "v1," + "A" * 43 + "="}))

    assert answer == Answer(401, "mismatch")
    assert answer.level == logging.WARNING
    assert asked == []


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff", b'{"type":"a","type":"b"}'], ids=repr)
def test_a_signed_body_that_cannot_be_read_is_200(body: bytes) -> None:
    """Sending it again cannot help; the log hears of it."""
    answer, asked = play(webhook(body))

    assert (answer.status, answer.event_id, answer.level) == (200, "msg_1", logging.WARNING)
    assert asked == []


@pytest.mark.parametrize(
    ("answer", "status", "reason"),
    [
        (datafast("Payment recorded"), 200, "attribution_not_stated"),
        (datafast("Duplicate transaction"), 200, "duplicate"),
        (NO_ANSWER, 503, "datafast_unavailable"),
        (refusal(429, "slow down"), 503, "rate_limited"),
        (refusal(500, "oops"), 503, "datafast_unavailable"),
        (refusal(401, "no"), 503, "key_refused"),
        (refusal(403, "no"), 503, "key_forbidden"),
        (Reply(302, [("location", "https://elsewhere.example")], b""), 503, "redirected"),
        (Reply(404, [], b"<html>"), 503, "wrong_address"),
    ],
    ids=["recorded", "duplicate", "none", "429", "500", "401", "403", "302", "page"],
)
def test_each_answer_of_datafast_has_one_for_dodo(
    answer: Reply | None, status: int, reason: str
) -> None:
    """503 makes Dodo send it again; 200 ends it."""
    told, [_] = play(webhook(SALE), answer)

    assert told == Answer(status, reason, "msg_1")


@pytest.mark.parametrize(
    ("first", "second", "status", "reason"),
    [
        (NOT_KNOWN, datafast("Payment recorded"), 200, "no_pageview"),
        (NOT_KNOWN, datafast("Duplicate transaction"), 200, "no_pageview"),
        (NOT_KNOWN, NOT_KNOWN, 200, "no_pageview"),
        (NOT_KNOWN, NO_ANSWER, 503, "datafast_unavailable"),
        (NOT_KNOWN, refusal(429, "slow down"), 503, "rate_limited"),
        (NOT_KNOWN, refusal(500, "oops"), 503, "datafast_unavailable"),
        (reply(200, {}), datafast("Payment recorded"), 200, "reply_unreadable"),
        (Reply(200, [], b"<html>"), refusal(503, "oops"), 503, "datafast_unavailable"),
        (refusal(400, "bad id"), datafast("Payment recorded"), 200, "visitor_dropped"),
        (refusal(400, "bad amount"), refusal(400, "bad amount"), 200, "rejected"),
        (refusal(400, "bad amount"), refusal(401, "no"), 503, "key_refused"),
    ],
    ids=[
        *("recorded", "duplicate", "unknown-twice", "none", "429", "500", "unreadable", "page"),
        *("bad-visitor", "bad-payment", "bad-key"),
    ],
)
def test_what_is_not_taken_is_sent_once_more_without_the_visitor(
    first: Reply, second: Reply | None, status: int, reason: str
) -> None:
    """Under the same id: it counts if the first was dropped, else it is a duplicate."""
    answer, [with_visitor, without] = play(webhook(SALE), first, second)
    both = sent(with_visitor)

    assert answer == Answer(status, reason, "msg_1")
    assert answer.level == logging.WARNING
    assert both.pop("datafast_visitor_id") == VISITOR
    assert sent(without) == both


def test_no_more_than_three_requests_are_made() -> None:
    """A refund whose visitor is not known: the lookup, and two reports."""
    replies = (reply(200, SALE["data"]), NOT_KNOWN, datafast(transaction_id="ref_example"))
    answer, asked = play(webhook(REFUND), *replies)

    assert answer.reason == "no_pageview"
    assert [outgoing.method for outgoing in asked] == ["GET", "POST", "POST"]


def test_a_refund_reads_its_sale_at_dodo() -> None:
    """For the visitor and for the check that no more goes back than came."""
    answer, [lookup, report] = play(
        webhook(REFUND), reply(200, SALE["data"]), datafast(transaction_id="ref_example")
    )

    assert answer.reason == "attributed"
    assert lookup.url == "https://live.dodopayments.com/payments/pay_example"
    assert sent(report)["refunded"] is True
    assert sent(report)["datafast_visitor_id"] == VISITOR


@pytest.mark.parametrize(
    "answer",
    [
        NO_ANSWER,
        reply(500, {}),
        reply(401, {}),
        reply(404, {}),
        reply(200, {}),
        Reply(200, [], b""),
    ],
    ids=["none", "500", "401", "404", "another", "empty"],
)
def test_a_refund_waits_while_dodo_gives_no_sale(answer: Reply | None) -> None:
    """Whatever the reason: nothing is reported without it, and nothing is given up."""
    told, [_] = play(webhook(REFUND), answer)

    assert told == Answer(503, "dodo_unreachable", "msg_1")


def test_a_refund_of_more_than_the_sale_is_not_reported() -> None:
    """Dodo need not send it again: it would say the same."""
    told, [_] = play(webhook(REFUND), reply(200, SALE["data"] | {"total_amount": 100}))

    assert told == Answer(200, "refund_exceeds_sale", "msg_1")
    assert told.level == logging.WARNING


def test_a_refund_that_names_no_payment_is_not_looked_up() -> None:
    """There is nothing to ask for."""
    told, asked = play(webhook(load("refund.succeeded", payment_id="../x")))

    assert (told.status, told.reason, asked) == (200, "original_unknown", [])


def test_a_settlement_that_the_message_lacks_is_read_at_dodo() -> None:
    """Of a shop that counts what is settled."""
    settled = {"settlement_amount": 2000, "settlement_currency": "EUR", "settlement_tax": 0}
    unsettled = load("payment.succeeded", settlement_amount=None, settlement_currency=None)
    replies = (reply(200, SALE["data"] | settled), datafast())
    answer, [_, report] = play(webhook(unsettled, basis="settlement"), *replies)

    assert answer.status == 200
    assert (sent(report)["amount"], sent(report)["currency"]) == (20, "EUR")


@pytest.mark.parametrize("event", [SALE, REFUND], ids=["sale", "refund"])
def test_a_settlement_that_dodo_lacks_too_is_asked_for_again(event: dict[str, Any]) -> None:
    """With 200 the money would never be reported; Dodo sends again for a day."""
    unsettled = {"settlement_amount": None, "settlement_currency": None}
    told, [_] = play(
        webhook({**event, "data": event["data"] | unsettled}, basis="settlement"),
        reply(200, SALE["data"] | unsettled),
    )

    assert (told.status, told.reason) == (503, "settlement_missing")


def test_the_customer_is_named_only_on_request() -> None:
    """E-mail and name stay in the shop otherwise."""
    _, [asked] = play(webhook(SALE, send_customer=True), datafast())

    assert "email" in sent(asked)


@pytest.mark.parametrize("kind", event_types())
def test_each_of_dodo_s_events_is_answered(kind: str) -> None:
    """All 48: reported, or 200 with a reason; money that is not counted is a warning."""
    played = Played([reply(200, SALE["data"]), datafast(), datafast(), datafast()])
    answer = carry_out(webhook(load(kind)), played.send, 7.0)
    reported = kind in {
        "payment.succeeded", "refund.succeeded", "dispute.lost", "dispute.accepted",
    }  # fmt: skip

    assert answer.event_id == "msg_1"
    assert bool(played) == reported
    if not reported:
        assert answer == Answer(200, "event_not_money", "msg_1")
        assert answer.level == logging.INFO


@pytest.mark.parametrize(
    "changes", [{"currency": "XXX"}, {"total_amount": -1}, {"payment_id": "../x"}], ids=str
)
def test_money_that_cannot_be_counted_is_a_warning(changes: dict[str, Any]) -> None:
    """A person should look."""
    answer, asked = play(webhook(load("payment.succeeded", **changes)))

    assert (answer.status, asked) == (200, [])
    assert answer.reason in PARKED_SKIPS
    assert answer.level == logging.WARNING


# --- Test mode ----------------------------------------------------------------------------------


@pytest.mark.parametrize("message", [SALE, REFUND], ids=["sale", "refund"])
def test_test_payments_are_withheld(message: dict[str, Any]) -> None:
    """DataFast has no test mode: it would count them."""
    answer, asked = play(webhook(message, shop=shop(**TEST_MODE)))

    assert answer == Answer(200, "test_mode", "msg_1")
    assert answer.level == logging.WARNING
    assert asked == []


@pytest.mark.parametrize(
    "changes",
    [
        {"KIT_SEND_TEST": "1"},
        {"DATAFAST_BASE_URL": "http://127.0.0.1:8002"},
        {"DATAFAST_BASE_URL": "https://notdatafa.st"},
    ],
    ids=str,
)
def test_test_payments_go_to_a_stand_in_or_where_they_are_wanted(changes: dict[str, str]) -> None:
    """A website for tests, or a DataFast that is none."""
    answer, [_] = play(webhook(SALE, shop=shop(**TEST_MODE, **changes)), datafast())

    assert answer.reason == "attributed"


@pytest.mark.parametrize("url", ["https://datafa.st", "https://DATAFA.ST/", "https://a.datafa.st"])
def test_datafast_is_known_by_its_host(url: str) -> None:
    """However it is written."""
    assert shop(**TEST_MODE, DATAFAST_BASE_URL=url).withholds is True


# --- Whatever comes -----------------------------------------------------------------------------


@given(
    st.lists(
        st.one_of(
            st.none(),
            st.builds(Reply, st.integers(100, 599), st.just([]), st.binary(max_size=40)),
        ),
        min_size=3,
        max_size=3,
    ),
    st.sampled_from([SALE, REFUND, load("dispute.lost")]),
)
def test_any_replies_end_in_200_or_503(
    replies: list[Reply | None], message: dict[str, Any]
) -> None:
    """Within three requests, and without an exception."""
    played = Played(replies)
    answer = carry_out(webhook(message), played.send, 7.0)

    assert answer.status in (200, 503)
    assert 1 <= len(played) <= 3
