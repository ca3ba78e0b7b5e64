"""The requests to Dodo, and the answer that opens a checkout."""

import json
from collections.abc import Mapping
from typing import Any, Literal

import httpx
import pytest
from dodopayments import DodoPayments
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.helpers.dodo_datafast import (
    DODO_CHECKOUT_HOSTS,
    CheckoutError,
    CheckoutSession,
    Outgoing,
    checkout_request,
    dodo_url,
    lookup_request,
    read_checkout,
)

CART: list[dict[str, Any]] = [{"product_id": "pdt_X1", "quantity": 1}]
METADATA: dict[str, Any] = {
    "datafast_visitor_id": "1f0c8a52-7d0e-4c5b-9a53-2f6f1f3f9b11",
    "order_ref": "o-1001",
}
RETURN_URL = "https://shop.example/orders/o-1001"
FIXTURE_KEY = "dodo_test_fixture_key"


def build(cart: list[dict[str, Any]] = CART, /, **changes: Any) -> Outgoing:
    """Build a checkout request from the least that one needs."""
    arguments = {"metadata": METADATA, "return_url": RETURN_URL, "api_key": FIXTURE_KEY} | changes
    return checkout_request(cart, **arguments)


def answer(**fields: Any) -> bytes:
    """Write Dodo's answer to a checkout it opened."""
    return json.dumps({"session_id": "cks_S1"} | fields).encode()


# --- Request ------------------------------------------------------------------------------------


def test_the_whole_request_is_as_dodo_documents_it() -> None:
    """Method, address, headers and every byte of the body."""
    outgoing = build()

    assert (outgoing.method, outgoing.url) == ("POST", "https://test.dodopayments.com/checkouts")
    assert dict(outgoing.headers) == {
        "Authorization": f"Bearer {FIXTURE_KEY}",
        "Content-Type": "application/json",
        "Accept": "application/json",
    }
    assert outgoing.content == (
        b'{"product_cart":[{"product_id":"pdt_X1","quantity":1}],"metadata":{"datafast_visitor_id":'
        b'"1f0c8a52-7d0e-4c5b-9a53-2f6f1f3f9b11","order_ref":"o-1001"},'
        b'"return_url":"https://shop.example/orders/o-1001"}'
    )


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ({}, "https://test.dodopayments.com/checkouts"),
        ({"environment": "test_mode"}, "https://test.dodopayments.com/checkouts"),
        ({"environment": "live_mode"}, "https://live.dodopayments.com/checkouts"),
        ({"base_url": "http://127.0.0.1:8001/"}, "http://127.0.0.1:8001/checkouts"),
        (
            {"environment": "live_mode", "base_url": "http://127.0.0.1:8001/dodo"},
            "http://127.0.0.1:8001/dodo/checkouts",
        ),
    ],
)
def test_the_address_follows_environment_and_base_url(place: dict[str, Any], expected: str) -> None:
    """Test mode unless said otherwise: a live checkout never opens by default."""
    assert build(**place).url == expected


@pytest.mark.parametrize("environment", ["live", "test", "", "LIVE_MODE", "production"])
def test_an_unknown_environment_is_refused(environment: str) -> None:
    """A mistyped environment must not pick a mode by itself."""
    with pytest.raises(ValueError, match="test_mode"):
        build(environment=environment)


def test_the_api_s_address_has_no_slash_at_its_end() -> None:
    """A path can be put behind it, whoever wrote the setting."""
    assert dodo_url("live_mode") == "https://live.dodopayments.com"
    assert dodo_url("test_mode", "http://127.0.0.1:8001//") == "http://127.0.0.1:8001"
    with pytest.raises(ValueError, match="live_mode"):
        dodo_url("live")


def test_fields_that_are_none_are_left_out() -> None:
    """None means not given; false, zero and empty are values."""
    body = json.loads(
        build(customer=None, billing_currency="EUR", confirm=False, discount_codes=[]).content
    )

    assert body.keys() == {
        "product_cart", "metadata", "return_url",
        "billing_currency", "confirm", "discount_codes",
    }  # fmt: skip


