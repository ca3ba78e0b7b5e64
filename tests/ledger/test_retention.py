"""What is dropped after some days, what stays for good, and that it holds nothing up."""

import asyncio
import uuid
from typing import Any

import anyio
import pytest
from sqlalchemy import Connection, func, select, text, update

from kit.ledger import Ledger, retention
from kit.ledger.retention import (
    BATCH,
    drop_old_bodies,
    drop_old_persons,
    drop_visits,
    find_idle_visits,
    keep_tidy,
    tidy,
)
from kit.ledger.schema import deliveries, events, visits
from tests.ledger.conftest import Clock, Message, Store, store_messages
from tests.ledger.scenes import (
    EMAIL,
    NAME,
    NOW_MS,
    SEND_ALL,
    VISITOR,
    change,
    check_out,
    named,
    read_all,
    report,
    sell,
    sent,
    visit,
)

DAY_MS = 86_400_000
DAYS = 90


def bodies(connection: Connection) -> dict[str, bool]:
    """Return for each message whether it still has its body."""
    rows = connection.execute(select(events.c.webhook_id, events.c.body.is_not(None).label("kept")))
    return {row.webhook_id: row.kept for row in rows}


def test_bodies_of_settled_messages_go_and_the_rest_stays(
    connection: Connection, message: Message, store: Store
) -> None:
    """What must still be read keeps its body however old it is."""
    states = ("stored", "waiting", "mapped", "skipped", "parked", "unreadable")
    store(*(message(state) for state in states))
    for state in states:
        connection.execute(update(events).where(events.c.webhook_id == state).values(state=state))
    mapped = select(events).where(events.c.webhook_id == "mapped")
    before = connection.execute(mapped).mappings().one()
    dropped = drop_old_bodies(connection, before_ms=NOW_MS + DAY_MS)
    after = connection.execute(mapped).mappings().one()

    assert dropped == 3
    assert bodies(connection) == {
        "stored": True,
        "waiting": True,
        "mapped": False,
        "skipped": False,
        "parked": True,
        "unreadable": False,
    }
    assert dict(after) == dict(before) | {"body": None}


def test_the_age_is_counted_from_receipt(
    connection: Connection, message: Message, store: Store
) -> None:
    """At the millisecond."""
    store(message("m1", "payment.failed"), message("m2", "payment.failed"))
    read_all(connection)
    dropped = drop_old_bodies(connection, before_ms=NOW_MS + 1)

    assert dropped == 1
    assert bodies(connection) == {"m1": False, "m2": True}


def test_a_message_that_comes_again_is_still_known(
    connection: Connection, message: Message, store: Store
) -> None:
    """Its id is kept for good, and its hash tells whether it says the same."""
    store(message("m1", "payment.failed"))
    read_all(connection)
    drop_old_bodies(connection, before_ms=NOW_MS + DAY_MS)
    store(message("m1", "payment.failed"))
    [row] = connection.execute(select(events)).mappings()

    assert (row["times_received"], row["bodies_differ"], row["state"]) == (2, False, "skipped")
    assert row["body"] is None


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        ({}, False),
        ({"state": "parked"}, True),
        ({"state": "ready", "verdict": None}, True),
        ({"due_at_ms": NOW_MS}, True),
        ({"created_at_ms": NOW_MS + DAY_MS}, True),
    ],
    ids=["done", "parked", "ready", "to be asked about again", "young"],
)
def test_persons_of_reports_that_are_done_with_go(
    connection: Connection,
    message: Message,
    store: Store,
    values: dict[str, Any],
    kept: bool,
) -> None:
    """E-mail and name; the visitor, who is no more than an id, stays."""
    sell(connection, message, store, "pay_1", **named(VISITOR))
    sent(connection, "pay_1", **values)
    drop_old_persons(connection, before_ms=NOW_MS + DAY_MS)
    row = report(connection, "pay_1")

    assert (row["email"], row["name"]) == ((EMAIL, NAME) if kept else (None, None))
    assert row["visitor_id"] == VISITOR


@pytest.mark.parametrize(
    ("bought", "last_seen_ms", "kept"),
    [
        ("nothing", NOW_MS, False),
        ("nothing", None, False),
        ("nothing", NOW_MS + DAY_MS, True),
        ("at our checkout", NOW_MS, True),
        ("elsewhere", NOW_MS, True),
    ],
    ids=["once here", "never seen again", "here lately", "an order", "a report alone"],
)
def test_visits_that_led_to_nothing_go(
    connection: Connection,
    message: Message,
    store: Store,
    bought: str,
    last_seen_ms: int | None,
    kept: bool,
) -> None:
    """Whoever bought keeps the source that a renewal counts for."""
    visit(connection)
    connection.execute(update(visits).values(last_pageview_at_ms=last_seen_ms))
    if bought == "at our checkout":
        check_out(connection, "order_1", VISITOR)
    elif bought == "elsewhere":
        sell(connection, message, store, "pay_1", **named(VISITOR))
    found = find_idle_visits(connection, before_ms=NOW_MS + DAY_MS)
    dropped = drop_visits(connection, visitor_ids=found, before_ms=NOW_MS + DAY_MS)

    assert list(found) == ([] if kept else [VISITOR])
    assert dropped == len(found)
    assert connection.scalar(select(func.count()).select_from(visits)) == kept


