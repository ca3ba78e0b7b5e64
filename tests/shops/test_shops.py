"""The three example shops as real servers, against the stand-ins: same requests, same answers."""

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import httpx
import pytest

from kit.helpers.dodo_datafast import visitor_from_cookies
from kit.sandbox.fixtures import load
from kit.sandbox.signer import sign
from tests.shops.serving import (
    FRAMEWORKS,
    ExampleShop,
    StandIns,
    free_port,
    running_shop,
    running_stand_ins,
)

OTHER = "0b8e6c1e-2d1c-4f0a-9f2e-6a4f1f4d7c11"


@dataclass(frozen=True, slots=True)
class Running:
    """A shop and its stand-ins."""

    framework: str
    shop: ExampleShop
    stand_ins: StandIns
    http: httpx.Client

    def checkout(self, cookies: str = "", product: str = "pdt_coastline", **headers: str) -> Any:
        """Post the page's form as a browser with these cookies does."""
        page = self.http.get(f"{self.shop.url}/")
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
        form = {"product": product}
        if token:
            form["csrfmiddlewaretoken"] = token[1]
            cookies = f"{cookies}; csrftoken={page.cookies['csrftoken']}".strip("; ")
        self.http.cookies.clear()
        sent = {"Cookie": cookies} | headers
        return self.http.post(f"{self.shop.url}/checkout", data=form, headers=sent)

    def metadata(self, answer: httpx.Response) -> dict[str, str]:
        """Return the metadata that the stand-in for Dodo was given in a checkout."""
        session_id = answer.headers["location"].rpartition("/")[2]
        sessions = self.at("dodo", "checkouts")
        [session] = [each for each in sessions if each["session_id"] == session_id]
        metadata: dict[str, str] = session["order"]["metadata"]
        return metadata

    def webhook(
        self, message: dict[str, Any] | bytes, secret: str | None = None
    ) -> tuple[int, str]:
        """Post a signed message; return the status and the word in the answer."""
        body = message if isinstance(message, bytes) else json.dumps(message).encode()
        headers = sign(
            secret or self.stand_ins.variables()["DODO_PAYMENTS_WEBHOOK_KEY"],
            message_id=f"msg_{uuid4().hex}",
            timestamp_s=int(time.time()),
            body=body,
        )
        headers["Content-Type"] = "application/json"
        answer = self.http.post(f"{self.shop.url}/webhooks/dodo", content=body, headers=headers)
        return answer.status_code, answer.json()["status"]

    def at(self, service: str, kind: str, **query: str) -> Any:
        """Return what a stand-in received or holds."""
        url = f"{self.stand_ins.urls[f'{service}_local']}/_sandbox/{kind}"
        return self.http.get(url, params=query).raise_for_status().json()

    def upset(self, service: str, mode: str, *, times: int = 1, **match: str) -> None:
        """Let a stand-in fail for one caller."""
        url = f"{self.stand_ins.urls[f'{service}_local']}/_sandbox/chaos"
        rule = {"match": match, "mode": mode, "times": times}
        self.http.post(url, json=rule).raise_for_status()

    def visit(self) -> str:
        """Have DataFast see a pageview of a new visitor."""
        visitor_id = str(uuid4())
        pageview = {
            "websiteId": "dfid_sandbox",
            "domain": "127.0.0.1",
            "href": f"{self.shop.url}/",
            "visitorId": visitor_id,
            "sessionId": f"s{uuid4()}",
            "type": "pageview",
        }
        url = f"{self.stand_ins.urls['datafast_local']}/api/events"
        self.http.post(url, json=pageview, headers={"Origin": self.shop.url}).raise_for_status()
        return visitor_id

    def reports(self, transaction_id: str) -> list[dict[str, Any]]:
        """Return what DataFast was sent about a transaction."""
        received = self.at("datafast", "requests", transaction_id=transaction_id)
        return [json.loads(each["body"]) for each in received]


@pytest.fixture(scope="module", params=FRAMEWORKS)
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """Run each shop in turn."""
    folder, port = tmp_path_factory.mktemp(request.param), free_port()
    with (
        running_stand_ins(folder, f"http://127.0.0.1:{port}") as stand_ins,
        running_shop(
            request.param, folder / "shop", port=port, environ=stand_ins.variables()
        ) as shop,
        httpx.Client(trust_env=False) as http,
    ):
        yield Running(request.param, shop, stand_ins, http)


def sale(visitor_id: str | None, **changes: Any) -> tuple[str, dict[str, Any]]:
    """Make a payment's message with an id of its own."""
    payment_id = f"pay_{uuid4().hex}"
    message = load("payment.succeeded", payment_id=payment_id, **changes)
    message["data"]["metadata"] = {"datafast_visitor_id": visitor_id} if visitor_id else {}
    return payment_id, message


# --- Checkout -----------------------------------------------------------------------------------


