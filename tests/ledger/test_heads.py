"""Lists of journeys: every filter against a plain look at every row, page by page."""

from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from sqlalchemy import Connection, select

from kit.ledger.engine import Engines
from kit.ledger.filters import CAPTURE_REASONS, STATES, VERDICTS, Filter
from kit.ledger.heads import Head, Place, find_heads
from kit.ledger.journeys import find_key
from kit.ledger.piles import count_messages, count_piles
from kit.ledger.schema import checkouts, deliveries, events, visits
from tests.databases import DATABASES
from tests.ledger import store
from tests.ledger.conftest import new_engines
from tests.ledger.store import DAY_MS, NOW_MS

NUMBER, DAYS = 200, 5
LONE_MS = NOW_MS - DAY_MS
DAY = Filter(since_ms=NOW_MS - 3 * DAY_MS, until_ms=NOW_MS - 2 * DAY_MS)
FILTERS = {
    "everything": Filter(),
    "a day": DAY,
    "a day without": Filter(since_ms=NOW_MS + DAY_MS),
    **{state: Filter(state=state) for state in STATES},
    **{
        reason: Filter(reason=reason)
        for reason in (
            *(*CAPTURE_REASONS, "checkout_unknown", "visitor_dropped", "session_failed"),
            *("no_webhook", "rejected", "queued", "unknown_currency", "event_not_money"),
            *("event_waiting", "attributed", "horizon"),
        )
    },
    "JPY": Filter(currency="JPY"),
    "KWD": Filter(currency="KWD"),
    "unattributed": Filter(unattributed=True),
    "unattributed a day": replace(DAY, unattributed=True),
    "unattributed absent": Filter(unattributed=True, reason="absent"),
    "unattributed parked": Filter(unattributed=True, state="parked"),
    "USD done absent a day": replace(DAY, currency="USD", state="done", reason="absent"),
    "parked rejected": Filter(state="parked", reason="rejected"),
    "parked unknown_currency": Filter(state="parked", reason="unknown_currency"),
    "unpaid declined": Filter(state="unpaid", reason="declined"),
    "failed of no such reason": Filter(state="failed", reason="queued"),
    "visit of a reason": Filter(state="visit", reason="absent"),
    "visits of a day": replace(DAY, state="visit"),
}


@pytest.fixture(scope="module", params=DATABASES)
def filled(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Engines]:
    """Fill one ledger of each kind with some hundred journeys."""
    with new_engines(request, tmp_path_factory) as engines:
        with engines.writing.begin() as connection:
            store.write(connection, store.journeys(NUMBER, days=DAYS, body=b"{}"))
            trial = store.report(Random(1), "trial_sub_1", None, None, None, LONE_MS)
            began = store.message("msg_trial", "", None, LONE_MS, b"{}")
            unread = store.message("msg_stored", "", None, LONE_MS, b"{}")
            began |= {"payment_id": None, "transaction_id": "trial_sub_1"}
            unread |= {"payment_id": None, "transaction_id": None}
            unread |= {"state": "stored", "reason": "event_waiting"}
            lone = store.Rows(messages=[began, unread], reports=[trial])
            store.write(connection, iter([lone]))
        yield engines


@pytest.fixture
def full(filled: Engines) -> Iterator[Connection]:
    """Read the full ledger."""
    with filled.reading.connect() as connection:
        yield connection


def rows(connection: Connection, table: Any) -> list[dict[str, Any]]:
    """Return a table."""
    return [dict(row) for row in connection.execute(select(table)).mappings()]


def leaf(connection: Connection, wanted: Filter, limit: int) -> list[Head]:
    """Read page after page."""
    found: list[Head] = []
    before: Place | None = None
    while page := find_heads(connection, wanted, before=before, limit=limit):
        found += page
        before = page[-1].place
    return found


def key_of(row: dict[str, Any]) -> tuple[str, str]:
    """Name the journey of a report or a message."""
    if row["order_ref"]:
        return "order", row["order_ref"]
    return ("payment", row["payment_id"]) if row["payment_id"] else ("message", row["webhook_id"])


