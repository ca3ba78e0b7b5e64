"""What a ledger shows, on SQLite and PostgreSQL, beside whoever owns it."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, update

from kit.checks.ledger import DAY_MS, check_ledger, look_into
from kit.helpers.dodo_datafast import Signed, Visitor
from kit.hops import Hop
from kit.ledger import Ledger
from kit.ledger.checkouts import begin_checkout, finish_opening
from kit.ledger.claims import claim_deliveries
from kit.ledger.engine import Engines, open_engines
from kit.ledger.events import count_refusal
from kit.ledger.lanes import lane_name, lock_lane, pause
from kit.ledger.mapping import map_stored_events
from kit.ledger.policy import Policy
from kit.ledger.schema import deliveries, meta
from kit.ledger.sendings import finish_deliveries, freeze_deliveries
from kit.sandbox import fixtures
from tests.checks.conftest import DATAFAST, ENVIRON, NOW, World, reasons
from tests.databases import connected
from tests.ledger.conftest import store_messages

NOW_MS = int(NOW * 1000)
VISITOR = "0b8e6c1e-2d1c-4f0a-9f2e-6a4f1f4d7c11"
OTHER = "5c1f8f0e-7f2b-4a51-8f0a-3f6a1e0d9b22"
LANE = lane_name(DATAFAST, ENVIRON["DATAFAST_API_KEY"])
NOTHING_YET = [
    *("ledger_readable", "nothing_yet", "nothing_yet", "nothing_yet"),
    *("nothing_parked", "reports_flow"),
]


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    """Give one transaction on a database of each kind, rolled back at the end."""
    engines: Engines = open_engines(database_url)
    with engines.writing.connect() as opened, opened.begin() as transaction:
        yield opened
        transaction.rollback()
    engines.close()


def checkout(connection: Connection, number: int = 1, visitor_id: str | None = VISITOR) -> None:
    """Open a checkout session."""
    order_ref = f"ord_{number}"
    begin_checkout(
        connection,
        attempt=order_ref,
        order_ref=order_ref,
        product="coastline",
        visitor=Visitor(visitor_id, None, "captured" if visitor_id else "absent"),
        now_ms=NOW_MS + number,
    )
    url = "https://checkout.example/"
    finish_opening(connection, order_ref, dodo_session_id=f"cks_{number}", checkout_url=url)


def receive(
    connection: Connection,
    event: str = "payment.succeeded",
    number: int = 1,
    source: str = "webhook",
    visitor_id: str | None = None,
    **changes: Any,
) -> None:
    """Take a message in and read it; the visitor is that of its metadata."""
    if visitor_id is not None:
        changes["metadata.datafast_visitor_id"] = visitor_id
    if event.startswith("payment."):
        ids = {"payment_id": f"pay_{number}", "checkout_session_id": f"cks_{number}"}
        changes = ids | {"metadata.order_ref": f"ord_{number}"} | changes
    body = json.dumps(fixtures.load(event, **changes)).encode()
    store(connection, body, f"msg_{event}_{number}", source)


def store(connection: Connection, body: bytes, webhook_id: str, source: str = "webhook") -> None:
    """Store raw bytes and read them."""
    signed = Signed(webhook_id, datetime.fromtimestamp(NOW, UTC), body)
    store_messages(connection, signed, source=source, at_ms=NOW_MS)
    map_stored_events(connection, Policy(hold_s=0), NOW_MS)


def look(
    connection: Connection,
    world: World,
    *,
    later_ms: int = 0,
    sent: str | None = None,
    **environ: Any,
) -> list[Hop]:
    """Look into the ledger, some time after everything happened."""
    settings = world.setup(**environ).settings
    return look_into(connection, settings, now_ms=NOW_MS + later_ms, sent=sent)


def of(hops: list[Hop], name: str) -> list[str]:
    """Return the reasons of the hops of one name."""
    return reasons([hop for hop in hops if hop.name == name])


def test_an_empty_ledger_is_no_fault(connection: Connection, world: World) -> None:
    """There is nothing to compare, and that is said."""
    assert reasons(look(connection, world)) == NOTHING_YET


def test_a_sale_in_order(connection: Connection, world: World) -> None:
    """The same visitor on both sides, the payment's own amount, and it came by webhook."""
    checkout(connection)
    receive(connection, visitor_id=VISITOR)

    assert reasons(look(connection, world)) == [
        *("ledger_readable", "webhooks_arrive", "visitors_captured", "visitors_equal"),
        *("amounts_agree", "nothing_parked", "reports_flow"),
    ]


