"""The ledger: whether it can be read, and what it shows of sales that went astray."""

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, func, select

from kit.checks.setup import Setup
from kit.errors import LedgerError
from kit.helpers.dodo_datafast import Basis, UnknownCurrency, major_units
from kit.hops import Hop
from kit.ledger.drift import drifted
from kit.ledger.journeys import refused_webhooks
from kit.ledger.lanes import find_lane, lane_name
from kit.ledger.reader import LedgerOlder, reading
from kit.ledger.rows import Row
from kit.ledger.schema import checkouts, deliveries, events, payments
from kit.settings import Settings

RECENT = 200
"""How many of the newest checkouts, messages and reports are looked at."""
OVERDUE_MS = 15 * 60 * 1000
DAY_MS = 24 * 3600 * 1000
REFUSED_MS = 7 * DAY_MS
FEW = 5
"""Below this many checkouts a share says nothing."""


def check_ledger(setup: Setup, *, sent: str | None = None) -> list[Hop]:
    """
    Read the ledger, whoever owns it; `sent` is the id of a message that must be in it.

    Blocking: it is meant for a thread.
    """
    try:
        with reading(setup.settings.database_url) as connection:
            if connection is None:
                return [Hop("Ledger", "ledger_absent")]
            return look_into(
                connection, setup.settings, now_ms=int(setup.clock() * 1000), sent=sent
            )
    except LedgerOlder as problem:
        return [Hop("Ledger", "ledger_older", seen=str(problem))]
    except LedgerError as problem:
        return [Hop("Ledger", "ledger_unusable", seen=str(problem))]


def look_into(
    connection: Connection, settings: Settings, *, now_ms: int, sent: str | None = None
) -> list[Hop]:
    """Tell what the rows of a ledger show."""
    key = settings.datafast_api_key.reveal()
    lane = find_lane(connection, lane_name(settings.datafast_base_url, key))
    return [
        Hop("Ledger", "ledger_readable", seen=connection.dialect.name),
        *_arrival(connection, sent),
        *_refusals(connection, now_ms),
        *_source(connection),
        *_visitors(connection),
        *_amounts(connection, settings.revenue_basis),
        *_parked(connection),
        *_pace(connection, lane, now_ms),
        *(
            Hop("New at Dodo", "event_unknown", seen=row["name"])
            for row in drifted(connection)
            if row["kind"] == "type"
        ),
    ]


def _arrival(connection: Connection, sent: str | None) -> list[Hop]:
    there = connection.scalar(select(events.c.webhook_id).where(events.c.webhook_id == sent))
    return [Hop("Signed round trip", "message_elsewhere")] if sent and not there else []


def _refusals(connection: Connection, now_ms: int) -> Iterator[Hop]:
    for row in refused_webhooks(connection):
        if now_ms - row["last_at_ms"] < REFUSED_MS:
            yield Hop(
                "Webhooks refused", row["reason"], seen=f"{row['count']}", at_ms=row["last_at_ms"]
            )


def _source(connection: Connection) -> Iterator[Hop]:
    """Tell whether the last payments came by webhook, or had to be asked for."""
    newest = (
        select(events.c.source)
        .where(events.c.payment_id.is_not(None))
        .order_by(events.c.received_at_ms.desc())
        .limit(RECENT)
    )
    sources = Counter(connection.scalars(newest))
    if sources["webhook"]:
        seen = f"{sources['webhook']} of the last {sources.total()}"
        yield Hop("Webhooks", "webhooks_arrive", seen=seen)
    elif sources:
        yield Hop("Webhooks", "read_from_api", seen=f"all of the last {sources.total()}")


def _visitors(connection: Connection) -> Iterator[Hop]:
    name = "Visitor in metadata"
    rows = _rows(
        connection,
        select(
            checkouts.c.order_ref,
            checkouts.c.visitor_id,
            checkouts.c.capture_reason,
            payments.c.payment_id,
            payments.c.visitor_id.label("told"),
        )
        .outerjoin(payments, payments.c.payment_id == checkouts.c.payment_id)
        .where(checkouts.c.state == "open")
        .order_by(checkouts.c.created_at_ms.desc())
        .limit(RECENT),
    )
    yield _captured(rows)
    paid = [row for row in rows if row["payment_id"] is not None and row["visitor_id"] is not None]
    changed = [row for row in paid if row["told"] not in (None, row["visitor_id"])]
    lost = [row for row in paid if row["told"] is None]
    if changed:
        yield Hop(name, "visitor_changed", seen=_examples(changed, paid))
    if lost:
        yield Hop(name, "visitor_not_passed", seen=_examples(lost, paid))
    if not changed and not lost:
        yield Hop(name, "visitors_equal" if paid else "nothing_yet")