def test_who_comes_back_meanwhile_stays(connection: Connection) -> None:
    """They are looked for beside the writer, which goes on."""
    visit(connection)
    found = find_idle_visits(connection, before_ms=NOW_MS + DAY_MS)
    connection.execute(update(visits).values(last_pageview_at_ms=NOW_MS + DAY_MS))

    assert drop_visits(connection, visitor_ids=found, before_ms=NOW_MS + DAY_MS) == 0


def test_each_statement_takes_a_small_batch_of_the_oldest(
    connection: Connection, message: Message, store: Store
) -> None:
    """So that a webhook never waits long behind it."""
    store(*(message(f"m{number:04}", "payment.failed") for number in range(BATCH + 5)))
    connection.execute(update(events).values(state="skipped"))
    taken = [drop_old_bodies(connection, before_ms=NOW_MS + DAY_MS) for _ in range(3)]

    assert taken == [BATCH, 5, 0]


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        (
            "SELECT webhook_id FROM events WHERE body IS NOT NULL AND state IN "
            "('mapped', 'skipped', 'unreadable') AND received_at_ms < 5 ORDER BY received_at_ms",
            "events_with_body",
        ),
        (
            "SELECT transaction_id FROM deliveries WHERE (email IS NOT NULL OR name IS NOT NULL) "
            "AND created_at_ms < 5 ORDER BY created_at_ms",
            "deliveries_with_person",
        ),
    ],
)
def test_the_oldest_are_found_by_an_index(
    connection: Connection, statement: str, index: str
) -> None:
    """A ledger of years is not read through every few minutes."""
    if connection.dialect.name == "sqlite":
        plan = connection.execute(text(f"EXPLAIN QUERY PLAN {statement}")).all()
    else:
        connection.execute(text("SET LOCAL enable_seqscan = off"))
        plan = connection.execute(text(f"EXPLAIN {statement}")).all()

    assert index in str(plan)


@pytest.mark.anyio
async def test_tidying_drops_all_that_is_too_old(
    ledger: Ledger, clock: Clock, message: Message
) -> None:
    """Bodies, persons and visits, as many batches as it takes, by the ledger's own clock."""

    def live(connection: Connection) -> None:
        store_messages(connection, message("m0", **named(VISITOR)))
        failed = (message(f"m{number}", "payment.failed") for number in range(1, BATCH + 5))
        store_messages(connection, *failed)
        read_all(connection, SEND_ALL)
        sent(connection, "pay_example")
        for number in range(BATCH + 3):
            visit(connection, str(uuid.UUID(int=number, version=4)))

    await ledger.write(live)
    young = await tidy(ledger, days=DAYS)
    clock.now += DAYS * 86_400 + 1
    old = await tidy(ledger, days=DAYS)
    again = await tidy(ledger, days=DAYS)
    left = await ledger.read(
        lambda connection: (
            set(bodies(connection).values()),
            connection.scalar(select(deliveries.c.email)),
        )
    )

    assert (young, old, again) == (0, BATCH + 6 + BATCH + 3, 0)
    assert left == ({False}, None)


@pytest.mark.anyio
async def test_it_goes_on_every_few_minutes_until_it_is_cancelled(
    ledger: Ledger, clock: Clock, message: Message
) -> None:
    """The first time at once; 0 days keep everything for good."""

    def live(connection: Connection) -> None:
        store_messages(connection, message("m1", "payment.failed"))
        read_all(connection)

    await ledger.write(live)
    await keep_tidy(ledger, days=0)
    kept = await ledger.read(bodies)
    running = asyncio.create_task(keep_tidy(ledger, days=DAYS, every_s=0.01))
    clock.now += DAYS * 86_400 + 1
    with anyio.fail_after(10):
        while (await ledger.read(bodies))["m1"]:
            await anyio.lowlevel.checkpoint()
    running.cancel()

    assert kept == {"m1": True}
    assert retention.EVERY_S >= 60
    with pytest.raises(asyncio.CancelledError):
        await running


@pytest.mark.anyio
async def test_a_ledger_that_takes_no_writes_is_tried_again(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    """Retention ends nothing else."""
    ledger.close()
    running = asyncio.create_task(keep_tidy(ledger, days=DAYS, every_s=0.01))
    with anyio.fail_after(10):
        while caplog.text.count("nothing dropped") < 2:
            await anyio.lowlevel.checkpoint()
    running.cancel()

    assert not running.done()
    with pytest.raises(asyncio.CancelledError):
        await running


def test_a_report_in_flight_keeps_its_person(
    connection: Connection, message: Message, store: Store
) -> None:
    """What is posted again says the same as before."""
    sell(connection, message, store, "pay_1", **named(VISITOR))
    change(connection, "pay_1", state="sending", owner="me")

    assert drop_old_persons(connection, before_ms=NOW_MS + DAY_MS) == 0
