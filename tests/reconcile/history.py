"""A long history, written straight into Dodo's store and the ledger's tables."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, select

from kit.helpers.dodo_datafast import exponent, major_units
from kit.ledger.schema import charges, deliveries, events, payments
from kit.ledger.stamps import milliseconds
from kit.sandbox.books import PAYMENT, REFUND
from tests.money.messages import Message, day, refunded, sold
from tests.reconcile.conftest import Scene

CURRENCIES = ("USD", "EUR", "JPY", "KWD", "INR")


@dataclass(frozen=True, slots=True)
class History:
    """So many payments, and the ids that something is wrong with."""

    size: int
    missing: frozenset[str]
    doubled: frozenset[str]
    dearer: frozenset[str]
    """Dodo has another amount."""
    misreported: frozenset[str]
    """The ledger reported another amount than its own facts come to."""
    unpaid: frozenset[str]
    """Dodo does not have it as paid."""

    @property
    def mismatched(self) -> frozenset[str]:
        """Whatever was reported differently."""
        return self.dearer | self.misreported | self.unpaid

    def sales(self) -> Iterator[Message]:
        """Yield the sales: a third of them on one day, the rest over a month."""
        for number in range(self.size):
            on = 12 + number / self.size if number % 3 == 0 else number * 28 / self.size
            currency = CURRENCIES[number % len(CURRENCIES)]
            total = 10 ** exponent(currency) * (5 + number % 90)
            yield sold(f"pay_{number}", total, currency=currency, tax=total // 6, on=on)

    def refunds(self) -> Iterator[Message]:
        """Yield a refund, in part, for every fiftieth sale."""
        for number in range(7, self.size, 50):
            currency = CURRENCIES[number % len(CURRENCIES)]
            amount = 10 ** exponent(currency) * 2
            yield refunded(
                f"pay_{number}",
                amount,
                refund_id=f"ref_{number}",
                currency=currency,
                is_partial=True,
                on=29,
            )


async def write(scene: Scene, history: History) -> None:
    """Let all of it have happened, with what is wrong with it."""
    pattern = sold("pay_pattern"), refunded("pay_pattern", 900, refund_id="ref_pattern")
    await scene.report(*pattern)
    scene.shop.dodo_store.delete(PAYMENT, "pay_pattern")
    scene.shop.dodo_store.delete(REFUND, "ref_pattern")
    sales, refunds = list(history.sales()), list(history.refunds())
    scene.at_dodo(*sales, *refunds)
    for name in history.dearer:
        document = scene.shop.dodo_store.get(PAYMENT, name) or {}
        scene.change(PAYMENT, name, total_amount=document["total_amount"] + 100)
    for name in history.unpaid:
        scene.change(PAYMENT, name, status="failed")
    await scene.shop.ledger.write(lambda c: _copy(c, history, sales, refunds))


def _copy(
    connection: Connection, history: History, sales: Sequence[Message], refunds: Sequence[Message]
) -> None:
    """Write the rows that mapping and sending left of the pattern, once for each object."""
    fact = _row(connection, payments, payment_id="pay_pattern")
    sale = _row(connection, deliveries, transaction_id="pay_pattern")
    back = _row(connection, deliveries, transaction_id="ref_pattern")
    heard = _row(connection, events, transaction_id="pay_pattern")
    for table in (events, payments, charges, deliveries):
        connection.execute(table.delete())
    facts, reports, messages = [], [], []
    for message in sales:
        data = message.changes
        name, total, currency = data["payment_id"], data["total_amount"], data["currency"]
        if name in history.missing:
            continue
        created_ms = milliseconds(message.at) - 37_000
        facts.append(
            fact
            | {
                "payment_id": name,
                "total_minor": total,
                "tax_minor": data["tax"],
                "currency": currency,
                "settlement_minor": total,
                "settlement_tax_minor": data["tax"],
                "settlement_currency": currency,
                "created_at_ms": created_ms,
            }
        )
        report = sale | {
            "transaction_id": name,
            "payment_id": name,
            "amount": str(major_units(total, currency)),
            "amount_minor": total,
            "currency": currency,
            "occurred_at_ms": created_ms,
        }
        if name in history.misreported:
            report["amount"] = str(major_units(total, currency) / 100)
        reports.append(report)
        if name in history.doubled:
            reports.append(report | {"transaction_id": f"dodo:{name}"})
        messages.append(
            heard
            | {
                "webhook_id": f"msg_{name}",
                "body": json.dumps(message.document()).encode(),
                "payment_id": name,
                "transaction_id": name,
            }
        )
    currencies = {row["payment_id"]: row["currency"] for row in facts}
    for message in refunds:
        data = message.changes
        currency = currencies[data["payment_id"]]
        reports.append(
            back
            | {
                "transaction_id": data["refund_id"],
                "payment_id": data["payment_id"],
                "depends_on": data["payment_id"],
                "amount": str(major_units(data["amount"], currency)),
                "amount_minor": data["amount"],
                "currency": currency,
                "occurred_at_ms": milliseconds(day(29)),
            }
        )
    for table, rows in ((payments, facts), (deliveries, reports), (events, messages)):
        connection.execute(table.insert(), rows)


def _row(connection: Connection, table: Table, **key: str) -> dict[str, Any]:
    [(name, value)] = key.items()
    return dict(connection.execute(select(table).where(table.c[name] == value)).mappings().one())
