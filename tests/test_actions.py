"""What a person does by hand, from the wish to what DataFast counts afterwards."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from kit.actions import Done, perform, plan, releasable
from kit.ledger import schema
from kit.ledger.interventions import recent_interventions
from kit.ledger.policy import Policy
from kit.outcomes import HORIZON_S
from kit.wanted import READABLE_AGAIN, RELEASABLE, ActionRefused
from tests.test_forwarder import PAYMENTS, VISITOR_ID, VISITORS, World, in_process, open_world

pytestmark = pytest.mark.anyio

OTHER_ID = "5c1f8f0e-7f2b-4a51-8f0a-3f6a1e0d9b22"
EMAIL = "ada@example.com"


@pytest.fixture
async def world(tmp_path: Path, database_url: str) -> AsyncIterator[World]:
    """Open everything, Dodo included."""
    async with open_world(
        tmp_path, database_url=database_url, with_dodo=True, rate_limit=100_000
    ) as opened:
        yield opened


async def act(world: World, **wanted: str) -> Done:
    """Do what somebody asks for, on a shop that sends its test payments."""
    return await perform(world.ledger, wanted, holds_test=False)


async def notes(world: World) -> list[tuple[str, str, int]]:
    """Return what people did, oldest first."""
    rows = await world.ledger.read(recent_interventions)
    return [(row["action"], row["subject"], row["changed"]) for row in reversed(rows)]


def sale(number: int, visitor_id: str = VISITOR_ID, **changes: Any) -> dict[str, Any]:
    """Return the changes that make a sale of its own."""
    metadata = {"datafast_visitor_id": visitor_id}
    return {"payment_id": f"pay_{number}", "metadata": metadata, **changes}


async def sell(world: World, *numbers: int, **changes: Any) -> None:
    """Have sales reported and attributed."""
    await world.see_page()
    await world.see_page(OTHER_ID)
    for number in numbers:
        await world.record(**sale(number, **changes))
    await world.settle(world.forwarder(per_minute=60_000))


async def posts(world: World, method: str = "POST") -> list[str]:
    """Return the transaction ids that DataFast was sent, or asked to delete, in order."""
    received = [each for each in await world.requests() if each["method"] == method]
    if method == "DELETE":
        assert all(each["query"].keys() == {"transaction_id"} for each in received)
        return [each["query"]["transaction_id"] for each in received]
    return [json.loads(each["body"])["transaction_id"] for each in received]


# --- Replays ------------------------------------------------------------------------------------


async def test_a_done_report_is_posted_again_and_its_verdict_stays(world: World) -> None:
    """The repeat is a duplicate at DataFast: it counts once, and proves nothing new."""
    await sell(world, 1)
    done = await act(world, action="replay", id="pay_1")
    await world.settle(world.forwarder())

    assert (done.changed, done.sentence) == (1, "1 report sent again, at DataFast's pace")
    assert await posts(world) == ["pay_1", "pay_1"]
    assert await world.counted() == [("pay_1", True)]
    assert await world.standing("pay_1") == ("done", "attributed", "attributed")
    assert await notes(world) == [("replay", "id=pay_1", 1)]


@pytest.mark.parametrize("mode", ["no_pageview_404", "no_pageview_200", "html", "empty"])
async def test_no_answer_to_a_replay_lowers_a_verdict(world: World, mode: str) -> None:
    """Whatever DataFast says to the repeat, it had the payment before."""
    await sell(world, 1)
    await world.chaos(mode, match={"path": PAYMENTS}, times=1)
    await act(world, action="replay", state="done")
    await world.settle(world.forwarder())

    assert await world.standing("pay_1") == ("done", "attributed", "attributed")
    assert await world.waits_s() is None


async def test_a_message_is_replayed_as_the_report_it_became(world: World) -> None:
    """By the webhook's id, as Dodo's dashboard shows it."""
    await sell(world, 1)
    done = await act(world, action="replay", id="m1")

    assert done.changed == 1
    assert await notes(world) == [("replay", "id=pay_1", 1)]


async def test_many_dead_reports_are_replayed_twice_and_count_once(world: World) -> None:
    """Every id is posted in each replay, and DataFast's totals are those of one."""
    await sell(world, *range(1, 61))
    await world.change(state="parked", reason="horizon", verdict=None)
    first = await act(world, action="replay", state="parked")
    await world.settle(world.forwarder(per_minute=60_000))
    second = await act(world, action="replay", state="done")
    await world.settle(world.forwarder(per_minute=60_000))
    ids = sorted(f"pay_{number}" for number in range(1, 61))

    assert (first.changed, second.changed) == (60, 60)
    assert sorted(await posts(world)) == sorted(ids * 3)
    assert sorted(name for name, _ in await world.counted()) == ids
    assert {await world.standing(each) for each in ids} == {
        ("done", "duplicate_after_lost_reply", "recorded")
    }