def test_text_travels_as_utf_8() -> None:
    """Names are sent as written, not escaped."""
    content = build(customer={"email": "zo\u00eb@example.com", "name": "Zo\u00eb \u6f22"}).content

    assert "Zo\u00eb \u6f22".encode() in content


def test_the_cart_and_metadata_are_copied() -> None:
    """Changing the caller's objects later does not change the request."""
    cart = [{"product_id": "pdt_X1", "quantity": 1}]
    outgoing = build(cart)
    cart[0]["quantity"] = 9

    assert json.loads(outgoing.content)["product_cart"][0]["quantity"] == 1


@pytest.mark.parametrize(
    "cart",
    [
        pytest.param([], id="empty"),
        pytest.param(CART * 21, id="21 items"),
        pytest.param([{}], id="no product"),
        pytest.param([{"product_id": "", "quantity": 1}], id="empty product"),
        pytest.param([{"product_id": None, "quantity": 1}], id="null product"),
        pytest.param([{"product_id": "pdt_X1"}], id="no quantity"),
        pytest.param([{"product_id": "pdt_X1", "quantity": 0}], id="zero"),
        pytest.param([{"product_id": "pdt_X1", "quantity": -1}], id="negative"),
        pytest.param([{"product_id": "pdt_X1", "quantity": True}], id="bool"),
        pytest.param([{"product_id": "pdt_X1", "quantity": "1"}], id="string"),
        pytest.param([{"product_id": "pdt_X1", "quantity": 1.0}], id="float"),
        pytest.param([*CART, {"product_id": "pdt_X2", "quantity": None}], id="bad second item"),
    ],
)
def test_a_bad_cart_is_refused_before_the_call(cart: list[dict[str, Any]]) -> None:
    """What Dodo would answer with 422 is said where it can be put right."""
    with pytest.raises(ValueError, match=r"cart|quantity"):
        build(cart)


def test_a_cart_of_twenty_passes() -> None:
    """Twenty items are Dodo's limit, and allowed."""
    assert len(json.loads(build(CART * 20).content)["product_cart"]) == 20


@pytest.mark.parametrize(
    "return_url",
    [
        "",
        "/orders/o-1001",
        "orders",
        "//shop.example/orders",
        "shop.example/orders",
        "https:",
        "https://",
        "https:///orders",
        "https:shop.example",
        "https:\\\\shop.example",
        "javascript:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "ftp://shop.example/",
        "https://[::1",
    ],
)
def test_a_return_url_that_is_not_absolute_is_refused(return_url: str) -> None:
    """Dodo refuses a relative one, and a buyer must not be sent to a script."""
    with pytest.raises(ValueError, match=r"return_url|URL"):
        build(return_url=return_url)


@pytest.mark.parametrize(
    "return_url", [" https://shop.example/", "https://shop.example/\n", "ht\ttps://shop.example/"]
)
def test_a_return_url_with_white_space_is_refused(return_url: str) -> None:
    """The parser drops such characters while reading; the wire would still carry them."""
    with pytest.raises(ValueError, match="return_url"):
        build(return_url=return_url)


@pytest.mark.parametrize("return_url", ["http://shop.localhost:8000/o", "HTTPS://shop.example"])
def test_an_absolute_return_url_passes(return_url: str) -> None:
    """Any http or https address of the shop, sent as written."""
    assert json.loads(build(return_url=return_url).content)["return_url"] == return_url


def test_a_number_that_json_does_not_know_is_refused() -> None:
    """NaN would be sent as a bare word that no server reads."""
    with pytest.raises(ValueError, match="JSON"):
        build(subscription_data={"trial_period_days": float("nan")})


def test_the_key_stays_out_of_the_repr() -> None:
    """A request in a log line or a traceback shows neither key nor customer."""
    outgoing = build(customer={"email": "ada@example.com"})

    assert repr(outgoing) == (
        "Outgoing(method='POST', url='https://test.dodopayments.com/checkouts')"
    )


