"""
The transformations for Dodo's dashboard, run in a real engine against what the core makes of the
same webhooks.

They have no memory, no secrets and no network, so some answers differ; each difference is a test
of its own below, and nothing else may differ.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeAlias, get_args

import pytest
from dodopayments.types import Currency
from hypothesis import example, given, settings
from hypothesis import strategies as st
from playwright.sync_api import Browser, Page

from kit.helpers.dodo_datafast import (
    Known,
    Original,
    Signed,
    Skip,
    known_from_payment,
    major_units,
    payment_for,
    read_event,
)
from kit.sandbox.fixtures import event_types, load
from kit.transformations.scripts import NAMES, read_script

REPORTED = {
    "basic_payment": {"payment.succeeded"},
    "zero_decimal": {"payment.succeeded"},
    "subscription_payment": {"payment.succeeded", "subscription.active"},
    "complete": {"payment.succeeded", "subscription.active", "refund.succeeded"},
}
CODES: tuple[str, ...] = get_args(Currency)
VISITOR = "0b8e6c1e-2d1c-4f0a-9f2e-6a4f1f4d7c11"
SENT_AT = datetime(2026, 10, 2, 9, 15, 30, tzinfo=UTC)
LARGEST = 2**53 - 1
ENDPOINT = "https://datafa.st/api/v1/payments"
REMOVED = object()
CANCELLED = None
many = settings(deadline=None, max_examples=40)

Webhook: TypeAlias = dict[str, Any]
Answer: TypeAlias = dict[str, Any] | None

# Everything of the page but the language itself is hidden from the script, so that it cannot rest
# on what Dodo's delivery may not have: no network, no store, no console, no timers.
RUN = """([script, webhooks]) => {
  const language = ["Array", "Date", "Number", "Object", "RegExp", "String", "isNaN", "undefined"];
  const hidden = Object.getOwnPropertyNames(globalThis)
    .filter((name) => /^[A-Za-z_$][\\w$]*$/.test(name) && !language.includes(name));
  const handler = new Function(...hidden, script + "\\nreturn handler;")();
  return webhooks.map((text) => {
    const webhook = JSON.parse(text);
    const answer = handler(webhook);
    return {
      same: answer === webhook,
      method: answer.method,
      url: answer.url,
      eventType: answer.eventType,
      cancel: answer.cancel,
      payload: JSON.stringify(answer.payload),
    };
  });
}"""


@dataclass(frozen=True, slots=True)
class Delivery:
    """Dodo's layer: it runs a script on webhooks, and posts what is left of them."""

    page: Page

    def run(self, name: str, webhooks: Sequence[Any]) -> list[Answer]:
        """Return what would be posted for each webhook; None for what is cancelled."""
        texts = [json.dumps(envelope(webhook)) for webhook in webhooks]
        answers = self.page.evaluate(RUN, [read_script(name), texts])
        for answer, text in zip(answers, texts, strict=True):
            given_type = json.loads(text)["eventType"]

            assert answer["same"]
            assert (answer["method"], answer["url"]) == ("POST", ENDPOINT)
            assert answer["eventType"] == given_type
            assert isinstance(answer["cancel"], bool)
            assert not answer["cancel"] or answer["payload"] == "{}"
        return [CANCELLED if answer["cancel"] else read(answer["payload"]) for answer in answers]

    def post(self, name: str, webhook: Any) -> Answer:
        """Return what would be posted for one webhook."""
        return self.run(name, [webhook])[0]


def envelope(payload: Any) -> dict[str, Any]:
    """Wrap a webhook's body as the layer hands it to a script."""
    kind = payload.get("type") if isinstance(payload, dict) else "payment.succeeded"
    return {"method": "POST", "url": ENDPOINT, "eventType": kind, "payload": payload}


def read(text: str | bytes) -> Webhook:
    """Read a body with its numbers as they are written."""
    body: Webhook = json.loads(text, parse_float=Decimal)
    return body