def test_a_checkout_carries_the_visitor_to_dodo(running: Running) -> None:
    """Both ids, strings, and nothing else; the buyer goes to Dodo's page with a GET."""
    visitor_id, session_id = str(uuid4()), f"s{uuid4()}"
    answer = running.checkout(f"datafast_visitor_id={visitor_id}; datafast_session_id={session_id}")

    assert answer.status_code == 303
    assert answer.headers["location"].startswith(f"{running.stand_ins.urls['dodo']}/session/cks_")
    assert running.metadata(answer) == {
        "datafast_visitor_id": visitor_id,
        "datafast_session_id": session_id,
    }


@pytest.mark.parametrize(
    "cookies",
    [
        "datafast_visitor_id={first}; datafast_visitor_id={other}",
        "datafast_visitor_id=%3Cscript%3E; datafast_visitor_id={first}",
        'broken="a;b; datafast_visitor_id={first}; datafast_visitor_id={other}',
        "x_datafast_visitor_id={other}; datafast_visitor_id={first}",
        "=;;, ; datafast_visitor_id={first}",
    ],
    ids=["twice", "malformed-first", "broken-beside", "longer-name", "rubbish"],
)
def test_whatever_the_cookies_all_shops_see_the_same_visitor(
    running: Running, cookies: str
) -> None:
    """The frameworks' own mappings disagree on these; the raw header does not."""
    first = str(uuid4())
    header = cookies.format(first=first, other=OTHER)
    answer = running.checkout(header)

    assert running.metadata(answer) == {"datafast_visitor_id": first}
    assert visitor_from_cookies(header).visitor_id == first


@pytest.mark.parametrize("cookies", ["", "datafast_visitor_id=1; theme=dark"])
def test_a_checkout_without_a_valid_cookie_is_opened(running: Running, cookies: str) -> None:
    """With no metadata at all."""
    answer = running.checkout(cookies)

    assert (answer.status_code, running.metadata(answer)) == (303, {})


@pytest.mark.parametrize("product", ["pdt_other", "", "../x"])
def test_only_a_product_for_sale_can_be_bought(running: Running, product: str) -> None:
    """The list is the server's."""
    assert running.checkout(product=product).status_code == 400


def test_a_form_on_another_site_opens_no_checkout(running: Running) -> None:
    """Django asks for its token; the others look at what the browser says."""
    url, form = f"{running.shop.url}/checkout", {"product": "pdt_coastline"}
    answer = running.http.post(url, data=form, headers={"Sec-Fetch-Site": "cross-site"})

    assert answer.status_code == (403 if running.framework == "django" else 400)


@pytest.mark.parametrize("path", ["/checkout", "/webhooks/dodo"])
def test_both_routes_take_nothing_but_posts(running: Running, path: str) -> None:
    """A link or an image opens no checkout."""
    assert running.http.get(f"{running.shop.url}{path}").status_code == 405


@pytest.mark.parametrize("mode", ["500", "reset", "html", "redirect"])
def test_a_buyer_reads_a_sentence_when_dodo_fails(running: Running, mode: str) -> None:
    """No traceback, and nothing of Dodo's answer."""
    visitor_id = str(uuid4())
    running.upset("dodo", mode, visitor_id=visitor_id)
    answer = running.checkout(f"datafast_visitor_id={visitor_id}")

    assert answer.status_code == 502
    assert "Nothing was charged" in answer.text
    assert "checkout not opened" in running.shop.printed()


# --- Webhook ------------------------------------------------------------------------------------


def test_a_sale_ends_attributed(running: Running) -> None:
    """Of a visitor whose pageview DataFast has seen."""
    visitor_id = running.visit()
    payment_id, message = sale(visitor_id)

    assert running.webhook(message) == (200, "attributed")
    assert [each["datafast_visitor_id"] for each in running.reports(payment_id)] == [visitor_id]


def test_the_signature_is_checked_over_the_raw_bytes(running: Running) -> None:
    """Written as no JSON library would write it again."""
    payment_id, message = sale(running.visit())
    body = b'\n{ "data" :' + json.dumps(message["data"]).encode().replace(b"/", b"\\/")
    body += b',\t"type": "payment.succeeded" , "timestamp":"2026-10-02T09:15:27.402Z"}\r\n'

    assert running.webhook(body) == (200, "attributed")
    assert len(running.reports(payment_id)) == 1


def test_the_same_message_twice_counts_once(running: Running) -> None:
    """Without a database: the payment's id is the report's."""
    payment_id, message = sale(running.visit())
    outcomes = [running.webhook(message), running.webhook(message)]
    [kept] = running.at("datafast", "payments", transaction_id=payment_id)

    assert outcomes == [(200, "attributed"), (200, "duplicate")]
    assert kept["transaction_id"] == payment_id


@pytest.mark.parametrize("secret", ["whsec_" + "A" * 32, None], ids=["wrong", "none"])
def test_a_message_that_is_not_dodo_s_is_401(running: Running, secret: str | None) -> None:
    """Signed with another secret, or not at all; nothing is reported."""
    payment_id, message = sale(str(uuid4()))
    if secret:
        assert running.webhook(message, secret) == (401, "mismatch")
    else:
        answer = running.http.post(f"{running.shop.url}/webhooks/dodo", json=message)
        assert (answer.status_code, answer.json()) == (401, {"status": "missing"})

    assert running.reports(payment_id) == []
    assert "webhook refused: " in running.shop.printed()