def test_an_outgoing_request_is_frozen() -> None:
    """Nobody redirects a request that is already built."""
    with pytest.raises(AttributeError):
        build().url = "https://elsewhere.example"  # type: ignore[misc]  # that is the point


SDK_ARGUMENTS: list[Any] = [
    pytest.param({}, id="least"),
    pytest.param(
        {
            "customer": {"email": "ada@example.com", "name": "Zo\u00eb Example"},
            "billing_address": {"country": "FR", "zipcode": "69001"},
            "billing_currency": "EUR",
            "cancel_url": "https://shop.example/cart",
            "discount_codes": ["SPRING"],
            "feature_flags": {"allow_discount_code": False},
            "subscription_data": {"trial_period_days": 14},
            "customization": {"theme": "dark"},
            "confirm": False,
        },
        id="many fields",
    ),
]


@pytest.mark.parametrize("fields", SDK_ARGUMENTS)
@pytest.mark.parametrize("environment", ["test_mode", "live_mode"])
def test_the_official_sdk_sends_the_same(
    fields: dict[str, Any], environment: Literal["test_mode", "live_mode"]
) -> None:
    """The SDK's own request for the same arguments has the same address, key and JSON body."""
    sent: list[httpx.Request] = []

    def keep(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200, json={"session_id": "cks_S1", "checkout_url": None})

    with (
        httpx.Client(transport=httpx.MockTransport(keep)) as http_client,
        DodoPayments(
            bearer_token=FIXTURE_KEY,
            environment=environment,
            http_client=http_client,
            max_retries=0,
        ) as sdk,
    ):
        opened = sdk.checkout_sessions.create(
            product_cart=[{"product_id": "pdt_X1", "quantity": 2}],
            metadata=METADATA,
            return_url=RETURN_URL,
            **fields,
        )
    ours = build([{"product_id": "pdt_X1", "quantity": 2}], environment=environment, **fields)
    theirs = sent[0]

    assert opened.session_id == "cks_S1"
    assert (theirs.method, str(theirs.url)) == (ours.method, ours.url)
    assert json.loads(theirs.content) == json.loads(ours.content)
    assert theirs.headers["authorization"] == ours.headers["Authorization"]
    assert theirs.headers["content-type"] == ours.headers["Content-Type"]


# --- Look-up ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["payments", "subscriptions", "checkouts"])
def test_a_lookup_reads_one_object(kind: Literal["payments", "subscriptions", "checkouts"]) -> None:
    """The id is the last part of the path, and nothing is sent with it."""
    outgoing = lookup_request(kind, "obj_1", api_key=FIXTURE_KEY, environment="live_mode")

    assert (outgoing.method, outgoing.url, outgoing.content) == (
        "GET",
        f"https://live.dodopayments.com/{kind}/obj_1",
        b"",
    )
    assert outgoing.headers["Authorization"] == f"Bearer {FIXTURE_KEY}"


@pytest.mark.parametrize(
    "object_id",
    ["", ".", "..", "../refunds", "pay_1/..", "pay_1?x=1", "pay_1#x", "pay%2F1", "pay 1",
     "pay_1\n", "\u00e9", "x" * 129],
)  # fmt: skip
def test_an_id_that_could_leave_the_path_is_refused(object_id: str) -> None:
    """Ids come from payloads and metadata that others write."""
    with pytest.raises(ValueError, match="object id"):
        lookup_request("payments", object_id, api_key=FIXTURE_KEY)


def test_an_unknown_kind_of_object_is_refused() -> None:
    """Only three kinds are ever looked up."""
    with pytest.raises(ValueError, match="refunds"):
        lookup_request("refunds", "ref_1", api_key=FIXTURE_KEY)  # type: ignore[arg-type]  # wrong on purpose


# --- Answer -------------------------------------------------------------------------------------


