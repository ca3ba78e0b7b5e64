"""`kit trigger`: signed webhooks of every type, to a shop that is being written."""

import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from standardwebhooks import Webhook

from kit import cli
from kit.sandbox.fixtures import event_types

SECRET = "whsec_dGVzdC1zZWNyZXQtb2Yta2l0LXRyaWdnZXI="
VISITOR_ID = "7f1c2a54-0d4e-4b5a-9c53-2b8f0e6d1a90"
OWN_VARIABLES = ("DODO_", "DATAFAST_", "KIT_")


@dataclass(slots=True)
class Shop:
    """A receiver: its URL, what it answers, and what it was sent."""

    url: str = ""
    status: int = 200
    answer: bytes = b'{"status": "accepted"}'
    received: list[tuple[dict[str, str], bytes]] = field(default_factory=list)


@pytest.fixture
def shop() -> Iterator[Shop]:
    """Run a receiver on loopback."""
    shop = Shop()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            shop.received.append((headers | {"path": self.path}, body))
            self.send_response(shop.status)
            self.end_headers()
            self.wfile.write(shop.answer)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        shop.url = f"http://127.0.0.1:{server.server_port}"
        yield shop
        server.shutdown()
        thread.join()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shop: Shop) -> Path:
    """Work in an empty folder, with the secret and the shop's address in the environment."""
    for name in os.environ:
        if name.startswith(OWN_VARIABLES):
            monkeypatch.delenv(name)
    monkeypatch.setenv("DODO_PAYMENTS_WEBHOOK_KEY", SECRET)
    monkeypatch.setenv("KIT_BASE_URL", shop.url)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def trigger(*arguments: str) -> Result:
    return CliRunner().invoke(cli.main, ["trigger", *arguments], prog_name="kit")


@pytest.mark.parametrize("event", event_types())
def test_each_event_arrives_signed(folder: Path, shop: Shop, event: str) -> None:
    """The official verifier accepts all 48, at the path of the receiver."""
    result = trigger(event)
    [(headers, body)] = shop.received
    message = Webhook(SECRET).verify(body, headers)

    assert result.exit_code == 0, result.output
    assert message["type"] == event
    assert headers["path"] == "/webhooks/dodo"
    assert headers["content-type"] == "application/json"
    assert b"_example" not in body
    assert result.output.splitlines()[1:] == ["200 OK", '{"status": "accepted"}']


def test_each_call_is_another_event(folder: Path, shop: Shop) -> None:
    """Ids are new, the same inside one message, and the sale happened just now."""
    trigger("payment.succeeded")
    trigger("payment.succeeded")
    trigger("subscription.renewed")
    (first, one), (second, other), (_, renewed) = shop.received
    data = [json.loads(body)["data"] for body in (one, other, renewed)]

    assert first["webhook-id"] != second["webhook-id"]
    assert data[0]["payment_id"] != data[1]["payment_id"]
    assert data[0]["payment_id"].startswith("pay_")
    assert data[0]["created_at"][:10] == time.strftime("%Y-%m-%d", time.gmtime())
    assert data[2]["created_at"] < data[2]["previous_billing_date"] < data[2]["next_billing_date"]


def test_fields_are_set_by_path(folder: Path, shop: Shop) -> None:
    """JSON where it parses, text where it does not."""
    result = trigger(
        "payment.succeeded",
        "--visitor",
        VISITOR_ID,
        *("--set", "data.currency=JPY"),
        *("--set", "total_amount=3300"),
        *("--set", "data.metadata.order_ref=o-1"),
        *("--set", "data.product_cart.0.quantity=2"),
        *("--set", "data.charge_type=null"),
        *("--set", "data.customer.name=NaN"),
        *("--set", "timestamp=2026-11-01T00:00:00Z"),
    )
    message = json.loads(shop.received[0][1])
    data = message["data"]

    assert result.exit_code == 0, result.output
    assert (data["currency"], data["total_amount"], data["charge_type"]) == ("JPY", 3300, None)
    assert data["metadata"]["datafast_visitor_id"] == VISITOR_ID
    assert data["metadata"]["order_ref"] == "o-1"
    assert data["product_cart"][0]["quantity"] == 2
    assert data["customer"]["name"] == "NaN"
    assert message["timestamp"] == "2026-11-01T00:00:00Z"


