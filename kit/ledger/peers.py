"""The other processes on a shared database: what they store, and the time that all go by."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from kit.ledger.rows import CHANNEL

LOOK_S = 0.5
CLOCK_EVERY_S = 30.0
RECONNECT_S = 1.0


class Peers:
    """
    One connection that listens; while it is away, the forwarder looks once a second.

    `engine` must keep no connections: one that listens is of no use to anybody else.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._stopped = threading.Event()

    def now(self) -> float:
        """Return the server's time in Unix seconds. Raises DBAPIError."""
        with self._engine.connect() as connection:
            return _time(connection)

    def watch(self, *, news: Callable[[], None], now: Callable[[float], None]) -> None:
        """Call `news`, in a thread, when messages were stored; and `now` at times with the time."""
        thread = threading.Thread(
            target=self._run, args=(news, now), name="ledger-watch", daemon=True
        )
        thread.start()

    def stop(self) -> None:
        """End the watch within half a second; nobody needs to wait for it."""
        self._stopped.set()

    def _run(self, news: Callable[[], None], now: Callable[[float], None]) -> None:
        driver = self._engine.dialect.loaded_dbapi
        while not self._stopped.is_set():
            with suppress(DBAPIError, driver.Error):
                self._listen(news, now)
            self._stopped.wait(RECONNECT_S)

    def _listen(self, news: Callable[[], None], now: Callable[[float], None]) -> None:
        with self._engine.connect() as connection:
            connection.exec_driver_sql(f"LISTEN {CHANNEL}")
            news()  # of what came while nobody listened
            read_at = time.monotonic()
            while not self._stopped.is_set():
                if time.monotonic() - read_at >= CLOCK_EVERY_S:
                    now(_time(connection))
                    read_at = time.monotonic()
                driver: Any = connection.connection.driver_connection
                for _ in driver.notifies(timeout=LOOK_S, stop_after=1):
                    news()


def _time(connection: Connection) -> float:
    found = connection.exec_driver_sql("SELECT extract(epoch FROM clock_timestamp())::float8")
    return float(found.scalar_one())