def core(webhook: Webhook, known: Known | None = None) -> Answer | Skip:
    """Return what the core posts for a webhook, or its reason not to."""
    event = read_event(Signed("msg_1", SENT_AT, json.dumps(webhook).encode()))
    found = payment_for(event, known or Known())
    return found if isinstance(found, Skip) else read(found.as_json())


def expected(name: str, webhook: Webhook) -> Answer:
    """Return what a script must answer: as the core does, but for the differences named below."""
    if webhook["type"] not in REPORTED[name]:
        return CANCELLED
    data = webhook["data"]
    known = Known()
    if webhook["type"] == "refund.succeeded" and isinstance(data["amount"], int):
        known = Known(original=Original(data["amount"], data["currency"]))
    found = core(webhook, known)
    return CANCELLED if isinstance(found, Skip) else found


def without(webhook: Webhook) -> Webhook:
    """Take the fields away that are marked as removed."""
    data = {key: value for key, value in webhook["data"].items() if value is not REMOVED}
    return webhook | {"data": data}


@pytest.fixture(scope="module")
def delivery(browser: Browser) -> Iterator[Delivery]:
    """Open one page for all: a script keeps nothing, which the tests rely on and show."""
    page = browser.new_page()
    yield Delivery(page)
    page.close()


# --- As the core --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_each_of_dodo_s_events_is_answered_as_the_core_does(delivery: Delivery, name: str) -> None:
    """All 48 types: the same body, number for number, or cancelled; never Dodo's own body."""
    webhooks = {kind: load(kind) for kind in event_types()}
    answers = dict(zip(webhooks, delivery.run(name, list(webhooks.values())), strict=True))

    assert len(answers) == 48
    assert answers == {kind: expected(name, webhook) for kind, webhook in webhooks.items()}
    assert {kind for kind, answer in answers.items() if answer} <= REPORTED[name]
    assert answers["payment.succeeded"] is not CANCELLED


@pytest.mark.parametrize("name", NAMES)
def test_a_payment_in_each_currency_is_the_core_s(delivery: Delivery, name: str) -> None:
    """145 currencies, from the smallest amount to fifteen digits."""
    amounts = (1, 10, 29, 100, 2900, 12345, 99999, 123456789, 10**15 - 1)
    webhooks = [
        load("payment.succeeded", currency=code, total_amount=amount)
        for code in CODES
        for amount in amounts
    ]
    answers = delivery.run(name, webhooks)

    assert len(answers) == 145 * len(amounts)
    assert answers == [core(webhook) for webhook in webhooks]


@many
@given(
    amounts=st.lists(
        st.tuples(st.one_of(st.integers(1, 10**9), st.integers(1, LARGEST)), st.sampled_from(CODES))
    )
)
@example(amounts=[(12345, "KWD"), (123456789, "USD"), (1, "BHD"), (10**15 - 1, "EUR")])
def test_amounts_are_exact_to_the_last_digit(
    delivery: Delivery, amounts: list[tuple[int, str]]
) -> None:
    """What is posted is the integer with its point set, or, from sixteen digits on, nothing."""
    webhooks = [
        load("payment.succeeded", total_amount=minor, currency=code) for minor, code in amounts
    ]
    for (minor, code), answer in zip(amounts, delivery.run("complete", webhooks), strict=True):
        if minor >= 10**15:
            assert answer is CANCELLED
        else:
            assert answer is not None
            assert Decimal(answer["amount"]) == major_units(minor, code)