def test_an_opened_checkout_is_read() -> None:
    """Session, address and payment, whatever else Dodo adds."""
    session = read_checkout(
        200,
        answer(
            checkout_url="https://test.checkout.dodopayments.com/session/cks_S1",
            payment_id="pay_P1",
            client_secret="fixture",
            added_later={"x": [1.5]},
        ),
    )

    assert session == CheckoutSession(
        "cks_S1", "https://test.checkout.dodopayments.com/session/cks_S1", "pay_P1"
    )


@pytest.mark.parametrize("fields", [{}, {"checkout_url": None, "payment_id": None}])
def test_a_confirmed_checkout_may_need_no_page(fields: dict[str, Any]) -> None:
    """With a saved payment method there is no page to send the buyer to."""
    assert read_checkout(201, answer(**fields)) == CheckoutSession("cks_S1", None, None)


@pytest.mark.parametrize("host", DODO_CHECKOUT_HOSTS)
@pytest.mark.parametrize(
    "form", ["https://{}/session/cks_S1?a=b#c", "https://{}:443/x", "HTTPS://{}", "https://{}/@x"]
)
def test_dodo_s_own_hosts_are_allowed(host: str, form: str) -> None:
    """Live and test checkout, over https."""
    url = form.format(host)

    assert read_checkout(200, answer(checkout_url=url)).checkout_url == url


BYPASSES = [
    "//checkout.dodopayments.com/x",
    "//evil.example",
    "///evil.example",
    "/session/cks_S1",
    "\\\\evil.example",
    "https:/\\evil.example",
    "https:\\\\checkout.dodopayments.com\\@evil.example",
    "https:/checkout.dodopayments.com/",
    "https:checkout.dodopayments.com",
    "https:///checkout.dodopayments.com",
    "http://checkout.dodopayments.com/",
    "javascript:alert(1)//checkout.dodopayments.com",
    "javascript://checkout.dodopayments.com/%0aalert(1)",
    "data:text/html,https://checkout.dodopayments.com",
    "ftp://checkout.dodopayments.com/",
    "https://checkout.dodopayments.com@evil.example/",
    "https://checkout.dodopayments.com:443@evil.example/",
    "https://user:pass@checkout.dodopayments.com/",
    "https://@checkout.dodopayments.com/",
    "https://evil.example\\@checkout.dodopayments.com/",
    "https://evil.example/@checkout.dodopayments.com/",
    "https://checkout.dodopayments.com.evil.example/",
    "https://checkout.dodopayments.com./",
    "https://checkout.dodopayments.comevil.example/",
    "https://evilcheckout.dodopayments.com/",
    "https://evil-checkout.dodopayments.com/",
    "https://dodopayments.com/",
    "https://sub.checkout.dodopayments.com/",
    "https://evil.example#checkout.dodopayments.com",
    "https://evil.example?checkout.dodopayments.com",
    "https://evil.example;checkout.dodopayments.com",
    "https://checkout.dodopayments.com:8443/",
    "https://checkout.dodopayments.com:80/",
    "https://checkout.dodopayments.com:0/",
    "https://checkout.dodopayments.com:99999/",
    "https://checkout.dodopayments.com:x/",
    "https://checkout.dodopayments.com:-443/",
    "https://checkout.dodopayments.com%2eevil.example/",
    "https://checkout.dodopayments.com%00.evil.example/",
    "https://checkout%2edodopayments.com/",
    "https://[checkout.dodopayments.com]/",
    "https://[::1/",
    " https://checkout.dodopayments.com/",
    "https://checkout.dodopayments.com/ ",
    "https://checkout.dodopayments.com/\n",
    "https://checkout.dodo\tpayments.com/",
    "ht\ntps://checkout.dodopayments.com/",
    "\x00https://checkout.dodopayments.com/",
    "https://checkout.dodopayments.com/\x7f",
    "https://checkout.dodopayments.com/\u00a0",
    "https://checkout.dodopayments.com\u3002evil.example/",
    "https://checkout.dodopayments.com\uff0fevil.example/",
    "https://evil.example\uff0f.checkout.dodopayments.com/",
    "https://checkout\uff0edodopayments.com/",
    "https://\uff43heckout.dodopayments.com/",
    "https://\u0441heckout.dodopayments.com/",
    "https://xn--heckout-2of.dodopayments.com/",
    "https://checkout.dodopayments.com\u200b/",
    "https://\ud800.dodopayments.com/",
    "https://",
    "https",
    "",
]  # fmt: skip


