"""From an event to the report DataFast gets, or to the reason why there is none."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import dodopayments.types as dodo_types
import pytest
from dodopayments import BaseModel
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.helpers.dodo_datafast import (
    Event,
    Known,
    Payment,
    Signed,
    Skip,
    payment_for,
    payment_request,
    read_event,
)

SAMPLES = Path(__file__).with_name("samples")
VISITOR = "0b8e6c1e-2d1c-4f0a-9f2e-6a4f1f4d7c11"
OTHER = "1f0c8a52-7d0e-4c5b-9a53-2f6f1f3f9b11"
SENT_AT = datetime(2026, 10, 2, 9, 15, 30, tzinfo=UTC)
REMOVED = object()
# A real first subscription charge, buyer in rupees, settled in dollars (amounts only).
RUPEES = {
    "total_amount": 321356,
    "tax": 49020,
    "currency": "INR",
    "settlement_amount": 3422,
    "settlement_tax": 522,
    "settlement_currency": "USD",
}


def sample(name: str) -> dict[str, Any]:
    """Load one of the sample webhooks."""
    envelope: dict[str, Any] = json.loads((SAMPLES / f"{name}.json").read_text("utf-8"))
    return envelope


def event(name: str = "payment.succeeded", /, **changes: Any) -> Event:
    """Read a sample webhook as the core does, with fields of its data changed or removed."""
    envelope = sample(name)
    data = envelope["data"] | changes
    envelope["data"] = {key: value for key, value in data.items() if value is not REMOVED}
    return read_event(Signed("msg_1", SENT_AT, json.dumps(envelope).encode()))


def sale(known: Known | None = None, /, **changes: Any) -> Payment:
    """Map a sale that must be reported."""
    payment = payment_for(event(**changes), known or Known())
    assert isinstance(payment, Payment)
    return payment


def wire(payment: Payment) -> dict[str, Any]:
    """Read a payment's request body back."""
    body: dict[str, Any] = json.loads(
        payment_request(payment, api_key="df_fixture").content, parse_float=Decimal
    )
    return body


# --- The samples --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("payment.succeeded", dodo_types.PaymentSucceededWebhookEvent),
        ("refund.succeeded", dodo_types.RefundSucceededWebhookEvent),
        ("dispute.opened", dodo_types.DisputeOpenedWebhookEvent),
        ("subscription.active", dodo_types.SubscriptionActiveWebhookEvent),
    ],
)
def test_the_samples_are_what_the_official_models_expect(name: str, model: type[BaseModel]) -> None:
    """Every field that the SDK's strict model of the event asks for is there and of its type."""
    parsed = model.model_validate(sample(name))

    assert parsed.to_dict()["type"] == name


def test_a_sale_is_reported_whole() -> None:
    """Every field of the report, from the sample of a one-time sale."""
    assert payment_for(event()) == Payment(
        amount=Decimal("34.80"),
        currency="EUR",
        transaction_id="pay_P1",
        datafast_visitor_id=VISITOR,
        email=None,
        name=None,
        customer_id="cus_C1",
        renewal=False,
        refunded=False,
        is_free_trial=False,
        timestamp=datetime(2026, 10, 2, 9, 14, 50, 118224, UTC),
    )


def test_the_request_is_as_datafast_documents_it() -> None:
    """Address, headers and every byte of the body."""
    outgoing = payment_request(sale(), api_key="df_fixture")

    assert (outgoing.method, outgoing.url) == ("POST", "https://datafa.st/api/v1/payments")
    assert dict(outgoing.headers) == {
        "Authorization": "Bearer df_fixture",
        "Content-Type": "application/json",
        "Accept": "application/json",
    }
    assert outgoing.content == (
        b'{"amount":34.8,"currency":"EUR","transaction_id":"pay_P1",'
        b'"datafast_visitor_id":"0b8e6c1e-2d1c-4f0a-9f2e-6a4f1f4d7c11","customer_id":"cus_C1",'
        b'"renewal":false,"timestamp":"2026-10-02T09:14:50.118Z"}'
    )