async def test_a_replay_of_an_old_report_has_72_hours_of_its_own(world: World) -> None:
    """One failure does not bury it again."""
    await sell(world, 1)
    await world.change(state="parked", reason="horizon", verdict=None, first_sent_at_ms=None)
    world.clock.now += 3 * HORIZON_S
    await world.chaos("500", match={"path": PAYMENTS}, times=1, after=False)
    await act(world, action="replay", state="parked")
    await world.forwarder().step()
    after_failure = await world.standing("pay_1")
    await world.settle(world.forwarder())

    assert after_failure[0] == "ready"
    assert (await world.standing("pay_1"))[0] == "done"


async def test_what_dodo_did_not_know_before_it_was_settled_is_asked_about_again(
    world: World,
) -> None:
    """A message that waits for its payment's settlement is lost no more than a report is."""
    policy = Policy(basis="settlement")
    unsettled: dict[str, Any] = {"settlement_amount": None, "settlement_currency": None}
    await world.record(source="webhook", **sale(1, **unsettled))
    await world.settle(world.forwarder(policy=policy))
    offered = await world.ledger.read(releasable)
    released = await act(world, action="release", reason="not_at_dodo")

    assert offered == {"not_at_dodo": 1}
    assert released.sentence == "1 message read again"


async def test_what_dodo_does_not_know_is_asked_about_again(world: World) -> None:
    """A replay overrules nothing: only a release answers for such a payment."""
    await world.record(source="webhook", **sale(1))
    await world.settle(world.forwarder())
    before = await world.standing("pay_1")
    await act(world, action="replay", state="parked")
    await world.settle(world.forwarder())
    replayed = await world.standing("pay_1")
    released = await act(world, action="release", reason="not_at_dodo")
    await world.see_page()
    await world.settle(world.forwarder())

    assert before == replayed == ("parked", "not_at_dodo", None)
    assert released.sentence == "1 report released, at DataFast's pace"
    assert await world.counted() == [("pay_1", True)]
    assert await notes(world) == [("replay", "state=parked", 1), ("release", "not_at_dodo", 1)]


async def test_test_payments_go_only_where_the_settings_let_them(world: World) -> None:
    """KIT_SEND_TEST was set since."""
    await world.see_page()
    await world.record(**sale(1))
    await world.settle(world.forwarder(policy=Policy(held_for="test_mode")))
    wanted = {"action": "replay", "state": "held"}
    kept = await perform(world.ledger, wanted, holds_test=True)
    await world.settle(world.forwarder())
    still = await world.standing("pay_1")
    let_go = await perform(world.ledger, wanted, holds_test=False)
    await world.settle(world.forwarder())

    assert (kept, let_go.changed) == (Done(0, "nothing to do", sends=False), 1)
    assert still == ("held", "test_mode", None)
    assert await world.standing("pay_1") == ("done", "attributed", "attributed")


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        ({}, "no such action"),
        ({"action": "resend"}, "no such action"),
        ({"action": "replay"}, "say what to replay"),
        ({"action": "replay", "state": "ready"}, "no state to replay"),
        ({"action": "replay", "reason": "nonsense"}, "no reason is called"),
        ({"action": "replay", "since_ms": "yesterday"}, "must be a whole number"),
        ({"action": "replay", "id": "pay_unknown"}, "neither a report nor a message"),
        ({"action": "release", "reason": "test_mode"}, "no reason to release"),
        ({"action": "reattribute", "transaction_id": "pay_unknown"}, "no sale that has been"),
        ({"action": "forget", "visitor_id": "ada@example.com"}, "no visitor id"),
        ({"action": "forget", "visitor_id": VISITOR_ID, "expected": "-1"}, "whole number"),
    ],
)
async def test_a_senseless_wish_is_refused_and_leaves_no_trace(
    world: World, wanted: dict[str, str], why: str
) -> None:
    """With a sentence that repeats no person."""
    with pytest.raises(ActionRefused, match=why) as refused:
        await perform(world.ledger, wanted, holds_test=False)

    assert "ada@" not in str(refused.value)
    assert await notes(world) == []