# What each field may hold, sense and nonsense, beside what it lacks or what is of another type.
ODD: tuple[Any, ...] = (
    REMOVED,
    None,
    True,
    False,
    0,
    -1,
    7,
    1.5,
    2**60,
    "",
    "x",
    "2900",
    [],
    {},
    ["succeeded"],
)
VISITORS = (VISITOR, VISITOR.upper(), VISITOR + "\n", VISITOR + "0", "s" + VISITOR, 7, None)
FIELDS: dict[str, tuple[Any, ...]] = {
    "total_amount": (1, 100, 10**12),
    "currency": ("JPY", "KWD", "usd", "USD ", "XXX", "BIF CLP", "IF C", "constructor"),
    "payment_id": ("pay-1_A", "pay/1", "p" * 128, "p" * 129, "pay_1\n"),
    "status": ("succeeded", "processing", "failed"),
    "charge_type": ("new", "renewal", "plan_change", "on_demand", "later"),
    "retry_attempt": (1, 3),
    "is_update_payment_method": ("true", 1),
    "created_at": ("2026-10-01T00:00:00+02:00", 1790846090),
    "metadata": tuple({"datafast_visitor_id": text} for text in VISITORS),
    "customer": tuple({"customer_id": text} for text in ("cus_1", "c 1", "", None, 7)),
    "refund_status": ("partial", "full"),
    "subscription_id": ("sub_1",),
    "settlement_amount": (9,),
    "tax": (10**7,),
}


@pytest.mark.parametrize("currency", ["USD", "JPY"])
@pytest.mark.parametrize("name", ["basic_payment", "complete"])
def test_an_odd_field_is_read_as_the_core_reads_it(
    delivery: Delivery, name: str, currency: str
) -> None:
    """One field at a time, through values, absence and nonsense; the rest is a good sale."""
    webhooks = [
        without(load("payment.succeeded", **{"currency": currency, field: value}))
        for field, values in FIELDS.items()
        for value in (*values, *ODD)
    ]

    assert delivery.run(name, webhooks) == [expected(name, webhook) for webhook in webhooks]


changes = st.fixed_dictionaries(
    {}, optional={field: st.sampled_from((*values, *ODD)) for field, values in FIELDS.items()}
)


@many
@given(payments=st.lists(changes, max_size=20))
def test_odd_fields_together_are_read_as_the_core_reads_them(
    delivery: Delivery, payments: list[dict[str, Any]]
) -> None:
    """Any mixture of them: a script never throws, and never reports what the core does not."""
    webhooks = [without(load("payment.succeeded", **fields)) for fields in payments]

    assert delivery.run("complete", webhooks) == [
        expected("complete", webhook) for webhook in webhooks
    ]


def test_an_odd_field_of_a_trial_is_read_as_the_core_reads_it(delivery: Delivery) -> None:
    """As for payments."""
    fields = {
        "trial_period_days": (1, 14, 10_000, 10_001),
        "trial_amount": (500,),
        "currency": FIELDS["currency"],
        "subscription_id": FIELDS["payment_id"],
        "created_at": ("2026-09-18T09:15:27.402Z", "2026-09-18T09:15:27.403Z"),
        "metadata": FIELDS["metadata"],
        "customer": FIELDS["customer"],
        "status": ("pending",),
    }
    webhooks = [
        without(load("subscription.active", **{"trial_period_days": 14, field: value}))
        for field, values in fields.items()
        for value in (*values, *ODD)
        # Empty ones are false in Python and true in JavaScript; an amount is neither.
        if (field, value) not in [("trial_amount", []), ("trial_amount", {})]
    ]
    webhooks += [
        load("subscription.active", trial_period_days=days, created_at="2026-10-09T00:00:00Z")
        for days in (0, 1)
    ]

    assert delivery.run("complete", webhooks) == [
        expected("complete", webhook) for webhook in webhooks
    ]


def test_an_odd_field_of_a_refund_is_read_as_the_core_reads_it(delivery: Delivery) -> None:
    """As for payments, where the sale could have been that of the refund."""
    fields = {
        "currency": ("JPY", "KWD"),
        "refund_id": FIELDS["payment_id"],
        "status": FIELDS["status"],
        "created_at": FIELDS["created_at"][:1],
        "metadata": FIELDS["metadata"],
        "customer": FIELDS["customer"],
        "is_partial": (),
        "reason": (),
    }
    webhooks = [
        without(load("refund.succeeded", **{field: value}))
        for field, values in fields.items()
        for value in (values if field == "currency" else (*values, *ODD))
    ]
    webhooks += [load("refund.succeeded", amount=value) for value in (1, 0, -1, 10**12)]

    assert delivery.run("complete", webhooks) == [
        expected("complete", webhook) for webhook in webhooks
    ]