def fits_report(row: dict[str, Any], wanted: Filter, captured: dict[str, str]) -> bool:
    """Look at one report, column by column."""
    word = "done" if row["state"] == "done" else row["state"]
    states = {word}
    states |= {"waiting"} if word in ("held", "ready", "sending") else set()
    states |= {row["verdict"]} if word == "done" else set()
    reasons = {row["reason"], captured.get(row["order_ref"] or "")}
    reasons |= {"checkout_unknown"} if row["order_ref"] is None else set()
    reasons |= {"visitor_dropped"} if row["visitor_dropped"] else set()
    nameless = row["visitor_id"] is None or row["visitor_dropped"]
    unanswered = row["verdict"] is None and row["state"] != "done"
    unattributed = row["verdict"] in set(VERDICTS) - {"attributed"} or (unanswered and nameless)
    return (
        wanted.state in (None, *states)
        and wanted.reason in (None, *reasons)
        and wanted.currency in (None, row["currency"])
        and (unattributed or not wanted.unattributed)
        and within(row["occurred_at_ms"], wanted)
    )


def within(at_ms: int, wanted: Filter) -> bool:
    """Tell whether a moment is asked for."""
    since_ms, until_ms = wanted.since_ms, wanted.until_ms
    return (since_ms is None or at_ms >= since_ms) and (until_ms is None or at_ms < until_ms)


def expected(connection: Connection, wanted: Filter) -> dict[tuple[str, str], int]:
    """Find out slowly which journeys fit, and the newest moment at which each does."""
    orders, heard = rows(connection, checkouts), rows(connection, events)
    reports, landed = rows(connection, deliveries), rows(connection, visits)
    captured = {row["order_ref"]: row["capture_reason"] for row in orders}
    moments: dict[tuple[str, str], list[int]] = {}

    def add(key: tuple[str, str], at_ms: int) -> None:
        if within(at_ms, wanted):
            moments.setdefault(key, []).append(at_ms)

    plain = wanted == Filter(since_ms=wanted.since_ms, until_ms=wanted.until_ms)
    only_reports = wanted.unattributed or wanted.currency is not None
    for row in orders:
        unpaid = row["payment_status"] is None and row["state"] != "failed"
        states = {"unpaid"} if unpaid else {"failed"} if row["state"] == "failed" else set()
        reasons = {row["capture_reason"]}
        reasons |= {"session_failed"} if "failed" in states else set()
        reasons |= {"no_webhook"} if unpaid else set()
        asked = wanted.state in states or (wanted.state is None and wanted.reason in reasons)
        asked = asked and wanted.reason in (None, *reasons) and not only_reports
        if plain or asked:
            add(("order", row["order_ref"]), row["created_at_ms"])
    first: dict[tuple[str, str], int] = {}
    for row in heard:
        if row["order_ref"] is None:
            key = key_of(row)
            first[key] = min(first.get(key, row["received_at_ms"]), row["received_at_ms"])
        states = {row["state"]} & {"parked", "unreadable"}
        states |= {"waiting"} if row["state"] in ("stored", "waiting") else set()
        reasons = set() if row["state"] == "mapped" else {row["reason"]}
        asked = wanted.state in states or (wanted.state is None and wanted.reason in reasons)
        if asked and wanted.reason in (None, *reasons) and not only_reports:
            add(key_of(row), row["received_at_ms"])
    bought = {row["visitor_id"] for row in (*orders, *reports)}
    if plain or (wanted.state == "visit" and wanted.reason is None):
        for row in landed:
            if row["visitor_id"] not in bought:
                add(("visit", row["visitor_id"]), row["first_seen_at_ms"])
    if plain:
        for key, at_ms in first.items():
            add(key, at_ms)
    elif wanted.state is not None or only_reports or wanted.reason not in CAPTURE_REASONS:
        by_message = {row["transaction_id"]: row["webhook_id"] for row in heard}
        for row in reports:
            if fits_report(row, wanted, captured):
                named = row | {"webhook_id": by_message.get(row["transaction_id"])}
                add(key_of(named), row["occurred_at_ms"])
    return {key: max(found) for key, found in moments.items()}


