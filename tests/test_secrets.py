"""Planted secrets and a planted buyer, looked for in all that a running demo shows or logs."""

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from tests.cli.conftest import running_demo

KEYS = {
    "dodo_api_key": "dodo_test_planted-dodo-key-0001",
    "webhook_secret": "whsec_cGxhbnRlZC13ZWJob29rLXNlY3JldC0wMDAx",
    "datafast_api_key": "df_planted-datafast-key-0001",
    "secret_key": "planted-cookie-key-of-32-characters",
}
EMAIL, NAME = "planted.buyer@example.com", "Planted Buyer"
WITHIN_S = 15


def until(look: Callable[[], Any]) -> Any:
    """Return the first true answer of `look`, which asks the running demo."""
    deadline = time.monotonic() + WITHIN_S
    while not (found := look()):
        assert time.monotonic() < deadline, "it did not come"
    return found


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
        httpx.Client(follow_redirects=False, event_hooks={"response": [keep]}) as browser,
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
        until(lambda: "recorded" in verdicts() and "skipped" in verdicts())
        for path in ("/inspector", "/inspector.json", "/", "/readyz", back.partition("?")[0]):
            browser.get(f"{shop}{path}")
        exit_code = demo.stop()
        logged = demo.printed()

    assert exit_code == 0
    assert "checkout not opened" in logged
    assert "Traceback" not in logged
    for secret in (*KEYS.values(), KEYS["webhook_secret"].removeprefix("whsec_"), EMAIL, NAME):
        assert secret not in logged
        assert not [text for text in shown if secret in text]
