"""The clocks, by the `Date` of answers."""

from email.utils import formatdate

import pytest
from starlette.responses import Response
from starlette.types import ASGIApp

from kit.checks.clocks import check_clocks
from tests.checks.conftest import NOW, World, answering, app, reasons

pytestmark = pytest.mark.anyio


def at(offset_s: float) -> ASGIApp:
    """Be a server whose clock is off."""
    dated = Response(headers={"date": formatdate(NOW + offset_s, usegmt=True)})
    return app({"/": answering(dated), "/healthz": answering(dated)})


@pytest.mark.parametrize(
    ("dodo_s", "shop_s", "expected"),
    [
        (0, 0, ["clocks_agree", "clocks_agree"]),
        (-40, -40, ["clocks_agree", "clocks_agree"]),
        (90, 0, ["clocks_drift", "clocks_drift"]),
        (0, -200, ["clocks_agree", "clocks_drift"]),
        (600, 600, ["clock_wrong", "clocks_agree"]),
        (0, 600, ["clocks_agree", "clock_wrong"]),
        (-301, 0, ["clock_wrong", "clock_wrong"]),
    ],
)
async def test_three_clocks_are_compared(
    world: World, dodo_s: float, shop_s: float, expected: list[str]
) -> None:
    """The machine's own and the shop's with Dodo's, which stamps the messages."""
    world.dodo, world.shop = at(dodo_s), at(shop_s)

    assert reasons(await check_clocks(world.setup())) == expected


async def test_a_longer_tolerance_is_kept_to(world: World) -> None:
    """What the receiver would take is not called wrong."""
    world.dodo, world.shop = at(0), at(600)
    hops = await check_clocks(world.setup(KIT_WEBHOOK_TOLERANCE_S="7200"))

    assert reasons(hops) == ["clocks_agree", "clocks_agree"]


async def test_it_says_which_way_and_how_far(world: World) -> None:
    """In whole seconds."""
    world.dodo, world.shop = at(-900), at(-900)
    hops = await check_clocks(world.setup())

    assert (hops[0].seen, hops[0].expected) == ("900 s ahead of Dodo's", "at most 300 s")


@pytest.mark.parametrize("date", [None, "yesterday", "Thu, 99 Oct 2026 00:00:00 GMT"])
async def test_no_time_is_no_verdict(world: World, date: str | None) -> None:
    """Dodo away, or an answer without a date that can be read."""
    if date is not None:
        world.dodo = app({"/": answering(Response(headers={"date": date}))})

    assert reasons(await check_clocks(world.setup())) == ["clock_unknown"]
