"""Everything at once: repeats, gaps, holds, replays and forgetting leave Dodo's money as it is."""

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, select

from kit.helpers.dodo_datafast import Basis
from kit.ledger.policy import Policy
from kit.ledger.schema import metadata
from tests.money.harness import Shop
from tests.money.messages import ADA, BEA, Message, disputed, refunded, sold
from tests.money.rows import Act, Dodo, Fault, Pass, Sequence, Step
from tests.money.sequences.sales import UNSETTLED
from tests.money.test_conservation import minor_at_datafast
from tests.money.test_orders import ORDERS

pytestmark = pytest.mark.anyio

BASES: tuple[Basis, ...] = ("gross", "net", "settlement")
OURS, OTHERS = "brnd_contour", "brnd_other"
FORGET = Act({"action": "forget", "visitor_id": ADA})
AGAIN = [Act({"action": "replay", "state": state}) for state in ("parked", "held", "done")]
FAULTS = [
    Fault(mode, times=times, after=after)
    for mode in ("500", "429", "reset", "redirect", "empty", "html")
    for times in (1, 4)
    for after in (False, True)
]
AT_LAST = (Pass(4000), Dodo(reachable=True), Pass(4000), AGAIN[0], AGAIN[1])
"""What a person does in the end: look after what is left."""


def names_somewhere(connection: Connection, visitor_id: str) -> bool:
    """Tell whether any row of any table still says who it was."""
    return any(
        visitor_id in str(tuple(row))
        for table in metadata.sorted_tables
        for row in connection.execute(select(table))
    )


@dataclass(frozen=True, slots=True)
class Mixture:
    """What came and was done, and what DataFast is to hold of it."""

    steps: tuple[Step, ...]
    policy: Policy
    kept: dict[str, int]
    """Minor units that the shop keeps, by currency."""
    kinds: dict[str, str]
    """Which payments are "new" and which a "renewal"."""


@st.composite
def copies(draw: st.DrawFn, message: Message) -> list[Message]:
    """Draw a message once, twice or three times, some under ids of their own."""
    ids = draw(st.lists(st.sampled_from(["", " again", " anew"]), min_size=1, max_size=3))
    return [replace(message, id=f"{message.id}{suffix}") for suffix in ids]


@st.composite
def charges(draw: st.DrawFn, number: int, *, later: bool) -> dict[str, Any]:
    """Draw one payment with all that followed it."""
    payment_id, currency = f"pay_{number}", draw(st.sampled_from(["USD", "JPY", "KWD"]))
    total, ours = draw(st.integers(1, 10**6)), draw(st.sampled_from([True, True, True, False]))
    sub = draw(st.sampled_from(["sub_1", ()]))
    charge = draw(st.sampled_from(["renewal", "plan_change", None] + ([] if later else ["new"])))
    sale = sold(
        payment_id,
        total,
        on=1 + number,
        currency=currency,
        sub=sub,
        charge=charge if sub else None,
        visitor=draw(st.sampled_from([ADA, ADA, BEA, None])),
        brand_id=OURS if ours else OTHERS,
    )
    messages = [
        replace(each, without=UNSETTLED) if draw(st.booleans()) else each
        for each in draw(copies(sale))
    ]
    left = total
    for place, part in enumerate(draw(st.lists(st.integers(1, total), max_size=3))):
        if part <= left:
            left -= part
            refund = refunded(
                payment_id,
                part,
                refund_id=f"ref_{number}_{place}",
                is_partial=True,
                currency=currency,
                brand_id=draw(st.sampled_from([OURS if ours else OTHERS, None])),
            )
            messages += draw(copies(refund))
    if draw(st.booleans()):
        left = 0
        lost = disputed(payment_id, str(total), dispute_id=f"dp_{number}", currency=currency)
        messages += draw(copies(lost))
    return {
        "messages": messages,
        "kept": {currency: left if ours else 0},
        "counted": ours,
        "id": payment_id,
        "sub": sub,
    }


@st.composite
def mixtures(draw: st.DrawFn) -> Mixture:
    """Draw payments, what is done in between, and the settings."""
    policy = Policy(
        basis=draw(st.sampled_from(BASES)),
        brands=frozenset({OURS}),
        held_for=draw(st.sampled_from([None, None, "test_mode"])),
    )
    steps: list[Step] = []
    kept: Counter[str] = Counter()
    kinds: dict[str, str] = {}
    charged = False
    for number in range(draw(st.integers(1, 3))):
        one = draw(charges(number, later=charged))
        steps += one["messages"]
        kept.update(one["kept"])
        if one["counted"]:
            kinds[one["id"]] = "renewal" if one["sub"] and charged else "new"
        charged = charged or bool(one["sub"])
    between = [Pass(60), Pass(60), FORGET, *AGAIN, Dodo(reachable=False), Dodo(reachable=True)]
    steps += draw(st.lists(st.sampled_from(between), max_size=6))
    steps += draw(st.lists(st.sampled_from(FAULTS), max_size=2))
    return Mixture((*draw(st.permutations(steps)), *AT_LAST), policy, dict(kept), kinds)


@ORDERS
@given(mixture=mixtures())
async def test_whatever_happens_the_money_is_dodo_s(shop: Shop, mixture: Mixture) -> None:
    """Sums, renewal flags, rest at the end; and nothing names who asked to be forgotten."""
    result = await shop.play(Sequence(name="a mixture", steps=mixture.steps, policy=mixture.policy))
    sums = {currency: minor for currency, minor in minor_at_datafast(result).items() if minor}
    sold_as = {each.id: each.kind for each in result.reports if each.kind != "refund"}

    assert sums == {currency: minor for currency, minor in mixture.kept.items() if minor}
    assert sold_as == mixture.kinds
    assert {how.partition(" ")[0] for how in result.left.values()} <= {"skipped"}
    assert {row["state"] for row in result.rows.values()} <= {"done"}
    if FORGET in mixture.steps:
        assert not await shop.ledger.read(lambda connection: names_somewhere(connection, ADA))
