"""Ask Dodo no faster than agreed: its limit is the account's, and the checkout needs it too."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from kit.errors import DodoError, KitError, TransportError

T = TypeVar("T")

_log = logging.getLogger(__name__)

PER_MINUTE = 120.0
"""Half of the 240 that Dodo allows an account of the lowest tier (dodo/api-reference)."""
BURST = 20.0
TRIES = 7
FIRST_WAIT_S = 1.0
MAX_WAIT_S = 60.0
RATE_LIMITED_WAIT_S = 15.0


@dataclass(slots=True)
class Pacer:
    """A budget of calls; in no minute are there more. `clock` gives seconds, `sleep` waits."""

    clock: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    per_minute: float = PER_MINUTE
    _tokens: float = field(init=False)
    _since: float = field(init=False)

    def __post_init__(self) -> None:
        self._tokens, self._since = self._burst, self.clock()

    @property
    def _burst(self) -> float:
        return max(min(BURST, self.per_minute / 2), 1.0)

    async def call(self, request: Callable[[], Awaitable[T]]) -> T:
        """
        Make a call to Dodo in its turn, and again while there is hope.

        Raises DodoError for a refusal that will stay, KitError for a key that may not read, and
        DodoError or TransportError when Dodo gives no answer for minutes.
        """
        for number in range(1, TRIES + 1):
            await self._take_turn()
            try:
                return await request()
            except DodoError as refusal:
                if refusal.status in (401, 403):
                    raise KitError(
                        f"{refusal}: DODO_PAYMENTS_API_KEY may not read this account's payments; "
                        "make a key for the environment in DODO_PAYMENTS_ENVIRONMENT"
                    ) from None
                if not refusal.retryable or number == TRIES:
                    raise
                least_s = RATE_LIMITED_WAIT_S if refusal.status == 429 else 0.0
                problem: KitError = refusal
            except TransportError as silence:
                if number == TRIES:
                    raise
                least_s, problem = 0.0, silence
            wait_s = max(min(FIRST_WAIT_S * 2.0**number, MAX_WAIT_S), least_s)
            _log.warning("%s; asking again in %.0f s", problem, wait_s)
            await self.sleep(wait_s)
        raise AssertionError("the last try returns or raises")

    async def _take_turn(self) -> None:
        now = self.clock()
        refill_per_s = (self.per_minute - self._burst) / 60 or self.per_minute / 120
        self._tokens = min(self._tokens + max(now - self._since, 0) * refill_per_s, self._burst)
        self._since = now
        self._tokens -= 1
        if self._tokens < 0:
            await self.sleep(-self._tokens / refill_per_s)
