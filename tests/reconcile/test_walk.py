"""A walk through lists whose pages are capped, in each of the ways that Dodo leaves open."""

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest

from kit.dodo import PAGE_SIZE, DodoClient
from kit.errors import DodoError, KitError
from kit.reconcile.kinds import PAYMENT, REFUND
from kit.reconcile.pacing import Pacer
from kit.reconcile.walk import MAX_PAGES, Walk, Window, created_ms
from kit.transport import open_client

pytestmark = pytest.mark.anyio

OPENED = datetime(2026, 10, 1, tzinfo=UTC)
DAYS = 40
Answer = Callable[[int, Sequence[dict[str, Any]]], httpx.Response]


def as_page(items: Sequence[dict[str, Any]]) -> httpx.Response:
    """Return a page of a list."""
    return httpx.Response(200, json={"items": items})


def honest(number: int, matching: Sequence[dict[str, Any]]) -> httpx.Response:
    """Answer any page."""
    return as_page(matching[number * PAGE_SIZE : (number + 1) * PAGE_SIZE])


def repeating(number: int, matching: Sequence[dict[str, Any]]) -> httpx.Response:
    """Answer the last page that is allowed for every later one."""
    return honest(min(number, 4), matching)


def empty(number: int, matching: Sequence[dict[str, Any]]) -> httpx.Response:
    """Answer nothing beyond the cap."""
    return honest(number, matching) if number < 5 else as_page([])


def refusing(number: int, matching: Sequence[dict[str, Any]]) -> httpx.Response:
    """Refuse whatever is beyond the cap."""
    if number < 5:
        return honest(number, matching)
    return httpx.Response(422, json={"code": "INVALID_REQUEST_BODY", "message": "too deep"})


def short(number: int, matching: Sequence[dict[str, Any]]) -> httpx.Response:
    """Answer half of what was asked for, although there is more."""
    return as_page(matching[number * 50 : (number + 1) * 50])


