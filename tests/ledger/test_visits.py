"""Visits: what is kept of a tracking event, and what is not."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, select

from kit.ledger.schema import visits
from kit.ledger.visits import record_visit, visit_from_pageview

VISITOR_ID = "0b8e6c1e-2d1c-4f0a-9f2e-6a4f1f4d7c11"
PAGEVIEW = {
    "type": "pageview",
    "visitorId": VISITOR_ID,
    "href": "https://contour.example/prints?utm_source=letter&ref=ada&email=ada%40example.com#top",
    "referrer": "https://News.example:8443/story?id=7",
}


def visit(**changes: Any) -> dict[str, str | None]:
    """Read a pageview that must count."""
    found = visit_from_pageview(PAGEVIEW | changes)
    assert found is not None
    return found


def test_path_campaign_and_referring_host_are_kept() -> None:
    """And nothing else of the addresses: a query may hold anything."""
    found = {name: value for name, value in visit().items() if value is not None}

    assert found == {
        "visitor_id": VISITOR_ID,
        "landing_path": "/prints",
        "referrer_host": "news.example",
        "utm_source": "letter",
        "ref": "ada",
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "custom"},
        {"type": None},
        {"visitorId": None},
        {"visitorId": 5},
        {"visitorId": "nobody"},
        {"visitorId": VISITOR_ID + "; datafast_visitor_id=" + VISITOR_ID},
        {"visitorId": VISITOR_ID.upper()},
    ],
)
def test_what_is_no_pageview_of_a_valid_visitor_is_none(changes: dict[str, Any]) -> None:
    """There is nothing to keep."""
    assert visit_from_pageview(PAGEVIEW | changes) is None


@pytest.mark.parametrize("value", [None, 5, [], "http://[", "", "\0", "\ud800", "/\ud800?ref=\0"])
def test_a_hostile_address_says_nothing(connection: Connection, value: object) -> None:
    """The visit counts all the same, and can be stored."""
    found = visit(href=value, referrer=value)
    record_visit(connection, found, 1)

    assert found["ref"] is None
    assert found["referrer_host"] is None


def test_values_are_short_and_printable(connection: Connection) -> None:
    """They are shown in the inspector."""
    found = visit(href="https://contour.example/" + "x" * 500 + "?ref=" + "%0A%00y" * 500)
    record_visit(connection, found, 1)
    lengths = [len(value) for value in found.values() if value is not None]

    assert max(lengths) <= 200
    assert all(value.isprintable() for value in found.values() if value is not None)


def test_the_first_landing_and_the_last_pageview_are_kept(connection: Connection) -> None:
    """A visitor who comes back came from where they first came from."""
    record_visit(connection, visit(), 1000)
    record_visit(connection, visit(href="https://contour.example/other?ref=bob"), 2000)
    row = connection.execute(select(visits)).mappings().one()

    assert (row["landing_path"], row["ref"]) == ("/prints", "ada")
    assert (row["first_seen_at_ms"], row["last_pageview_at_ms"]) == (1000, 2000)


@given(
    address=st.text(st.characters(exclude_categories=()), max_size=60),
    prefix=st.sampled_from(["", "https://", "https://a.example/?utm_source=", "http://[::"]),
)
def test_no_address_breaks_the_reading(address: str, prefix: str) -> None:
    """It comes from a browser, or from whoever can post."""
    found = visit(href=prefix + address, referrer=prefix + address)

    assert all(value is None or value.isprintable() for value in found.values())
