"""A ledger on a real file, a clock that tests move, and messages as Dodo signs them."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select

from kit.helpers.dodo_datafast import Signed
from kit.ledger import Ledger
from kit.ledger.engine import Engines, open_engines
from kit.ledger.events import insert_events
from kit.ledger.schema import events
from kit.ledger.stamps import milliseconds
from kit.sandbox import fixtures
from tests.databases import DATABASES, fresh_schema

# Forks, kills and limits of a POSIX system.
collect_ignore = ["test_crashes.py"] if os.name == "nt" else []

Message = Callable[..., Signed]
Store = Callable[..., None]


@dataclass(slots=True)
class Clock:
    """A clock that stands still until a test moves it."""

    now: float = 1_790_856_000.0

    def __call__(self) -> float:
        """Return the time in Unix seconds."""
        return self.now


def store_messages(
    connection: Connection,
    *messages: Signed,
    source: str = "webhook",
    at_ms: int = 1_790_856_000_000,
) -> None:
    """Insert proven messages, each received a millisecond after the one before."""
    insert_events(
        connection,
        [
            {
                "webhook_id": each.id,
                "source": source,
                "sent_at_ms": milliseconds(each.timestamp),
                "received_at_ms": at_ms + number,
                "body": each.body,
                "body_sha256": hashlib.sha256(each.body).digest(),
            }
            for number, each in enumerate(messages)
        ],
    )


async def stored(ledger: Ledger) -> dict[str, tuple[int, bool]]:
    """Return each message with how often it came and whether its bodies differ."""
    query = select(events.c.webhook_id, events.c.times_received, events.c.bodies_differ)
    rows = await ledger.read(lambda connection: connection.execute(query).all())
    return {webhook_id: (times, differ) for webhook_id, times, differ in rows}


@pytest.fixture
def clock() -> Clock:
    """Give a test its own time."""
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Name the ledger's file."""
    return tmp_path / "kit.db"


@pytest.fixture
def ledger(database_url: str, clock: Clock) -> Iterator[Ledger]:
    """Open a ledger, and close it at the end."""
    opened = Ledger.open(database_url, clock=clock)
    yield opened
    opened.close()


@pytest.fixture
def engines(database_url: str) -> Iterator[Engines]:
    """Open a database without a writer's thread, for statements on a connection."""
    opened = open_engines(database_url)
    yield opened
    opened.close()


@pytest.fixture(scope="session", params=DATABASES)
def shared_engines(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Engines]:
    """Open one database of each kind for all tests that leave nothing behind."""
    with new_engines(request, tmp_path_factory) as opened:
        yield opened


@contextmanager
def new_engines(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Engines]:
    """Open an empty database of the kind that a fixture's parameter names."""
    with ExitStack() as stack:
        url = f"sqlite:///{tmp_path_factory.mktemp('ledger')}/kit.db"
        if request.param == "postgresql":
            url = stack.enter_context(fresh_schema(request.getfixturevalue("postgres")))
        opened = open_engines(url)
        stack.callback(opened.close)
        yield opened


@pytest.fixture
def connection(shared_engines: Engines) -> Iterator[Connection]:
    """Give one transaction on the writing connection, rolled back at the end."""
    with shared_engines.writing.connect() as opened, opened.begin() as transaction:
        yield opened
        transaction.rollback()


@pytest.fixture
def message() -> Message:
    """Build a proven message: its id, an event type, or raw bytes, and changes of its data."""

    def build(
        webhook_id: str,
        event_type: str = "payment.succeeded",
        /,
        *,
        body: bytes | None = None,
        **changes: Any,
    ) -> Signed:
        raw = json.dumps(fixtures.load(event_type, **changes)).encode() if body is None else body
        return Signed(webhook_id, datetime.fromtimestamp(1_790_856_000, UTC), raw)

    return build


@pytest.fixture
def store(connection: Connection) -> Store:
    """Store messages as the writer does, without waiting for it."""

    def insert(*messages: Signed, source: str = "webhook", at_ms: int = 1_790_856_000_000) -> None:
        store_messages(connection, *messages, source=source, at_ms=at_ms)

    return insert
