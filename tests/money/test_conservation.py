"""DataFast's sums are Dodo's money, to the minor unit."""

from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.money.harness import Result, Shop
from tests.money.messages import Message, disputed, refunded, sold
from tests.money.rows import Sequence
from tests.money.test_orders import ORDERS

pytestmark = pytest.mark.anyio

EXPONENT = {"USD": 2, "JPY": 0, "KWD": 3}


def minor_at_datafast(result: Result) -> Counter[str]:
    """Add up as DataFast does, sales minus refunds, in minor units of each currency."""
    sums: Counter[str] = Counter()
    for report in result.reports:
        minor = report.amount.scaleb(EXPONENT[report.currency])

        assert minor == int(minor)

        sums[report.currency] += int(minor) * (-1 if report.kind == "refund" else 1)
    return sums


@dataclass(frozen=True, slots=True)
class Account:
    """What happened to some payments at Dodo: its messages, in any order, and what is left."""

    messages: tuple[Message, ...]
    kept: dict[str, int]
    """Minor units that the shop keeps, by currency."""


@st.composite
def accounts(draw: st.DrawFn) -> Account:
    """Draw charges with refunds in parts, and disputes of all that was charged."""
    messages: list[Message] = []
    kept: Counter[str] = Counter()
    for number in range(draw(st.integers(1, 4))):
        payment_id, currency = f"pay_{number}", draw(st.sampled_from(sorted(EXPONENT)))
        total = draw(st.integers(1, 10**9))
        sub = draw(st.sampled_from(["sub_1", "sub_2", ()]))
        charge = draw(st.sampled_from(["new", "renewal", "plan_change", "on_demand", None]))
        messages.append(
            sold(
                payment_id,
                total,
                on=1 + number,
                currency=currency,
                sub=sub,
                charge=charge if sub else None,
            )
        )
        parts = draw(st.lists(st.integers(1, total), max_size=3))
        parts = [part for place, part in enumerate(parts) if sum(parts[: place + 1]) <= total]
        messages += [
            refunded(
                payment_id,
                part,
                refund_id=f"ref_{number}_{place}",
                is_partial=True,
                currency=currency,
            )
            for place, part in enumerate(parts)
        ]
        lost = draw(st.sampled_from([None, "minor", "major"]))
        if lost is not None:
            major = Decimal((0, Decimal(total).as_tuple().digits, -EXPONENT[currency]))
            amount = str(total) if lost == "minor" else f"{major:f}"
            messages.append(
                disputed(payment_id, amount, dispute_id=f"dp_{number}", currency=currency)
            )
        kept[currency] += 0 if lost else total - sum(parts)
    return Account(tuple(draw(st.permutations(messages))), dict(kept))


@ORDERS
@given(account=accounts())
async def test_sums_are_dodo_s_money(shop: Shop, account: Account) -> None:
    """Whatever was charged, given back and taken back, in whatever order it was told."""
    result = await shop.play(Sequence(name="an account", steps=account.messages))

    assert dict(minor_at_datafast(result)) == account.kept


@pytest.mark.parametrize(
    ("currency", "price", "part"), [("USD", 900, 333), ("JPY", 900, 333), ("KWD", 8_755, 1)]
)
async def test_a_subscription_s_life_adds_up(
    shop: Shop, currency: str, price: int, part: int
) -> None:
    """Trial, first charge, renewal, partial refund and a lost dispute, in three kinds of unit."""
    usual: dict[str, Any] = {"total": price, "currency": currency, "sub": "sub_1"}
    messages = (
        sold("pay_0", on=1, charge="new", **usual | {"total": 0}),
        sold("pay_1", on=15, charge="renewal", **usual),
        sold("pay_2", on=45, charge="renewal", **usual),
        refunded("pay_1", part, currency=currency, is_partial=True, on=50),
        disputed("pay_2", str(price), currency=currency, on=60),
    )
    result = await shop.play(Sequence(name="a life", steps=messages))

    assert minor_at_datafast(result) == {currency: price - part}
    assert {report.kind for report in result.reports} == {"new", "renewal", "refund"}
