"""What a person may do about a report: release what is parked, replace what came too early."""

import json
from pathlib import Path
from typing import Any

import pytest

from kit.reconcile.progress import Progress, kept_progress
from tests.web.conftest import (
    DOMAIN,
    ORIGIN,
    WEBSITE_ID,
    Shop,
    eventually,
    open_shop,
    payment_event,
)

pytestmark = pytest.mark.anyio

VISITOR_ID = "0b8e6c1e-2d1c-4f0a-9f2e-6a4f1f4d7c11"


async def land(shop: Shop) -> None:
    """Let the visitor's pageview pass the proxy."""
    pageview = {
        "websiteId": WEBSITE_ID,
        "domain": DOMAIN,
        "href": f"{ORIGIN}/?utm_source=newsletter",
        "visitorId": VISITOR_ID,
        "sessionId": f"s{VISITOR_ID}",
        "type": "pageview",
    }
    answer = await shop.http.post("/api/events", json=pageview, headers={"Origin": ORIGIN})
    answer.raise_for_status()


async def settled(shop: Shop) -> dict[str, Any]:
    """Wait until the only delivery is done or parked, and return it."""

    async def found() -> dict[str, Any] | None:
        rows = await shop.rows("deliveries")
        ended = rows and rows[0]["state"] in ("done", "parked") and rows[0]["due_at_ms"] is None
        return rows[0] if ended else None

    return await eventually(found)


async def sell(shop: Shop) -> str:
    """Sell to a browser without a cookie and return the address it is sent back to."""
    back = await shop.pay(await shop.buy())
    [payment] = await shop.at_dodo("payments")
    await shop.webhook(payment_event(**payment))
    return back


async def act(shop: Shop, **form: str) -> tuple[int, dict[str, Any]]:
    """Ask for an action, as the command line does."""
    answer = await shop.http.post("/inspector/actions", data=form)
    return answer.status_code, answer.json()


async def sell_and_return_too_late(shop: Shop) -> dict[str, Any]:
    """Report a sale without a visitor, whose browser shows one only afterwards."""
    back = await sell(shop)
    before = await settled(shop)
    await land(shop)
    shop.http.cookies.set("datafast_visitor_id", VISITOR_ID)
    await shop.http.get(back, follow_redirects=True)
    return before


async def test_a_visitor_who_comes_too_late_is_shown_and_changes_nothing(shop: Shop) -> None:
    """The report is out; the journey says what would have been."""
    before = await sell_and_return_too_late(shop)
    [journey] = [each for each in await shop.journeys() if each["order_ref"]]
    [hop] = [each for each in journey["hops"] if each["name"] == "Return from Dodo's page"]

    assert before["visitor_id"] is None
    assert (hop["reason"], hop["seen"]) == ("too_late", VISITOR_ID)
    assert (await settled(shop))["visitor_id"] is None


async def test_a_sale_is_replaced_by_one_that_names_the_late_visitor(shop: Shop) -> None:
    """Deleted by its id alone, then posted under the same id, and counted once."""
    before = await sell_and_return_too_late(shop)
    transaction_id = before["transaction_id"]
    status, answer = await act(shop, action="reattribute", transaction_id=transaction_id)
    after = await settled(shop)
    [deleted] = await shop.at_datafast("requests", method="DELETE")
    [counted] = await shop.at_datafast("payments")

    assert (status, answer["ok"], answer["changed"]) == (200, True, 1)
    assert deleted["query"] == {"transaction_id": transaction_id}
    assert (after["verdict"], after["visitor_id"]) == ("attributed", VISITOR_ID)
    assert counted["transaction_id"] == transaction_id
    assert counted["datafast_visitor_id"] == VISITOR_ID


async def test_a_delete_that_fails_is_repeated_and_nothing_is_posted_before(shop: Shop) -> None:
    """The two steps keep their order, whatever DataFast answers."""
    before = await sell_and_return_too_late(shop)
    await shop.chaos(
        shop.datafast, match={"path": "/api/v1/payments"}, mode="500", times=1, after=False
    )
    await act(shop, action="reattribute", transaction_id=before["transaction_id"])

    async def tried() -> list[str]:
        received = await shop.at_datafast("requests", path="/api/v1/payments")
        shop.clock.now += 1  # the wait before the next try is not what is tested
        methods = [each["method"] for each in received]
        return methods if len(methods) >= 4 else []

    methods = await eventually(tried)

    assert methods == ["POST", "DELETE", "DELETE", "POST"]
    assert (await settled(shop))["verdict"] == "attributed"


async def test_without_a_late_visitor_there_is_nothing_to_replace(shop: Shop) -> None:
    """The report stays as it is, and the answer says why."""
    await sell(shop)
    before = await settled(shop)
    transaction_id = before["transaction_id"]
    status, answer = await act(shop, action="reattribute", transaction_id=transaction_id)
    unknown, _ = await act(shop, action="reattribute", transaction_id="pay_unknown")

    assert (status, unknown) == (409, 409)
    assert "no visitor that came too late" in answer["error"]
    assert await settled(shop) == before