async def test_one_that_must_stay_says_why(world: World) -> None:
    """The plan shows the same, without a refusal."""
    await sell(world, 1)
    await world.change(state="sending", owner="somebody")
    wanted = {"action": "replay", "id": "pay_1"}
    planned = await plan(world.ledger, wanted, holds_test=False)
    with pytest.raises(ActionRefused, match="on the way to DataFast"):
        await perform(world.ledger, wanted, holds_test=False)

    assert [line.fate for line in planned.lines] == ["sending"]


async def test_only_a_time_means_what_is_parked(world: World) -> None:
    """Never what is done: nobody expects that of two hours."""
    await sell(world, 1, 2)
    rows = schema.deliveries
    await world.ledger.write(
        lambda connection: connection.execute(
            rows.update()
            .where(rows.c.transaction_id == "pay_1")
            .values(state="parked", reason="horizon", due_at_ms=None)
        )
    )
    since = str(world.ledger.now_ms() - 7_200_000)
    planned = await plan(world.ledger, {"action": "replay", "since_ms": since}, holds_test=False)

    assert [(line.state, line.number) for line in planned.lines] == [("parked", 1)]


async def test_every_reason_that_is_parked_for_can_be_released(world: World) -> None:
    """The inspector counts them, and has a button for each."""
    await sell(world, 1)
    await world.change(state="parked", reason="delete_refused")

    assert await world.ledger.read(releasable) == {"delete_refused": 1}
    assert set(RELEASABLE).isdisjoint(READABLE_AGAIN)


# --- Forgetting ---------------------------------------------------------------------------------


async def everything(world: World) -> str:
    """Return all that the ledger holds, as text."""
    tables = schema.metadata.sorted_tables

    def read(connection: Any) -> str:
        rows = [row for table in tables for row in connection.execute(select(table)).all()]
        return str([tuple(row) for row in rows])

    return await world.ledger.read(read)


