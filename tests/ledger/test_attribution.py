"""Attribution: shares and sums, exact, against a plain look at every row."""

import uuid
from collections.abc import Iterator
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from sqlalchemy import Connection, select

from kit.hops import REASONS
from kit.ledger.attribution import (
    SHOWN_SOURCES,
    SOURCE_FIELDS,
    revenue_by_source,
    visitors_by_day,
)
from kit.ledger.engine import Engines
from kit.ledger.schema import checkouts, deliveries, visits
from tests.databases import DATABASES
from tests.ledger import store
from tests.ledger.conftest import new_engines
from tests.ledger.store import DAY_MS, NOW_MS

DAYS = 5
SINCE_MS, UNTIL_MS = NOW_MS - (DAYS - 1) * DAY_MS, NOW_MS - DAY_MS


@pytest.fixture(scope="module", params=DATABASES)
def filled(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Engines]:
    """Fill one ledger of each kind with some hundred journeys."""
    with new_engines(request, tmp_path_factory) as engines:
        with engines.writing.begin() as connection:
            store.write(connection, store.journeys(300, days=DAYS, body=b"{}"))
        yield engines


@pytest.fixture
def full(filled: Engines) -> Iterator[Connection]:
    """Read the full ledger."""
    with filled.reading.connect() as connection:
        yield connection


def table(connection: Connection, wanted: Any, key: str) -> dict[Any, dict[str, Any]]:
    """Return a table by a key."""
    rows = connection.execute(select(wanted)).mappings()
    return {row[key]: dict(row) for row in rows}


def counted(connection: Connection) -> list[dict[str, Any]]:
    """Return the reports of the time that are money."""
    rows = table(connection, deliveries, "transaction_id").values()
    return [
        row
        for row in rows
        if SINCE_MS <= row["occurred_at_ms"] < UNTIL_MS
        and row["reason"] not in ("not_at_dodo", "original_not_counted")
    ]


def sell(connection: Connection, transaction_id: str, **changes: Any) -> None:
    """Report a sale of today, attributed to a visitor whose landing is in the ledger."""
    random = Random(transaction_id)
    landing = store.visit(random, NOW_MS) | dict.fromkeys(SOURCE_FIELDS)
    named = {name: changes.pop(name) for name in SOURCE_FIELDS if name in changes}
    visitor_id = landing["visitor_id"]
    row = store.report(random, transaction_id, transaction_id, None, visitor_id, NOW_MS)
    row |= {"state": "done", "verdict": "attributed", "reason": "attributed", "currency": "USD"}
    row |= {"amount": "10.00", "visitor_dropped": False, "visitor_source": "metadata"}
    seen = changes.pop("seen", True)
    rows = store.Rows(visit=landing | named if seen else None, reports=[row | changes])
    store.write(connection, iter([rows]))


def today(connection: Connection) -> dict[str, Any]:
    """Return what the sources have earned in US dollars."""
    found = revenue_by_source(connection, since_ms=NOW_MS, until_ms=NOW_MS + 1)
    return {each.source or each.origin: each for each in found.get("USD", [])}


def test_every_paid_checkout_is_counted_once(full: Connection) -> None:
    """By day, with its visitor or with the reason for having none."""
    days = visitors_by_day(full, since_ms=SINCE_MS, until_ms=UNTIL_MS)
    orders = table(full, checkouts, "order_ref")
    expected: dict[int, list[str | None]] = {}
    for row in counted(full):
        if row["kind"] != "sale":
            continue
        order = orders.get(row["order_ref"])
        reason = order["capture_reason"] if order else "checkout_unknown"
        reason = "visitor_dropped" if row["visitor_dropped"] else reason
        known = row["visitor_id"] is not None and not row["visitor_dropped"]
        day = row["occurred_at_ms"] // DAY_MS * DAY_MS
        expected.setdefault(day, []).append(None if known else reason)

    assert [day.since_ms for day in days] == [
        SINCE_MS // DAY_MS * DAY_MS + number * DAY_MS for number in range(len(days))
    ]
    assert {day.since_ms: day.known for day in days if day.paid} == {
        day: found.count(None) for day, found in expected.items()
    }
    for day in days:
        found = [each for each in expected.get(day.since_ms, []) if each is not None]
        assert day.unknown == {each: found.count(each) for each in set(found)}
        assert set(day.unknown) <= set(REASONS)


def test_every_amount_is_in_one_sum(full: Connection) -> None:
    """To the minor unit, in each currency, sales and what was taken back apart."""
    found = revenue_by_source(full, since_ms=SINCE_MS, until_ms=UNTIL_MS)
    landed = table(full, visits, "visitor_id")
    expected: dict[tuple[str, str], tuple[int, Decimal, Decimal]] = {}
    for row in counted(full):
        landing = landed.get(row["visitor_id"])
        source = "nobody" if row["visitor_id"] is None else "unseen"
        if landing is not None:
            source = next((landing[name] for name in SOURCE_FIELDS if landing[name]), "direct")
        key = (row["currency"], source)
        sales, revenue, returned = expected.get(key, (0, Decimal(0), Decimal(0)))
        amount = Decimal(row["amount"])
        if row["refunded"]:
            expected[key] = (sales, revenue, returned + amount)
        else:
            expected[key] = (sales + 1, revenue + amount, returned)

    assert {
        (currency, each.source or each.origin): (each.sales, each.revenue, each.returned)
        for currency, earnings in found.items()
        for each in earnings
    } == expected
    assert set(found) >= {"EUR", "JPY", "USD"}
    for earnings in found.values():
        assert [each.net for each in earnings] == sorted((e.net for e in earnings), reverse=True)


