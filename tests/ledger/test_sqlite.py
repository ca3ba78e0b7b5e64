"""A ledger in a file: whose it is, what it must hold, and what is refused untouched."""

import contextlib
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection, select

from kit.errors import LedgerError, LedgerInUse, LedgerUnavailable, LedgerUnreadable
from kit.ledger import Ledger
from kit.ledger.engine import Engines, open_engines, parse_url
from kit.ledger.schema import meta
from kit.ledger.sqlite import file_of
from kit.ledger.versions import SCHEMA_VERSION


@pytest.fixture
def database_url(path: Path) -> str:
    """Use a file: this is what it is about."""
    return f"sqlite:///{path}"


def pragma(connection: Connection, name: str) -> object:
    """Read a setting of a live connection."""
    return connection.exec_driver_sql(f"PRAGMA {name}").scalar()


def files(folder: Path) -> dict[str, bytes]:
    """Return the databases of a folder as they are on disk, without the owner's lock."""
    return {
        each.name: each.read_bytes()
        for each in folder.iterdir()
        if each.is_file() and not each.name.endswith(".owner")
    }


def test_the_writing_connection_survives_a_power_cut(engines: Engines) -> None:
    """A write-ahead log, fsynced at every commit: the promise behind a 200 to Dodo."""
    names = ("journal_mode", "synchronous", "busy_timeout")
    with engines.writing.begin() as connection:
        found = [pragma(connection, name) for name in names]

    assert found == ["wal", 2, 2000]


def test_every_file_is_this_users_alone(path: Path) -> None:
    """Whoever may read the lock can hold it, and keep every server from starting."""
    before = os.umask(0o022)
    try:
        engines = open_engines(f"sqlite:///{path}")
        modes = {each.name: each.stat().st_mode & 0o777 for each in path.parent.iterdir()}
        engines.close()
    finally:
        os.umask(before)

    assert {path.name, f"{path.name}.owner"} <= modes.keys()
    assert set(modes.values()) == {0o600}


def test_a_file_opened_again_is_still_durable(path: Path) -> None:
    """The settings belong to the connection, so every start makes them anew."""
    open_engines(f"sqlite:///{path}").close()
    engines = open_engines(f"sqlite:///{path}")
    with engines.writing.begin() as connection:
        found = pragma(connection, "journal_mode"), pragma(connection, "synchronous")
    engines.close()

    assert found == ("wal", 2)


def test_a_transaction_takes_the_write_lock_at_its_beginning(path: Path, engines: Engines) -> None:
    """One that reads first and writes later could fail for reasons of timing."""
    other = sqlite3.connect(path, timeout=0, isolation_level=None)

    with (
        contextlib.closing(other),
        engines.writing.begin(),
        pytest.raises(sqlite3.OperationalError, match="locked"),
    ):
        other.execute("BEGIN IMMEDIATE")


def test_only_one_connection_can_write(engines: Engines) -> None:
    """Two that write or checkpoint at once can corrupt an older SQLite's log."""
    assert engines.writing.pool.size() == 1  # type: ignore[attr-defined] # a QueuePool's
    with engines.reading.connect() as reading:
        assert reading.connection.dbapi_connection is not None
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            reading.connection.dbapi_connection.cursor().execute("DELETE FROM meta")


def test_the_folder_is_made(tmp_path: Path) -> None:
    """A first start needs no preparation."""
    open_engines(f"sqlite:///{tmp_path}/data/shop/kit.db").close()

    assert (tmp_path / "data" / "shop" / "kit.db").stat().st_size > 0


def test_a_relative_path_is_relative_to_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `sqlite:///kit.db`, the default, is."""
    monkeypatch.chdir(tmp_path)

    assert file_of(parse_url("sqlite:///kit.db")) == tmp_path / "kit.db"


@pytest.mark.parametrize("folder", ["a b", "a?b", "a#b", "a%41b", "läden", "a&mode=rw"])
def test_a_folder_may_have_any_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    """The lock, the writer and the readers all open the same file, and make no other."""
    place = tmp_path / folder
    place.mkdir()
    monkeypatch.chdir(place)
    engines = open_engines("sqlite:///kit.db")
    with engines.reading.connect() as connection:
        version = connection.scalar(select(meta.c.value))
    engines.close()

    assert version == str(SCHEMA_VERSION)
    assert [each.name for each in tmp_path.iterdir()] == [folder]
    assert all(each.name.startswith("kit.db") for each in place.iterdir())


@pytest.mark.parametrize(
    "url",
    [
        "",
        "kit.db",
        "nonsense://",
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "mysql://user:secret@db/kit",
        "postgresql+asyncpg://user:secret@db/kit",
    ],
)
def test_a_url_that_names_no_database_of_a_known_kind_is_refused(url: str) -> None:
    """The sentence says what to write instead, and repeats no password."""
    with pytest.raises(LedgerError, match=r"sqlite:///kit\.db") as refused:
        open_engines(url)

    assert "secret" not in str(refused.value)


def test_a_folder_instead_of_a_file_is_refused(tmp_path: Path) -> None:
    """With the system's own reason."""
    with pytest.raises(LedgerUnavailable, match="directory"):
        open_engines(f"sqlite:///{tmp_path}")


