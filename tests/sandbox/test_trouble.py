"""The page for trouble: faults of both services and of the deliveries, by plain forms."""

import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import anyio.to_thread
import httpx
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from kit.sandbox.chaos import Chaos
from kit.sandbox.datafast import create_datafast
from kit.sandbox.dodo import create_dodo
from tests.sandbox.conftest import WEBHOOK_SECRET

pytestmark = pytest.mark.anyio

TEMPLATES = Path(__file__).resolve().parents[2] / "templates"
TROUBLE = "/_sandbox/trouble"


class Forms(HTMLParser):
    """The buttons of a page by their text: what a press of each would post."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: dict[str, dict[str, str]] = {}
        self._fields: dict[str, str] = {}
        self._button: dict[str, str] | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note fields, first choices and buttons."""
        values = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._fields = {}
        elif tag == "input":
            self._fields[values["name"]] = values["value"]
        elif tag == "button":
            self._button = self._fields | {values["name"]: values["value"]}

    def handle_data(self, data: str) -> None:
        """Note a button by its text; of several the first."""
        if self._button is not None:
            self.found.setdefault(data.strip(), self._button)
            self._button = None


@pytest.fixture
def rules() -> Chaos:
    """Share one list of faults between a stand-in and the page."""
    return Chaos()


@pytest.fixture
async def dodo(dodo_options: dict[str, Any], rules: Chaos) -> AsyncIterator[httpx.AsyncClient]:
    """Talk to a stand-in for Dodo that holds switches for both."""
    app = create_dodo(**dodo_options | {"templates_dir": TEMPLATES}, datafast_chaos=rules)
    async with app.router.lifespan_context(app), _client(app) as client:
        yield client


@pytest.fixture
async def datafast(
    datafast_options: dict[str, Any], rules: Chaos
) -> AsyncIterator[httpx.AsyncClient]:
    """Talk to the stand-in for DataFast."""
    app = create_datafast(**datafast_options, chaos=rules)
    async with app.router.lifespan_context(app), _client(app) as client:
        yield client


def _client(app: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app),
        base_url="http://checkout.localhost",
        headers={"authorization": "Bearer test-api-key"},
    )


async def press(dodo: httpx.AsyncClient, label: str, **chosen: str) -> httpx.Response:
    """Press a button, with these choices made."""
    form = Forms((await dodo.get(TROUBLE)).text).found[label]
    return await dodo.post(TROUBLE, data=form | chosen)


async def let_happen(dodo: httpx.AsyncClient, **chosen: str) -> httpx.Response:
    """Choose a fault."""
    wanted = {"service": "datafast", "path": "", "fault": "500", "times": ""} | chosen
    return await press(dodo, "Let it happen", **wanted)


async def settings(dodo: httpx.AsyncClient) -> Any:
    """Return the switches in force."""
    return (await dodo.get("/_sandbox/settings")).json()


async def test_datafast_fails_as_often_as_was_chosen(
    dodo: httpx.AsyncClient, datafast: httpx.AsyncClient
) -> None:
    """On the calls that were chosen, and then no more."""
    answer = await let_happen(dodo, path="/api/v1/payments", fault="429", times="3")
    asked = [await datafast.post("/api/v1/payments", json={}) for _ in range(4)]
    script = await datafast.get("/js/script.js")

    assert answer.status_code == 303
    assert [each.status_code for each in asked] == [429, 429, 429, 400]
    assert script.status_code == 200


async def test_what_is_wrong_is_told_until_it_is_stopped(
    dodo: httpx.AsyncClient, datafast: httpx.AsyncClient
) -> None:
    """Each fault has a line and a button."""
    await let_happen(dodo, path="/js/script.js", fault="html")
    await let_happen(dodo, service="dodo", path="/checkouts", fault="reset", times="10")
    page = (await dodo.get(TROUBLE)).text
    broken = await datafast.get("/js/script.js")
    await press(dodo, "Stop", service="datafast", rule='["html", [["path", "/js/script.js"]]]')
    mended = await datafast.get("/js/script.js")
    left = (await dodo.get("/_sandbox/chaos")).json()

    assert "answers with a web page</strong> · the script · until stopped" in page
    assert "hangs up</strong> · opening a checkout · 10 left" in page
    assert "html" in broken.headers["content-type"]
    assert "javascript" in mended.headers["content-type"]
    assert [rule["mode"] for rule in left] == ["reset"]