async def test_what_is_parked_is_released_in_bulk(shop: Shop) -> None:
    """A payment of another account is sent when a person says so; the page has the button."""
    await shop.webhook(payment_event(payment_id="pay_elsewhere", metadata={}))
    parked = await settled(shop)
    page = (await shop.http.get("/inspector")).text
    status, answer = await act(shop, action="release", reason="not_at_dodo")

    async def sent() -> bool:
        return bool((await shop.rows("deliveries"))[0]["verdict"] == "recorded")

    await eventually(sent)

    assert (parked["state"], parked["reason"]) == ("parked", "not_at_dodo")
    assert 'value="not_at_dodo"' in page
    assert (status, answer["changed"]) == (200, 1)


async def test_a_message_that_was_unclear_is_read_again(shop: Shop) -> None:
    """It stays parked until something has changed; the page counts it and has the button."""
    await shop.webhook(payment_event(currency="XXX"))

    async def parked() -> bool:
        return [row["state"] for row in await shop.rows("events")] == ["parked"]

    await eventually(parked)
    inspector = (await shop.http.get("/inspector.json")).json()
    status, answer = await act(shop, action="release", reason="unknown_currency")
    await eventually(parked)

    assert inspector["totals"]["parked"] == 1
    assert inspector["releasable"] == {"unknown_currency": 1}
    assert (status, answer["changed"]) == (200, 1)


@pytest.mark.parametrize(
    "form",
    [{}, {"action": "forget"}, {"action": "release"}, {"action": "release", "reason": "test_mode"}],
    ids=["nothing", "unknown", "no reason", "a reason that nobody may overrule"],
)
async def test_a_senseless_action_is_refused(shop: Shop, form: dict[str, str]) -> None:
    """With a sentence, and without a change."""
    answer = await shop.http.post("/inspector/actions", data={"x": "1"} | form)

    assert answer.status_code == 409
    assert answer.json()["ok"] is False


async def test_nobody_acts_from_another_site_or_another_machine(shop: Shop) -> None:
    """The guard is the inspector's own."""
    form = {"action": "release", "reason": "horizon"}
    foreign = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    crossed = await shop.http.post("/inspector/actions", data=form, headers=foreign)
    async with shop.browser(address="203.0.113.9") as stranger:
        strange = await stranger.post("/inspector/actions", data=form)

    assert (crossed.status_code, strange.status_code) == (403, 403)


async def test_a_sale_waits_for_its_buyer_and_takes_the_visitor_from_the_return(
    tmp_path: Path,
) -> None:
    """The browser that placed the order names the visitor before anything is sent."""
    async with open_shop(tmp_path, KIT_HOLD_S="600") as shop:
        await land(shop)
        back = await sell(shop)

        async def held() -> bool:
            rows = await shop.rows("deliveries")
            return bool(rows) and rows[0]["reason"] == "awaiting_return"

        await eventually(held)
        shop.http.cookies.set("datafast_visitor_id", VISITOR_ID)
        await shop.http.get(back, follow_redirects=True)
        after = await settled(shop)
        requests = await shop.at_datafast("requests", path="/api/v1/payments")

    assert (after["verdict"], after["visitor_source"]) == ("attributed", "return")
    assert [json.loads(each["body"])["datafast_visitor_id"] for each in requests] == [VISITOR_ID]


async def test_a_stranger_with_the_link_names_no_visitor(tmp_path: Path) -> None:
    """Only the signed order cookie joins a return to an order."""
    async with open_shop(tmp_path, KIT_HOLD_S="600") as shop:
        back = await sell(shop)
        cookie = {"Cookie": f"datafast_visitor_id={VISITOR_ID}"}
        async with shop.browser(**cookie) as stranger:
            await stranger.get(back, follow_redirects=True)
        after = await settled(shop)

    assert (after["verdict"], after["visitor_id"]) == ("recorded", None)


async def test_a_plan_says_what_would_be_and_does_nothing(shop: Shop) -> None:
    """The command line shows it before it asks."""
    await shop.webhook(payment_event(payment_id="pay_elsewhere", metadata={}))
    parked = await settled(shop)
    status, answer = await act(shop, action="replay", state="parked", plan="1")
    _, of_release = await act(shop, action="release", reason="not_at_dodo", plan="1")
    refused, _ = await act(shop, action="replay", plan="1")

    assert (status, refused) == (200, 409)
    assert answer["plan"]["lines"] == [
        {
            "what": "report",
            "fate": "send",
            "kind": "sale",
            "state": "parked",
            "reason": "not_at_dodo",
            "number": 1,
            "currency": "USD",
            "amount": "29.00",
        }
    ]
    assert of_release == answer
    assert await settled(shop) == parked


