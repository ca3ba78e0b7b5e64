"""Looking into a SQLite ledger that another process owns."""

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import func, select

from kit.errors import LedgerError, LedgerInUse, LedgerUnavailable, LedgerUnreadable
from kit.ledger import Ledger
from kit.ledger.onlooker import Onlooker
from kit.ledger.schema import events
from tests.ledger.conftest import Message

pytestmark = pytest.mark.anyio


async def test_it_sees_what_the_owner_commits(path: Path, message: Message) -> None:
    """At once, and beside it."""
    url = f"sqlite:///{path}"
    owner = Ledger.open(url)
    onlooker = Onlooker.open(url)
    count = select(func.count()).select_from(events)
    before = await onlooker.read(lambda connection: connection.scalar(count))
    await owner.record(message("msg_1"))
    after = await onlooker.read(lambda connection: connection.scalar(count))
    with pytest.raises(LedgerInUse):
        Ledger.open(url)
    onlooker.close()
    owner.close()

    assert (before, after) == (0, 1)


async def test_it_can_change_nothing(path: Path) -> None:
    """SQLite itself refuses."""
    url = f"sqlite:///{path}"
    Ledger.open(url).close()
    onlooker = Onlooker.open(url)
    with pytest.raises(LedgerUnavailable) as refused:
        await onlooker.read(lambda connection: connection.exec_driver_sql("DELETE FROM events"))
    onlooker.close()

    assert "readonly" in str(refused.value.__cause__)


def test_a_ledger_of_another_version_is_refused(path: Path) -> None:
    """Its tables may mean something else."""
    url = f"sqlite:///{path}"
    Ledger.open(url).close()
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE meta SET value = '99' WHERE name = 'schema_version'")
    raw.close()
    with pytest.raises(LedgerUnreadable, match="schema 99"):
        Onlooker.open(url)


def test_what_is_no_ledger_is_refused(path: Path) -> None:
    """A file of something else, and no file at all."""
    with sqlite3.connect(path) as raw:
        raw.execute("CREATE TABLE notes (text TEXT)")
    raw.close()
    with pytest.raises(LedgerUnreadable):
        Onlooker.open(f"sqlite:///{path}")
    with pytest.raises(LedgerError):
        Onlooker.open(f"sqlite:///{path}.missing")

    assert not Path(f"{path}.missing").exists()