@pytest.mark.parametrize(
    ("told", "expected"), [(OTHER, "visitor_changed"), ("", "visitor_not_passed")]
)
def test_metadata_that_names_another_visitor_or_none(
    connection: Connection, world: World, told: str, expected: str
) -> None:
    """The guide: visitor ids match between checkout creation and payment completion."""
    checkout(connection)
    receive(connection, visitor_id=told)
    checkout(connection, 2)
    receive(connection, number=2, visitor_id=VISITOR)
    hops = look(connection, world)
    [hop] = [each for each in hops if each.name == "Visitor in metadata"]

    assert (hop.reason, hop.seen) == (expected, "1 of the last 2, ord_1 for one")
    assert VISITOR not in str(hops)


@pytest.mark.parametrize(
    ("captured", "expected"),
    [(0, "visitors_rarely_captured"), (2, "visitors_rarely_captured"), (3, "visitors_captured")],
)
def test_how_often_the_server_sees_the_cookie(
    connection: Connection, world: World, captured: int, expected: str
) -> None:
    """Half of the last checkouts, once there are enough to tell."""
    for number in range(6):
        checkout(connection, number, VISITOR if number < captured else None)

    assert of(look(connection, world), "Visitor at checkout") == [expected]


def test_a_few_checkouts_without_the_cookie_prove_nothing(
    connection: Connection, world: World
) -> None:
    """A developer with a blocker is no trend."""
    for number in range(4):
        checkout(connection, number, None)

    assert of(look(connection, world), "Visitor at checkout") == ["visitors_captured"]


def test_payments_that_had_to_be_asked_for(connection: Connection, world: World) -> None:
    """No webhook came, only answers of Dodo's API."""
    receive(connection, source="api")

    assert of(look(connection, world), "Webhooks") == ["read_from_api"]


@pytest.mark.parametrize(
    ("currency", "total", "expected"),
    [("USD", 2900, "29.00"), ("JPY", 3300, "3300"), ("KWD", 8750, "8.750")],
)
def test_an_amount_that_is_not_the_payments(
    connection: Connection, world: World, currency: str, total: int, expected: str
) -> None:
    """The guide: divide by 100, but for currencies without decimals, or with three."""
    receive(connection, currency=currency, total_amount=total)
    right = of(look(connection, world), "Amounts reported")
    connection.execute(update(deliveries).values(amount="0.29"))
    [wrong] = [each for each in look(connection, world) if each.name == "Amounts reported"]

    assert right == ["amounts_agree"]
    assert (wrong.reason, wrong.seen) == ("amount_differs", f"pay_1: 0.29 {currency}")
    assert wrong.expected == f"{expected} {currency}"


@pytest.mark.parametrize("basis", ["gross", "net", "settlement"])
def test_amounts_are_held_against_the_basis(
    connection: Connection, world: World, basis: Any
) -> None:
    """Each basis takes other figures of the payment."""
    body = json.dumps(fixtures.load("payment.succeeded", tax=580)).encode()
    signed = Signed("msg_1", datetime.fromtimestamp(NOW, UTC), body)
    store_messages(connection, signed)
    map_stored_events(connection, Policy(basis=basis, hold_s=0), NOW_MS)

    assert of(look(connection, world, KIT_REVENUE_BASIS=basis), "Amounts reported") == [
        "amounts_agree"
    ]


def test_unproven_decimals_are_named(connection: Connection, world: World) -> None:
    """The guide knows two kinds of currency, and there is a third."""
    receive(connection, currency="KWD", total_amount=8750)

    assert of(look(connection, world), "Decimals of a currency") == ["exponent_unverified"]


def test_what_waits_for_a_person(connection: Connection, world: World) -> None:
    """Messages that could not be read or counted, and reports that were refused, by reason."""
    receive(connection, currency="XTS")
    receive(connection, number=2, currency="XTS")
    store(connection, b"not JSON", "msg_3")
    receive(connection, number=4)
    [claimed] = claim_deliveries(
        connection, lane=LANE, owner="me", per_minute=60, now_ms=NOW_MS, lease_ms=1000, limit=1
    )
    freeze_deliveries(connection, [claimed], owner="me", now_ms=NOW_MS)
    answer = {"state": "parked", "reason": "rejected", "verdict": "rejected", "due_at_ms": None}
    finish_deliveries(connection, {claimed.payment.transaction_id: answer}, owner="me")
    parked = [hop for hop in look(connection, world) if hop.name == "Parked"]

    assert [(hop.reason, hop.seen) for hop in parked] == [
        ("not_json", "1"),
        ("rejected", "1"),
        ("unknown_currency", "2"),
    ]


