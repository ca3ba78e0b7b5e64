"""Any order of the messages, some of them twice, comes to the same money."""

import itertools
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.money.harness import Shop
from tests.money.messages import Message
from tests.money.rows import Pass, Report, Sequence, Step
from tests.money.sequences import SEQUENCES
from tests.money.sequences.disputes import SWAP

pytestmark = pytest.mark.anyio

ORDERS = settings(
    max_examples=int(os.environ.get("KIT_SEQUENCE_EXAMPLES", "40")),
    # The stand-ins and the ledger are emptied before each example.
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    deadline=None,
)
# One message alone has one order; forty that carry no money are not worth shuffling.
MANY = [
    sequence for sequence in SEQUENCES if sequence.any_order and 1 < len(sequence.messages) < 12
]
# Here a refund and a dispute may swap their ids, and what is skipped depends on it; never the sum.
SWAPPING = [sequence for sequence in SEQUENCES if sequence.ordered == SWAP]


@dataclass(frozen=True, slots=True)
class Money:
    """What one payment comes to; a trial is counted under its subscription."""

    sales: tuple[tuple[Decimal, str, str], ...]
    """Amount, currency and "new" or "renewal" of each report."""
    reversed: Decimal
    visitors: frozenset[str | None]
    trials: int


def money(reports: Iterable[Report], payment_of: Mapping[str, str]) -> dict[str, Money]:
    """Add reports up by payment."""
    grouped: dict[str, list[Report]] = {}
    for report in reports:
        grouped.setdefault(payment_of.get(report.id, report.id), []).append(report)
    return {
        payment_id: Money(
            tuple(
                (report.amount, report.currency, report.kind)
                for report in group
                if report.kind in ("new", "renewal")
            ),
            sum((report.amount for report in group if report.kind == "refund"), Decimal(0)),
            frozenset(report.visitor for report in group),
            sum(report.kind == "trial" for report in group),
        )
        for payment_id, group in grouped.items()
    }


def owners(messages: Iterable[Message]) -> dict[str, str]:
    """Tell which payment each refund and dispute belongs to."""
    return {
        message.changes[key]: message.changes["payment_id"]
        for message in messages
        for key in ("refund_id", "dispute_id")
        if key in message.changes
    }


@st.composite
def shuffled(draw: st.DrawFn, rows: list[Sequence], max_repeats: int) -> tuple[Sequence, Sequence]:
    """Draw a row of the table, and the same with its messages shuffled and some repeated."""
    sequence = draw(st.sampled_from(rows))
    messages = list(sequence.messages)
    repeats = draw(st.lists(st.sampled_from(messages), max_size=max_repeats))
    if draw(st.booleans()):
        repeats = [replace(message, id=f"again {message.id}") for message in repeats]
    return sequence, sequence.reordered(draw(st.permutations(messages + repeats)))


def test_most_rows_can_be_shuffled() -> None:
    """The others say why their order matters, or are about time."""
    assert len(MANY) >= 70


@ORDERS
@given(rows=shuffled([*MANY, *SWAPPING], max_repeats=3))
async def test_any_order_comes_to_the_same(shop: Shop, rows: tuple[Sequence, Sequence]) -> None:
    """Sale, total taken back, renewal flag, visitor and trials, payment by payment."""
    sequence, reordered = rows
    result = await shop.play(reordered)
    payment_of = owners(sequence.messages)

    assert money(result.reports, payment_of) == money(sequence.reports, payment_of)


@ORDERS
@given(rows=shuffled(MANY, max_repeats=0))
async def test_any_order_gives_the_same_reports_and_reasons(
    shop: Shop, rows: tuple[Sequence, Sequence]
) -> None:
    """Where nothing may swap, the ids and the reasons are the same too."""
    sequence, reordered = rows
    result = await shop.play(reordered)

    assert result.reports == frozenset(sequence.reports)
    assert result.left == dict(sequence.left)


@ORDERS
@given(rows=shuffled([*MANY, *SWAPPING], max_repeats=1), waits=st.lists(st.booleans(), min_size=12))
async def test_what_is_sent_in_between_changes_no_money(
    shop: Shop, rows: tuple[Sequence, Sequence], waits: list[bool]
) -> None:
    """Reports may leave before the next message; only a visitor may then be known too late."""
    sequence, reordered = rows
    steps: list[Step] = []
    for step, wait in zip(reordered.steps, itertools.cycle(waits), strict=False):
        steps += [step, Pass(60)] if wait else [step]
    result = await shop.play(replace(reordered, steps=tuple(steps)))
    payment_of = owners(sequence.messages)
    nobody = frozenset[str | None]()

    assert {
        payment_id: replace(each, visitors=nobody)
        for payment_id, each in money(result.reports, payment_of).items()
    } == {
        payment_id: replace(each, visitors=nobody)
        for payment_id, each in money(sequence.reports, payment_of).items()
    }