class Lists:
    """Dodo's lists: what was created when, and how a page is answered."""

    def __init__(self, moments: Sequence[datetime], answer: Answer = honest) -> None:
        self.items = [
            {"payment_id": f"pay_{number}", "refund_id": f"ref_{number}", "created_at": at}
            for number, at in enumerate(
                moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
                for moment in sorted(moments, reverse=True)
            )
        ]
        self.answer = answer
        self.asked: list[dict[str, str]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        query = dict(parse_qsl(request.url.query.decode()))
        self.asked.append({"path": request.url.path} | query)
        since, until = (
            datetime.fromisoformat(query[name]) for name in ("created_at_gte", "created_at_lte")
        )
        # The limits themselves are left out here: Dodo does not say.
        matching = [
            item
            for item in self.items
            if since < datetime.fromisoformat(str(item["created_at"])) < until
        ]
        return self.answer(int(query["page_number"]), matching)

    async def walk(
        self, *, until: datetime = OPENED + timedelta(days=DAYS)
    ) -> list[tuple[Window, Mapping[str, Sequence[Mapping[str, Any]]]]]:
        """Walk through all of it."""
        transport = httpx.MockTransport(self)
        dodo = DodoClient(open_client(transport), api_key="dodo_test_x", base_url="http://dodo")
        since_ms, until_ms = (int(moment.timestamp() * 1000) for moment in (OPENED, until))
        walk = Walk(dodo, pacer(), [PAYMENT, REFUND], since_ms, until_ms)
        async with contextlib.aclosing(walk.windows()) as windows:
            return [each async for each in windows]


def pacer() -> Pacer:
    """Return one that waits for nothing."""

    async def sleep(_seconds: float) -> None:
        return None

    return Pacer(lambda: 0.0, sleep, per_minute=1_000_000)


def spread(size: int, *, busy: int = 0) -> list[datetime]:
    """Return so many moments over the days, and `busy` more within one hour."""
    step = timedelta(days=DAYS) / max(size, 1)
    hour = OPENED + timedelta(days=20)
    rush = [hour + timedelta(hours=1) * number / max(busy, 1) for number in range(busy)]
    return [OPENED + step * number for number in range(size)] + rush


def seen(windows: list[tuple[Window, Mapping[str, Sequence[Mapping[str, Any]]]]]) -> list[str]:
    """Return the ids in the order in which they were seen."""
    return [str(item["payment_id"]) for _, listed in windows for item in listed["payment"]]


@pytest.mark.parametrize("answer", [honest, repeating, empty, refusing, short])
@pytest.mark.parametrize(("size", "busy"), [(0, 0), (1, 0), (500, 0), (300, 1500)])
async def test_everything_is_seen_once_however_pages_are_capped(
    answer: Answer, size: int, busy: int
) -> None:
    """No window is taken for whole that may have been cut off."""
    lists = Lists(spread(size, busy=busy), answer)
    windows = await lists.walk()

    assert sorted(seen(windows)) == sorted(str(item["payment_id"]) for item in lists.items)
    assert sum(len(listed["refund"]) for _, listed in windows) == size + busy


@pytest.mark.parametrize("size", [PAGE_SIZE, 2 * PAGE_SIZE, 5 * PAGE_SIZE])
async def test_full_pages_and_then_none_may_be_a_cap_or_an_end(size: int) -> None:
    """So the window is halved, until its last page is not full."""
    lists = Lists([OPENED + timedelta(minutes=number) for number in range(size)], empty)
    windows = await lists.walk()

    assert len(seen(windows)) == len(set(seen(windows))) == size


async def test_windows_follow_one_another_without_a_gap() -> None:
    """From the first moment to just before the last, the oldest first."""
    windows = [window for window, _ in await Lists(spread(500, busy=1500)).walk()]

    assert windows[0].since_ms == int(OPENED.timestamp() * 1000)
    assert windows[-1].until_ms - windows[0].since_ms == DAYS * 86_400_000
    assert [each.until_ms for each in windows[:-1]] == [each.since_ms for each in windows[1:]]


async def test_quiet_years_take_few_calls() -> None:
    """Windows grow while there is little in them."""
    lists = Lists([])
    await lists.walk(until=OPENED + timedelta(days=10 * 365))

    assert len(lists.asked) <= 2 * 18


async def test_no_window_asks_for_more_pages_than_agreed() -> None:
    """The cap is not known; ten pages are thought to be below it."""
    lists = Lists(spread(0, busy=3000))
    await lists.walk()

    assert max(int(query["page_number"]) for query in lists.asked) < MAX_PAGES
    assert {query["page_size"] for query in lists.asked} == {str(PAGE_SIZE)}


@pytest.mark.parametrize("offset_ms", [0, 1, -1], ids=["at", "after", "before"])
async def test_the_borders_of_windows_lose_nothing(offset_ms: int) -> None:
    """Whether Dodo counts the limits in is not documented."""
    day = timedelta(days=1)
    border = timedelta(milliseconds=offset_ms)
    moments = [OPENED + day * number + border for number in range(1, 39)]
    lists = Lists(moments)

    assert sorted(seen(await lists.walk())) == sorted(f"pay_{n}" for n in range(len(moments)))


async def test_what_lies_outside_the_period_is_left_out() -> None:
    """The list is asked for a second more on both sides."""
    lists = Lists([OPENED - timedelta(milliseconds=1), OPENED + timedelta(days=DAYS)])

    assert seen(await lists.walk()) == []


async def test_a_second_that_is_too_full_is_named() -> None:
    """Rather than taken for whole."""
    lists = Lists([OPENED + timedelta(days=3)] * 900, repeating)
    with pytest.raises(KitError, match=r"of one second \(2026-10-0[34]"):
        await lists.walk()


async def test_a_second_may_hold_more_than_ten_pages_where_dodo_gives_them() -> None:
    """A sale of many at once is no error."""
    lists = Lists([OPENED + timedelta(days=3)] * 1100)

    assert len(seen(await lists.walk())) == 1100


async def test_a_refusal_of_a_first_page_is_the_callers() -> None:
    """It has nothing to do with depth."""
    lists = Lists([], lambda _number, _items: httpx.Response(422, json={"message": "no"}))
    with pytest.raises(DodoError, match="422"):
        await lists.walk()


async def test_an_object_without_a_name_is_passed_over() -> None:
    """Nothing can be said of it."""
    lists = Lists([OPENED])
    lists.items[0]["payment_id"] = "pay\n1"

    assert seen(await lists.walk()) == []


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-10-01T00:00:00Z", 1_790_812_800_000),
        ("2026-10-01T02:00:00.000999+02:00", 1_790_812_800_000),
        ("2026-10-01T00:00:00", 1_790_812_800_000),
        ("yesterday", None),
        (None, None),
        (1_790_812_800, None),
        ("0001-01-01T00:00:00+23:59", None),
    ],
)
def test_when_an_object_was_created(value: object, expected: int | None) -> None:
    """Without an offset it is UTC; what is no moment is none."""
    document = json.loads(json.dumps({"created_at": value}))
    found = created_ms(document)

    assert found == expected or (expected is None and (found is None or found < 0))
