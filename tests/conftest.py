"""What all tests outside a browser share."""

import platform
import sqlite3
from importlib.metadata import version

import pytest
from hypothesis import settings

# They download: `pytest tests/network` or `kit test --network` runs them, a bare `pytest` does not.
collect_ignore = ["network"]

# A shared machine is slow now and then: time says nothing about an example.
settings.register_profile("kit", deadline=None, max_examples=60)
settings.load_profile("kit")


@pytest.fixture
def anyio_backend() -> str:
    """Run async tests on asyncio: uvicorn, which serves the kit, runs on nothing else."""
    return "asyncio"


def pytest_report_header() -> str:
    """Name what decides how a test behaves here."""
    return (
        f"kit: Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, "
        f"Starlette {version('starlette')}, SQLAlchemy {version('sqlalchemy')}"
    )