def test_absent_fields_are_left_out_of_the_request() -> None:
    """Nothing is sent as null."""
    body = wire(sale(metadata={}, customer=None))

    assert body.keys() == {"amount", "currency", "transaction_id", "renewal", "timestamp"}


def test_a_refund_is_written_as_one() -> None:
    """A positive amount and the flag; a refund is neither new nor renewed."""
    body = wire(replace(sale(), transaction_id="ref_R1", refunded=True))

    assert body["refunded"] is True
    assert "renewal" not in body


def test_a_trial_is_written_as_one() -> None:
    """Amount 0 and the flag."""
    body = wire(replace(sale(), amount=Decimal(0), is_free_trial=True))

    assert (body["amount"], body["is_free_trial"]) == (0, True)


# --- Money (reliability.md rows 38 and 39) ------------------------------------------------------


@pytest.mark.parametrize(
    ("basis", "amount", "currency"),
    [("gross", "3213.56", "INR"), ("net", "2723.36", "INR"), ("settlement", "29.00", "USD")],
)
def test_the_basis_chooses_the_figure(
    basis: Literal["gross", "net", "settlement"], amount: str, currency: str
) -> None:
    """Buyer's total, total without tax, or what is settled before tax."""
    payment = payment_for(event(**RUPEES), basis=basis)

    assert isinstance(payment, Payment)
    assert (str(payment.amount), payment.currency) == (amount, currency)


@pytest.mark.parametrize("tax", [None, REMOVED, 0])
def test_a_sale_without_tax_is_its_own_net(tax: object) -> None:
    """Tax may be null or absent."""
    untaxed = event(tax=tax, settlement_tax=tax)
    net, settled = payment_for(untaxed, basis="net"), payment_for(untaxed, basis="settlement")

    assert isinstance(net, Payment)
    assert isinstance(settled, Payment)
    assert (net.amount, settled.amount) == (Decimal("34.80"), Decimal("40.72"))


@pytest.mark.parametrize("field", ["settlement_amount", "settlement_currency"])
@pytest.mark.parametrize("value", [None, REMOVED])
def test_a_missing_settlement_asks_for_the_payment(field: str, value: object) -> None:
    """Dodo's API has the figure once it is known."""
    assert payment_for(event(**{field: value}), basis="settlement") == Skip(
        "settlement_missing", needs="payment"
    )
    assert isinstance(payment_for(event(**{field: value}), basis="gross"), Payment)


def test_an_unknown_basis_is_refused() -> None:
    """A mistyped setting must not choose a figure by itself."""
    with pytest.raises(ValueError, match="settlement"):
        payment_for(event(), basis="gros")  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize("basis", ["gross", "net", "settlement"])
def test_a_zero_payment_is_skipped(basis: Literal["gross", "net", "settlement"]) -> None:
    """A trial's mandate or a full discount: the payment alone cannot tell which."""
    changes = {"total_amount": 0, "tax": 0, "settlement_amount": 0, "settlement_tax": 0}

    assert payment_for(event(**changes), basis=basis) == Skip("zero_amount")
    assert payment_for(event(total_amount=0, tax=None), basis=basis) == Skip("zero_amount")


def test_a_payment_that_is_all_tax_is_skipped() -> None:
    """Nothing is left to report once the tax is off."""
    assert payment_for(event(total_amount=580, tax=580), basis="net") == Skip("zero_amount")


HOSTILE_AMOUNTS: list[object] = [
    -1, -3480, True, False, "3480", "34.80", "", 34.8, 3480.0, 2**53, 2**53 + 1, 10**400,
    [], [3480], {}, {"value": 3480},
]  # fmt: skip


def named(value: object) -> str:
    """Name a parameter by its text and type."""
    return f"{str(value)[:20]} {type(value).__name__}".replace(str(REMOVED)[:20], "removed")


