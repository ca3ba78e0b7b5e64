"""The desk: a subscription's whole life, by plain forms."""

import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest

from kit.sandbox.dodo import create_dodo

pytestmark = pytest.mark.anyio

TEMPLATES = Path(__file__).resolve().parents[2] / "templates"
DESK = "/_sandbox/desk"


@pytest.fixture
async def dodo(dodo_options: dict[str, Any]) -> AsyncIterator[httpx.AsyncClient]:
    """Talk to a stand-in that has its real pages."""
    app = create_dodo(**dodo_options | {"templates_dir": TEMPLATES})
    headers = {"authorization": "Bearer test-api-key"}
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app),
            base_url="http://checkout.localhost",
            headers=headers,
        ) as client,
    ):
        yield client


class Buttons(HTMLParser):
    """The buttons of a page by their label: what a press of each would post."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: dict[str, dict[str, str]] = {}
        self._key = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note ids and the buttons after them."""
        values = dict(attrs)
        if tag == "input":
            self._key = values["value"] or ""
        elif tag == "button":
            label = (values["aria-label"] or "").partition(":")[0]
            self.found.setdefault(label, {"id": self._key, "action": values["value"] or ""})


async def buttons(dodo: httpx.AsyncClient) -> dict[str, dict[str, str]]:
    """Return the buttons of the desk; of several with one label the topmost."""
    return Buttons((await dodo.get(DESK)).text).found


async def press(dodo: httpx.AsyncClient, label: str) -> httpx.Response:
    """Press a button of the desk."""
    return await dodo.post(DESK, data=(await buttons(dodo))[label])


async def buy(dodo: httpx.AsyncClient, product_id: str, outcome: str = "succeeded") -> None:
    """Pay for one product."""
    cart = [{"product_id": product_id, "quantity": 1}]
    session = (await dodo.post("/checkouts", json={"product_cart": cart})).json()
    form = {"email": "<ada>@example.com", "name": "Ada", "outcome": outcome}
    await dodo.post(f"/session/{session['session_id']}", data=form)


async def payments(dodo: httpx.AsyncClient) -> list[Any]:
    """Return the payments, oldest first."""
    found: list[Any] = (await dodo.get("/_sandbox/payments")).json()
    return found


async def test_a_subscription_lives_its_whole_life(dodo: httpx.AsyncClient) -> None:
    """Trial, first charge, failed renewal, retry, plan change, cancellation: a button each."""
    await buy(dodo, "pdt_studio")
    labels = ["End trial", "Fail renewal", "Fail the retry", "Retry", "Change plan", "Cancel"]
    answers = [await press(dodo, label) for label in labels]
    taken = await payments(dodo)

    assert [answer.status_code for answer in answers] == [303] * 6
    assert [(one["charge_type"], one["status"], one["total_amount"]) for one in taken] == [
        ("new", "succeeded", 0),
        ("renewal", "succeeded", 2400),
        ("renewal", "failed", 2400),
        ("renewal", "failed", 2400),
        ("renewal", "succeeded", 2400),
        ("plan_change", "succeeded", 900),
    ]
    assert [one["retry_attempt"] for one in taken] == [0, 0, 0, 1, 2, 0]
    assert (await buttons(dodo)).keys().isdisjoint({"Renew", "Cancel", "End trial"})


async def test_a_payment_is_refunded_in_parts_and_disputed(dodo: httpx.AsyncClient) -> None:
    """Half of it, the rest, and a dispute that is lost once."""
    await buy(dodo, "pdt_coastline")
    for label in ("Refund half", "Lose a dispute", "Refund the rest"):
        await press(dodo, label)
    [payment] = await payments(dodo)
    page = (await dodo.get(DESK)).text

    assert [refund["amount"] for refund in payment["refunds"]] == [1450, 1450]
    assert payment["disputes"][0]["dispute_status"] == "dispute_lost"
    assert "refunded: full · dispute lost" in page
    assert await buttons(dodo) == {}


async def test_what_cannot_be_done_is_said(dodo: httpx.AsyncClient) -> None:
    """A form that was sent twice, or by hand, gets a sentence and changes nothing."""
    await buy(dodo, "pdt_coastline")
    refund_all = (await buttons(dodo))["Refund all"]
    await dodo.post(DESK, data=refund_all)
    again = await dodo.post(DESK, data=refund_all)
    unknown = await dodo.post(DESK, data={"action": "print-money", "id": refund_all["id"]})
    nobody = await dodo.post(DESK, data={"action": "renew", "id": "sub_none"})

    assert [answer.status_code for answer in (again, unknown, nobody)] == [422, 422, 404]
    assert all('role="alert"' in answer.text for answer in (again, unknown, nobody))
    assert len((await payments(dodo))[0]["refunds"]) == 1


async def test_the_desk_has_no_script_and_a_strict_policy(dodo: httpx.AsyncClient) -> None:
    """Nothing inline, nothing from elsewhere, and what a buyer typed stays text."""
    empty = (await dodo.get(DESK)).text
    await buy(dodo, "pdt_club")
    await buy(dodo, "pdt_coastline", outcome="failed")
    answer = await dodo.get(DESK)

    policy = answer.headers["content-security-policy"]
    assert empty.count("None yet.") == 2
    assert "default-src 'none'" in policy
    assert "form-action 'self'" in policy
    assert "unsafe-inline" not in policy
    assert re.search(r"<script|style=|onclick", answer.text) is None
    assert "&lt;ada&gt;@example.com" in answer.text
    assert "<ada>" not in answer.text


@pytest.mark.parametrize(
    ("trial_amount", "heading", "button"),
    [
        (None, "14 days free", "Start free trial"),
        (100, "Pay $1.00 for 14 days", "Pay $1.00"),
    ],
    ids=["free", "paid"],
)
async def test_the_hosted_page_knows_both_kinds_of_trial(
    dodo: httpx.AsyncClient, trial_amount: int | None, heading: str, button: str
) -> None:
    """What is due today stands on the button, and the desk is a link away."""
    await dodo.post("/_sandbox/settings", json={"trial_amount": trial_amount})
    cart = [{"product_id": "pdt_studio", "quantity": 1}]
    session = (await dodo.post("/checkouts", json={"product_cart": cart})).json()
    page = (await dodo.get(f"/session/{session['session_id']}")).text

    assert f">{heading}</h1>" in page
    assert f">{button}</button>" in page
    assert f'href="{DESK}"' in page
