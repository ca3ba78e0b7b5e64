"""Planted secrets and a planted buyer, looked for in all that a running demo shows or logs."""

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from kit.sandbox import fixtures
from tests.cli.conftest import running_demo
from tests.cli.test_serve import SETTINGS, serving
from tests.cli.test_workers import rows, send

KEYS = {
    "dodo_api_key": "dodo_test_planted-dodo-key-0001",
    "webhook_secret": "whsec_cGxhbnRlZC13ZWJob29rLXNlY3JldC0wMDAx",
    "datafast_api_key": "df_planted-datafast-key-0001",
    "secret_key": "planted-cookie-key-of-32-characters",
}
EMAIL, NAME = "planted.buyer@example.com", "Planted Buyer"
VISITOR_ID = "7f1c2a54-0d4e-4b5a-9c53-2b8f0e6d1a90"
OTHER_SECRET = "whsec_cGxhbnRlZC1vdGhlci1zZWNyZXQtMDAwMDAwMDE="
TOKEN = "planted-inspector-token-of-32-characters"
WITHIN_S = 15


def until(look: Callable[[], Any]) -> Any:
    """Return the first true answer of `look`, which asks the running demo."""
    deadline = time.monotonic() + WITHIN_S
    while not (found := look()):
        assert time.monotonic() < deadline, "it did not come"
    return found


def pageview(origin: str) -> dict[str, str]:
    """Return the visitor's first pageview in the demo's shop."""
    return {
        "websiteId": "dfid_sandbox",
        "domain": "shop.localhost",
        "href": f"{origin}/",
        "visitorId": VISITOR_ID,
        "sessionId": f"s{VISITOR_ID}",
        "type": "pageview",
    }


def test_no_secret_and_no_buyer_is_in_any_page_or_log(tmp_path: Path) -> None:
    """A sale, a refused sale, and every failure that a shop can meet in between."""
    data = tmp_path / ".kit"
    data.mkdir()
    (data / "keys.json").write_text(json.dumps(KEYS))
    shown: list[str] = []

    def keep(answer: httpx.Response) -> None:
        answer.read()
        # The address that Dodo sends the buyer back to holds the e-mail: it is Dodo's answer.
        if answer.url.port == int(shop.rpartition(":")[2]):
            shown.append(f"{answer.headers}{answer.text}")

    with (
        running_demo(tmp_path, "--port", "0") as demo,
        httpx.Client(
            follow_redirects=False,
            event_hooks={"response": [keep]},
            cookies={"datafast_visitor_id": VISITOR_ID},
        ) as browser,
    ):
        shop, dodo, datafast = (demo.urls[f"{name}_local"] for name in ("shop", "dodo", "datafast"))

        def order() -> httpx.Response:
            page = browser.get(f"{shop}/products/coastline-atlas").text
            [attempt] = re.findall(r'name="attempt" value="([^"]+)"', page)
            form = {"product": "coastline-atlas", "attempt": attempt}
            return browser.post(f"{shop}/checkout", data=form)

        def pay(outcome: str) -> str:
            session = "/session/" + order().headers["location"].rpartition("/")[2]
            form = {"email": EMAIL, "name": NAME, "outcome": outcome}
            answer = browser.post(f"{dodo}{session}", data=form)
            return str(answer.headers.get("location", "")).removeprefix(demo.urls["shop"])

        def chaos(sandbox: str, mode: str, **rule: Any) -> None:
            browser.post(f"{sandbox}/_sandbox/chaos", json={"mode": mode} | rule)

        def verdicts() -> list[str]:
            found = browser.get(f"{shop}/inspector.json").json()["journeys"]
            return [each["verdict"] for each in found if each["payment_id"]]

        browser.post(f"{shop}/api/events", json=pageview(demo.urls["shop"])).raise_for_status()
        chaos(datafast, "500", times=1, match={"path": "/api/v1/payments"})
        back = pay("succeeded")
        browser.get(f"{shop}{back}")
        browser.get(f"{shop}{back.partition('?')[0]}")
        pay("failed")
        for mode, times in (("429", 1), ("500", 2), ("html", 1), ("reset", 2)):
            chaos(dodo, mode, times=times, match={"path": "/checkouts"})
            assert order().status_code == 502
        for path in ("/api/events", "/webhooks/dodo", "/inspector/signin", "/checkout", "/"):
            browser.post(f"{shop}{path}", content=f"email={EMAIL}".encode())
        chaos(datafast, "reset", times=2)
        browser.post(f"{shop}/api/events", content=f"email={EMAIL}".encode())
        browser.get(f"{shop}/js/script.hash.js")
        until(lambda: "attributed" in verdicts() and "skipped" in verdicts())
        for path in (
            "/inspector",
            "/inspector.json",
            "/",
            "/readyz",
            "/metrics",
            back.partition("?")[0],
        ):
            browser.get(f"{shop}{path}")
        exit_code = demo.stop()
        logged = demo.printed()

    assert exit_code == 0
    assert "checkout not opened" in logged
    assert "Traceback" not in logged
    assert VISITOR_ID not in logged
    for secret in (*KEYS.values(), KEYS["webhook_secret"].removeprefix("whsec_"), EMAIL, NAME):
        assert secret not in logged
        assert not [text for text in shown if secret in text]


