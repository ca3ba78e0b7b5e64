"""What happens in a storm: sales, refunds, repeats and noise, and what DataFast does with them."""

import json
import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from kit.sandbox import fixtures
from tests.faults.outside import PAYMENTS, Outside, Webhook

KNOWN_VISITORS = [str(uuid.UUID(int=number, version=4)) for number in range(1, 6)]
FAULTS: tuple[dict[str, Any], ...] = (
    {"mode": "500", "times": 1},
    {"mode": "500", "times": 3},
    {"mode": "500", "times": 1, "after": True},
    {"mode": "timeout", "times": 1},
    {"mode": "timeout", "times": 1, "after": True},
    {"mode": "drip", "times": 1},
    {"mode": "drip", "times": 1, "after": True},
    {"mode": "reset", "times": 1},
    {"mode": "reset", "times": 2},
    {"mode": "reset", "times": 1, "after": True},
    {"mode": "html", "times": 1},
    {"mode": "html", "times": 1, "after": True},
    {"mode": "empty", "times": 1},
    {"mode": "empty", "times": 1, "after": True},
    {"mode": "no_pageview_404", "times": 1},
    {"mode": "no_pageview_200", "times": 1},
)
# These slow or pause the whole lane for about a second.
LANE_FAULTS: tuple[dict[str, Any], ...] = (
    {"mode": "429", "times": 1},
    {"mode": "redirect", "times": 1},
)
FAULTY, LANE_FAULTY, DODO_FAULTY = 0.35, 0.02, 0.05


@dataclass(slots=True)
class Plan:
    """Makes webhooks, puts what they are about to Dodo, and says what is to count in the end."""

    world: Outside
    random: random.Random
    name: str
    """Part of every id, for storms that share the outside."""
    expected: dict[str, Decimal] = field(default_factory=dict)
    """What DataFast is to hold, as major units by transaction id."""
    faults: int = 0
    """How many calls to DataFast meet a fault that was asked for."""
    repeats: int = 0
    """How many posts that asks for beside the first of each transaction."""
    _refundable: list[str] = field(default_factory=list)
    _bodies: dict[str, bytes] = field(default_factory=dict)
    _numbers: int = 0

    def __post_init__(self) -> None:
        """Let some visitors be known at DataFast."""
        for visitor_id in KNOWN_VISITORS:
            self.world.see(visitor_id)

    def webhooks(self) -> Iterator[tuple[Webhook, str | None]]:
        """Yield one webhook after the other, each with the transaction that it may begin."""
        kinds = (self._sale, self._refund, self._same_payment, self._noise)
        while True:
            self._numbers += 1
            [make] = self.random.choices(kinds, (70, 12, 8, 10))
            yield make(f"{self.name}_{self._numbers:05}")

    async def spoil(self, transaction_id: str) -> None:
        """Let DataFast, or Dodo, fail for this one as chance will have it."""
        dice = self.random.random()
        if dice < LANE_FAULTY + FAULTY:
            fault = self.random.choice(LANE_FAULTS if dice < LANE_FAULTY else FAULTS)
            self.faults += fault["times"]
            self.repeats += fault["times"]
            rule = {"path": PAYMENTS, "transaction_id": transaction_id} | fault
            await self.world.chaos(self.world.datafast_url, **rule)
        if self.random.random() < DODO_FAULTY:
            mode = self.random.choice(("500", "reset", "html"))
            await self.world.chaos(
                self.world.dodo_url, mode, path=f"/payments/{transaction_id}", times=1
            )

    def _sale(self, number: str) -> tuple[Webhook, str | None]:
        payment_id = f"pay_{number}"
        stranger = str(uuid.UUID(int=self.random.getrandbits(128), version=4))
        known = self.random.choice(KNOWN_VISITORS)
        visitor_id = self.random.choice((known, stranger, None))
        if visitor_id == stranger:
            self.repeats += 2  # asked about once more, and then sent without the visitor
        amount = self.random.randrange(500, 50_000)
        self._bodies[payment_id] = self.world.sell(payment_id, visitor_id=visitor_id, amount=amount)
        self.expected[payment_id] = Decimal(amount) / 100
        self._refundable.append(payment_id)
        return Webhook(f"msg_{number}", self._bodies[payment_id]), payment_id

    def _refund(self, number: str) -> tuple[Webhook, str | None]:
        """Refund a part of a sale, which may still be on its way."""
        if not self._refundable:
            return self._noise(number)
        payment_id = self._refundable.pop(self.random.randrange(len(self._refundable)))
        refund_id, amount = f"ref_{number}", self.random.randrange(1, 500)
        message = fixtures.load(
            "refund.succeeded",
            refund_id=refund_id,
            payment_id=payment_id,
            amount=amount,
            is_partial=True,
            metadata={},
        )
        self.expected[refund_id] = Decimal(amount) / 100
        return Webhook(f"msg_{number}", json.dumps(message).encode()), refund_id

    def _same_payment(self, number: str) -> tuple[Webhook, str | None]:
        """Tell of a sale once more under another id, as a replay by hand does."""
        if not self._bodies:
            return self._noise(number)
        return Webhook(f"msg_{number}", self.random.choice(list(self._bodies.values()))), None

    def _noise(self, number: str) -> tuple[Webhook, str | None]:
        kind = self.random.choice(("payment.failed", "license_key.created", "moon.risen"))
        message = {"type": kind, "timestamp": "2026-10-02T09:15:27Z", "data": {"n": number}}
        return Webhook(f"msg_{number}", json.dumps(message).encode()), None