def _examples(found: list[Row], among: list[Row]) -> str:
    return f"{len(found)} of the last {len(among)}, {found[0]['order_ref']} for one"


def _captured(rows: list[Row]) -> Hop:
    name = "Visitor at checkout"
    asked = [row for row in rows if row["capture_reason"] != "declined"]
    captured = sum(row["visitor_id"] is not None for row in asked)
    if not asked:
        return Hop(name, "nothing_yet")
    seen = f"{captured} of the last {len(asked)}"
    rare = len(asked) >= FEW and captured * 2 < len(asked)
    return Hop(name, "visitors_rarely_captured" if rare else "visitors_captured", seen=seen)


def _amounts(connection: Connection, basis: Basis) -> Iterator[Hop]:
    name = "Amounts reported"
    rows = _rows(
        connection,
        select(deliveries, *(payments.c[column] for column in _FIGURES))
        .join(payments, payments.c.payment_id == deliveries.c.transaction_id)
        .where(deliveries.c.kind == "sale", deliveries.c.basis == basis)
        .order_by(deliveries.c.created_at_ms.desc())
        .limit(RECENT),
    )
    wrong = [row for row in rows if _expected(row, basis) not in (None, _reported(row))]
    for row in wrong[:1]:
        amount, currency = _reported(row)
        expected = _expected(row, basis)
        yield Hop(
            name,
            "amount_differs",
            seen=f"{row['transaction_id']}: {amount} {currency}",
            expected=" ".join(map(str, expected or ())),
        )
    if not wrong:
        yield Hop(name, "amounts_agree" if rows else "nothing_yet")
    unproven = sorted({row["currency"] for row in rows if row["exponent_unverified"]})
    if unproven:
        yield Hop("Decimals of a currency", "exponent_unverified", seen=", ".join(unproven))


_FIGURES = (
    *("total_minor", "tax_minor", "settlement_minor", "settlement_tax_minor"),
    "settlement_currency",
)


def _reported(row: Row) -> tuple[Decimal, str]:
    return Decimal(row["amount"]), row["currency"]


def _expected(row: Row, basis: Basis) -> tuple[Decimal, str] | None:
    """Return amount and currency as the payment's own figures give them; None where they lack."""
    figures = {
        "gross": (row["total_minor"], 0),
        "net": (row["total_minor"], row["tax_minor"] or 0),
        "settlement": (row["settlement_minor"], row["settlement_tax_minor"] or 0),
    }
    whole, tax = figures[basis]
    currency = row["settlement_currency"] if basis == "settlement" else row["currency"]
    if whole is None or currency is None:
        return None
    try:
        return major_units(whole - tax, currency), currency
    except (UnknownCurrency, ValueError):
        return None


def _parked(connection: Connection) -> Iterator[Hop]:
    parked: Counter[str] = Counter()
    for table, states in ((deliveries, ("parked",)), (events, ("parked", "unreadable"))):
        found = connection.execute(
            select(table.c.reason, func.count())
            .where(table.c.state.in_(states))
            .group_by(table.c.reason)
        )
        for reason, number in found:
            parked[reason] += number
    for reason, number in sorted(parked.items()):
        yield Hop("Parked", reason, seen=f"{number}")
    if not parked:
        yield Hop("Parked", "nothing_parked")


def _pace(connection: Connection, lane: Row | None, now_ms: int) -> Iterator[Hop]:
    name = "Reports to DataFast"
    paused = lane["paused_reason"] if lane is not None else None
    if paused is not None:
        yield Hop(name, paused)
        return
    oldest = connection.scalar(
        select(func.min(deliveries.c.due_at_ms)).where(deliveries.c.due_at_ms < now_ms - OVERDUE_MS)
    )
    if oldest is None:
        yield Hop(name, "reports_flow")
    else:
        minutes = (now_ms - oldest) // 60_000
        yield Hop(name, "reports_stuck", seen=f"the oldest for {minutes} minutes")


def _rows(connection: Connection, query: Any) -> list[Row]:
    return list(connection.execute(query).mappings())
