"""A ledger with a few sales in it, made before a command is run on it."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection

from kit.helpers.dodo_datafast import Signed
from kit.ledger.engine import open_engines
from kit.ledger.mapping import map_stored_events
from kit.ledger.policy import Policy
from kit.ledger.rows import Row
from kit.sandbox import fixtures
from tests.ledger.conftest import store_messages
from tests.ledger.scenes import NOW_MS, VISITOR, change, report, sent

T = TypeVar("T")


def within(folder: Path, do: Callable[[Connection], T]) -> T:
    """Do something inside a transaction on the folder's ledger, which nobody else may have open."""
    engines = open_engines(f"sqlite:///{folder}/kit.db")
    try:
        with engines.writing.begin() as connection:
            return do(connection)
    finally:
        engines.close()


def fill(folder: Path) -> None:
    """Have three sales of one visitor, two given up and one attributed, and an unclear message."""

    def live(connection: Connection) -> None:
        metadata = {"datafast_visitor_id": VISITOR}
        sales: list[dict[str, Any]] = [
            {},
            {"total_amount": 1050, "tax": 0},
            {"currency": "EUR"},
            {"currency": "XXX"},
        ]
        for number, changes in enumerate(sales):
            named = {"payment_id": f"pay_{number}", "metadata": metadata}
            body = json.dumps(fixtures.load("payment.succeeded", **named | changes)).encode()
            moment = datetime.fromtimestamp(NOW_MS / 1000, UTC)
            store_messages(connection, Signed(f"msg_{number}", moment, body))
        map_stored_events(connection, Policy(), NOW_MS)
        for transaction_id in ("pay_0", "pay_1"):
            change(connection, transaction_id, state="parked", reason="horizon", due_at_ms=None)
        sent(connection, "pay_2")

    within(folder, live)


def row_of(folder: Path, transaction_id: str) -> Row:
    """Return a report as it stands."""
    return within(folder, lambda connection: report(connection, transaction_id))