async def test_a_running_shop_forgets_a_visitor(shop: Shop) -> None:
    """Table, page, receipt and the next checkout name nobody, whatever the browser still holds."""
    await land(shop)
    shop.http.cookies.set("datafast_visitor_id", VISITOR_ID)
    back = await sell(shop)
    await settled(shop)
    status, planned = await act(shop, action="forget", visitor_id=VISITOR_ID, plan="1")
    done, answer = await act(shop, action="forget", visitor_id=VISITOR_ID)
    await land(shop)
    receipt = await shop.http.get(back, follow_redirects=True)
    page = (await shop.http.get("/inspector")).text
    await shop.buy()
    [_, later] = await shop.opened()
    orders = await shop.rows("checkouts")

    assert (status, done) == (200, 200)
    assert planned["plan"]["removed"] == {
        "visit": 1,
        "checkout": 1,
        "payment": 1,
        "report": 1,
        "message": 1,
    }
    assert "forgotten" in answer["done"]
    assert VISITOR_ID not in receipt.text + page + answer["done"]
    assert await shop.rows("visits") == []
    assert "datafast_visitor_id" not in later["metadata"]
    assert {row["capture_reason"] for row in orders} == {"forgotten"}
    assert {row["visitor_id"] for row in orders} == {None}


async def test_a_running_shop_has_revenue_deleted(shop: Shop) -> None:
    """By the id of each report, at DataFast's pace; the inspector says what became of it."""
    await land(shop)
    shop.http.cookies.set("datafast_visitor_id", VISITOR_ID)
    await sell(shop)
    before = await settled(shop)
    form = {"action": "forget", "visitor_id": VISITOR_ID, "delete_revenue": "1", "expected": "1"}
    status, _ = await act(shop, **form)

    async def deleted() -> bool:
        return bool((await settled(shop))["reason"] == "deleted_at_datafast")

    await eventually(deleted)
    [request] = await shop.at_datafast("requests", method="DELETE")
    inspector = (await shop.http.get("/inspector.json")).json()
    [journey] = inspector["journeys"]

    assert (status, before["verdict"]) == (200, "attributed")
    assert request["query"] == {"transaction_id": before["transaction_id"]}
    assert await shop.at_datafast("payments") == []
    assert (journey["verdict"], journey["visitor_id"]) == ("deleted", None)
    assert "deleted_at_datafast" in [hop["reason"] for hop in journey["hops"]]
    assert [(each["action"], each["subject"]) for each in inspector["interventions"]] == [
        ("forget", "a visitor, and the revenue at DataFast")
    ]


async def test_a_reconciliation_names_what_the_server_reads_from_dodo(shop: Shop) -> None:
    """What comes with the request is a name and nothing else; it is reported like a webhook."""
    await shop.pay(await shop.buy())
    [payment] = await shop.at_dodo("payments")
    names = f"payment:{payment['payment_id']} payment:pay_unknown"
    status, answer = await act(shop, action="reconcile", names=names)
    row = await settled(shop)
    [message] = await shop.rows("events")

    assert (status, answer["changed"]) == (200, 1)
    assert (row["transaction_id"], row["verdict"]) == (payment["payment_id"], "recorded")
    assert (message["source"], message["state"]) == ("api", "mapped")


async def test_a_reconciliation_hands_its_progress_over(shop: Shop) -> None:
    """It may only read this ledger; at its end nothing is left of it."""
    progress = Progress(1, 3, 2, {"payments": 5}, {"missing": 1})
    await act(shop, action="reconcile", progress=progress.as_text())
    kept = await shop.ledger.read(kept_progress)
    await act(shop, action="reconcile", names="")
    still = await shop.ledger.read(kept_progress)
    await act(shop, action="reconcile", ended="1")

    assert kept == still == progress
    assert await shop.ledger.read(kept_progress) is None


@pytest.mark.parametrize(
    "form",
    [{"names": "customer:cus_1"}, {"names": "payment:../x"}, {"progress": '{"since_ms": 1}'}],
    ids=["another kind", "no id", "no progress"],
)
async def test_a_reconciliation_that_makes_no_sense_is_refused(
    shop: Shop, form: dict[str, str]
) -> None:
    """With a sentence, and without a call to Dodo."""
    status, answer = await act(shop, action="reconcile", **form)

    assert (status, answer["ok"]) == (409, False)
    assert await shop.at_dodo("requests") == []
    assert await shop.ledger.read(kept_progress) is None


async def test_a_reconciliation_hears_that_dodo_gives_no_answer(shop: Shop) -> None:
    """And may ask again."""
    await shop.chaos(shop.dodo, mode="500")
    status, answer = await act(shop, action="reconcile", names="payment:pay_1", ended="1")

    assert status == 502
    assert "500" in answer["error"]
    assert await shop.rows("events") == []


async def test_nobody_reconciles_from_another_machine(shop: Shop) -> None:
    """The guard is the inspector's own."""
    async with shop.browser(address="203.0.113.9") as stranger:
        form = {"action": "reconcile", "names": "payment:pay_1"}
        answer = await stranger.post("/inspector/actions", data=form)

    assert answer.status_code == 403
    assert await shop.at_dodo("requests") == []
