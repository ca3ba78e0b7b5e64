"""The table: every kind of money, and what becomes of it."""

from tests.money.rows import Sequence
from tests.money.sequences import (
    arrivals,
    disputes,
    late,
    refunds,
    renewals,
    sales,
    shares,
    trials,
    visitors,
)

SEQUENCES: tuple[Sequence, ...] = (
    *sales.SEQUENCES,
    *renewals.SEQUENCES,
    *trials.SEQUENCES,
    *refunds.SEQUENCES,
    *shares.SEQUENCES,
    *disputes.SEQUENCES,
    *visitors.SEQUENCES,
    *late.SEQUENCES,
    *arrivals.SEQUENCES,
)
