"""
Rows of the table: what happens in a sequence, and what DataFast holds in the end.

The stand-in for DataFast is the judge; the ledger only says why something was not reported.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TypeAlias

from kit.ledger.policy import Policy
from tests.money.messages import ADA, Message

GROSS = Policy()

# --- What happens --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Checkout:
    """A checkout session of ours is opened."""

    order_ref: str = "order-1"
    session: str | None = "cks_1"
    visitor: str | None = ADA
    reason: str | None = None
    """Why no visitor was captured."""


@dataclass(frozen=True, slots=True)
class Return:
    """The buyer comes back from Dodo's page, in the browser that ordered or in another one."""

    visitor: str | None = None
    order_ref: str = "order-1"
    own_browser: bool = True


@dataclass(frozen=True, slots=True)
class Pass:
    """What is due is done, and time goes by."""

    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Dodo:
    """Dodo's API fails from here on, or works again."""

    reachable: bool


@dataclass(frozen=True, slots=True)
class Stands:
    """A delivery or message stands so at this moment: "state reason"."""

    id: str
    how: str


@dataclass(frozen=True, slots=True)
class Act:
    """A person has something done by hand, in the words of `kit.actions.perform`."""

    wanted: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Fault:
    """DataFast's API fails some times, before or after it has done what was asked."""

    mode: str
    times: int
    after: bool


Step: TypeAlias = Message | Checkout | Return | Pass | Dodo | Stands | Act | Fault


# --- What comes of it ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Report:
    """One payment as DataFast holds it; `kind` is "new", "renewal", "refund" or "trial"."""

    kind: str
    id: str
    amount: Decimal
    currency: str
    visitor: str | None


def new(id: str, amount: str, currency: str = "USD", *, by: str | None = ADA) -> Report:  # noqa: A002 - short rows
    """Return a first sale, in major units."""
    return Report("new", id, Decimal(amount), currency, by)


def renewal(id: str, amount: str, currency: str = "USD", *, by: str | None = ADA) -> Report:  # noqa: A002 - short rows
    """Return a renewal."""
    return Report("renewal", id, Decimal(amount), currency, by)


def back(id: str, amount: str, currency: str = "USD", *, by: str | None = ADA) -> Report:  # noqa: A002 - short rows
    """Return a refund or a lost dispute."""
    return Report("refund", id, Decimal(amount), currency, by)


def trial(subscription_id: str, currency: str = "USD", *, by: str | None = ADA) -> Report:
    """Return the start of a free trial."""
    return Report("trial", f"trial_{subscription_id}", Decimal(0), currency, by)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Sequence:
    """One row of the table."""

    name: str
    steps: tuple[Step, ...]
    reports: tuple[Report, ...] = ()
    left: Mapping[str, str] = field(default_factory=dict)
    """Messages that became nothing and deliveries that were not sent: id to "state reason"."""
    policy: Policy = GROSS
    at_dodo: tuple[Message, ...] = ()
    """Objects that Dodo has besides those of the messages; they win over them."""
    absent: frozenset[str] = frozenset()
    """Objects of the messages that Dodo does not have."""
    drift: frozenset[tuple[str, str]] = frozenset()
    ordered: str | None = None
    """Why another order of the messages may honestly end otherwise."""

    def __repr__(self) -> str:
        """Say which row it is, and in which order its messages come."""
        return f"<{self.name}: {', '.join(message.id for message in self.messages)}>"

    @property
    def messages(self) -> tuple[Message, ...]:
        """The messages alone."""
        return tuple(step for step in self.steps if isinstance(step, Message))

    @property
    def any_order(self) -> bool:
        """Whether every order of the messages must come to the same."""
        timed = any(not isinstance(step, Message | Checkout) for step in self.steps)
        return self.ordered is None and not timed

    def reordered(self, messages: Iterable[Message]) -> "Sequence":
        """Return this sequence with its messages in another order, or some of them twice."""
        checkouts = tuple(step for step in self.steps if isinstance(step, Checkout))
        return replace(self, steps=(*checkouts, *messages))