@many
@given(
    refunds=st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "amount": st.one_of(st.none(), st.integers(0, 10**9)),
                "currency": st.sampled_from(CODES),
                "refund_id": st.sampled_from(["ref_1", "ref 1", None]),
                "status": st.sampled_from(["succeeded", "pending", "review", "failed", None]),
                "is_partial": st.booleans(),
            },
        ),
        max_size=20,
    )
)
def test_a_refund_within_its_sale_is_the_core_s(
    delivery: Delivery, refunds: list[dict[str, Any]]
) -> None:
    """Marked as refunded, under its own id, without a renewal flag."""
    webhooks = [load("refund.succeeded", **fields) for fields in refunds]

    assert delivery.run("complete", webhooks) == [
        expected("complete", webhook) for webhook in webhooks
    ]


@many
@given(
    trials=st.lists(
        st.tuples(
            st.sampled_from([14, 1, 0, -1, 10_000, 10_001, None, True, 1.5, "14"]),
            st.sampled_from([None, None, 0, 500]),
            st.integers(-1, 15 * 24),
            st.sampled_from(["USD", "KWD", "XXX"]),
            st.sampled_from(["sub_1", "sub 1", None]),
        ),
        max_size=20,
    )
)
@pytest.mark.parametrize("name", ["subscription_payment", "complete"])
def test_the_start_of_a_trial_is_the_core_s(
    delivery: Delivery, name: str, trials: list[tuple[Any, ...]]
) -> None:
    """Free, within its time, and zero; a paid one and one that is over are not reported."""
    webhooks = [
        load(
            "subscription.active",
            trial_period_days=days,
            trial_amount=amount,
            currency=currency,
            subscription_id=subscription_id,
            created_at=SENT_AT.isoformat(),
            timestamp=(SENT_AT + timedelta(hours=hours)).isoformat(),
        )
        for days, amount, hours, currency, subscription_id in trials
    ]

    assert delivery.run(name, webhooks) == [expected(name, webhook) for webhook in webhooks]


def test_a_free_trial_is_reported_as_one(delivery: Delivery) -> None:
    """Every field of the report."""
    webhook = load("subscription.active", trial_period_days=14)

    assert delivery.post("complete", webhook) == {
        "amount": 0,
        "currency": "USD",
        "transaction_id": "trial_sub_example",
        "datafast_visitor_id": VISITOR,
        "customer_id": "cus_example",
        "renewal": False,
        "is_free_trial": True,
        "timestamp": "2026-10-02T09:14:50.118Z",
    }


@pytest.mark.parametrize(
    "written",
    [
        "2026-10-02T09:14:50Z",
        "2026-10-02T09:14:50.1Z",
        "2026-10-02T09:14:50.118999Z",
        "2026-10-02T09:14:50.118999123Z",
        "2026-10-02T09:14:50.118224",
        "2026-10-02 09:14:50.118224+00:00",
        "2026-10-02T00:14:50.999+05:30",
        "2026-10-02T23:14:50.001-0330",
        "2024-02-29T23:59:59.999Z",
        "2026-02-29T00:00:00Z",
        "2026-02-30T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-10-02T09:14:60Z",
        "2026-10-02T09:14:50+24:00",
        "1969-12-31T23:59:59.999Z",
        "0099-12-31T23:59:59Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
        "2026-10-02T09:14:50Z\n",
        "tomorrow",
    ],
    ids=repr,
)
def test_a_time_is_read_as_the_core_reads_it(delivery: Delivery, written: str) -> None:
    """The payment's own, in UTC; the message's where that cannot be read."""
    webhook = load("payment.succeeded", created_at=written)

    assert delivery.post("basic_payment", webhook) == core(webhook)


