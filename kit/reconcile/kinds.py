"""What Dodo lists that moves money: payments, refunds and disputes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from kit.dodo import Listed, api_id
from kit.ledger.facts import identifier


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of object, in the words of Dodo's API (official SDK 1.123.0)."""

    name: str
    listed: Listed
    key: str
    """The field that holds its id."""
    status: str
    events: Mapping[str, str]
    """The webhook that a status stands for, where that moves money."""

    def id_of(self, document: Mapping[str, Any]) -> str | None:
        """Return an object's id; one that no column takes counts as none."""
        return identifier(document.get(self.key))

    def event_of(self, document: Mapping[str, Any]) -> str | None:
        """Return the type of the webhook that its present status stands for."""
        status = document.get(self.status)
        return self.events.get(status) if isinstance(status, str) else None


@dataclass(frozen=True, slots=True)
class Entry:
    """One object as Dodo's API gave it, whole."""

    kind: Kind
    id: str
    document: Mapping[str, Any] = field(repr=False)

    @property
    def message(self) -> str:
        """What tells its message from others; a payment's is the one that the receipt makes."""
        named = f"{self.document.get(self.kind.status)}-{self.id}"
        return named if self.kind is PAYMENT else f"{self.kind.name}-{named}"

    @property
    def webhook_id(self) -> str:
        """The id of that message in the ledger."""
        return api_id(self.message)


PAYMENT: Final = Kind(
    "payment",
    "payments",
    "payment_id",
    "status",
    MappingProxyType({"succeeded": "payment.succeeded"}),
)
REFUND: Final = Kind(
    "refund",
    "refunds",
    "refund_id",
    "status",
    MappingProxyType({"succeeded": "refund.succeeded"}),
)
DISPUTE: Final = Kind(
    "dispute",
    "disputes",
    "dispute_id",
    "dispute_status",
    MappingProxyType({"dispute_lost": "dispute.lost", "dispute_accepted": "dispute.accepted"}),
)
KINDS: Final = MappingProxyType({kind.name: kind for kind in (PAYMENT, REFUND, DISPUTE)})