def test_a_message_can_be_sent_again(folder: Path, shop: Shop) -> None:
    """Copies have one id and one body."""
    result = trigger("refund.succeeded", "--duplicate", "3")

    assert result.output.count("200 OK") == 3
    assert len(shop.received) == 3
    assert len({(headers["webhook-id"], body) for headers, body in shop.received}) == 1


def test_several_events_are_about_the_same_things(folder: Path, shop: Shop) -> None:
    """A sale, its refund and its dispute; a change is made wherever the field is."""
    events = ("payment.succeeded", "refund.succeeded", "dispute.lost", "payout.success")
    result = trigger(*events, "--set", "data.currency=EUR", "--visitor", VISITOR_ID)
    messages = [json.loads(body) for _, body in shop.received]
    payment_ids = {message["data"].get("payment_id") for message in messages[:3]}

    assert result.exit_code == 0, result.output
    assert [message["type"] for message in messages] == list(events)
    assert len(payment_ids) == 1
    assert {message["data"]["currency"] for message in messages} == {"EUR"}
    assert messages[0]["data"]["metadata"]["datafast_visitor_id"] == VISITOR_ID
    assert "metadata" not in messages[3]["data"]
    assert len({headers["webhook-id"] for headers, _ in shop.received}) == 4


def test_messages_can_come_in_any_order(folder: Path, shop: Shop) -> None:
    """Copies of two, forty in all: that they keep their order is less likely than anything."""
    pair = ("payment.succeeded", "subscription.active")
    result = trigger(*pair, "--duplicate", "20", "--shuffle")
    types = [json.loads(body)["type"] for _, body in shop.received]

    assert result.exit_code == 0, result.output
    assert types != [*pair] * 20
    assert sorted(types) == sorted([*pair] * 20)
    assert len({headers["webhook-id"] for headers, _ in shop.received}) == 2


def test_the_types_can_be_listed(folder: Path) -> None:
    """All 48, a line each."""
    assert trigger("--list").output.splitlines() == event_types()
    assert len(event_types()) == 48


