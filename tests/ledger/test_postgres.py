"""A ledger on PostgreSQL: processes side by side, and a server that goes away."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, event, insert, select

from kit.errors import LedgerError, LedgerUnavailable
from kit.ledger import Ledger
from kit.ledger.engine import open_engines
from kit.ledger.schema import meta, metadata
from tests.databases import connected
from tests.ledger.conftest import Clock, Message, stored

pytestmark = pytest.mark.anyio


@pytest.fixture
def database_url(postgres_url: str) -> str:
    """Use a server: this is what it is about."""
    return postgres_url


@pytest.fixture
def other(database_url: str, ledger: Ledger, clock: Clock) -> Iterator[Ledger]:
    """Open the same database as another process would."""
    opened = Ledger.open(database_url, clock=clock)
    yield opened
    opened.close()


def put(name: str) -> Callable[[Connection], str]:
    """Make a write that adds one row."""

    def write(connection: Connection) -> str:
        connection.execute(insert(meta).values(name=name, value="x"))
        return name

    return write


async def names(ledger: Ledger) -> set[str]:
    """Return what `put` has put."""
    found = await ledger.read(lambda connection: set(connection.scalars(select(meta.c.name))))
    return found - {"schema_version"}


@contextlib.asynccontextmanager
async def deciding(ledger: Ledger) -> Any:
    """Keep a process inside a decision."""
    begun, go_on = threading.Event(), threading.Event()

    def hold(_connection: Connection) -> None:
        begun.set()
        go_on.wait(10)

    held = asyncio.create_task(ledger.write(hold))
    await asyncio.to_thread(begun.wait, 10)
    try:
        yield
    finally:
        go_on.set()
        await asyncio.gather(held, return_exceptions=True)


async def test_messages_do_not_wait_for_another_process_that_decides(
    ledger: Ledger, other: Ledger, message: Message
) -> None:
    """Nor for this one."""
    async with deciding(ledger), asyncio.timeout(5):
        answers = [await each.record(message(f"m{n}")) for n, each in enumerate((ledger, other))]

    assert answers == ["accepted", "accepted"]


async def test_decisions_of_all_processes_take_turns(ledger: Ledger, other: Ledger) -> None:
    """Each sees what was decided before it, as with SQLite's one writer."""
    async with deciding(ledger):
        waiting = asyncio.create_task(other.write(put("a")))
        await ledger.read(lambda _: None)
        early = waiting.done()

    assert not early
    assert await waiting == "a"


async def test_a_turn_that_does_not_come_is_told_and_recovered_from(
    database_url: str, ledger: Ledger, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bounded wait; later all goes on."""
    monkeypatch.setattr("kit.ledger.postgres.LOCK_TIMEOUT_MS", 50)
    impatient = Ledger.open(database_url, clock=clock)
    async with deciding(ledger):
        with pytest.raises(LedgerUnavailable):
            await impatient.write(put("a"))
    again = await impatient.write(put("b"))
    impatient.close()

    assert again == "b"
    assert await names(ledger) == {"b"}


async def test_a_process_that_stops_in_the_middle_gives_up_its_turn(
    database_url: str, ledger: Ledger, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its transaction is undone by the server; when it wakes up it starts afresh."""
    monkeypatch.setattr("kit.ledger.postgres.STALLED_MS", 100)
    stalls = Ledger.open(database_url, clock=clock)
    async with deciding(stalls), asyncio.timeout(8):
        await ledger.write(put("a"))
    again = await stalls.write(put("b"))
    stalls.close()

    assert again == "b"
    assert await names(ledger) == {"a", "b"}


async def test_the_same_message_at_two_processes_is_one_row(
    ledger: Ledger, other: Ledger, message: Message
) -> None:
    """Fifty times at once, beside others in every order."""
    each = [message(f"m{n}") for n in range(25)]
    answers = await asyncio.gather(
        *(ledger.record(one) for one in each),
        *(other.record(one) for one in reversed(each)),
        *(side.record(message("same")) for side in (ledger, other) * 25),
    )
    kept = await stored(ledger)

    assert answers.count("accepted") == 26
    assert kept == {f"m{n}": (2, False) for n in range(25)} | {"same": (50, False)}


async def test_a_message_stored_here_wakes_another_process(
    ledger: Ledger, other: Ledger, message: Message
) -> None:
    """It need not wait for its next look."""
    wake = other.subscribe()
    async with asyncio.timeout(5):
        await wake.wait()  # of what came before it listened
        wake.clear()
        await ledger.record(message("m1"))
        await wake.wait()

    assert set(await stored(other)) == {"m1"}


@pytest.mark.parametrize("state", ["40P01", "40001"])
async def test_a_transaction_that_the_server_undid_is_done_again(
    ledger: Ledger, message: Message, state: str
) -> None:
    """Two that waited for each other: one of them is asked to start afresh."""
    runs: list[int] = []

    def write(connection: Connection) -> str:
        runs.append(1)
        if len(runs) == 1:
            connection.exec_driver_sql(
                f"DO $$ BEGIN RAISE EXCEPTION 'undone' USING ERRCODE = '{state}'; END $$"
            )
        return put("a")(connection)

    assert await ledger.write(write) == "a"
    assert len(runs) == 2
    assert await names(ledger) == {"a"}


async def test_a_connection_lost_before_the_commit_is_made_again(ledger: Ledger) -> None:
    """As after a restart of the server: surely nothing was stored, and nobody need notice."""
    runs: list[int] = []

    def write(connection: Connection) -> str:
        runs.append(1)
        if len(runs) == 1:
            connection.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")
        return put("a")(connection)

    assert await ledger.write(write) == "a"
    assert await names(ledger) == {"a"}


async def test_a_connection_lost_in_the_commit_is_no_success(
    database_url: str, ledger: Ledger, message: Message
) -> None:
    """Whether it came through nobody knows: 503, and the sender's retry finds out."""
    engine = ledger._engines.intake

    def cut(_connection: Connection) -> None:
        with connected(database_url) as beside:
            beside.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE state = 'idle in transaction' AND application_name = 'kit'"
            )

    event.listen(engine, "commit", cut)
    with pytest.raises(LedgerUnavailable):
        await ledger.record(message("m1"))
    event.remove(engine, "commit", cut)

    assert await ledger.record(message("m1")) in ("accepted", "duplicate")
    assert set(await stored(ledger)) == {"m1"}


