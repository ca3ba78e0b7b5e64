"""The writer: groups, poison, a full or locked disk, too much at once, and its own death."""

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event, insert, select
from sqlalchemy.exc import IntegrityError

from kit.errors import LedgerUnavailable
from kit.helpers.dodo_datafast import Signed
from kit.ledger import Ledger
from kit.ledger.engine import Engines
from kit.ledger.schema import drift, events, meta
from kit.ledger.writer import GROUP_SIZE, MAX_WAITING, MAX_WAITING_NOTES, Job, Writer
from tests.databases import on_sqlite
from tests.ledger.conftest import Clock, Message, stored

pytestmark = pytest.mark.anyio


class Halt(BaseException):
    """Something that no writer can go on after."""


@contextlib.contextmanager
def counted_commits(ledger: Ledger) -> Iterator[list[int]]:
    """Count the commits of the connection that stores messages; the list holds one for each."""
    commits: list[int] = []

    def count(_connection: Connection) -> None:
        commits.append(1)

    engine = ledger._engines.intake
    event.listen(engine, "commit", count)
    yield commits
    event.remove(engine, "commit", count)


@contextlib.asynccontextmanager
async def busy(ledger: Ledger) -> Any:
    """Keep each writer inside one transaction, so that everything else has to wait."""
    writers = {ledger._writer, ledger._intake}
    begun, go_on = threading.Barrier(len(writers) + 1), threading.Event()

    def hold(_connection: Connection) -> None:
        begun.wait(10)
        go_on.wait(10)

    held = [asyncio.create_task(writer.submit(Job(hold))) for writer in writers]
    await asyncio.to_thread(begun.wait, 10)
    try:
        yield
    finally:
        go_on.set()
        await asyncio.gather(*held)


async def started(*tasks: "asyncio.Task[Any]") -> None:
    """Let tasks run up to where they wait."""
    await asyncio.sleep(0)
    assert not any(task.done() for task in tasks)


def put(name: str, value: str | None = "x") -> Callable[[Connection], str]:
    """Make a write that adds one row; None as its value breaks a rule of the table."""

    def write(connection: Connection) -> str:
        connection.execute(insert(meta).values(name=name, value=value))
        return name

    return write


def adding(words: list[Any], word: Any) -> Callable[[Connection], str]:
    """Make a write that says when it ran."""

    def write(_connection: Connection) -> str:
        words.append(word)
        return f"{word} added"

    return write


def too_large(connection: Connection) -> None:
    """Write a number that no column takes."""
    connection.execute(insert(drift).values(kind="type", name="x", first_seen_at_ms=2**63))


async def names(ledger: Ledger) -> set[str]:
    """Return what `put` has put."""
    found = await ledger.read(lambda connection: set(connection.scalars(select(meta.c.name))))
    return found - {"schema_version"}


async def test_a_message_is_accepted_once(ledger: Ledger, message: Message) -> None:
    """The second time it is a duplicate, however long after."""
    answers = [await ledger.record(message("m1")) for _ in range(3)]

    assert answers == ["accepted", "duplicate", "duplicate"]
    assert await stored(ledger) == {"m1": (3, False)}


async def test_what_waits_is_committed_together(ledger: Ledger, message: Message) -> None:
    """One commit for what held the writer, one for a hundred messages and a write beside them."""
    with counted_commits(ledger) as commits:
        async with busy(ledger):
            tasks = [asyncio.create_task(ledger.record(message(f"m{n}"))) for n in range(100)]
            write = asyncio.create_task(ledger.write(put("beside")))
            await started(*tasks, write)
        answers = await asyncio.gather(*tasks)

    assert len(commits) == 2
    assert (set(answers), await write) == ({"accepted"}, "beside")


async def test_a_group_has_a_size(ledger: Ledger, message: Message) -> None:
    """So that nobody waits for an endless transaction."""
    with counted_commits(ledger) as commits:
        async with busy(ledger):
            tasks = [
                asyncio.create_task(ledger.record(message(f"m{n}"))) for n in range(GROUP_SIZE + 1)
            ]
            await started(*tasks)
        await asyncio.gather(*tasks)

    assert len(commits) == 3


async def test_the_same_message_fifty_times_at_once_is_one_row(
    ledger: Ledger, message: Message
) -> None:
    """One is accepted, whichever group the others fall into."""
    async with busy(ledger):
        tasks = [asyncio.create_task(ledger.record(message("m1"))) for _ in range(50)]
        await started(*tasks)
    answers = await asyncio.gather(*tasks)

    assert sorted(answers) == ["accepted"] + ["duplicate"] * 49
    assert await stored(ledger) == {"m1": (50, False)}