def test_a_place_where_nothing_can_be_made_is_refused(tmp_path: Path) -> None:
    """A folder that is a file cannot hold a ledger."""
    (tmp_path / "data").write_text("not a folder", encoding="utf-8")

    with pytest.raises(LedgerUnavailable, match=r"cannot open the ledger kit\.db"):
        open_engines(f"sqlite:///{tmp_path}/data/kit.db")


def make_folder(place: Path) -> None:
    """Put a folder in the way."""
    place.mkdir()


def make_garbage(place: Path) -> None:
    """Put something else in the way."""
    place.write_bytes(b"no database" * 500)


@pytest.mark.parametrize("block", [make_folder, make_garbage])
def test_an_owner_file_that_cannot_be_locked_is_not_another_process(
    path: Path, block: Callable[[Path], None]
) -> None:
    """The sentence names the file that is in the way."""
    block(path.with_name("kit.db.owner"))

    with pytest.raises(LedgerUnavailable, match=r"kit\.db\.owner"):
        open_engines(f"sqlite:///{path}")


def test_a_second_ledger_in_this_process_is_refused_too(path: Path, ledger: Ledger) -> None:
    """And the first goes on."""
    with pytest.raises(LedgerInUse, match=r"another process is using the ledger kit\.db"):
        open_engines(f"sqlite:///{path}")

    assert ledger.alive


def test_closing_gives_the_file_free(path: Path) -> None:
    """The next owner needs no waiting."""
    for _ in range(2):
        open_engines(f"sqlite:///{path}").close()


def test_a_refused_file_is_free_for_others(path: Path) -> None:
    """The owner's lock does not outlive the refusal."""
    path.write_bytes(b"garbage" * 1000)
    with pytest.raises(LedgerUnreadable):
        open_engines(f"sqlite:///{path}")
    path.unlink()

    open_engines(f"sqlite:///{path}").close()


def overwrite(path: Path, start: int, length: int) -> None:
    """Damage some bytes of a file."""
    with path.open("r+b") as file:
        file.seek(start)
        file.write(b"\xa5" * length)


def cut(path: Path, _start: int, length: int) -> None:
    """Lose the end of a file."""
    os.truncate(path, length)


@pytest.mark.parametrize(
    ("damage", "start", "length"),
    [
        pytest.param(overwrite, 0, 100, id="header"),
        pytest.param(overwrite, 100, 3996, id="schema"),
        pytest.param(overwrite, 0, 50_000, id="much"),
        pytest.param(cut, 0, 5000, id="cut"),
    ],
)
def test_a_damaged_file_is_refused_untouched(
    path: Path, damage: Callable[[Path, int, int], None], start: int, length: int
) -> None:
    """Nothing is created over what may still be saved; the sentence says how."""
    open_engines(f"sqlite:///{path}").close()
    damage(path, start, length)
    before = files(path.parent)

    with pytest.raises(LedgerUnreadable, match=r"left untouched.*recover"):
        open_engines(f"sqlite:///{path}")
    assert files(path.parent) == before


def test_a_newer_ledger_is_refused_untouched(path: Path) -> None:
    """The sentence names both schemas."""
    engines = open_engines(f"sqlite:///{path}")
    with engines.writing.begin() as connection:
        connection.execute(meta.update().values(value=str(SCHEMA_VERSION + 1)))
    engines.close()
    before = files(path.parent)

    with pytest.raises(LedgerUnreadable, match=f"schema {SCHEMA_VERSION + 1}.*{SCHEMA_VERSION}"):
        open_engines(f"sqlite:///{path}")
    assert files(path.parent) == before


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE events (id INTEGER PRIMARY KEY, title TEXT)",
        "CREATE TABLE meta (key TEXT, content TEXT)",
        "CREATE TABLE meta (name TEXT, value TEXT)",
    ],
)
def test_somebody_elses_database_is_refused_untouched(path: Path, statement: str) -> None:
    """Its tables, its mode and its bytes stay as they were."""
    with contextlib.closing(sqlite3.connect(path)) as theirs:
        theirs.execute(statement)
    before = files(path.parent)

    with pytest.raises(LedgerUnreadable, match="holds other tables"):
        open_engines(f"sqlite:///{path}")
    assert files(path.parent) == before


def test_a_locked_database_is_unavailable_not_damaged(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody copies it with the command line tool, say; later it can be opened."""
    monkeypatch.setattr("kit.ledger.sqlite.BUSY_TIMEOUT_MS", 10)
    open_engines(f"sqlite:///{path}").close()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(LedgerUnavailable, match="locked"):
            open_engines(f"sqlite:///{path}")

    open_engines(f"sqlite:///{path}").close()