async def test_a_server_that_puts_speed_first_is_told_to_put_safety_first(
    postgres: str, database_url: str
) -> None:
    """A 200 to Dodo promises that the event survives a power cut."""
    with connected(database_url) as connection:
        connection.execute("ALTER ROLE CURRENT_USER SET synchronous_commit = 'off'")
    try:
        engines = open_engines(database_url)
        with engines.intake.connect() as connection_:
            found = connection_.exec_driver_sql("SHOW synchronous_commit").scalar()
        engines.close()
    finally:
        with connected(postgres) as connection:
            connection.execute("ALTER ROLE CURRENT_USER RESET synchronous_commit")

    assert found == "on"


async def test_several_processes_may_start_first_at_once(database_url: str) -> None:
    """One makes the tables, the others find them."""
    opened = await asyncio.gather(
        *(asyncio.to_thread(open_engines, database_url) for _ in range(4))
    )
    with opened[0].reading.connect() as connection:
        versions = list(connection.scalars(select(meta.c.value)))
    for engines in opened:
        engines.close()

    assert len(versions) == 1
    assert len(metadata.tables) > 1


async def test_a_server_that_is_not_there_is_said_so(tmp_path: object) -> None:
    """Without the password that stands in the URL."""
    url = f"postgresql+psycopg://kit:secret-word@/kit?host={tmp_path}"

    with pytest.raises(LedgerUnavailable, match="cannot use the ledger's PostgreSQL") as refused:
        open_engines(url)
    assert "secret-word" not in str(refused.value)


async def test_a_missing_driver_is_said_so(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what to install."""
    monkeypatch.setattr("kit.ledger.postgres.find_spec", lambda _name: None)

    with pytest.raises(LedgerError, match=r"\[postgres\]"):
        open_engines(database_url)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
async def test_the_usual_spellings_of_the_url_are_understood(
    database_url: str, scheme: str
) -> None:
    """Hosts hand out either of them."""
    engines = open_engines(database_url.replace("postgresql+psycopg", scheme, 1))
    found = engines.writing.url.drivername
    engines.close()

    assert found == "postgresql+psycopg"


async def test_a_read_that_outlives_its_ledger_leaves_no_connection_open(
    database_url: str, clock: Clock
) -> None:
    """Whoever waited for it was cancelled; the server would keep the connection."""
    opened = Ledger.open(database_url, clock=clock)
    begun, go_on, held = threading.Event(), threading.Event(), []

    def linger(connection: Connection) -> None:
        held.append(connection.connection.driver_connection)
        begun.set()
        go_on.wait(10)

    reading = asyncio.create_task(opened.read(linger))
    await asyncio.to_thread(begun.wait, 10)
    opened.close()
    go_on.set()
    await reading

    assert [connection.closed for connection in held if connection is not None] == [True]