# --- The contract with Dodo's layer -------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_nothing_that_a_webhook_holds_makes_a_script_throw(delivery: Delivery, name: str) -> None:
    """Whatever is no event of ours is cancelled; the same object always comes back."""
    sale = load("payment.succeeded")
    odd: list[Any] = [None, [], {}, "text", 7, True, [sale], {"type": "payment.succeeded"}]
    bodies: list[Any] = [None, [], "text", 7, {}, [sale["data"]]]
    types: list[Any] = [None, 7, {}, [], "", "constructor", "__proto__", "toString", "valueOf"]
    odd += [sale | {"data": body} for body in bodies]
    odd += [sale | {"type": kind} for kind in types]
    odd += [sale | {"data": sale["data"] | {"currency": code}} for code in ("__proto__", "length")]

    assert delivery.run(name, odd) == [CANCELLED] * len(odd)


def test_an_exception_cancels(delivery: Delivery) -> None:
    """What Dodo would make of one is not documented, so none gets out."""
    outcome = delivery.page.evaluate(
        """(script) => {
          const handler = new Function(script + "\\nreturn handler;")();
          const payload = { get type() { throw new Error("unreadable"); } };
          return handler({ method: "POST", payload });
        }""",
        read_script("complete"),
    )

    assert outcome == {"method": "POST", "payload": {}, "cancel": True}


def test_the_event_s_type_may_come_from_beside_the_payload(delivery: Delivery) -> None:
    """Dodo's guide reads it there; a body that names it itself is believed first."""
    answers = delivery.page.evaluate(
        """([script, payload]) => {
          const handler = new Function(script + "\\nreturn handler;")();
          const { type, ...untyped } = payload;
          return [
            handler({ eventType: type, payload: { ...untyped } }),
            handler({ payload: { ...payload } }),
            handler({ eventType: type, payload: { ...payload, type: "payment.failed" } }),
            handler({ payload: untyped }),
          ].map((webhook) => webhook.cancel);
        }""",
        [read_script("complete"), load("payment.succeeded")],
    )

    assert answers == [False, False, True, True]


@pytest.mark.parametrize("name", NAMES)
def test_a_pasted_script_declares_the_handler(page: Page, name: str) -> None:
    """By its name, as an editor's page would find it, without a word in the console."""
    page.add_script_tag(content=read_script(name))
    found = page.evaluate(
        "(payload) => handler({ method: 'POST', payload }).payload.transaction_id",
        load("payment.succeeded"),
    )

    assert found == "pay_example"


def test_the_readme_s_script_puts_the_visitor_into_payment_links(page: Page) -> None:
    """What a transformation finds in the metadata comes from there in a shop without a server."""
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    tag = readme.partition("```html\n")[2].partition("```")[0]
    link = "https://checkout.dodopayments.com/buy/pdt_1?quantity=2"
    links = f'<a href="{link}"><b>Buy</b></a> <a href="/about">About</a>'
    page.route("**/*", lambda route: route.fulfill(content_type="text/html", body=tag + links))
    page.goto("https://shop.test/")
    page.get_by_text("Buy").click()
    page.wait_for_url("**/buy/**")
    without_cookie = page.url
    page.context.add_cookies(
        [{"name": "datafast_visitor_id", "value": VISITOR, "url": "https://shop.test"}]
    )
    page.goto("https://shop.test/")
    page.get_by_text("Buy").click()
    page.wait_for_url("**/buy/**")
    with_cookie = page.url
    page.goto("https://shop.test/")
    page.get_by_text("About").click()
    page.wait_for_url("**/about**")

    assert without_cookie == link
    assert with_cookie == f"{link}&metadata_datafast_visitor_id={VISITOR}"
    assert page.url == "https://shop.test/about"


