"""A sale as the inspector shows it, and what its pages and their twins hold."""

import html
import re
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from tests.ledger import store
from tests.web.conftest import (
    DOMAIN,
    NOW,
    ORIGIN,
    VISITOR,
    WEBSITE_ID,
    Shop,
    eventually,
    payment_event,
)

NOW_MS = int(NOW * 1000)


async def land(shop: Shop, query: str = "?utm_source=newsletter", visitor: str = VISITOR) -> None:
    """Let a visitor's pageview pass the proxy."""
    event = {
        "websiteId": WEBSITE_ID,
        "domain": DOMAIN,
        "href": f"{ORIGIN}/{query}",
        "visitorId": visitor,
        "sessionId": f"s{visitor}",
        "type": "pageview",
    }
    answer = await shop.http.post("/api/events", json=event, headers={"Origin": ORIGIN})
    answer.raise_for_status()


async def sell(shop: Shop) -> dict[str, Any]:
    """Sell one map to a visitor, and wait for DataFast's answer; return the journey."""
    shop.http.cookies.set("datafast_visitor_id", VISITOR)
    await land(shop)
    await shop.http.get(await shop.pay(await shop.buy()))
    [payment] = await shop.at_dodo("payments")
    await shop.webhook(payment_event(**payment))

    async def attributed() -> dict[str, Any] | None:
        newest = (await shop.journeys())[0]
        return newest if newest["verdict"] == "attributed" else None

    return await eventually(attributed)


async def both(shop: Shop, path: str, query: Mapping[str, str] | None = None) -> tuple[str, Any]:
    """Return a page as text, and its twin in JSON."""
    page = await shop.http.get(path, params=query)
    twin = await shop.http.get(f"{path}.json", params=query)
    assert (page.status_code, twin.status_code) == (200, 200), page.text
    return html.unescape(page.text), twin.json()


def words(page: str) -> str:
    """Return what a page says, without its tags."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page))


async def fill(shop: Shop, number: int, *, days: int = 5) -> None:
    """Write so many journeys of all kinds into the ledger; nothing of it is due."""

    def write(connection: Connection) -> None:
        store.write(connection, store.journeys(number, days=days, body=b'{"type":"x"}'))
        connection.exec_driver_sql("UPDATE deliveries SET due_at_ms = NULL")

    await shop.ledger.write(write)
