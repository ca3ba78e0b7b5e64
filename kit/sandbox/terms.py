"""How a charge of a subscription turns out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How a charge of a subscription turns out; None leaves a field to its usual value.

    `held` is the status after a failed charge. `fields` replace fields of the payment, and
    `without` names fields it lacks.
    """

    at: float
    outcome: str = "succeeded"
    held: str = "on_hold"
    amount_minor: int | None = None
    currency: str | None = None
    retry_attempt: int | None = None
    metadata: dict[str, Any] | None = None
    fields: Mapping[str, Any] | None = None
    without: tuple[str, ...] = ()