def test_a_script_remembers_nothing(delivery: Delivery) -> None:
    """The second answer to a webhook is the first, whatever came between."""
    webhooks = [load(kind) for kind in event_types()]
    answers = delivery.run("complete", [*webhooks, *reversed(webhooks)])

    assert answers == answers[::-1]


@pytest.mark.parametrize("name", NAMES)
def test_only_datafast_s_fields_are_sent(delivery: Delivery, name: str) -> None:
    """No subscription id, no e-mail, no name; and no field is null."""
    fields = {"amount", "currency", "transaction_id", "datafast_visitor_id", "customer_id"}
    flags = {"renewal", "refunded", "is_free_trial", "timestamp"}
    subscribed = {"subscription_id": "sub_1", "charge_type": "renewal"}
    webhooks = [load("payment.succeeded", **subscribed), *map(load, sorted(REPORTED[name]))]
    answers = [answer for answer in delivery.run(name, webhooks) if answer]

    assert set().union(*answers) <= fields | flags
    assert [answer for answer in answers if None in answer.values()] == []
    assert answers[0]["renewal"] is True


# --- The differences, each by name --------------------------------------------------------------


@pytest.mark.parametrize("name", ["basic_payment", "zero_decimal", "subscription_payment"])
def test_difference_the_guide_s_three_know_no_refunds(delivery: Delivery, name: str) -> None:
    """They report what came in; `complete` also what went back."""
    assert delivery.post(name, load("refund.succeeded")) is CANCELLED
    assert delivery.post("complete", load("refund.succeeded")) is not CANCELLED


@pytest.mark.parametrize("name", ["basic_payment", "zero_decimal"])
def test_difference_two_scripts_know_no_trials(delivery: Delivery, name: str) -> None:
    """A shop without subscriptions has none."""
    webhook = load("subscription.active", trial_period_days=14)

    assert delivery.post(name, webhook) is CANCELLED
    assert core(webhook) == delivery.post("subscription_payment", webhook)


def test_difference_a_refund_is_reported_without_its_sale(delivery: Delivery) -> None:
    """The core asks for the payment, and finds the visitor there; here the refund stands alone."""
    webhook = load("refund.succeeded")
    sale = known_from_payment(load("payment.succeeded")["data"])
    whole = core(webhook, sale)

    assert core(webhook) == Skip("original_unknown", needs="payment")
    assert isinstance(whole, dict)
    assert whole["datafast_visitor_id"] == VISITOR
    assert delivery.post("complete", webhook) == {
        field: value for field, value in whole.items() if field != "datafast_visitor_id"
    }


@pytest.mark.parametrize(
    ("original", "reason"),
    [
        (Original(1000, "USD"), "refund_exceeds_sale"),
        (Original(2900, "USD", reversed_minor=2900), "refund_exceeds_sale"),
        (Original(2900, "USD", reversed_minor=2900, disputed=True), "already_reversed"),
        (Original(2900, "EUR"), "reversal_currency_differs"),
    ],
)
def test_difference_a_refund_is_not_checked_against_its_sale(
    delivery: Delivery, original: Original, reason: str
) -> None:
    """Without the sale nobody can tell that it takes back too much; the refund's word is taken."""
    webhook = load("refund.succeeded")
    answer = delivery.post("complete", webhook)

    assert core(webhook, Known(original=original)) == Skip(reason)
    assert isinstance(answer, dict)
    assert (answer["amount"], answer["currency"], answer["refunded"]) == (29, "USD", True)


def test_difference_a_refund_without_an_amount_is_cancelled(delivery: Delivery) -> None:
    """The core takes the whole sale's; here there is no sale to take it from."""
    webhook = load("refund.succeeded", amount=None, is_partial=False)
    whole = core(webhook, Known(original=Original(2900, "USD")))

    assert isinstance(whole, dict)
    assert whole["amount"] == 29
    assert delivery.post("complete", webhook) is CANCELLED