async def test_a_visitor_that_datafast_does_not_know(
    dodo: httpx.AsyncClient, datafast: httpx.AsyncClient
) -> None:
    """Only DataFast has that fault."""
    await let_happen(dodo, path="/api/v1/payments", fault="no_pageview_404", times="1")
    payment = {
        "amount": 1,
        "currency": "USD",
        "transaction_id": "pay_1",
        "datafast_visitor_id": "0b8e6c1e-2d1c-4f0a-9f2e-6a4f1f4d7c11",
    }
    told = await datafast.post("/api/v1/payments", json=payment)
    refused = await let_happen(dodo, service="dodo", fault="no_pageview_404")

    assert told.status_code == 404
    assert "First event not found" in told.text
    assert refused.status_code == 422


async def test_the_deliveries_have_a_switch_each(dodo: httpx.AsyncClient) -> None:
    """Pressed once it is on, pressed again it is off."""
    calm = await settings(dodo)
    for label in ("Send each twice", "Shuffle", "Hold them back", "Forge"):
        await press(dodo, label)
    wild = await settings(dodo)
    for label in ("Send each once", "Keep order", "Send at once", "Sign rightly"):
        await press(dodo, label)

    names = ("duplicate", "shuffle", "hold", "forge")
    assert [wild[name] for name in names] == [2, True, True, True]
    assert await settings(dodo) == calm


async def test_what_is_held_is_let_go_in_a_chosen_order(life: Any) -> None:
    """The shop gets it then, and not before."""
    await life.pull("settings", hold=True)
    await life.buy("pdt_club")
    held = (await life.dodo.get("/_sandbox/deliveries")).json()
    await life.dodo.post(TROUBLE, data={"action": "release", "order": "reversed"})
    arrived = [(await life.message())["type"] for _ in held]

    assert len(held) == 4
    assert arrived == [each["type"] for each in reversed(held)]


async def test_a_forged_signature_fits_no_body(life: Any) -> None:
    """The endpoint's own secret does not make it, however often it is tried."""
    await life.pull("settings", forge=True)
    await life.buy("pdt_coastline")
    headers, body = await anyio.to_thread.run_sync(life.shop.next)

    with pytest.raises(WebhookVerificationError):
        Webhook(WEBHOOK_SECRET).verify(body, headers)


async def test_one_button_ends_all_of_it(dodo: httpx.AsyncClient, rules: Chaos) -> None:
    """Faults of both services and every switch."""
    calm = await settings(dodo)
    await let_happen(dodo)
    await let_happen(dodo, service="dodo")
    for label in ("Shuffle", "Forge"):
        await press(dodo, label)
    await press(dodo, "Calm down")

    assert await settings(dodo) == calm
    assert rules.rules == []
    assert (await dodo.get("/_sandbox/chaos")).json() == []


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"action": "explode"},
        {"action": "break"},
        {"action": "break", "service": "bank", "path": "", "fault": "500", "times": ""},
        {"action": "break", "service": "dodo", "path": "/x", "fault": "500", "times": ""},
        {"action": "break", "service": "dodo", "path": "", "fault": "fire", "times": ""},
        {"action": "break", "service": "dodo", "path": "", "fault": "500", "times": "often"},
        {"action": "break", "service": "dodo", "path": "", "fault": "500", "times": "-1"},
        {"action": "mend", "service": "dodo"},
        {"action": "switch", "name": "trial_payment"},
        {"action": "release", "order": "alphabetical"},
    ],
)
async def test_what_is_not_on_the_page_is_refused(
    dodo: httpx.AsyncClient, rules: Chaos, form: dict[str, str]
) -> None:
    """With a sentence, and nothing is changed."""
    calm = await settings(dodo)
    answer = await dodo.post(TROUBLE, data=form)

    assert answer.status_code == 422
    assert 'role="alert"' in answer.text
    assert await settings(dodo) == calm
    assert rules.rules == []


async def test_the_page_has_no_script_and_a_strict_policy(dodo: httpx.AsyncClient) -> None:
    """Nothing inline, nothing from elsewhere."""
    answer = await dodo.get(TROUBLE)

    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert re.search(r"<script|style=|onclick", answer.text) is None
    assert 'href="/_sandbox/desk"' in answer.text
    assert f'href="{TROUBLE}"' in (await dodo.get("/_sandbox/desk")).text


async def test_alone_it_has_dodos_own_faults(dodo_options: dict[str, Any]) -> None:
    """A stand-in without the other one beside it."""
    app = create_dodo(**dodo_options | {"templates_dir": TEMPLATES})
    async with app.router.lifespan_context(app), _client(app) as client:
        page = (await client.get(TROUBLE)).text

    assert 'id="dodo"' in page
    assert 'id="datafast"' not in page