@pytest.mark.parametrize("url", BYPASSES, ids=ascii)
def test_any_other_address_is_refused(url: str) -> None:
    """Dodo's answer is input too: the usual ways around a host list, each by itself."""
    with pytest.raises(CheckoutError) as refused:
        read_checkout(200, answer(checkout_url=url))

    assert (refused.value.code, refused.value.retryable) == ("BAD_CHECKOUT_URL", False)
    assert "evil" not in str(refused.value)


@pytest.mark.parametrize("url", [1, True, [], {}, ["https://checkout.dodopayments.com/"]])
def test_an_address_that_is_no_text_is_refused(url: object) -> None:
    """Only a string can be an address."""
    with pytest.raises(CheckoutError):
        read_checkout(200, answer(checkout_url=url))


@pytest.mark.parametrize(
    ("host", "url", "allowed"),
    [
        ("checkout.localhost:8001", "https://checkout.localhost:8001/x", True),
        ("checkout.localhost:8001", "http://checkout.localhost:8001/x", False),
        ("checkout.localhost:8001", "https://checkout.localhost/x", False),
        ("http://checkout.localhost:8001", "http://checkout.localhost:8001/x", True),
        ("http://checkout.localhost:8001", "https://checkout.localhost:8001/x", False),
        ("http://checkout.localhost", "http://checkout.localhost:80/x", True),
        ("https://*.dodopayments.com", "https://test.checkout.dodopayments.com/x", True),
        ("*.dodopayments.com", "https://a.b.dodopayments.com/x", True),
        ("*.dodopayments.com", "https://dodopayments.com/x", False),
        ("*.dodopayments.com", "https://evildodopayments.com/x", False),
        ("*.dodopayments.com", "https://a.dodopayments.com.evil.example/x", False),
        ("*.dodopayments.com", "https://evil.example/.dodopayments.com", False),
        ("*.dodopayments.com", "https://evil.example?.dodopayments.com", False),
        ("*.dodopayments.com", "https://evil.example#.dodopayments.com", False),
        ("*.dodopayments.com", "https://evil.example\uff0f.dodopayments.com/x", False),
        ("*.dodopayments.com", "https://evil.example\\.dodopayments.com/x", False),
        ("*.dodopayments.com", "https://a.dodopayments.com:8443/x", False),
        ("*.dodopayments.com", "http://a.dodopayments.com/x", False),
        ("*", "https://evil.example/", False),
        ("Checkout.Example", "https://checkout.example/", True),
    ],
)
def test_the_host_list_means_host_port_and_scheme(host: str, url: str, allowed: bool) -> None:
    """`host`, `host:port`, `*.host`; plain http only where the list says so."""
    body = answer(checkout_url=url)
    if allowed:
        assert read_checkout(200, body, hosts=[host]).checkout_url == url
    else:
        with pytest.raises(CheckoutError):
            read_checkout(200, body, hosts=[host])


@pytest.mark.parametrize("hosts", [[], [""], ["", "checkout.dodopayments.com"], ["https://"]])
@pytest.mark.parametrize(
    "url", ["https:///evil.example/", "https:evil.example", "https:/evil.example"]
)
def test_an_empty_entry_in_the_host_list_allows_nothing(hosts: list[str], url: str) -> None:
    """A trailing comma in a setting leaves one; browsers read these URLs as https://evil.example."""
    with pytest.raises(CheckoutError):
        read_checkout(200, answer(checkout_url=url), hosts=hosts)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"null",
        b"[]",
        b'"cks_S1"',
        b"<html>busy</html>",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"session_id":null}',
        b'{"session_id":7}',
        b'{"session_id":""}',
        b'{"session_id":"../x"}',
        b'{"session_id":"cks_S1\\n"}',
        b'{"session_id":"\\ud800"}',
        b'{"session_id":"' + b"x" * 129 + b'"}',
        b'{"session_id":"cks_S1","x":NaN}',
        b'{"session_id":"cks_S1","x":' + b"9" * 5000 + b"}",
    ],
    ids=lambda body: repr(body[:30]),
)
def test_an_answer_without_a_session_is_refused(body: bytes) -> None:
    """A 200 that names no session opened none that we could use."""
    with pytest.raises(CheckoutError) as refused:
        read_checkout(200, body)

    assert (refused.value.status, refused.value.code) == (200, "BAD_SESSION")
    assert not refused.value.retryable