@pytest.mark.parametrize("amount", [*HOSTILE_AMOUNTS, None, REMOVED], ids=named)
def test_an_amount_that_is_none_is_skipped(amount: object) -> None:
    """Negative, bool, text, fraction, past 2^53, of another type or absent: a reason, no guess."""
    assert payment_for(event(total_amount=amount)) == Skip("amount_invalid")


@pytest.mark.parametrize("amount", HOSTILE_AMOUNTS, ids=named)
def test_a_tax_that_is_none_is_skipped(amount: object) -> None:
    """On the net basis the tax is part of the figure; on the gross basis it is not read."""
    assert payment_for(event(tax=amount), basis="net") == Skip("amount_invalid")
    assert payment_for(event(settlement_tax=amount), basis="settlement") == Skip("amount_invalid")
    assert isinstance(payment_for(event(tax=amount)), Payment)


@pytest.mark.parametrize("basis", ["net", "settlement"])
def test_a_tax_above_the_total_is_skipped(basis: Literal["net", "settlement"]) -> None:
    """It would make a negative revenue."""
    assert payment_for(event(tax=3481, settlement_tax=4073), basis=basis) == Skip("amount_invalid")


def test_the_largest_safe_amount_is_reported() -> None:
    """2^53 - 1 is still the same number for every reader."""
    assert str(sale(total_amount=2**53 - 1).amount) == "90071992547409.91"


@pytest.mark.parametrize("number", ["NaN", "1e999"])
def test_an_amount_that_is_not_finite_never_reaches_the_mapping(number: str) -> None:
    """The reader refuses the whole body, so that no later step has to."""
    body = f'{{"type":"payment.succeeded","data":{{"total_amount":{number}}}}}'
    with pytest.raises(Exception, match="not_finite"):
        read_event(Signed("msg_1", SENT_AT, body.encode()))


@pytest.mark.parametrize(
    ("total_amount", "currency", "amount"),
    [
        (3300, "JPY", "3300"),
        (3300, "MGA", "3300"),
        (3300, "XOF", "3300"),
        (8750, "KWD", "8.750"),
        (3480, "EUR", "34.80"),
    ],
)
def test_the_currency_decides_the_divisor(total_amount: int, currency: str, amount: str) -> None:
    """Yen are whole, dinars have three decimals."""
    assert str(sale(total_amount=total_amount, currency=currency).amount) == amount


@pytest.mark.parametrize(
    "currency", ["XXX", "eur", "", "EURO", None, 978, True, [], {}, REMOVED], ids=repr
)
def test_an_unknown_currency_is_skipped(currency: object) -> None:
    """Never a guess."""
    assert payment_for(event(currency=currency)) == Skip("unknown_currency")


# --- Who (rows 40 to 42) ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "metadata",
    [
        {}, None, REMOVED, [], "x", 5, True,
        {"datafast_visitor_id": None},
        {"datafast_visitor_id": ""},
        {"datafast_visitor_id": 7},
        {"datafast_visitor_id": 1.5},
        {"datafast_visitor_id": True},
        {"datafast_visitor_id": [VISITOR]},
        {"datafast_visitor_id": {"id": VISITOR}},
        {"datafastVisitorId": VISITOR},
        {"datafast_visitor_id": "undefined"},
        {"datafast_visitor_id": VISITOR.upper()},
        {"datafast_visitor_id": f" {VISITOR}"},
        {"datafast_visitor_id": f"{VISITOR}\n"},
        {"datafast_visitor_id": VISITOR + "\r\nX: y"},
        {"datafast_visitor_id": VISITOR * 300},
        {"datafast_visitor_id": "<script>alert(1)</script>"},
        {"datafast_visitor_id": "\ud800"},
        {"datafast_visitor_id": "../../etc/passwd"},
    ],
    ids=lambda value: ascii(value)[:70],
)  # fmt: skip
def test_a_sale_without_a_usable_visitor_is_reported_all_the_same(metadata: object) -> None:
    """The revenue is real; only the attribution is missing."""
    payment = sale(metadata=metadata)

    assert payment.datafast_visitor_id is None
    assert payment == sale(metadata={})


