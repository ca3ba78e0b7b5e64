"""Faults on the wire, on a real socket, and how narrowly they are aimed."""

import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette

from kit.sandbox.datafast import create_datafast
from kit.sandbox.dodo import create_dodo

KEY = {"authorization": "Bearer test-api-key"}
PAYMENT = {"amount": 29, "currency": "USD", "transaction_id": "pay_1"}
VISITOR_ID = "0b8e6c1e-2d1c-4f0a-9f2e-6a4f1f4d7c11"
CART = [{"product_id": "pdt_coastline", "quantity": 1}]
Serve = Callable[[Starlette], str]


@pytest.fixture
def datafast_url(serve: Serve, datafast_options: dict[str, Any]) -> str:
    """Serve the DataFast stand-in on a socket."""
    return serve(create_datafast(**datafast_options))


def report(url: str, **changes: Any) -> httpx.Response:
    """Report a payment, waiting two seconds at most."""
    return httpx.post(f"{url}/api/v1/payments", json=PAYMENT | changes, headers=KEY, timeout=2)


def cause(url: str, **rule: Any) -> None:
    """Post a chaos rule."""
    httpx.post(f"{url}/_sandbox/chaos", json=rule).raise_for_status()


@pytest.mark.parametrize(
    ("mode", "status", "content_type"),
    [
        ("429", 429, "application/json"),
        ("500", 500, "application/json"),
        ("html", 200, "text/html; charset=utf-8"),
        ("redirect", 302, None),
        ("empty", 200, None),
    ],
)
def test_answers(datafast_url: str, mode: str, status: int, content_type: str | None) -> None:
    """Each fault answers as named, once, and then the call goes through."""
    cause(datafast_url, mode=mode, times=1)
    broken, healed = report(datafast_url), report(datafast_url)

    assert broken.status_code == status
    assert broken.headers.get("content-type") == content_type
    assert healed.json()["message"] == "Payment recorded"


def test_429_has_the_services_own_body(datafast_url: str) -> None:
    """A forced 429 looks like a real one."""
    cause(datafast_url, mode="429")

    assert report(datafast_url).json().keys() == {"limit", "remaining", "reset"}


@pytest.mark.parametrize(
    ("mode", "error"),
    [
        ("timeout", httpx.ReadTimeout),
        ("reset", httpx.NetworkError | httpx.RemoteProtocolError),
    ],
)
def test_broken_connections(datafast_url: str, mode: str, error: Any) -> None:
    """A held connection times out at the caller, a reset one breaks."""
    cause(datafast_url, mode=mode, times=1)
    with pytest.raises(error.__args__ if hasattr(error, "__args__") else error):
        httpx.post(f"{datafast_url}/api/v1/payments", json=PAYMENT, headers=KEY, timeout=0.3)

    assert report(datafast_url).json()["message"] == "Payment recorded"


def test_a_dripping_answer_never_ends(datafast_url: str) -> None:
    """Bytes keep coming, so only an overall deadline helps the caller."""
    cause(datafast_url, mode="drip")
    url = f"{datafast_url}/api/v1/payments"
    with httpx.stream("POST", url, json=PAYMENT, headers=KEY, timeout=2) as response:
        pieces = response.iter_raw()
        first, second = next(pieces), next(pieces)

    assert response.status_code == 200
    assert (first, second) == (b" ", b" ")


def test_a_lost_reply_after_the_fact(datafast_url: str) -> None:
    """With `after` the payment is recorded and only the answer is lost."""
    cause(datafast_url, mode="reset", after=True, times=1)
    with pytest.raises((httpx.NetworkError, httpx.RemoteProtocolError)):
        report(datafast_url)

    assert report(datafast_url).json()["message"] == "Payment already recorded"


def test_a_rule_hits_only_what_it_names(datafast_url: str) -> None:
    """Visitor, transaction and path each narrow a rule; parallel tests do not meet."""
    cause(datafast_url, match={"visitor_id": VISITOR_ID}, mode="500")
    cause(datafast_url, match={"transaction_id": "pay_2"}, mode="empty")
    cause(datafast_url, path="/js/script.js", mode="429")

    assert report(datafast_url, datafast_visitor_id=VISITOR_ID).status_code == 500
    assert report(datafast_url, transaction_id="pay_2").content == b""
    assert httpx.get(f"{datafast_url}/js/script.js").status_code == 429
    assert httpx.get(f"{datafast_url}/api/v1/visitors/{VISITOR_ID}", headers=KEY).status_code == 500
    assert report(datafast_url).status_code == 200


def test_off_clears_its_match_or_everything(datafast_url: str) -> None:
    """`off` with a match ends those rules, without one all."""
    cause(datafast_url, match={"transaction_id": "pay_1"}, mode="500")
    cause(datafast_url, match={"transaction_id": "pay_2"}, mode="500")
    cause(datafast_url, match={"transaction_id": "pay_1"}, mode="off")
    left = httpx.get(f"{datafast_url}/_sandbox/chaos").json()
    cause(datafast_url, mode="off")

    assert [rule["match"] for rule in left] == [{"transaction_id": "pay_2"}]
    assert httpx.get(f"{datafast_url}/_sandbox/chaos").json() == []


@pytest.mark.parametrize(
    "rule",
    [[], {}, {"mode": "fire"}, {"mode": "500", "times": 0}, {"mode": "500", "match": {"day": "1"}}],
    ids=str,
)
def test_a_rule_that_is_none_is_refused(datafast_url: str, rule: Any) -> None:
    """A typing mistake does not become a rule that matches everything."""
    response = httpx.post(f"{datafast_url}/_sandbox/chaos", json=rule)

    assert response.status_code == 400
    assert httpx.get(f"{datafast_url}/_sandbox/chaos").json() == []


def test_dodo_has_the_same_faults(serve: Serve, dodo_options: dict[str, Any]) -> None:
    """Dodo's faults carry Dodo's error body, and a visitor in the metadata can be named."""
    url = serve(create_dodo(**dodo_options))
    cause(url, match={"visitor_id": VISITOR_ID}, mode="500", times=1)
    cause(url, path="/checkouts", method="POST", mode="429", times=1)
    order = {"product_cart": CART, "metadata": {"datafast_visitor_id": VISITOR_ID}}
    answers = [httpx.post(f"{url}/checkouts", json=order, headers=KEY) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [500, 429, 200]
    assert answers[0].json()["code"] == "INTERNAL_SERVER_ERROR"
    assert answers[1].json()["code"] == "TOO_MANY_REQUESTS"


@pytest.mark.parametrize("mode", ["timeout", "drip"])
def test_a_held_request_does_not_hold_up_the_shutdown(
    datafast_options: dict[str, Any], mode: str
) -> None:
    """A server that stops lets go of the callers it keeps waiting."""
    listener = socket.create_server(("127.0.0.1", 0))
    app = create_datafast(**datafast_options)
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="on"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    cause(url, mode=mode)
    with ThreadPoolExecutor() as pool:
        held = pool.submit(httpx.post, f"{url}/api/v1/payments", json=PAYMENT, timeout=30)
        _wait_for_request(url)
        started = time.monotonic()
        server.should_exit = True
        thread.join(timeout=30)
        took_s = time.monotonic() - started

    assert took_s < 5
    assert isinstance(held.exception(), httpx.NetworkError | httpx.RemoteProtocolError)


def _wait_for_request(url: str) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if httpx.get(f"{url}/_sandbox/requests").json():
            return
    raise AssertionError("the request did not arrive")
