"""Two thousand payments, of which 37 never came, 5 were misreported and 3 reported twice."""

from collections import Counter
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.reconcile.conftest import Scene, brief, open_scene
from tests.reconcile.history import History, write

pytestmark = pytest.mark.anyio

DATAFAST_ALLOWS = 60
DODO_ALLOWS = 240


def named(*numbers: int) -> frozenset[str]:
    """Return the ids of payments."""
    return frozenset(f"pay_{number}" for number in numbers)


HISTORY = History(
    size=2000,
    missing=named(*range(11, 11 + 37 * 50, 50)),
    doubled=named(1, 900, 1999),
    dearer=named(2, 1200),
    misreported=named(3, 1502),
    unpaid=named(604),
)
COUNTS = {"taken_in": 37, "mismatched": 5, "doubled": 3}


@pytest.fixture
async def scene(tmp_path: Path, database_url: str) -> AsyncIterator[Scene]:
    """Open a shop whose DataFast allows as many calls as the real one."""
    async with open_scene(tmp_path, database_url, rate_limit=DATAFAST_ALLOWS) as opened:
        await opened.begin()
        opened.per_minute = 50
        await write(opened, HISTORY)
        yield opened


def busiest_minute(requests: list[dict[str, Any]]) -> int:
    """Return how many there are in any sixty seconds."""
    moments = (datetime.fromisoformat(each["received_at"]) for each in requests)
    seconds = sorted(moment.timestamp() for moment in moments)
    return max(
        sum(start <= other < start + 60 for other in seconds[place:])
        for place, start in enumerate(seconds)
    )


async def test_it_finds_exactly_those_and_sends_what_is_missing(scene: Scene) -> None:
    """In a walk that no page cap cuts short, at a pace that neither service refuses."""
    report = await scene.reconcile(send=True)
    fates = await scene.follow(report)
    again = await scene.reconcile()
    at_dodo = (await scene.shop.dodo.get("/_sandbox/requests")).json()
    posted = await scene.at_datafast("requests", path="/api/v1/payments")
    counted = {each["transaction_id"] for each in await scene.at_datafast("payments")}
    found = {what: {each.id for each in report.found if each.what == what} for what in COUNTS}

    assert report.counts == COUNTS
    assert found == {
        "taken_in": HISTORY.missing,
        "mismatched": HISTORY.mismatched,
        "doubled": HISTORY.doubled,
    }
    assert Counter(each.hop.reason for each in report.found if each.what == "mismatched") == {
        "figure_differs": 4,
        "not_paid_at_dodo": 1,
    }
    assert report.seen == {"payments": 2000, "refunds": 40, "disputes": 0}
    assert Counter((fate.standing, fate.verdict) for fate in fates) == {("sent", "attributed"): 37}

    assert brief(again) == [each for each in brief(report) if each[0] != "taken_in"]
    assert counted - HISTORY.missing == {"pay_pattern", "ref_pattern"}
    assert (report.left_out, again.left_out) == (0, 0)

    assert {each["status"] for each in (*posted, *at_dodo)} == {200}
    assert busiest_minute(posted) <= 50
    assert busiest_minute(at_dodo) <= DODO_ALLOWS
    # The day on which a third of all sales was made is longer than ten pages together.
    assert max(int(each["query"].get("page_number", 0)) for each in at_dodo) == 9