async def test_a_forgotten_visitor_is_nowhere_and_the_money_stays(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """In no table, in no log, and at DataFast the totals are as before."""
    policy = Policy(send_customer=True)
    await world.see_page()
    await world.buy()
    await world.settle(world.forwarder(policy=policy))
    before, counted = await everything(world), await world.counted()
    done = await act(world, action="forget", visitor_id=VISITOR_ID)
    after = await everything(world)

    assert VISITOR_ID in before
    assert EMAIL in before
    assert VISITOR_ID not in after
    assert EMAIL not in after
    assert "Ada Example" not in after
    assert await world.counted() == counted
    assert "1 payment, 1 report, 1 message" in done.sentence
    assert [note[:2] for note in await notes(world)] == [("forget", "a visitor")]
    assert VISITOR_ID not in caplog.text + done.sentence


async def test_what_comes_later_names_nobody(world: World) -> None:
    """A report that waited, and a renewal whose metadata still has the id."""
    policy = Policy(send_customer=True)
    await world.see_page()
    await world.record(**sale(1))
    await world.forwarder(policy=policy)._map()
    await act(world, action="forget", visitor_id=VISITOR_ID)
    await world.record(**sale(2))
    await world.settle(world.forwarder(policy=policy))
    bodies = [json.loads(each["body"]) for each in await world.requests()]

    assert [body["transaction_id"] for body in bodies] == ["pay_1", "pay_2"]
    assert not [
        body
        for body in bodies
        if body.keys() & {"datafast_visitor_id", "email", "name", "customer_id"}
    ]
    assert [body["amount"] for body in bodies] == [29, 29]
    assert await world.requests(VISITORS) == []
    assert VISITOR_ID not in await everything(world)


async def test_dodos_subscription_brings_no_forgotten_visitor_back(world: World) -> None:
    """The last place where a missing visitor is looked for keeps the id for years."""
    product = {"product_id": "pdt_club", "quantity": 1}
    client = world.forwarder().lookups.dodo
    session = await client.create_checkout(
        [product],
        metadata={"datafast_visitor_id": VISITOR_ID},
        return_url="https://contour.example/orders/1",
    )
    form = {"email": EMAIL, "name": "Ada Example", "outcome": "succeeded"}
    await world.dodo.post(f"http://dodo/session/{session.session_id}", data=form)
    status = await client.checkout(session.session_id)
    payment = await client.payment(status["payment_id"])
    assert payment["subscription_id"]
    await act(world, action="forget", visitor_id=VISITOR_ID)
    await world.record(source="webhook", **{**payment, "metadata": {}})
    await world.settle(world.forwarder(policy=Policy(send_customer=True)))
    row = await world.row(payment["payment_id"])
    [request] = await world.requests()

    assert (row["visitor_id"], row["visitor_source"]) == (None, "forgotten")
    assert "customer_id" not in json.loads(request["body"])
    assert VISITOR_ID not in await everything(world)


async def test_datafasts_words_do_not_bring_the_id_back(world: World) -> None:
    """Its message of an unknown visitor names the id, which is left out from the start."""
    await world.record(**sale(1))
    await world.settle(world.forwarder(pageview_wait_s=0.0))
    row = await world.row("pay_1")

    assert row["verdict"] == "no_pageview"
    assert VISITOR_ID not in str(row["message"])


# --- Revenue at DataFast ------------------------------------------------------------------------


async def delete(world: World, **wanted: str) -> Done:
    """Forget the visitor and have the revenue deleted."""
    asked = {"action": "forget", "visitor_id": VISITOR_ID, "delete_revenue": "1"}
    return await act(world, **asked | wanted)


async def test_revenue_is_deleted_by_each_id_and_by_nothing_else(world: World) -> None:
    """Another visitor's stays; the plan said how much it would be."""
    await sell(world, 1)
    await sell(world, 2, total_amount=1234, currency="JPY", tax=0)
    await sell(world, 3, visitor_id=OTHER_ID)
    wanted = {"action": "forget", "visitor_id": VISITOR_ID}
    planned = (await plan(world.ledger, wanted, holds_test=False)).as_dict()
    done = await delete(world, expected="2")
    await world.settle(world.forwarder())

    assert planned["reported"] == [
        {"kind": "sale", "currency": "JPY", "number": 1, "amount": "1234", "sent": True},
        {"kind": "sale", "currency": "USD", "number": 1, "amount": "29.00", "sent": True},
    ]
    assert "2 reports to be deleted at DataFast" in done.sentence
    assert sorted(await posts(world, "DELETE")) == ["pay_1", "pay_2"]
    assert await world.counted() == [("pay_3", True)]
    assert await world.standing("pay_1") == ("done", "deleted_at_datafast", None)
    assert await world.waits_s() is None


async def test_a_report_that_datafast_does_not_have_counts_as_deleted(world: World) -> None:
    """It was never sent, or somebody deleted it there."""
    await world.record(**sale(1))
    await world.forwarder()._map()
    await delete(world)
    await world.settle(world.forwarder())

    assert await posts(world, "DELETE") == ["pay_1"]
    assert await posts(world) == []
    assert await world.standing("pay_1") == ("done", "deleted_at_datafast", None)


async def test_a_delete_that_fails_is_tried_again(world: World) -> None:
    """It outlives a failing DataFast, a lost answer and a restart."""
    await sell(world, 1)
    await world.chaos("500", match={"method": "DELETE"}, times=2, after=False)
    await delete(world)
    await world.settle(world.forwarder(), within_s=0.0)
    waiting = await world.standing("pay_1")
    await world.settle(world.forwarder(owner="the next one"))

    assert waiting == ("ready", "datafast_unavailable", None)
    assert await posts(world, "DELETE") == ["pay_1"] * 3
    assert await world.counted() == []
    assert await world.standing("pay_1") == ("done", "deleted_at_datafast", None)


async def refuse(_request: Request) -> Response:
    """Answer as DataFast does where one payment is at fault."""
    return JSONResponse({"status": "error", "error": {"code": 400, "message": "Not this."}}, 400)


async def test_a_delete_that_is_refused_is_for_a_person(world: World) -> None:
    """Released, it is asked for again; nothing is posted in its place."""
    await sell(world, 1)
    await delete(world)
    async with in_process(Starlette(routes=[Route(PAYMENTS, refuse, methods=["DELETE"])])) as app:
        await world.settle(replace(world, datafast=app).forwarder())
    refused = await world.standing("pay_1")
    released = await act(world, action="release", reason="delete_refused")
    await world.settle(world.forwarder())

    assert refused == ("parked", "delete_refused", None)
    assert released.changed == 1
    assert await posts(world) == ["pay_1"]
    assert await world.counted() == []


@pytest.mark.parametrize("mode", ["html", "empty"])
async def test_status_200_alone_proves_no_delete(world: World, mode: str) -> None:
    """Something in between may have given it, and who asked to be forgotten is still there."""
    await sell(world, 1)
    await world.chaos(mode, match={"method": "DELETE"}, times=1, after=False)
    await delete(world)
    await world.settle(world.forwarder())

    assert await world.standing("pay_1") == ("parked", "delete_refused", None)
    assert await world.counted() == [("pay_1", True)]


async def test_a_wrong_key_keeps_the_deletes_waiting(world: World) -> None:
    """The lane is paused as for a report, and the right key goes on."""
    await sell(world, 1)
    await delete(world)
    await world.forwarder(key="df_wrong").step()
    waiting = await world.standing("pay_1")
    await world.settle(world.forwarder())

    assert waiting == ("ready", "key_refused", None)
    assert await world.standing("pay_1") == ("done", "deleted_at_datafast", None)


async def forbid(_request: Request) -> Response:
    """Answer as DataFast does to a key that lacks the permission."""
    return JSONResponse({"status": "error", "error": {"code": 403, "message": "No."}}, 403)


async def test_a_key_that_may_not_delete_holds_up_no_report(world: World) -> None:
    """The delete is for a person; the lane stays open for money."""
    await sell(world, 1)
    await delete(world)
    async with in_process(Starlette(routes=[Route(PAYMENTS, forbid, methods=["DELETE"])])) as app:
        await replace(world, datafast=app).forwarder().step()
    await world.record(**sale(2, visitor_id=OTHER_ID))
    await world.forwarder().step()

    assert await world.standing("pay_1") == ("parked", "delete_refused", None)
    assert (await world.standing("pay_2"))[0] == "done"


async def test_what_has_changed_since_the_plan_is_not_deleted(world: World) -> None:
    """Nobody has agreed to that; nothing at all is done."""
    await sell(world, 1, 2)
    with pytest.raises(ActionRefused, match="2 reports would be deleted by now, not 1"):
        await delete(world, expected="1")

    assert (await world.row("pay_1"))["visitor_id"] == VISITOR_ID
    assert await notes(world) == []


async def test_forgetting_alone_deletes_nothing_at_datafast(world: World) -> None:
    """The shop's totals are the shop's."""
    await sell(world, 1)
    await act(world, action="forget", visitor_id=VISITOR_ID)
    await world.settle(world.forwarder())

    assert await posts(world, "DELETE") == []
    assert await world.counted() == [("pay_1", True)]