@pytest.mark.parametrize("together", [True, False], ids=["one group", "two groups"])
async def test_another_body_under_the_same_id_is_noted_and_dropped(
    ledger: Ledger, message: Message, together: bool
) -> None:
    """Dodo sends the latest state, so the bodies may honestly differ; the first one stays."""
    first, second = message("m1", total_amount=100), message("m1", total_amount=200)
    if together:
        async with busy(ledger):
            tasks = [asyncio.create_task(ledger.record(each)) for each in (first, second)]
            await started(*tasks)
        answers = list(await asyncio.gather(*tasks))
    else:
        answers = [await ledger.record(first), await ledger.record(second)]
    body = await ledger.read(lambda connection: connection.scalar(select(events.c.body)))

    assert answers == ["accepted", "duplicate"]
    assert await stored(ledger) == {"m1": (2, True)}
    assert body == first.body


async def test_a_message_keeps_its_bytes_and_times(
    ledger: Ledger, message: Message, clock: Clock
) -> None:
    """The body is never decoded on its way in."""
    body = bytes(range(256))
    clock.now = 1_790_856_123.4567
    await ledger.record(message("m1", body=body), source="api")
    row = await ledger.read(lambda connection: connection.execute(select(events)).mappings().one())

    assert row["body"] == body
    assert (row["source"], row["state"], row["type"]) == ("api", "stored", None)
    assert (row["sent_at_ms"], row["received_at_ms"]) == (1_790_856_000_000, 1_790_856_123_456)


async def test_a_poison_row_fails_alone(ledger: Ledger, message: Message) -> None:
    """An id that no text column takes; its neighbours are stored."""
    poison = Signed("\ud800", message("m").timestamp, b"{}")
    async with busy(ledger):
        tasks = [
            asyncio.create_task(ledger.record(each))
            for each in (message("m1"), poison, message("m2"))
        ]
        await started(*tasks)
    first, failed, last = await asyncio.gather(*tasks, return_exceptions=True)

    assert (first, last) == ("accepted", "accepted")
    assert isinstance(failed, UnicodeEncodeError)
    assert set(await stored(ledger)) == {"m1", "m2"}


@pytest.mark.parametrize(
    ("poison", "expected"),
    [
        (put("c", None), IntegrityError),
        (lambda _: 1 / 0, ZeroDivisionError),
        (too_large, (OverflowError, LedgerUnavailable)),
    ],
    ids=["broken rule", "bug", "number too large"],
)
async def test_a_failing_write_gets_its_own_exception(
    ledger: Ledger,
    message: Message,
    poison: Callable[[Connection], Any],
    expected: type[Exception] | tuple[type[Exception], ...],
) -> None:
    """What it had done is undone, and what waited with it is committed."""

    def half(connection: Connection) -> None:
        put("half")(connection)
        poison(connection)

    async with busy(ledger):
        tasks: list[asyncio.Task[Any]] = [
            asyncio.create_task(each)
            for each in (
                ledger.write(put("a")),
                ledger.write(half),
                ledger.record(message("m1")),
                ledger.write(put("b")),
            )
        ]
        await started(*tasks)
    first, failed, event_, last = await asyncio.gather(*tasks, return_exceptions=True)

    assert (first, event_, last) == ("a", "accepted", "b")
    assert isinstance(failed, expected)
    assert await names(ledger) == {"a", "b"}


async def test_a_caller_that_leaves_harms_nobody(ledger: Ledger, message: Message) -> None:
    """Its row is stored all the same: the client gets no answer and sends it again."""
    async with busy(ledger):
        leaves = asyncio.create_task(ledger.record(message("m1")))
        stays = asyncio.create_task(ledger.record(message("m2")))
        await started(leaves, stays)
        leaves.cancel()

    assert await stays == "accepted"
    assert set(await stored(ledger)) == {"m1", "m2"}


async def fill(ledger: Ledger) -> None:
    """Leave SQLite no page to grow by."""
    await ledger.write(
        lambda connection: connection.exec_driver_sql("PRAGMA max_page_count = 1").scalar()
    )


@on_sqlite
async def test_a_full_database_takes_nothing_and_recovers(ledger: Ledger, message: Message) -> None:
    """Nobody is told that a row is stored which is not; with room again all goes on."""
    await fill(ledger)
    large = b'{"filler": "' + b"x" * 100_000 + b'"}'
    async with busy(ledger):
        tasks = [
            asyncio.create_task(ledger.record(each))
            for each in (message("m1"), message("m2", body=large))
        ]
        await started(*tasks)
    refused = await asyncio.gather(*tasks, return_exceptions=True)
    alive, kept = ledger.alive, await stored(ledger)
    await ledger.write(
        lambda connection: connection.exec_driver_sql("PRAGMA max_page_count = 100000").scalar()
    )

    assert [type(each) for each in refused] == [LedgerUnavailable, LedgerUnavailable]
    assert (alive, kept) == (True, {})
    assert await ledger.record(message("m2", body=large)) == "accepted"


