"""The ledger's time, which leases and retries are measured by."""

import time
from collections.abc import Callable


class SteadyClock:
    """
    Unix seconds that only go forward, however the machine's own clock is set.

    Where `follow_host`, it catches up with a host's clock that is ahead: what falls due early does
    no harm, what falls due an hour late does. A host's clock that was set back is not followed.
    Where processes on many machines share a database, `set` gives them its time instead.
    """

    def __init__(
        self,
        *,
        follow_host: bool = True,
        host: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._follow_host = follow_host
        self._host = host
        self._monotonic = monotonic
        self._base = host() - monotonic()

    def set(self, now: float) -> None:
        """Take over the time of a database."""
        self._base = now - self._monotonic()

    def __call__(self) -> float:
        """Return the time in Unix seconds."""
        if self._follow_host:
            self._base = max(self._base, self._host() - self._monotonic())
        return self._base + self._monotonic()
