"""The clocks: Dodo's stamps its messages, and whoever verifies must agree with it."""

from collections.abc import Iterator
from email.utils import parsedate_to_datetime

from kit.checks.setup import Setup, header
from kit.errors import TransportError
from kit.helpers.dodo_datafast import dodo_url
from kit.hops import Hop
from kit.transport import Reply

DRIFT = 5
"""A clock is said to drift when it has gone this part of the way to the tolerance."""


async def check_clocks(setup: Setup) -> list[Hop]:
    """Compare this machine's clock and the shop's with Dodo's, by the `Date` of answers."""
    settings = setup.settings
    base = dodo_url(settings.dodo_environment, settings.dodo_base_url)
    dodo = await _offset(setup, f"{base}/")
    if dodo is None:
        return [Hop("Clock", "clock_unknown", expected="a Date in Dodo's answer")]
    shop = await _offset(setup, f"{settings.base_url}/healthz")
    return [*_compared("This machine's clock", -dodo, settings.webhook_tolerance_s)] + (
        [*_compared("The shop's clock", shop - dodo, settings.webhook_tolerance_s)]
        if shop is not None
        else []
    )


async def _offset(setup: Setup, url: str) -> float | None:
    """Return by how many seconds whoever answers is ahead of us, or None where nobody says."""
    before = setup.clock()
    try:
        reply = await setup.ask("GET", url)
    except TransportError:
        return None
    told = told_time(reply)
    # Half a second, because a Date is cut off to whole ones.
    return None if told is None else told + 0.5 - (before + setup.clock()) / 2


def told_time(reply: Reply) -> float | None:
    """Read the `Date` of an answer, in Unix seconds."""
    try:
        return parsedate_to_datetime(header(reply, "date")).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


def _compared(name: str, ahead_s: float, tolerance_s: int) -> Iterator[Hop]:
    apart = abs(ahead_s)
    reason = "clocks_agree"
    if apart > tolerance_s:
        reason = "clock_wrong"
    elif apart > tolerance_s / DRIFT:
        reason = "clocks_drift"
    seen = f"{apart:.0f} s {'ahead of' if ahead_s > 0 else 'behind'} Dodo's"
    yield Hop(name, reason, seen=seen, expected=f"at most {tolerance_s} s")