@on_sqlite
async def test_a_lock_held_too_long_is_told_and_recovered_from(
    ledger: Ledger, message: Message, path: Path
) -> None:
    """A bounded wait, then everybody hears it; later the same messages are new."""
    await ledger.write(
        lambda connection: connection.exec_driver_sql("PRAGMA busy_timeout = 20").scalar()
    )
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        refused = await asyncio.gather(
            ledger.record(message("m1")), ledger.write(put("a")), return_exceptions=True
        )
        other.execute("ROLLBACK")

    assert [type(each) for each in refused] == [LedgerUnavailable, LedgerUnavailable]
    assert await ledger.record(message("m1")) == "accepted"
    assert await names(ledger) == set()


async def test_readers_do_not_wait_for_the_writer(ledger: Ledger, message: Message) -> None:
    """A page is shown while a transaction is open."""
    await ledger.record(message("m1"))
    async with busy(ledger):
        found = await stored(ledger)

    assert set(found) == {"m1"}


async def test_a_reader_cannot_write(ledger: Ledger) -> None:
    """There is one writing connection, and it is the writer's."""
    with pytest.raises(LedgerUnavailable):
        await ledger.read(put("a"))

    assert await names(ledger) == set()


async def test_too_many_waiting_are_refused_at_once(ledger: Ledger) -> None:
    """Memory is not a queue without an end; who is refused sends again later."""
    async with busy(ledger):
        waiting = [asyncio.create_task(ledger.write(lambda _: 1)) for _ in range(MAX_WAITING)]
        await started(*waiting)
        with pytest.raises(LedgerUnavailable, match="takes no writes"):
            await ledger.write(put("too much"))

    assert sum(await asyncio.gather(*waiting)) == MAX_WAITING
    assert await ledger.write(put("again")) == "again"


async def test_notes_come_after_everything_that_may_not_be_lost(
    ledger: Ledger, message: Message
) -> None:
    """A pageview noted first is still written after the money."""
    order: list[str] = []
    async with busy(ledger):
        ledger.note(adding(order, "note"))
        tasks = [
            asyncio.create_task(ledger.write(adding(order, str(n)))) for n in range(GROUP_SIZE)
        ]
        await started(*tasks)
    await asyncio.gather(*tasks)
    await ledger.write(adding(order, "last"))
    await ledger.write(lambda _: None)

    assert order[:GROUP_SIZE] == [str(number) for number in range(GROUP_SIZE)]
    assert sorted(order[GROUP_SIZE:]) == ["last", "note"]


async def test_notes_beyond_a_number_are_dropped(ledger: Ledger) -> None:
    """Without a word, and without room taken from events."""
    written: list[int] = []
    async with busy(ledger):
        for number in range(MAX_WAITING_NOTES + 10):
            ledger.note(adding(written, number))
    while len(written) < MAX_WAITING_NOTES:
        await ledger.write(lambda _: None)
    await ledger.write(lambda _: None)

    assert written == list(range(MAX_WAITING_NOTES))


async def test_a_note_that_fails_is_logged_and_fails_nobody(
    ledger: Ledger, message: Message, caplog: pytest.LogCaptureFixture
) -> None:
    """Analytics never costs a payment."""
    async with busy(ledger):
        ledger.note(put("a", None))
        task = asyncio.create_task(ledger.record(message("m1")))
        await started(task)

    assert await task == "accepted"
    await ledger.write(lambda _: None)
    assert "a note was not written" in caplog.text


async def test_closing_commits_what_waits(
    ledger: Ledger, message: Message, database_url: str, clock: Clock
) -> None:
    """Also more than one group of it; afterwards nothing is taken."""
    number = GROUP_SIZE * 2 + 1
    async with busy(ledger):
        tasks = [asyncio.create_task(ledger.record(message(f"m{n}"))) for n in range(number)]
        await started(*tasks)
    await asyncio.to_thread(ledger.close)
    answers = await asyncio.gather(*tasks)
    with pytest.raises(LedgerUnavailable):
        await ledger.record(message("late"))
    again = Ledger.open(database_url, clock=clock)
    kept = await stored(again)
    again.close()

    assert answers == ["accepted"] * number
    assert len(kept) == number


async def test_a_dead_writer_is_told_to_everybody(
    ledger: Ledger, message: Message, caplog: pytest.LogCaptureFixture
) -> None:
    """Those in its hands, those in the queue and those who come later; `alive` says so."""

    def die(_connection: Connection) -> None:
        raise Halt

    async with busy(ledger):
        tasks: list[asyncio.Task[Any]] = [asyncio.create_task(ledger._intake.submit(Job(die)))]
        tasks += [asyncio.create_task(ledger.record(message(f"m{n}"))) for n in range(GROUP_SIZE)]
        await started(*tasks)
    answers = await asyncio.gather(*tasks, return_exceptions=True)

    assert {type(each) for each in answers} == {LedgerUnavailable}
    assert not ledger.alive
    assert "the ledger's writer has died" in caplog.text
    with pytest.raises(LedgerUnavailable):
        await ledger.record(message("later"))
    assert await stored(ledger) == {}