def test_json_logs_hold_ids_and_nobody(tmp_path: Path, postgres_url: str) -> None:
    """A server at its most talkative, whose services are all away, and what it is asked then."""
    settings = SETTINGS | {
        "DODO_PAYMENTS_API_KEY": KEYS["dodo_api_key"],
        "DODO_PAYMENTS_WEBHOOK_KEY": KEYS["webhook_secret"],
        "DODO_PAYMENTS_BASE_URL": "http://127.0.0.1:9",
        "DATAFAST_API_KEY": KEYS["datafast_api_key"],
        "KIT_SECRET_KEY": KEYS["secret_key"],
        "KIT_INSPECTOR_TOKEN": TOKEN,
        "KIT_DATABASE_URL": postgres_url,
        "KIT_LOG": "json",
    }
    person = {"customer": {"customer_id": "cus_1", "email": EMAIL, "name": NAME}}
    sale = fixtures.load(
        "payment.succeeded", metadata={"datafast_visitor_id": VISITOR_ID}, **person
    )
    refund = fixtures.load("refund.succeeded", payment_id="pay_elsewhere", **person)
    with serving(tmp_path, **settings) as server:
        with httpx.Client(cookies={"datafast_visitor_id": VISITOR_ID}) as browser:
            stored = [
                send(server.url, name, json.dumps(message).encode(), secret=KEYS["webhook_secret"])
                for name, message in (("msg_sale", sale), ("msg_refund", refund))
            ]
            forged = send(server.url, "msg_forged", secret=OTHER_SECRET)
            query = f"?email={EMAIL}&visitor={VISITOR_ID}"
            for path in ("/js/script.js", "/inspector", "/metrics", "/nothing"):
                browser.get(f"{server.url}{path}{query}", headers={"X-Forwarded-For": EMAIL})
            browser.post(f"{server.url}/api/events", json={"visitorId": VISITOR_ID})
        tried = "SELECT count(*) FROM events WHERE webhook_id = 'msg_refund' AND attempts > 0"
        until(lambda: rows(postgres_url, tried) == [(1,)])
        server.stop()
    entries = [json.loads(line) for line in server.said if line.startswith("{")]
    by_message = {entry["message"].partition(":")[0]: entry for entry in entries}

    assert [answer.status_code for answer in (*stored, forged)] == [200, 200, 401]
    assert by_message["webhook refused"]["webhook_id"] == "msg_forged"
    assert by_message["payment not looked up"]["webhook_id"] == "msg_refund"
    assert {"event not passed", "script not fetched"} <= by_message.keys()
    for secret in (*KEYS.values(), TOKEN, EMAIL, NAME, VISITOR_ID, OTHER_SECRET):
        assert not [line for line in server.said if secret in line]
