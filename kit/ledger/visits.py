"""Statements on `visits`: what passed our proxy, and where the visitor came from."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from sqlalchemy import Connection, update

from kit.helpers.dodo_datafast import VISITOR_COOKIE, visitor_from_cookies, visitor_from_page
from kit.ledger.rows import insert_or_ignore
from kit.ledger.schema import visits
from kit.ledger.tombstones import is_forgotten

SOURCE_FIELDS = (
    "utm_source",
    "utm_medium",
    "utm_campaign",
    "utm_term",
    "utm_content",
    "ref",
    "source",
    "via",
)
_MAX_LENGTH = 200


def visit_from_pageview(pageview: Mapping[str, Any]) -> dict[str, str | None] | None:
    """
    Read what one tracking event says of its visit; None unless it is a pageview with a valid id.

    Only the path of the page and the known source fields are kept: a query may hold anything.
    """
    visitor_id = pageview.get("visitorId")
    if pageview.get("type") != "pageview" or not isinstance(visitor_id, str):
        return None
    visitor = (
        visitor_from_page(visitor_id)
        if pageview.get("cookieless") is True
        else visitor_from_cookies(f"{VISITOR_COOKIE}={visitor_id}")
    )
    # Equal, not just found: a valid id may be followed by anything.
    if visitor.visitor_id != visitor_id:
        return None
    page, query = _split(pageview.get("href"))
    referrer, _ = _split(pageview.get("referrer"))
    fields = {name: _clean(query.get(name, [""])[0]) for name in SOURCE_FIELDS}
    return {
        "visitor_id": visitor_id,
        "landing_path": _clean(page.path) if page else None,
        "referrer_host": _clean(referrer.hostname) if referrer else None,
        **fields,
    }


def record_visit(connection: Connection, visit: dict[str, str | None], now_ms: int) -> None:
    """Keep the first landing of a visitor, and the time of the last pageview."""
    if is_forgotten(connection, visit["visitor_id"]):
        return
    connection.execute(
        insert_or_ignore(connection, visits).values(first_seen_at_ms=now_ms, **visit)
    )
    connection.execute(
        update(visits)
        .where(visits.c.visitor_id == visit["visitor_id"])
        .values(last_pageview_at_ms=now_ms)
    )


def _split(url: object) -> tuple[Any, dict[str, list[str]]]:
    if not isinstance(url, str):
        return None, {}
    try:
        parts = urlsplit(url)
        return parts, parse_qs(parts.query, max_num_fields=100)
    except ValueError:
        return None, {}


def _clean(value: str | None) -> str | None:
    text = "".join(char for char in (value or "")[:_MAX_LENGTH] if char.isprintable())
    return text or None