def test_reports_that_nobody_sends(connection: Connection, world: World) -> None:
    """Due for a quarter of an hour and more."""
    receive(connection)
    soon = look(connection, world, later_ms=60_000)
    late = look(connection, world, later_ms=20 * 60_000)

    assert of(soon, "Reports to DataFast") == ["reports_flow"]
    assert of(late, "Reports to DataFast") == ["reports_stuck"]
    assert late[-1].seen == "the oldest for 20 minutes"


def test_a_lane_that_is_paused(connection: Connection, world: World) -> None:
    """Its own reason, and no word of what waits behind it."""
    receive(connection)
    lock_lane(connection, LANE, per_minute=60, now_ms=NOW_MS)
    pause(connection, LANE, reason="key_refused", not_before_ms=NOW_MS + 1000)

    assert of(look(connection, world, later_ms=DAY_MS), "Reports to DataFast") == ["key_refused"]


def test_webhooks_refused_for_their_time(connection: Connection, world: World) -> None:
    """For a week; what is longer ago has been mended."""
    count_refusal(connection, "stale", NOW_MS)

    assert "stale" in reasons(look(connection, world, later_ms=6 * DAY_MS))
    assert "stale" not in reasons(look(connection, world, later_ms=8 * DAY_MS))


def test_a_type_that_is_new_at_dodo(connection: Connection, world: World) -> None:
    """It may carry money."""
    store(connection, json.dumps({"type": "invoice.paid", "data": {}}).encode(), "msg_1")

    assert of(look(connection, world), "New at Dodo") == ["event_unknown"]


def test_a_message_that_went_elsewhere(connection: Connection, world: World) -> None:
    """What the server accepted must be in the ledger that is looked at."""
    receive(connection, "payout.in_progress")
    there = look(connection, world, sent="msg_payout.in_progress_1")
    elsewhere = look(connection, world, sent="msg_2")

    assert "message_elsewhere" not in reasons(there)
    assert "message_elsewhere" in reasons(elsewhere)


# Whoever owns it


def test_a_ledger_in_use_is_only_read(world: World, database_url: str) -> None:
    """A server works on it, and goes on."""
    server = Ledger.open(database_url)
    hops = check_ledger(world.setup(KIT_DATABASE_URL=database_url))
    alive = server.alive
    server.close()

    assert reasons(hops) == NOTHING_YET
    assert alive


def test_a_ledger_at_rest_is_left_as_it_is(world: World, tmp_path: Path) -> None:
    """No lock, no owner; its bytes stay."""
    url = f"sqlite:///{tmp_path}/kit.db"
    Ledger.open(url).close()
    before = (tmp_path / "kit.db").read_bytes()
    hops = check_ledger(world.setup(KIT_DATABASE_URL=url))
    Ledger.open(url).close()

    assert reasons(hops) == NOTHING_YET
    assert (tmp_path / "kit.db").read_bytes() == before


def test_no_ledger_yet(world: World, tmp_path: Path, postgres_url: str) -> None:
    """Nothing is made in its place."""
    for url in (f"sqlite:///{tmp_path}/folder/kit.db", postgres_url):
        assert reasons(check_ledger(world.setup(KIT_DATABASE_URL=url))) == ["ledger_absent"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("version", "expected"), [("1", "ledger_older"), ("99", "ledger_unusable")]
)
def test_tables_of_another_version(
    world: World, database_url: str, version: str, expected: str
) -> None:
    """An older one is the next server's affair; a newer one is nobody's here."""
    engines = open_engines(database_url)
    with engines.writing.begin() as connection:
        connection.execute(update(meta).values(value=version))
    engines.close()

    assert reasons(check_ledger(world.setup(KIT_DATABASE_URL=database_url))) == [expected]


def test_what_is_no_ledger(world: World, tmp_path: Path, postgres_url: str) -> None:
    """A file of notes, somebody else's tables, a server that is not there; no password is told."""
    (tmp_path / "notes.db").write_text("only notes\n" * 100)
    with connected(postgres_url) as theirs:
        theirs.execute("CREATE TABLE events (id INTEGER)")
    away = "postgresql+psycopg://kit:planted-password@127.0.0.1:9/kit"
    for url in (f"sqlite:///{tmp_path}/notes.db", postgres_url, away, "mysql://planted@x/y"):
        hops = check_ledger(world.setup(KIT_DATABASE_URL=url))

        assert reasons(hops) == ["ledger_unusable"], url
        assert "planted" not in str(hops)