@pytest.mark.parametrize(
    "metadata", [{}, None, {"datafast_visitor_id": "x"}, {"datafast_visitor_id": 1}], ids=repr
)
def test_a_memory_fills_in_the_visitor(metadata: object) -> None:
    """What a ledger knows counts where the event has no valid id."""
    assert sale(Known(visitor_id=OTHER), metadata=metadata).datafast_visitor_id == OTHER


def test_the_event_s_own_visitor_comes_before_a_memory() -> None:
    """The metadata of this payment is the nearest source."""
    assert sale(Known(visitor_id=OTHER)).datafast_visitor_id == VISITOR


def test_non_string_metadata_beside_the_visitor_does_not_matter() -> None:
    """Newer SDKs let others write numbers and booleans there."""
    metadata = {"datafast_visitor_id": VISITOR, "seats": 3, "beta": True, "rate": 1.5, "x": None}

    assert sale(metadata=metadata).datafast_visitor_id == VISITOR


def test_person_data_leaves_only_on_request() -> None:
    """E-mail and name are extra; the customer's id is a pseudonym."""
    payment = payment_for(event(), send_customer=True)

    assert (sale().email, sale().name, sale().customer_id) == (None, None, "cus_C1")
    assert isinstance(payment, Payment)
    assert (payment.email, payment.name) == ("ada@example.com", "Ada Example")
    assert b"ada" not in sale().as_json().lower()


@pytest.mark.parametrize(
    "customer",
    [
        None, [], "x", 5, {}, REMOVED,
        {"customer_id": 5, "email": 5, "name": []},
        {"customer_id": "", "email": "", "name": ""},
        {"customer_id": "a b", "email": "a\r\nb", "name": "x" * 321},
        {"customer_id": "x" * 129, "email": "\ud800", "name": "a\x00"},
    ],
    ids=lambda value: ascii(value)[:60],
)  # fmt: skip
def test_a_hostile_customer_is_left_out(customer: object) -> None:
    """The payment is reported without the person."""
    payment = payment_for(event(customer=customer), send_customer=True)

    assert isinstance(payment, Payment)
    assert (payment.email, payment.name, payment.customer_id) == (None, None, None)


@pytest.mark.parametrize("name", ["A", "Zo\u00eb \u6f22", "x" * 320])
def test_any_printable_name_is_a_name(name: str) -> None:
    """One letter is enough, and no alphabet is preferred."""
    payment = payment_for(event(customer={"name": name}), send_customer=True)

    assert isinstance(payment, Payment)
    assert wire(payment)["name"] == name


def test_person_data_stays_out_of_the_repr() -> None:
    """A payment in a log line or a traceback shows nobody."""
    payment = payment_for(event(), send_customer=True)

    assert "ada" not in repr(payment).lower()


@pytest.mark.parametrize(
    "payment_id",
    [None, REMOVED, "", 5, True, [], {}, "a b", "pay_1\n", "../x", "\u00e9", "x" * 129, "\ud800"],
    ids=ascii,
)
def test_a_sale_without_a_payment_id_is_skipped(payment_id: object) -> None:
    """Never anything random: a report without a stable id could count twice."""
    assert payment_for(event(payment_id=payment_id)) == Skip("no_payment_id")


# --- What counts (rows 36 and 37) ---------------------------------------------------------------


def test_a_card_update_is_no_sale() -> None:
    """Its small charge proves a card and sells nothing."""
    assert payment_for(event(is_update_payment_method=True)) == Skip("payment_method_update")


@pytest.mark.parametrize("value", [False, None, REMOVED])
def test_without_the_card_update_flag_a_sale_is_a_sale(value: object) -> None:
    """Payloads before July 2026 lack the flag."""
    assert sale(is_update_payment_method=value) == sale()


@pytest.mark.parametrize("status", ["succeeded", None, REMOVED])
def test_a_status_may_be_null_for_a_moment(status: object) -> None:
    """The event's type already says succeeded."""
    assert sale(status=status) == sale()