def test_a_signed_body_of_no_use_is_200(running: Running) -> None:
    """Dodo need not send it again."""
    assert running.webhook(b"{not json") == (200, "not_json")


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        ("429", "rate_limited"),
        ("500", "datafast_unavailable"),
        ("reset", "datafast_unavailable"),
        ("redirect", "redirected"),
    ],
)
def test_datafast_in_trouble_makes_dodo_send_again(
    running: Running, mode: str, reason: str
) -> None:
    """And then it counts."""
    payment_id, message = sale(running.visit())
    running.upset("datafast", mode, transaction_id=payment_id)

    assert running.webhook(message) == (503, reason)
    assert running.webhook(message) == (200, "attributed")


def test_a_visitor_whom_datafast_does_not_know_costs_the_attribution_alone(
    running: Running,
) -> None:
    """Sent once more without, at once; the money counts, and the log says why."""
    payment_id, message = sale(str(uuid4()))
    outcome = running.webhook(message)
    first, second = running.reports(payment_id)

    assert outcome == (200, "no_pageview")
    assert second == {key: value for key, value in first.items() if key != "datafast_visitor_id"}
    assert re.search(r"webhook msg_\w+: no_pageview", running.shop.printed())


def test_a_refund_takes_back_what_its_sale_brought(running: Running) -> None:
    """Bought and refunded at the stand-in, whose own webhooks the shop gets."""
    visitor_id = running.visit()
    answer = running.checkout(f"datafast_visitor_id={visitor_id}")
    page = answer.headers["location"].replace(
        running.stand_ins.urls["dodo"], running.stand_ins.urls["dodo_local"]
    )
    buyer = {"email": "ada@example.com", "name": "Ada", "outcome": "succeeded"}
    paid = running.http.post(page, data=buyer)
    payment = eventually(lambda: running.at("datafast", "payments", datafast_visitor_id=visitor_id))
    payment_id = payment[0]["transaction_id"]
    refund = load("refund.succeeded", refund_id=f"ref_{uuid4().hex}", payment_id=payment_id)
    refund["data"] |= {"amount": 900, "currency": "USD", "is_partial": True}

    assert paid.status_code == 303, paid.text
    assert running.webhook(refund) == (200, "attributed")
    [report] = running.reports(refund["data"]["refund_id"])
    assert (report["amount"], report["refunded"]) == (9, True)
    assert report["datafast_visitor_id"] == visitor_id


def test_a_refund_waits_while_dodo_is_down(running: Running) -> None:
    """503, so that Dodo sends it again."""
    payment_id = f"pay_{uuid4().hex}"
    refund = load("refund.succeeded", payment_id=payment_id)
    running.upset("dodo", "500", path=f"/payments/{payment_id}")

    assert running.webhook(refund) == (503, "dodo_unreachable")


def test_no_secret_and_no_person_is_in_the_log(running: Running) -> None:
    """After everything above."""
    _, message = sale(str(uuid4()), **{"customer.email": "grace@example.com"})
    running.webhook(message)
    printed = running.shop.printed()
    variables = running.stand_ins.variables()
    secrets = [variables[name] for name in variables if name.endswith("_KEY")]

    assert len(secrets) == 3
    assert not any(secret in printed for secret in [*secrets, "grace@", "ada@"])
    assert "Traceback" not in printed


def test_a_body_far_larger_than_any_of_dodo_s_is_refused(running: Running) -> None:
    """Before it is looked at: whoever may post anything may not fill the memory."""
    url, body = f"{running.shop.url}/webhooks/dodo", b"x" * (3 << 20)
    answer = running.http.post(url, content=body)

    # Django has a limit of its own, and logs and answers as it does for all that is suspicious.
    assert answer.status_code == (400 if running.framework == "django" else 413)


# --- Test mode ----------------------------------------------------------------------------------


def test_test_payments_are_withheld_from_the_real_datafast(running: Running) -> None:
    """And the log says so; nothing is sent, or there would be no answer from there."""
    port, real = free_port(), {"DATAFAST_BASE_URL": "https://datafa.st"}
    environ = running.stand_ins.variables() | real
    folder = running.shop.log.parent
    with running_shop(running.framework, folder, port=port, environ=environ) as shop:
        outcome = replace(running, shop=shop).webhook(sale(str(uuid4()))[1])

    assert outcome == (200, "test_mode")
    assert re.search(r"webhook msg_\w+: test_mode", shop.printed())


def eventually(look: Any, *, within_s: float = 15) -> Any:
    """Return the first true answer."""
    deadline = time.monotonic() + within_s
    while not (found := look()):
        if time.monotonic() > deadline:
            pytest.fail("it did not come in time")
        time.sleep(0.05)
    return found
