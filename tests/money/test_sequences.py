"""Every kind of money: what happens at Dodo, and what DataFast holds in the end."""

import pytest

from kit.helpers.dodo_datafast import Basis
from kit.ledger.policy import Policy
from tests.money.harness import Shop
from tests.money.messages import disputed, refunded, sold, subscribed
from tests.money.rows import Sequence
from tests.money.sequences import SEQUENCES

pytestmark = pytest.mark.anyio


def test_the_table_is_large_and_its_names_differ() -> None:
    """At least eighty rows, each with a name of its own."""
    names = [sequence.name for sequence in SEQUENCES]

    assert len(names) >= 80
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("sequence", SEQUENCES, ids=lambda sequence: sequence.name)
async def test_sequence(shop: Shop, sequence: Sequence) -> None:
    """DataFast holds exactly the reports of the row; whatever else came has its reason."""
    result = await shop.play(sequence)

    assert result.reports == frozenset(sequence.reports)
    assert result.left == dict(sequence.left)
    assert result.drift == sequence.drift


async def test_every_report_is_dated_by_its_own_time(shop: Shop) -> None:
    """A message may be hours late; a dispute was opened long before its money went."""
    steps = (
        subscribed(trial_days=14, on=1.5, created_on=1),
        sold(on=2),
        refunded(amount=100, is_partial=True, on=3),
        disputed(on=9),
    )
    result = await shop.play(Sequence(name="dates", steps=steps))
    dates = {id_: payment["timestamp"] for id_, payment in result.received.items()}

    assert dates == {
        "trial_sub_1": "2026-10-02T12:00:00.000Z",
        "pay_1": "2026-10-03T12:00:00.000Z",
        "ref_1": "2026-10-04T12:00:00.000Z",
        "dp_1": "2026-10-10T12:00:00.000Z",
    }


@pytest.mark.parametrize("basis", ["gross", "net", "settlement"])
async def test_every_delivery_keeps_its_basis(shop: Shop, basis: Basis) -> None:
    """A changed setting changes no figure that was promised before."""
    sequence = Sequence(name=basis, steps=(sold(), refunded()), policy=Policy(basis=basis))
    result = await shop.play(sequence)

    assert {row["basis"] for row in result.rows.values()} == {basis}


async def test_a_repeat_that_differs_is_shown(shop: Shop) -> None:
    """What was promised first is sent; the difference is kept."""
    steps = (sold(), sold(total=2800, id="other"))
    result = await shop.play(Sequence(name="differs", steps=steps))

    assert result.rows["pay_1"]["drift"] == "amount"
    assert result.received["pay_1"]["amount"] == "29"
