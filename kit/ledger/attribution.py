"""Attribution: how many paid checkouts knew their visitor, and what each source has earned."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Literal

from sqlalchemy import ColumnElement, Connection, and_, case, func, or_, select

from kit.ledger.schema import checkouts, deliveries, visits

DAY_MS: Final = 86_400_000
SHOWN_SOURCES: Final = 12
SOURCE_FIELDS: Final = ("utm_source", "ref", "source", "via", "referrer_host")
"""What a landing says of where its visitor came from; the first one that is there counts."""

Origin = Literal["named", "direct", "unseen", "nobody", "others"]
"""
Where a visitor came from: named by the landing · named by nothing · the landing did not pass our
proxy · no visitor is known · the small ones that are not shown on their own.
"""


@dataclass(frozen=True, slots=True)
class Day:
    """The paid checkouts of one day in UTC: with a visitor, and without one by the reason."""

    since_ms: int
    known: int
    unknown: Mapping[str, int]

    @property
    def paid(self) -> int:
        """How many there were."""
        return self.known + sum(self.unknown.values())


@dataclass(frozen=True, slots=True)
class Earning:
    """What one source has earned in one currency; amounts in major units, exact."""

    origin: Origin
    source: str | None
    sales: int
    revenue: Decimal
    returned: Decimal
    """Refunds and lost disputes, whenever their sale was."""

    @property
    def net(self) -> Decimal:
        """What is left."""
        return self.revenue - self.returned


def visitors_by_day(connection: Connection, *, since_ms: int, until_ms: int) -> Sequence[Day]:
    """
    Return the days from one moment to another, each with its paid checkouts.

    A renewal is no checkout, and a dashboard example no payment.
    """
    report, checkout = deliveries.c, checkouts.c
    unknown = case(
        (report.visitor_source == "forgotten", "forgotten"),
        (report.visitor_dropped, "visitor_dropped"),
        (report.visitor_id.is_not(None), None),
        (checkout.order_ref.is_(None), "checkout_unknown"),
        (checkout.visitor_id.is_not(None), "visitor_missing"),
        else_=checkout.capture_reason,
    )
    day = (report.occurred_at_ms // DAY_MS).label("day")
    sales = (
        select(day, unknown.label("unknown"))
        .outerjoin(checkouts, checkout.order_ref == report.order_ref)
        .where(*_counted(since_ms, until_ms), report.kind == "sale", ~report.renewal)
        .subquery()
        .c
    )
    query = select(sales.day, sales.unknown, func.count()).group_by(sales.day, sales.unknown)
    found: dict[int, dict[str | None, int]] = defaultdict(dict)
    for number, reason, count in connection.execute(query):
        found[int(number)][reason] = int(count)
    days = range(since_ms // DAY_MS, -(-until_ms // DAY_MS))
    return [
        Day(
            number * DAY_MS,
            found[number].get(None, 0),
            {reason: count for reason, count in found[number].items() if reason is not None},
        )
        for number in days
    ]


def revenue_by_source(
    connection: Connection, *, since_ms: int, until_ms: int
) -> Mapping[str, Sequence[Earning]]:
    """Return, for each currency, what the sources earned from one moment to another; most first."""
    report, visit = deliveries.c, visits.c
    named = func.coalesce(*(visit[name] for name in SOURCE_FIELDS))
    origin = case(
        (report.visitor_id.is_(None), "nobody"),
        (visit.visitor_id.is_(None), "unseen"),
        (named.is_(None), "direct"),
        else_="named",
    )
    money = (
        select(
            origin.label("origin"),
            named.label("source"),
            report.currency,
            report.refunded,
            report.amount,
        )
        .outerjoin(visits, visit.visitor_id == report.visitor_id)
        .where(*_counted(since_ms, until_ms), report.kind != "trial")
        .subquery()
        .c
    )
    alike = (money.currency, money.origin, money.source, money.refunded, money.amount)
    query = select(*alike, func.count()).group_by(*alike)
    sums: dict[str, dict[tuple[Origin, str | None], Earning]] = defaultdict(dict)
    for currency, place, source, refunded, amount, count in connection.execute(query):
        # Summed here and not by the database: SQLite's numbers are not exact.
        total = Decimal(amount) * int(count)
        earned, returned = (Decimal(0), total) if refunded else (total, Decimal(0))
        part = Earning(place, source, 0 if refunded else int(count), earned, returned)
        there = sums[currency].get((place, source))
        sums[currency][place, source] = part if there is None else _added(there, part)
    return {currency: _most_first(sums[currency].values()) for currency in sorted(sums)}


def _counted(since_ms: int, until_ms: int) -> tuple[ColumnElement[bool], ...]:
    """Leave out what is not money: dashboard examples, and what was never or is no more counted."""
    columns = deliveries.c
    example = and_(columns.state == "parked", columns.reason == "not_at_dodo")
    uncounted = and_(columns.state == "done", columns.verdict.is_(None))
    return (
        columns.occurred_at_ms >= since_ms,
        columns.occurred_at_ms < until_ms,
        ~or_(example, uncounted),
    )


def _added(one: Earning, other: Earning) -> Earning:
    return Earning(
        one.origin,
        one.source,
        one.sales + other.sales,
        one.revenue + other.revenue,
        one.returned + other.returned,
    )


def _most_first(earnings: Any) -> Sequence[Earning]:
    ordered = sorted(earnings, key=lambda each: (-each.net, each.origin, each.source or ""))
    shown, small = ordered[:SHOWN_SOURCES], ordered[SHOWN_SOURCES:]
    rest = Earning("others", None, 0, Decimal(0), Decimal(0))
    for each in small:
        rest = _added(rest, each)
    return [*shown, rest] if small else shown