async def test_storing_wakes_whoever_subscribed(ledger: Ledger, message: Message) -> None:
    """After the commit; other writes wake nobody."""
    wake = ledger.subscribe()
    if ledger.shared:  # where others may have stored something before anybody listened
        async with asyncio.timeout(5):
            await wake.wait()
        wake.clear()
    await ledger.write(put("a"))
    quiet = wake.is_set()
    await ledger.record(message("m1"))
    async with asyncio.timeout(5):
        await wake.wait()

    assert not quiet


def test_a_subscriber_whose_loop_is_gone_does_not_kill_the_writer(
    ledger: Ledger, message: Message
) -> None:
    """Its loop was closed without a word."""

    async def subscribe() -> None:
        ledger.subscribe()

    async def record() -> str:
        return await ledger.record(message("m1"))

    asyncio.run(subscribe())

    assert asyncio.run(record()) == "accepted"
    assert ledger.alive


def test_a_caller_whose_loop_is_gone_does_not_kill_the_writer(
    ledger: Ledger, message: Message
) -> None:
    """What it asked for is stored."""
    go_on = threading.Event()

    async def leave() -> None:
        blocked = asyncio.create_task(ledger.write(lambda _: go_on.wait(10)))
        await started(blocked, asyncio.create_task(ledger.record(message("m1"))))

    asyncio.run(leave())
    go_on.set()

    async def look() -> dict[str, tuple[int, bool]]:
        await ledger._intake.submit(Job(lambda _: None))
        return await stored(ledger)

    assert set(asyncio.run(look())) == {"m1"}


async def test_results_reach_the_right_caller(engines: Engines) -> None:
    """Whatever the order of events and writes in a group."""
    go_on = threading.Event()

    def numbers(_connection: Connection, items: Sequence[int]) -> Sequence[int]:
        return items

    writer = Writer(
        engines.writing,
        on_commit=lambda: None,
    )
    tasks: list[asyncio.Task[Any]] = [
        asyncio.create_task(writer.submit(Job(lambda _: go_on.wait(10))))
    ]
    for number in range(10):
        row, write = Job(together=numbers, item=number), Job(adding([], number))
        tasks += [asyncio.create_task(writer.submit(each)) for each in (row, write)]
    await started(*tasks)
    go_on.set()
    results = await asyncio.gather(*tasks)
    writer.close()

    assert results[1:] == [each for number in range(10) for each in (number, f"{number} added")]


async def test_what_is_done_together_is_done_no_sooner_than_asked(ledger: Ledger) -> None:
    """Not before a write that came earlier than one of its items."""
    done: list[Any] = []

    def together(_connection: Connection, items: Sequence[str]) -> Sequence[str]:
        done.append(list(items))
        return [f"{item} done" for item in items]

    async with busy(ledger):
        tasks: list[asyncio.Task[Any]] = [
            asyncio.create_task(ledger.write_together(together, "first")),
            asyncio.create_task(ledger.write(adding(done, "between"))),
            asyncio.create_task(ledger.write_together(together, "last")),
            asyncio.create_task(ledger.write(adding(done, "after"))),
        ]
        await started(*tasks)
    answers = await asyncio.gather(*tasks)

    assert done == ["between", ["first", "last"], "after"]
    assert answers == ["first done", "between added", "last done", "after added"]


async def test_one_bad_item_fails_none_that_is_done_with_it(ledger: Ledger) -> None:
    """The group is redone one by one."""

    def together(connection: Connection, items: Sequence[str | None]) -> Sequence[str | None]:
        for item in items:
            connection.execute(insert(meta).values(name=f"name of {item}", value=item))
        return items

    async with busy(ledger):
        tasks = [
            asyncio.create_task(ledger.write_together(together, item)) for item in ("a", None, "b")
        ]
        await started(*tasks)
    first, bad, last = await asyncio.gather(*tasks, return_exceptions=True)

    assert (first, last) == ("a", "b")
    assert isinstance(bad, IntegrityError)
    assert await names(ledger) == {"name of a", "name of b"}


async def test_who_looks_just_then_is_told_again(ledger: Ledger, message: Message) -> None:
    """An event that is cleared after something was stored must not hide that."""
    wake = ledger.subscribe()
    wake.set()
    elsewhere = threading.Thread(target=lambda: asyncio.run(ledger.record(message("m1"))))
    elsewhere.start()
    elsewhere.join()  # this loop stands still meanwhile
    wake.clear()

    assert await asyncio.wait_for(wake.wait(), 10)
