"""A database that is full, damaged, stopped or restarted under a process that goes on."""

import asyncio
import signal
from pathlib import Path

import httpx
import pytest
from sqlalchemy import create_engine

from tests.faults.monkey import Monkey
from tests.faults.outside import PAYMENTS, Outside, Webhook, eventually, outside, rows
from tests.faults.process import kit
from tests.ledger.test_versions import write_version

pytestmark = pytest.mark.anyio

LOOK_S = 0.02
WITHIN_S = 20.0


async def post(world: Outside, webhook: Webhook, url: str) -> tuple[int, str | None]:
    """Deliver once; returns the status and when to come back."""
    answer = await world.http.post(
        f"{url}/webhooks/dodo", content=webhook.body, headers=webhook.headers(), timeout=WITHIN_S
    )
    return answer.status_code, answer.headers.get("retry-after")


async def readiness(world: Outside, url: str, status: int) -> httpx.Response:
    """Ask until readiness is of that colour; a commit of the last second counts as fresh."""
    async with asyncio.timeout(WITHIN_S):
        while (answer := await world.http.get(f"{url}/readyz")).status_code != status:
            await _a_moment()
    return answer


async def _a_moment() -> None:
    await asyncio.sleep(LOOK_S)


async def test_13_a_postgres_that_is_stopped_is_503_until_it_is_back(
    tmp_path: Path, postgres_url: str
) -> None:
    """The kit is not restarted; what was refused comes again, and everything is reported."""
    monkey = Monkey(postgres_url)
    async with outside(tmp_path) as world:
        first, second = (Webhook(f"msg_{n}", world.sell(f"pay_{n}")) for n in range(2))
        with kit(tmp_path, postgres_url, **world.environ) as shop:
            shop.start()
            url = await shop.up()
            before = await post(world, first, url)
            await readiness(world, url, 200)
            await asyncio.to_thread(monkey.stop)
            during = await post(world, second, url)
            red = await readiness(world, url, 503)
            live = (await world.http.get(f"{url}/healthz")).status_code
            await asyncio.to_thread(monkey.start)
            await readiness(world, url, 200)
            after = await post(world, second, url)
            counted = await eventually(lambda: len(world.counted()) == 2)

    assert (before, during, after) == ((200, None), (503, "5"), (200, None))
    assert (red.headers["retry-after"], live) == ("5", 200)
    assert counted


async def test_9_10_a_full_disk_is_503_until_there_is_room(tmp_path: Path, sqlite_url: str) -> None:
    """
    No 200 without a row, and no report lost: one was under way when the disk filled up.

    Its answer cannot be written down, so it is sent again under the same id.
    """
    async with outside(tmp_path) as world:
        under_way, refused = (Webhook(f"msg_{n}", world.sell(f"pay_{n}")) for n in range(2))
        await world.chaos(world.datafast_url, "drip", path=PAYMENTS, times=1, after=True)
        with kit(tmp_path, sqlite_url, **world.environ) as shop:
            shop.start("a disk that fills")
            url = await shop.up()
            taken = await post(world, under_way, url)
            await eventually(world.counted)
            shop.signal(signal.SIGUSR1)
            red = await readiness(world, url, 503)
            during = await post(world, refused, url)
            await eventually(lambda: "not written" in shop.log.read_text())
            kept = [row["webhook_id"] for row in rows(sqlite_url, "events")]
            shop.signal(signal.SIGUSR2)
            after = await post(world, refused, url)
            green = await readiness(world, url, 200)
            await eventually(
                lambda: all(each["verdict"] for each in rows(sqlite_url, "deliveries"))
            )
        counted, posts = set(world.counted()), world.posts()

    assert (taken, during, after) == ((200, None), (503, "5"), (200, None))
    assert kept == ["msg_0"]
    assert (red.headers["retry-after"], green.status_code) == ("5", 200)
    assert counted == {"pay_0", "pay_1"}
    assert posts["pay_0"] >= 2


async def test_12_a_second_server_on_a_file_is_refused(tmp_path: Path, sqlite_url: str) -> None:
    """It ends at once and says why; the first one serves on."""
    async with outside(tmp_path) as world:
        with (
            kit(tmp_path, sqlite_url, "first", **world.environ) as first,
            kit(tmp_path, sqlite_url, "second", **world.environ) as second,
        ):
            first.start()
            url = await first.up()
            second.start()
            code = await second.ended()
            said = second.log.read_text()
            ready = (await world.http.get(f"{url}/readyz")).status_code

    assert (code, ready) == (1, 200)
    assert "another process is using the ledger kit.db" in said


async def test_15_a_damaged_file_is_refused_and_not_replaced(
    tmp_path: Path, sqlite_url: str
) -> None:
    """The sentence says how to save what can be read."""
    damaged = b"SQLite format 3\x00" + b"\xff" * 8176
    (tmp_path / "kit.db").write_bytes(damaged)
    async with outside(tmp_path) as world:
        with kit(tmp_path, sqlite_url, **world.environ) as shop:
            shop.start()
            code = await shop.ended()
            said = shop.log.read_text()

    assert code == 1
    assert "sqlite3 kit.db .recover" in said
    assert (tmp_path / "kit.db").read_bytes() == damaged


async def test_59_what_an_older_kit_had_under_way_is_finished_by_this_one(
    tmp_path: Path, database_url: str
) -> None:
    """Its tables are brought up to date at the start; an older kit then leaves them alone."""
    write_version(database_url, 1)
    async with outside(tmp_path) as world:
        with kit(tmp_path, database_url, **world.environ) as shop:
            shop.start()
            await shop.up()
            counted = list(await eventually(world.counted))
            await eventually(lambda: rows(database_url, "deliveries")[0]["verdict"])
    [event] = rows(database_url, "events")

    assert counted == ["pay_1"]
    assert event["state"] == "unreadable"  # an empty object, which was waiting to be read


async def test_59_what_a_newer_kit_wrote_is_refused(tmp_path: Path, sqlite_url: str) -> None:
    """With both versions in the sentence, before anything is taken."""
    write_version(sqlite_url, 1)
    with create_engine(sqlite_url).begin() as connection:
        connection.exec_driver_sql("UPDATE meta SET value = '99'")
    with kit(tmp_path, sqlite_url, DATAFAST_BASE_URL="http://127.0.0.1:9") as shop:
        shop.start()
        code = await shop.ended()
        said = shop.log.read_text()

    assert code == 1
    assert "schema 99" in said
