"""A real minute and more at DataFast's limit, to see whether anybody is ever refused."""

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.faults.outside import Webhook, eventually, outside
from tests.faults.process import kit

LIMIT, WINDOW_S = 60, 60.0
SALES = 75
TAKES_WITHIN_S = 180.0


@dataclass(frozen=True, slots=True)
class Pace:
    """What DataFast answered to more sales than one of its minutes allows."""

    calls: int
    refused: int
    """Answers of 429."""
    most_in_a_minute: int
    """Calls in the fullest minute, wherever it begins."""
    seconds: float

    def as_json(self) -> dict[str, float]:
        """Return the figures by name."""
        return {
            "paced_calls": self.calls,
            "provoked_429": self.refused,
            "most_in_a_minute": self.most_in_a_minute,
            "paced_seconds": self.seconds,
        }


async def keep_pace(folder: Path, database_url: str, processes: Sequence[Sequence[str]]) -> Pace:
    """Sell more than a minute's worth at once, at the rate that is the default."""
    async with outside(folder, rate_limit=LIMIT, window_s=WINDOW_S) as world:
        webhooks = [
            Webhook(f"msg_{number}", world.sell(f"pay_{number}")) for number in range(SALES)
        ]
        with contextlib.ExitStack() as stack:
            shops = [
                stack.enter_context(
                    kit(
                        folder,
                        database_url,
                        f"kit{number}",
                        arguments,
                        **world.environ,
                        KIT_DATAFAST_RATE="50",
                    )
                )
                for number, arguments in enumerate(processes)
            ]
            for shop in shops:
                shop.start()
            url = await shops[0].up()
            began = time.monotonic()
            for webhook in webhooks:
                await world.insist(webhook, lambda: url)
            await eventually(lambda: len(world.counted()) == SALES, within_s=TAKES_WITHIN_S)
            seconds = time.monotonic() - began
            for shop in shops:
                assert await shop.stop() == 0
        statuses, moments = world.statuses(), world.moments()
    fullest = max(sum(begin <= each < begin + WINDOW_S for each in moments) for begin in moments)
    return Pace(sum(statuses.values()), statuses[429], fullest, round(seconds, 1))