def test_sums_are_exact_where_binary_numbers_are_not(connection: Connection) -> None:
    """Large amounts, small ones, and one currency with and without decimals."""
    for number in range(10):
        sell(connection, f"pay_{number}", amount="0.10", utm_source="letter")
    sell(connection, "pay_large", amount="90071992547409.93", utm_source="letter")
    sell(connection, "pay_whole", amount="3", utm_source="letter")
    sell(connection, "ref_1", amount="0.03", utm_source="letter", kind="refund", refunded=True)
    letter = today(connection)["letter"]

    assert (letter.sales, letter.revenue) == (12, Decimal("90071992547413.93"))
    assert letter.net == Decimal("90071992547413.90")


def test_a_source_is_what_the_landing_names_first(connection: Connection) -> None:
    """A campaign before a referrer; nobody, unseen and direct are three things."""
    sell(connection, "pay_1", utm_source="letter", ref="other", referrer_host="x.example")
    sell(connection, "pay_2", ref="friend", referrer_host="x.example")
    sell(connection, "pay_3", referrer_host="x.example")
    sell(connection, "pay_4", utm_source="direct")
    sell(connection, "pay_5")
    sell(connection, "pay_6", seen=False)
    sell(connection, "pay_7", visitor_id=None)
    found = revenue_by_source(connection, since_ms=NOW_MS, until_ms=NOW_MS + 1)["USD"]

    assert {(each.origin, each.source) for each in found} == {
        ("named", "letter"),
        ("named", "friend"),
        ("named", "x.example"),
        ("named", "direct"),
        ("direct", None),
        ("unseen", None),
        ("nobody", None),
    }


def test_many_sources_end_in_one_line(connection: Connection) -> None:
    """Whoever writes links cannot make the page endless, and no money is left out."""
    for number in range(30):
        sell(connection, f"pay_{number}", utm_source=f"s{number}", amount=f"{number + 1}.00")
    found = revenue_by_source(connection, since_ms=NOW_MS, until_ms=NOW_MS + 1)["USD"]

    assert len(found) == SHOWN_SOURCES + 1
    assert (found[-1].origin, found[-1].sales) == ("others", 30 - SHOWN_SOURCES)
    assert sum(each.revenue for each in found) == Decimal(30 * 31 // 2)


@pytest.mark.parametrize(
    ("changes", "is_counted"),
    [
        pytest.param({"state": "held", "verdict": None, "reason": "test_mode"}, True, id="held"),
        pytest.param({"state": "parked", "verdict": None, "reason": "horizon"}, True, id="parked"),
        pytest.param(
            {"state": "parked", "verdict": None, "reason": "not_at_dodo"}, False, id="example"
        ),
        pytest.param(
            {"state": "done", "verdict": None, "reason": "original_not_counted"},
            False,
            id="uncounted",
        ),
        pytest.param({"occurred_at_ms": NOW_MS + 1}, False, id="tomorrow"),
        pytest.param({"kind": "trial", "amount": "0"}, False, id="trial"),
    ],
)
def test_what_is_no_money_is_in_no_sum(
    connection: Connection, changes: dict[str, Any], *, is_counted: bool
) -> None:
    """What has not been answered yet is money all the same."""
    sell(connection, "pay_1", utm_source="letter", **changes)
    days = visitors_by_day(connection, since_ms=NOW_MS, until_ms=NOW_MS + 1)

    assert bool(today(connection)) is is_counted
    assert sum(day.paid for day in days) == is_counted


def test_a_renewal_is_revenue_and_no_checkout(connection: Connection) -> None:
    """Nobody could have carried a visitor id into it."""
    sell(connection, "pay_1", utm_source="letter", renewal=True)
    days = visitors_by_day(connection, since_ms=NOW_MS, until_ms=NOW_MS + 1)

    assert today(connection)["letter"].sales == 1
    assert [day.paid for day in days] == [0]


def test_who_was_forgotten_is_a_reason_of_its_own(connection: Connection) -> None:
    """The money stays, and nobody learns more."""
    sell(connection, "pay_1", visitor_id=None, visitor_dropped=True, visitor_source="forgotten")
    [day] = visitors_by_day(connection, since_ms=NOW_MS, until_ms=NOW_MS + 1)

    assert day.unknown == {"forgotten": 1}
    assert today(connection)["nobody"].sales == 1


def test_a_visitor_who_was_lost_after_the_checkout_has_a_reason_too(
    connection: Connection,
) -> None:
    """The checkout knew one, and the report names none."""
    visitor_id = str(uuid.uuid4())
    order = store.checkout("ord_1", visitor_id, NOW_MS, "captured")
    store.write(connection, iter([store.Rows(checkout=order)]))
    sell(connection, "pay_1", order_ref="ord_1", visitor_id=None)
    [day] = visitors_by_day(connection, since_ms=NOW_MS, until_ms=NOW_MS + 1)

    assert (day.known, day.unknown) == (0, {"visitor_missing": 1})