@pytest.mark.parametrize(
    "status", ["failed", "processing", "cancelled", "SUCCEEDED", "", True, 1, [], {}], ids=repr
)
def test_another_status_is_skipped(status: object) -> None:
    """The body is the latest state: money that is not there is not reported."""
    assert payment_for(event(status=status)) == Skip("status_not_succeeded")


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("payment.failed", "event_not_money"),
        ("payment.processing", "event_not_money"),
        ("payment.cancelled", "event_not_money"),
        ("payment.succeeded.v2", "event_not_money"),
        ("Payment.Succeeded", "event_not_money"),
        ("subscription.active", "event_not_money"),
        ("subscription.renewed", "event_not_money"),
        ("subscription.updated", "event_not_money"),
        ("abandoned_checkout.recovered", "event_not_money"),
        ("license_key.created", "event_not_money"),
        ("orbit.reached", "event_not_money"),
    ],
)
def test_other_events_are_no_money(kind: str, expected: str) -> None:
    """A first subscription charge fires four events; one of them counts."""
    sold = event()

    assert payment_for(Event(sold.id, kind, sold.timestamp, sold.data)) == Skip(expected)


@pytest.mark.parametrize("name", ["refund.succeeded", "dispute.opened", "subscription.active"])
def test_the_other_samples_are_never_a_sale(name: str) -> None:
    """Refunds and disputes need their sale, and an active subscription has charged nothing yet."""
    payment = payment_for(event(name))

    assert isinstance(payment, Skip) or payment.is_free_trial


@pytest.mark.parametrize(
    ("changes", "renewal"),
    [
        ({"charge_type": "new"}, False),
        ({"charge_type": "renewal"}, True),
        ({"charge_type": "renewal", "retry_attempt": 2}, True),
        ({"charge_type": "new", "retry_attempt": 2}, False),
        ({"charge_type": None}, False),
        ({"charge_type": REMOVED}, False),
        ({"charge_type": REMOVED, "retry_attempt": REMOVED}, False),
        ({"charge_type": REMOVED, "retry_attempt": 1}, True),
        ({"charge_type": REMOVED, "retry_attempt": True}, False),
        ({"charge_type": REMOVED, "retry_attempt": "1"}, False),
        ({"charge_type": REMOVED, "retry_attempt": None}, False),
    ],
    ids=lambda value: str(value).replace(repr(REMOVED), "removed"),
)
def test_the_charge_tells_new_from_renewed(changes: dict[str, Any], renewal: bool) -> None:
    """`charge_type` decides; before August 2026 only a retry shows a renewal."""
    assert sale(**changes).renewal is renewal


@pytest.mark.parametrize("charge_type", ["new", "renewal", None])
@pytest.mark.parametrize("known", [True, False])
def test_a_memory_knows_renewals_better(charge_type: str | None, known: bool) -> None:
    """The first paid charge after a trial is new, whatever the charge type says."""
    assert sale(Known(renewal=known), charge_type=charge_type).renewal is known


# --- When ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("created_at", "expected"),
    [
        ("2026-10-02T09:14:50.118224Z", datetime(2026, 10, 2, 9, 14, 50, 118224, UTC)),
        ("2026-10-02T11:14:50+02:00", datetime(2026, 10, 2, 9, 14, 50, tzinfo=UTC)),
        ("2026-10-02T09:14:50", datetime(2026, 10, 2, 9, 14, 50, tzinfo=UTC)),
    ],
)
def test_the_payment_is_dated_when_it_was_made(created_at: str, expected: datetime) -> None:
    """A webhook that took hours of retries does not move the sale."""
    assert sale(created_at=created_at).timestamp == expected


@pytest.mark.parametrize("created_at", [None, REMOVED, "", "x", 5, [], {}, "9" * 99], ids=ascii)
def test_without_its_own_date_the_event_s_counts(created_at: object) -> None:
    """The envelope's time is the next best."""
    assert sale(created_at=created_at).timestamp == datetime(2026, 10, 2, 9, 15, 27, 402113, UTC)