@pytest.mark.parametrize(
    ("status", "code", "retryable"),
    [
        (400, "INVALID_REQUEST_BODY", False),
        (401, "UNAUTHORIZED", False),
        (403, "MERCHANT_NOT_LIVE", False),
        (404, "NOT_FOUND", False),
        (408, "X", True),
        (409, "DISCOUNT_CONCURRENT_REDEMPTION", True),
        (410, "GONE", False),
        (413, "TOO_LARGE", False),
        (422, "UNSUPPORTED_CURRENCY", False),
        (425, "X", True),
        (429, "TOO_MANY_REQUESTS", True),
        (500, "INTERNAL", True),
        (503, "DISCOUNT_CONTENTION", True),
        (302, "X", False),
        (101, "X", False),
    ],
)
def test_a_refusal_carries_its_facts(status: int, code: str, retryable: bool) -> None:
    """Status, code, message, and whether another try can help."""
    body = json.dumps({"code": code, "message": "Because of this."}).encode()
    with pytest.raises(CheckoutError, match=r"Because of this\.") as refused:
        read_checkout(status, body)

    assert (refused.value.status, refused.value.code, refused.value.retryable) == (
        status,
        code,
        retryable,
    )


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b"\xff", b'{"code":5,"message":[]}', b'{"code":"a b\\n","message":""}'],
)
def test_a_refusal_without_facts_still_reads(body: bytes) -> None:
    """A proxy's error page is a refusal like any other."""
    with pytest.raises(CheckoutError, match="no message") as refused:
        read_checkout(502, body)

    assert (refused.value.code, refused.value.retryable) == ("UNKNOWN", True)


def test_a_hostile_message_is_cut_and_cleaned() -> None:
    """What goes into a log line has one line of at most 200 characters."""
    body = json.dumps({"code": "X", "message": "a\r\nb\x1b[31m" + "z" * 9000}).encode()
    with pytest.raises(CheckoutError) as refused:
        read_checkout(400, body)

    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 300


@settings(max_examples=150)
@given(
    status=st.integers(100, 599),
    body=st.one_of(
        st.binary(max_size=60),
        st.fixed_dictionaries(
            {"session_id": st.one_of(st.none(), st.text(max_size=9), st.just("cks_S1"))},
            optional={
                "checkout_url": st.one_of(st.none(), st.text(), st.text().map("https://{}".format)),
                "code": st.one_of(st.none(), st.text(max_size=9), st.integers()),
                "message": st.one_of(st.none(), st.text(max_size=9), st.lists(st.none())),
            },
        ).map(lambda value: json.dumps(value).encode()),
    ),
)
def test_any_answer_is_a_session_or_a_checkout_error(status: int, body: bytes) -> None:
    """Nothing else escapes, and a session is only ever read from a 2xx."""
    try:
        session = read_checkout(status, body)
    except CheckoutError:
        return

    assert 200 <= status < 300
    assert session.checkout_url is None or session.checkout_url.startswith("https://")


def test_headers_are_a_mapping_any_client_takes() -> None:
    """Here the official SDK's own client."""
    outgoing = build()

    assert isinstance(outgoing.headers, Mapping)
    assert httpx.Request(
        outgoing.method, outgoing.url, headers=outgoing.headers, content=outgoing.content
    ).read()