@pytest.mark.parametrize("kind", ["dispute.lost", "dispute.accepted"])
def test_difference_disputes_are_cancelled(delivery: Delivery, kind: str) -> None:
    """Their amount has no documented unit; only the sale's own figure can say which it is."""
    webhook = load(kind)

    assert isinstance(core(webhook, Known(original=Original(2900, "USD"))), dict)
    assert delivery.post("complete", webhook) is CANCELLED


def test_difference_the_first_paid_charge_after_a_trial_counts_as_a_renewal(
    delivery: Delivery,
) -> None:
    """`charge_type` decides; the ledger knows that nothing was paid before."""
    webhook = load("payment.succeeded", charge_type="renewal", subscription_id="sub_1")
    remembered = core(webhook, Known(renewal=False))
    answer = delivery.post("complete", webhook)

    assert isinstance(remembered, dict)
    assert remembered["renewal"] is False
    assert answer == remembered | {"renewal": True} == core(webhook)


def test_difference_a_trial_that_was_paid_for_early_is_reported_again(delivery: Delivery) -> None:
    """Within the trial's time; the id is the same, so DataFast counts it once."""
    webhook = load("subscription.active", trial_period_days=14)
    answer = delivery.post("complete", webhook)

    assert core(webhook, Known(renewal=True)) == Skip("trial_over")
    assert answer == core(webhook)


@pytest.mark.parametrize("minor", [10**15, LARGEST])
@pytest.mark.parametrize("code", ["USD", "JPY", "KWD"])
def test_difference_sixteen_digits_are_too_many(delivery: Delivery, minor: int, code: str) -> None:
    """A JavaScript number holds fifteen for certain; a rounded amount is worse than none."""
    webhook = load("payment.succeeded", total_amount=minor, currency=code)
    rounded = delivery.page.evaluate("JSON.stringify(90071992547409.91)")

    assert rounded == "90071992547409.9"
    assert isinstance(core(webhook), dict)
    assert delivery.post("complete", webhook) is CANCELLED


@pytest.mark.parametrize("field", ["total_amount", "retry_attempt"])
def test_difference_a_whole_number_with_a_point_is_a_whole_number(
    delivery: Delivery, field: str
) -> None:
    """JavaScript reads `1.0` and `1` alike; Dodo sends integers."""
    webhook = load("payment.succeeded", **{field: 1.0})
    whole = load("payment.succeeded", **{field: 1})

    assert core(webhook) != core(whole)
    assert delivery.post("complete", webhook) == core(whole)


@pytest.mark.parametrize("written", ["2026-10-01", "20261001T091450Z", "2026-10-01T09:14Z"])
def test_difference_a_time_of_another_form_is_not_read(delivery: Delivery, written: str) -> None:
    """ISO 8601 has many; Dodo writes RFC 3339, and else the message's time stands in."""
    webhook = load("payment.succeeded", created_at=written)
    answer = delivery.post("complete", webhook)

    assert isinstance(answer, dict)
    assert answer["timestamp"] == "2026-10-02T09:15:27.402Z"
    assert core(webhook) != answer


def test_difference_without_any_time_datafast_sets_its_own(delivery: Delivery) -> None:
    """The attempt's time stands in a header, which a script does not see."""
    webhook = load("payment.succeeded", created_at=None, timestamp=None)
    remembered = core(webhook)
    answer = delivery.post("complete", webhook)

    assert isinstance(remembered, dict)
    assert answer == {name: value for name, value in remembered.items() if name != "timestamp"}


def test_difference_a_trial_without_a_message_time_is_cancelled(delivery: Delivery) -> None:
    """Whether it is over cannot be told without one."""
    webhook = load("subscription.active", trial_period_days=14, timestamp=None)

    assert isinstance(core(webhook), dict)
    assert delivery.post("complete", webhook) is CANCELLED
