"""What the faults need beside the databases that all tests share."""

import os
from pathlib import Path

import pytest

# Forks, kills and limits of a POSIX system.
collect_ignore = (
    [] if os.name == "posix" else [path.name for path in Path(__file__).parent.glob("test_*.py")]
)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """Name an empty SQLite file."""
    return f"sqlite:///{tmp_path}/kit.db"
