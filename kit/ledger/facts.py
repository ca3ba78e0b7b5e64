"""What a message says of its payment, subscription and visitor, as far as it can be believed."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from kit.helpers.dodo_datafast import ORDER_REF_KEY, VISITOR_COOKIE, Event
from kit.ledger.redaction import FORGOTTEN
from kit.ledger.stamps import milliseconds

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class Facts:
    """Fields of a message's object; one of the wrong type counts as absent. Amounts in minor."""

    payment_id: str | None
    recovered_payment_id: str | None
    checkout_session_id: str | None
    subscription_ids: tuple[str, ...]
    customer_id: str | None
    brand_id: str | None
    order_ref: str | None
    visitor_id: str | None
    status: str | None
    charge_type: str | None
    total_minor: int | None
    tax_minor: int | None
    currency: str | None
    settlement_minor: int | None
    settlement_tax_minor: int | None
    settlement_currency: str | None
    is_update_payment_method: bool
    created_at_ms: int
    forgotten: bool | None
    """True of a message that was made nameless; None says nothing, as an absent field does."""

    @property
    def paid(self) -> bool:
        """Whether money was charged for what was bought."""
        charged = self.status == "succeeded" and bool(self.total_minor)
        return charged and not self.is_update_payment_method


def read_facts(event: Event) -> Facts:
    """Read the facts of one message."""
    facts = facts_of(event.data, event.timestamp)
    if event.type == "payment.succeeded" and facts.status is None:
        # Dodo leaves the status null for a while (dodo/miscellaneous/faq); the type says it.
        return replace(facts, status="succeeded")
    return facts


def facts_of(data: Mapping[str, Any], moment: datetime) -> Facts:
    """Read the facts of an object; `moment` stands in for a missing `created_at`."""
    metadata, customer = _mapping(data.get("metadata")), _mapping(data.get("customer"))
    visitor_id = metadata.get(VISITOR_COOKIE)
    named = [data.get("subscription_id"), *_list(data.get("subscription_ids"))]
    return Facts(
        payment_id=identifier(data.get("payment_id")),
        recovered_payment_id=identifier(data.get("recovered_payment_id")),
        checkout_session_id=identifier(data.get("checkout_session_id")),
        subscription_ids=tuple(dict.fromkeys(filter(None, map(identifier, named)))),
        customer_id=identifier(customer.get("customer_id") or data.get("customer_id")),
        brand_id=identifier(data.get("brand_id")),
        order_ref=identifier(metadata.get(ORDER_REF_KEY)),
        visitor_id=visitor_id if _is_uuid(visitor_id) else None,
        status=identifier(data.get("status")),
        charge_type=identifier(data.get("charge_type")),
        total_minor=_minor(data.get("total_amount")),
        tax_minor=_minor(data.get("tax")),
        currency=identifier(data.get("currency")),
        settlement_minor=_minor(data.get("settlement_amount")),
        settlement_tax_minor=_minor(data.get("settlement_tax")),
        settlement_currency=identifier(data.get("settlement_currency")),
        is_update_payment_method=data.get("is_update_payment_method") is True,
        created_at_ms=_created_at_ms(data.get("created_at"), moment),
        forgotten=True if visitor_id == FORGOTTEN else None,
    )


def identifier(value: object) -> str | None:
    """Accept short printable ASCII: a text column takes no NUL and no lone surrogate."""
    if isinstance(value, str) and 0 < len(value) <= 128 and value.isascii():
        return value if value.isprintable() else None
    return None


def _is_uuid(value: object) -> bool:
    return isinstance(value, str) and _UUID.fullmatch(value) is not None


def _minor(value: object) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53:
        return value
    return None


def _created_at_ms(value: object, moment: datetime) -> int:
    try:
        created = datetime.fromisoformat(value) if isinstance(value, str) else moment
        created = created if created.tzinfo is not None else created.replace(tzinfo=UTC)
        return milliseconds(created)
    except (ValueError, OverflowError):
        return milliseconds(moment)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
