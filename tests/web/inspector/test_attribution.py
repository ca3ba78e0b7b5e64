"""The page of shares and sums: the chart, the tables and the JSON hold the same numbers."""

import re
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest

from kit.hops import REASONS
from kit.ledger.attribution import revenue_by_source, visitors_by_day
from tests.ledger.store import DAY_MS
from tests.web.conftest import Shop
from tests.web.inspector.conftest import NOW_MS, both, fill, sell, words

pytestmark = pytest.mark.anyio

UNTIL_MS = (NOW_MS // DAY_MS + 1) * DAY_MS


async def ledger_says(shop: Shop, days: int) -> tuple[Any, Any]:
    """Ask the ledger itself."""
    time = {"since_ms": UNTIL_MS - days * DAY_MS, "until_ms": UNTIL_MS}
    return (
        await shop.ledger.read(lambda connection: visitors_by_day(connection, **time)),
        await shop.ledger.read(lambda connection: revenue_by_source(connection, **time)),
    )


def rows(page: str, after: str) -> list[list[str]]:
    """Return the cells of the first table's rows behind a word."""
    table = page[page.index(after) :]
    table = table[table.index("<tbody>") : table.index("</tbody>")]
    return [
        [words(cell).strip() for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)]
        for row in re.findall(r"<tr>(.*?)</tr>", table)
    ]


@pytest.mark.parametrize("days", [7, 30, 90])
async def test_page_and_twin_hold_what_the_ledger_holds(shop: Shop, days: int) -> None:
    """Every day, every reason, every source and every currency."""
    await fill(shop, 300, days=40)
    page, data = await both(shop, "/inspector/attribution", {"days": str(days)})
    by_day, revenue = await ledger_says(shop, days)
    unknown: Counter[str] = Counter()
    for day in by_day:
        unknown.update(day.unknown)
    shown = {cells[0]: cells[1:] for cells in rows(page, "Paid checkouts by day</caption>")}

    assert (data["days"], len(data["by_day"])) == (days, days)
    assert data["paid"] == sum(day.paid for day in by_day)
    assert data["with_visitor"] == sum(day.known for day in by_day)
    assert {each["reason"]: each["number"] for each in data["without_visitor"]} == unknown
    assert {day: cells[:2] for day, cells in shown.items()} == {
        each["day"]: [str(each["paid"]), str(each["with_visitor"])]
        for each in data["by_day"]
        if each["paid"]
    }
    assert {
        (currency, each["source"] or each["origin"]): Decimal(each["net"])
        for currency, earnings in data["revenue"].items()
        for each in earnings
    } == {
        (currency, each.source or each.origin): each.net
        for currency, earnings in revenue.items()
        for each in earnings
    }
    for each in data["without_visitor"]:
        assert REASONS[each["reason"]].sentence in words(page)


async def test_the_chart_s_bars_are_the_shares(shop: Shop) -> None:
    """Each day stacks up to the whole, from the ground; known first."""
    await fill(shop, 200, days=10)
    page, data = await both(shop, "/inspector/attribution", {"days": "7"})
    pattern = r'<rect class="s(\d)" x="(\d+)" y="([\d.]+)" width="8" height="([\d.]+)"/>'
    bars: dict[int, list[tuple[int, float, float]]] = {}
    for series, x, y, height in re.findall(pattern, page):
        bars.setdefault(int(x) // 10, []).append((int(series), float(y), float(height)))
    paid = {place: day for place, day in enumerate(data["by_day"]) if day["paid"]}

    assert set(bars) == set(paid)
    for place, parts in bars.items():
        known = [height for series, _, height in parts if series == 0]
        share = 100 * paid[place]["with_visitor"] / paid[place]["paid"]
        assert sum(height for _, _, height in parts) == pytest.approx(100, abs=0.1)
        assert sum(known) == pytest.approx(share, abs=0.01)
        assert min(y for _, y, _ in parts) == pytest.approx(0, abs=0.1)
        assert [series for series, _, _ in parts] == sorted(series for series, _, _ in parts)
    assert f'viewBox="0 0 {7 * 10} 100"' in page
    assert 'role="img"' in page


async def test_each_source_has_a_length_by_its_share_of_the_best(shop: Shop) -> None:
    """The best is whole, and each amount stands beside it in figures."""
    await fill(shop, 300, days=20)
    page, data = await both(shop, "/inspector/attribution")
    usd = data["revenue"]["USD"]
    shown = rows(page, "<caption>USD</caption>")
    part = page[page.index("<caption>USD</caption>") :]
    lengths = re.findall(r'<rect width="([\d.]+)"', part[: part.index("</table>")])

    assert [cells[-1].replace(",", "") for cells in shown] == [each["net"] for each in usd]
    assert lengths[0] == "100.0"
    assert [float(each) for each in lengths] == [
        pytest.approx(float(Decimal(each["net"]) / Decimal(usd[0]["net"]) * 100), abs=0.1)
        for each in usd
    ]


async def test_numbers_lead_to_the_journeys_behind_them(shop: Shop) -> None:
    """A reason to those without a visitor for it, a day to what is unattributed there."""
    await fill(shop, 200, days=10)
    page, data = await both(shop, "/inspector/attribution")
    links = set(re.findall(r'href="(/inspector\?[^"]+)"', page))
    absent = next(each for each in data["without_visitor"] if each["reason"] == "absent")
    behind = (await shop.http.get("/inspector.json?unattributed=1&reason=absent")).json()

    assert "/inspector?unattributed=1&reason=absent" in links
    assert sum("day=" in link for link in links) == sum(day["paid"] > 0 for day in data["by_day"])
    assert min(absent["number"], 25) <= len(behind["journeys"])
    for link in links:
        assert (await shop.http.get(link)).status_code == 200


async def test_a_sale_is_counted_for_its_source(shop: Shop) -> None:
    """From the landing's address to the sum."""
    await sell(shop)
    page, data = await both(shop, "/inspector/attribution")

    assert data["revenue"] == {
        "USD": [
            {
                "origin": "named",
                "source": "newsletter",
                "sales": 1,
                "revenue": "29.00",
                "returned": "0",
                "net": "29.00",
            }
        ]
    }
    assert "100 % of 1 paid checkout named a visitor" in words(page)


async def test_an_empty_ledger_has_a_page_too(shop: Shop) -> None:
    """Nothing is divided by nothing."""
    page, data = await both(shop, "/inspector/attribution")

    assert (data["paid"], data["revenue"]) == (0, {})
    assert "No checkout was paid in these days." in page
    assert "No revenue in these days." in page


@pytest.mark.parametrize("days", ["0", "-7", "8", "seven", "30.0"])
async def test_another_number_of_days_is_refused(shop: Shop, days: str) -> None:
    """With those that there are."""
    answer = await shop.http.get("/inspector/attribution.json", params={"days": days})

    assert answer.status_code == 400
    assert answer.json()["fix"] == "Use one of 7, 30, 90."
