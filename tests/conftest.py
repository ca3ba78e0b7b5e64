"""What all tests outside a browser share."""

import gc
import platform
import signal
import sqlite3
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from hypothesis import settings

from tests.databases import DATABASES, fresh_schema, running_postgres

# They download: `pytest tests/network` or `kit test --network` runs them, a bare `pytest` does not.
collect_ignore = ["network"]

# A shared machine is slow now and then: time says nothing about an example.
settings.register_profile("kit", deadline=None, max_examples=60)
settings.load_profile("kit")


def pytest_collection_finish() -> None:
    """Take what is imported and collected as there to stay: looking through it costs a tenth."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def anyio_backend() -> str:
    """Run async tests on asyncio: uvicorn, which serves the kit, runs on nothing else."""
    return "asyncio"


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """Run a PostgreSQL for as long as there are tests, and give its URL."""
    # Not below pytest's folder: every pytest that starts takes the other users' rights on it, and
    # under root the server runs as another user.
    with (
        tempfile.TemporaryDirectory(prefix="kit-pg-") as folder,
        running_postgres(Path(folder)) as url,
    ):
        yield url


@pytest.fixture
def postgres_url(postgres: str) -> Iterator[str]:
    """Give a test an empty database of its own."""
    with fresh_schema(postgres) as url:
        yield url


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Name an empty database, of each kind in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/kit.db"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Let processes hear Ctrl-C: what a shell runs in the background is deaf to it, and theirs."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def pytest_report_header() -> str:
    """Name what decides how a test behaves here."""
    return (
        f"kit: Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, "
        f"Starlette {version('starlette')}, SQLAlchemy {version('sqlalchemy')}, "
        f"psycopg {version('psycopg')}"
    )
