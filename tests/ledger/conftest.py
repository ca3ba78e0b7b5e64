"""A ledger on a real file, a clock that tests move, and messages as Dodo signs them."""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from kit.helpers.dodo_datafast import Signed
from kit.ledger import Ledger
from kit.ledger.engine import Engines, open_engines
from kit.ledger.events import insert_events
from kit.sandbox import fixtures

Message = Callable[..., Signed]
Store = Callable[..., None]


@dataclass(slots=True)
class Clock:
    """A clock that stands still until a test moves it."""

    now: float = 1_790_856_000.0

    def __call__(self) -> float:
        """Return the time in Unix seconds."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Give a test its own time."""
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Name the ledger's file."""
    return tmp_path / "kit.db"


@pytest.fixture
def ledger(path: Path, clock: Clock) -> Iterator[Ledger]:
    """Open a ledger, and close it at the end."""
    opened = Ledger.open(f"sqlite:///{path}", clock=clock)
    yield opened
    opened.close()


@pytest.fixture
def engines(path: Path) -> Iterator[Engines]:
    """Open a database without a writer's thread, for statements on a connection."""
    opened = open_engines(f"sqlite:///{path}")
    yield opened
    opened.reading.dispose()
    opened.writing.dispose()
    opened.release()


@pytest.fixture
def connection(engines: Engines) -> Iterator[Connection]:
    """Give one transaction on the writing connection."""
    with engines.writing.begin() as opened:
        yield opened


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
        insert_events(
            connection,
            [
                {
                    "webhook_id": each.id,
                    "source": source,
                    "sent_at_ms": round(each.timestamp.timestamp() * 1000),
                    "received_at_ms": at_ms + number,
                    "body": each.body,
                    "body_sha256": hashlib.sha256(each.body).digest(),
                }
                for number, each in enumerate(messages)
            ],
        )

    return insert