def test_the_settings_may_be_another_files(
    folder: Path, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as a demo's; what is in the environment counts for nothing then."""
    monkeypatch.setenv("KIT_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("DODO_PAYMENTS_WEBHOOK_KEY", "whsec_nonsense")
    folder.joinpath("demo.env").write_text(
        f"DODO_PAYMENTS_WEBHOOK_KEY='{SECRET}'\nKIT_BASE_URL='{shop.url}'\n", encoding="utf-8"
    )
    found = trigger("payment.succeeded", "--env", "demo.env")
    missing = trigger("payment.succeeded", "--env", "other.env")
    headers, body = shop.received[0]
    Webhook(SECRET).verify(body, headers)

    assert found.exit_code == 0, found.output
    assert missing.exit_code == 1
    assert missing.stderr.startswith("kit: there is no file other.env")


def test_the_time_of_the_signature_can_be_off(folder: Path, shop: Shop) -> None:
    """For a receiver that must refuse old and future messages."""
    trigger("payment.succeeded", "--skew", "-600")
    stamp = int(shop.received[0][0]["webhook-timestamp"])

    assert 590 <= time.time() - stamp <= 660


def test_a_refusal_is_shown_and_fails(folder: Path, shop: Shop) -> None:
    """The answer's status and body are printed, without what could steer the terminal."""
    shop.status, shop.answer = 401, b"bad \x1b[31msignature"
    result = trigger("payment.succeeded")

    assert result.exit_code == 1
    assert result.output.splitlines()[1:] == ["401 Unauthorized", "bad [31msignature"]


def test_a_shop_that_is_not_there_is_a_sentence(folder: Path) -> None:
    """No traceback for a server that has not been started."""
    result = trigger("payment.succeeded", "--to", "http://127.0.0.1:9/hook")

    assert result.exit_code == 1
    assert result.stderr == "kit: no usable answer from 127.0.0.1:9: connect\n"


def test_a_name_under_localhost_is_this_machine(folder: Path, shop: Shop) -> None:
    """Not every resolver knows shop.localhost; the receiver still sees the name."""
    url = shop.url.replace("127.0.0.1", "shop.localhost") + "/webhooks/dodo"
    result = trigger("payment.succeeded", "--to", url)

    assert result.exit_code == 0, result.output
    assert f"http://{shop.received[0][0]['host']}/webhooks/dodo" == url


def test_a_curl_command_for_each_message(folder: Path, shop: Shop) -> None:
    """In the order in which they would be sent."""
    printed = trigger("payment.succeeded", "refund.succeeded", "--dry-run").output

    assert printed.count("curl --include") == 2
    assert printed.index("payment.succeeded") < printed.index("refund.succeeded")
    assert shop.received == []


def test_the_printed_curl_sends_what_is_signed(folder: Path, shop: Shop) -> None:
    """A shell that runs the command hands curl the signed bytes; the secret is not in it."""
    folder.joinpath("curl").write_text(
        '#!/bin/sh\nprintf "%s\\n" "$@" > arguments\ncat > body\n', encoding="utf-8"
    )
    folder.joinpath("curl").chmod(0o700)
    arguments = (
        "--set",
        "data.customer.name=O'Hara $HOME `id` é",
        "--to",
        "https://shop.example/it's?",
    )
    printed = trigger("payment.succeeded", "--dry-run", *arguments).output
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(["sh", "-c", printed], check=True, env={**os.environ, "PATH": path})
    lines = folder.joinpath("arguments").read_text(encoding="utf-8").splitlines()
    headers = dict(line.split(": ", 1) for line in lines if ": " in line)
    message = Webhook(SECRET).verify(folder.joinpath("body").read_bytes(), headers)

    assert message["data"]["customer"]["name"] == "O'Hara $HOME `id` é"
    assert "https://shop.example/it's?" in lines
    assert SECRET.removeprefix("whsec_") not in printed
    assert shop.received == []


def test_the_secret_may_be_in_the_env_file_under_another_name(
    folder: Path, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While two secrets are valid the first one signs."""
    monkeypatch.delenv("DODO_PAYMENTS_WEBHOOK_KEY")
    other = "whsec_" + "b3RoZXItc2VjcmV0LW9mLWtpdC10cmlnZ2Vy"
    folder.joinpath(".env").write_text(f"MY_KEY={SECRET},{other}\n", encoding="utf-8")
    result = trigger("payment.succeeded", "--secret-env", "MY_KEY")
    headers, body = shop.received[0]
    Webhook(SECRET).verify(body, headers)

    assert result.exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("payment.suceeded",), "did you mean payment.succeeded"),
        (("xyz",), "see: abandoned_checkout.detected, "),
        (("payment.succeeded", "--set", "data.amount=1"), "has no field amount. Its data has: "),
        (("payout.success", "--visitor", VISITOR_ID), "payout.success has no field metadata"),
        (("payment.succeeded", "--secret-env", "NOTHING"), "NOTHING is not set"),
        (("payment.succeeded", "--secret-env", "BAD"), "BAD: the webhook secret is not base64"),
    ],
    ids=["event", "far off", "field", "visitor", "no secret", "bad secret"],
)
def test_a_mistake_is_a_sentence(
    folder: Path,
    shop: Shop,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    problem: str,
) -> None:
    """It says what to write instead, and nothing is sent."""
    monkeypatch.setenv("BAD", "whsec_not base64!".replace(" ", "-"))
    result = trigger(*arguments)

    assert result.exit_code == 1
    assert problem in result.stderr
    assert shop.received == []


def test_without_an_event_it_says_where_they_are(folder: Path, shop: Shop) -> None:
    """A usage error."""
    result = trigger()

    assert result.exit_code == 2
    assert "--list" in result.stderr
    assert shop.received == []


@pytest.mark.parametrize(
    "url",
    [
        "http://shop.example/webhooks/dodo",
        "http://localhost.example/",
        "https://user:password@shop.example/",
        "ftp://localhost/",
        "shop.example",
        "http://[::1",
    ],
)
def test_a_signed_message_does_not_travel_in_the_open(folder: Path, url: str) -> None:
    """Plain http is for this machine alone, and a password in a URL would be shown."""
    assert trigger("payment.succeeded", "--to", url).exit_code == 2


def test_a_change_without_a_value_is_a_usage_error(folder: Path) -> None:
    """`--set` wants a path and a value."""
    assert trigger("payment.succeeded", "--set", "data.currency").exit_code == 2
