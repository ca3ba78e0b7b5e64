"""The worker that the settings make: how it counts, what it sends to, and its life in a server."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

from kit.datafast import DataFastClient
from kit.dodo import DodoClient
from kit.forwarder import Forwarder
from kit.ledger import Ledger
from kit.ledger.lanes import lane_name
from kit.ledger.policy import Policy
from kit.lookups import Lookups
from kit.sender import Pace
from kit.settings import Settings

# How long a forwarder that failed rests before it is started again, doubled each time.
FIRST_PAUSE_S = 1.0
MAX_PAUSE_S = 60.0

_log = logging.getLogger(__name__)


def compose_policy(settings: Settings) -> Policy:
    """Tell how this shop counts."""
    return Policy(
        basis=settings.revenue_basis,
        send_customer=settings.send_customer,
        brands=settings.brands,
        held_for="test_mode" if settings.holds_test_payments else None,
        reverse_disputes=settings.disputes == "reverse",
        hold_s=settings.hold_s,
    )


def compose_forwarder(
    settings: Settings,
    *,
    ledger: Ledger,
    dodo: DodoClient,
    datafast: DataFastClient,
    pace: Pace | None = None,
) -> Forwarder:
    """Put a worker together, inside the app or alone."""
    lane = lane_name(settings.datafast_base_url, settings.datafast_api_key.reveal())
    policy = compose_policy(settings)
    pace = replace(pace or Pace(), lane=lane, per_minute=settings.datafast_rate)
    return Forwarder(
        ledger,
        Lookups(ledger, dodo),
        datafast,
        policy,
        pace,
        retention_days=settings.retention_days,
    )


class Work:
    """The forwarder's task, for as long as the app lives; one that fails is started again."""

    def __init__(self, forwarder: Forwarder) -> None:
        self._forwarder = forwarder
        self._stopping = asyncio.Event()
        self._runs = False

    def running(self) -> bool:
        """Tell whether it works at this moment."""
        return self._runs

    @asynccontextmanager
    async def started(self) -> AsyncIterator[None]:
        """Let it work until the block ends, and wait for its end."""
        task = asyncio.create_task(self._work(), name="forwarder")
        try:
            yield
        finally:
            self._stopping.set()
            self._forwarder.stop()
            await task

    async def _work(self) -> None:
        now = asyncio.get_running_loop().time
        pause_s = FIRST_PAUSE_S
        while not self._stopping.is_set():
            self._runs, began = True, now()
            try:
                await self._forwarder.run()
            except Exception:
                # Webhooks are still taken; whoever asks is told that they are not sent on.
                self._runs = False
                _log.critical("the forwarder has stopped; in %.0f s again", pause_s, exc_info=True)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause_s)
            lasted = now() - began > MAX_PAUSE_S
            pause_s = FIRST_PAUSE_S if lasted else min(MAX_PAUSE_S, pause_s * 2)