@pytest.mark.parametrize("hours", [-11, 0, 14])
def test_the_wire_s_time_is_utc_in_milliseconds(hours: int) -> None:
    """Whatever zone a payment built by hand carries."""
    there = timezone(timedelta(hours=hours))
    moment = datetime(2026, 10, 2, 9, 14, 50, 999999, UTC).astimezone(there)

    assert wire(replace(sale(), timestamp=moment))["timestamp"] == "2026-10-02T09:14:50.999Z"


# --- Where to -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "url"),
    [
        ({"api_key": "df_fixture"}, "https://datafa.st/api/v1/payments"),
        ({"api_key": "df_fixture", "website_id": "a" * 24}, "https://datafa.st/api/v1/payments"),
        (
            {"api_key": "dft_fixture", "website_id": "0123456789abcdef01234567"},
            "https://datafa.st/api/v1/payments?websiteId=0123456789abcdef01234567",
        ),
        (
            {"api_key": "df_fixture", "base_url": "http://127.0.0.1:8002/"},
            "http://127.0.0.1:8002/api/v1/payments",
        ),
    ],
    ids=["website key", "website key and id", "account token", "sandbox"],
)
def test_the_key_decides_the_address(arguments: dict[str, str], url: str) -> None:
    """A website key stands for its site; an account token names one."""
    assert payment_request(sale(), **arguments).url == url


@pytest.mark.parametrize(
    "website_id",
    [
        None, "", "dfid_0123456789abcdef01234", "a" * 23, "a" * 25, "A" * 24, "g" * 24,
        "a" * 24 + "\n", "a" * 23 + "&",
    ],
)  # fmt: skip
def test_an_account_token_without_its_website_is_refused(website_id: str | None) -> None:
    """The script's `dfid_` id is another one, and an easy mistake."""
    with pytest.raises(ValueError, match="24 hex digits"):
        payment_request(sale(), api_key="dft_fixture", website_id=website_id)


def test_the_key_and_the_person_stay_out_of_the_request_s_repr() -> None:
    """A request in a log line shows where it goes and nothing else."""
    payment = payment_for(event(), send_customer=True)
    assert isinstance(payment, Payment)
    shown = repr(payment_request(payment, api_key="df_fixture"))

    assert shown == "Outgoing(method='POST', url='https://datafa.st/api/v1/payments')"


# --- Anything -----------------------------------------------------------------------------------

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(10**400, 10**401), st.decimals(
        allow_nan=False, allow_infinity=False
    ), st.text(max_size=9), st.sampled_from(["succeeded", "USD", "pay_P1", VISITOR]),
)  # fmt: skip
json_values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=8,
)
FIELDS = [*sample("payment.succeeded")["data"], "unheard_of"]


@settings(max_examples=300)
@given(
    changes=st.dictionaries(st.sampled_from(FIELDS), json_values, max_size=5),
    metadata=st.one_of(json_values, st.fixed_dictionaries({"datafast_visitor_id": json_values})),
    customer=st.one_of(
        json_values,
        st.fixed_dictionaries({"customer_id": scalars, "email": scalars, "name": scalars}),
    ),
    bare=st.booleans(),
    basis=st.sampled_from(["gross", "net", "settlement"]),
    send_customer=st.booleans(),
)
def test_any_data_is_a_payment_or_a_skip(
    changes: dict[str, Any],
    metadata: object,
    customer: object,
    bare: bool,
    basis: Literal["gross", "net", "settlement"],
    send_customer: bool,
) -> None:
    """Nothing an event may hold raises, and what is reported can be sent and read back."""
    ground = {} if bare else sample("payment.succeeded")["data"]
    data = ground | {"metadata": metadata, "customer": customer} | changes
    sold = Event("msg_1", "payment.succeeded", SENT_AT, data)
    result = payment_for(sold, basis=basis, send_customer=send_customer)
    if isinstance(result, Skip):
        assert result.reason
        return
    body = wire(result)

    assert Decimal(body["amount"]) == result.amount > 0
    assert body["transaction_id"] == data["payment_id"]
    assert None not in body.values()