@pytest.mark.parametrize("wanted", FILTERS.values(), ids=FILTERS)
def test_a_filter_finds_what_a_look_at_every_row_finds(full: Connection, wanted: Filter) -> None:
    """Page by page, each journey once, newest first."""
    found = leaf(full, wanted, 9)
    moments = {(head.kind, head.key): head.place[0] for head in found}

    assert len(found) == len(moments)
    assert moments == expected(full, wanted)
    assert [head.place for head in found] == sorted((h.place for h in found), reverse=True)


def test_the_filters_of_these_tests_find_something(full: Connection) -> None:
    """So that the test above does not compare nothing with nothing."""
    empty = {name for name, wanted in FILTERS.items() if not expected(full, wanted)}

    assert empty == {
        *("a day without", "cookieless_format", "forgotten", "horizon", "unconfirmed", "sending"),
        *("failed of no such reason", "visit of a reason"),
    }


def test_journeys_of_one_moment_are_neither_skipped_nor_repeated(connection: Connection) -> None:
    """However many there are, and however a database sorts their ids."""
    random = Random(3)
    refs = ["ord_ä", "ord_a", "ord_B", "ord_b", "ord_Z", "ord__", "ord_0", "ord_z"]
    for ref in refs:
        store.write(connection, iter([store.unpaid(random, ref, NOW_MS)]))
    for _ in range(5):
        store.write(connection, iter([store.Rows(visit=store.visit(random, NOW_MS))]))
    found = leaf(connection, Filter(), 3)

    assert {head.key for head in found if head.kind == "order"} == set(refs)
    assert len(found) == len(set(found)) == 13


def test_piles_count_every_report_once(full: Connection) -> None:
    """By state, verdict, reason and currency."""
    counted: dict[tuple[Any, ...], int] = {}
    for row in rows(full, deliveries):
        alike = tuple(row[name] for name in ("state", "verdict", "reason", "currency"))
        counted[alike] = counted.get(alike, 0) + 1
    piles = count_piles(full)

    assert {(p.state, p.verdict, p.reason, p.currency): p.number for p in piles} == counted
    assert {p.word for p in piles} == {
        *("attributed", "recorded", "no_pageview", "duplicate", "skipped", "parked", "waiting")
    }


def test_messages_without_a_report_are_counted_by_their_reason(full: Connection) -> None:
    """Whoever leafs through them knows how many there are."""
    counted: dict[tuple[str, str], int] = {}
    for row in rows(full, events):
        if row["state"] in ("parked", "unreadable", "skipped"):
            alike = (row["state"], row["reason"])
            counted[alike] = counted.get(alike, 0) + 1

    assert {each[:2]: each[2] for each in count_messages(full)} == counted
    assert len(counted) == 3


@pytest.mark.parametrize(
    ("wanted", "key"),
    [
        ("ord_u0", ("order", "ord_u0")),
        ("cks_ord_u0", ("order", "ord_u0")),
        ("msg_trial", ("message", "msg_trial")),
        ("trial_sub_1", ("message", "msg_trial")),
        ("pay_nobody", None),
        ("%", None),
    ],
)
def test_any_id_leads_to_its_journey(
    full: Connection, wanted: str, key: tuple[str, str] | None
) -> None:
    """Whatever a person copied from Dodo, DataFast or a log."""
    assert find_key(full, wanted) == key


def test_ids_of_one_sale_lead_to_the_same_journey(full: Connection) -> None:
    """Payment, refund, message and visitor."""
    row = next(row for row in rows(full, deliveries) if row["kind"] == "refund")
    sale = row["payment_id"]
    named = {find_key(full, each) for each in (row["transaction_id"], sale, f"msg_{sale[4:]}")}
    [visitor_id] = [
        each["visitor_id"] for each in rows(full, deliveries) if each["transaction_id"] == sale
    ]

    assert named == {key_of(row)}
    assert visitor_id is None or find_key(full, visitor_id) == key_of(row)
