"""Taking in what is named: nothing but Dodo's own answer becomes a message."""

import json

import pytest

from kit.reconcile.intake import MAX_NAMES, NameRefused, read_names, take_in, take_in_named
from kit.reconcile.kinds import DISPUTE, KINDS, PAYMENT, REFUND, Entry
from tests.money.messages import disputed, refunded, sold
from tests.reconcile.conftest import Scene

pytestmark = pytest.mark.anyio


async def test_what_is_named_is_read_from_dodo(scene: Scene) -> None:
    """Each becomes the message that its webhook would have been."""
    scene.at_dodo(
        sold("pay_1"), refunded("pay_1"), disputed("pay_1", dispute_status="dispute_lost")
    )
    taken = await take_in_named(
        scene.shop.ledger,
        scene.shop.dodo_client,
        "payment:pay_1 refund:ref_1 dispute:dp_1 payment:pay_unknown",
    )
    messages = await scene.messages()
    bodies = {name: json.loads(row["body"]) for name, row in messages.items()}

    assert taken == 3
    assert {name: body["type"] for name, body in bodies.items()} == {
        "api-succeeded-pay_1": "payment.succeeded",
        "api-refund-succeeded-ref_1": "refund.succeeded",
        "api-dispute-dispute_lost-dp_1": "dispute.lost",
    }
    assert bodies["api-succeeded-pay_1"]["data"]["total_amount"] == 2900
    assert {row["source"] for row in messages.values()} == {"api"}


async def test_what_moves_no_money_is_not_taken_in(scene: Scene) -> None:
    """A failed payment, an open dispute."""
    scene.at_dodo(
        sold("pay_1", kind="failed", status="failed"),
        disputed("pay_1", kind="opened", dispute_status="dispute_opened"),
    )
    taken = await take_in_named(
        scene.shop.ledger, scene.shop.dodo_client, "payment:pay_1 dispute:dp_1"
    )

    assert taken == 0
    assert await scene.messages() == {}


async def test_taking_in_twice_stores_once(scene: Scene) -> None:
    """And what was reported stays as it was."""
    entry = Entry(PAYMENT, "pay_1", sold().document())
    await take_in(scene.shop.ledger, [entry])
    scene.at_dodo(sold())
    await scene.work()
    await take_in(scene.shop.ledger, [Entry(PAYMENT, "pay_1", sold(total=1).document())])
    await scene.work()
    [message] = (await scene.messages()).values()

    assert (message["state"], message["times_received"]) == ("mapped", 2)
    assert (await scene.rows())["pay_1"]["amount"] == "29.00"


@pytest.mark.parametrize(
    "text",
    [
        "pay_1",
        "payment:",
        ":pay_1",
        "customer:cus_1",
        "payment:pay/../1",
        "payment:pay_1?x=1",
        "payment:" + "p" * 129,
        " ".join(["payment:pay_1"] * (MAX_NAMES + 1)),
    ],
)
def test_what_is_no_name_is_refused(text: str) -> None:
    """Before anybody is asked."""
    with pytest.raises(NameRefused):
        read_names(text)


def test_names_are_read_in_their_order() -> None:
    """A refund follows its sale."""
    assert read_names("payment:pay_1  refund:ref_1\ndispute:dp_1") == [
        (PAYMENT, "pay_1"),
        (REFUND, "ref_1"),
        (DISPUTE, "dp_1"),
    ]
    assert read_names("") == []
    assert set(KINDS) == {"payment", "refund", "dispute"}
