"""What piled up: behind a DataFast that was away, among the dead, or since the last backup."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert, select

from kit.actions import Done, replay
from kit.ledger import Ledger
from kit.ledger.mapping import Policy
from kit.ledger.replays import Selection
from kit.ledger.schema import deliveries
from kit.outcomes import HORIZON_S
from tests.test_forwarder import World, open_world

pytestmark = pytest.mark.anyio

DEAD = 10_000
SENT = 70
HOUR_S = 3600.0


async def posted(world: World) -> list[str]:
    """Return the transaction of each post that DataFast received, in order."""
    return [json.loads(each["body"])["transaction_id"] for each in await world.requests()]


async def test_30_a_black_hole_of_three_days_ends_without_a_stampede(tmp_path: Path) -> None:
    """What waits is sent at the usual pace: no 429, and each sale counts once."""
    async with open_world(tmp_path) as world:
        forwarder = world.forwarder()
        begun = world.clock.now
        await world.chaos("500")
        await world.record(payment_id="pay_old", metadata={})
        await world.settle(forwarder, within_s=HORIZON_S - 2 * HOUR_S)
        for number in range(SENT):
            await world.record(payment_id=f"pay_{number}", metadata={})
        before = len(await world.requests())
        await world.chaos("off")
        back = world.clock.now
        await world.settle(forwarder, within_s=2 * HOUR_S)
        after = (await world.requests())[before:]
        counted = await world.counted()

    assert back - begun > HORIZON_S - 3 * HOUR_S
    assert {each["status"] for each in after} == {200}
    assert len(after) == len(counted) == SENT + 1


async def test_58_ten_thousand_dead_rows_are_replayed_twice(tmp_path: Path) -> None:
    """Each release says exactly what it did; a limit of sixty a minute is kept all the while."""

    def bury(connection: Connection) -> None:
        [row] = connection.execute(select(deliveries)).mappings().all()
        dead = {**row, "state": "parked", "reason": "horizon", "due_at_ms": None}
        rows = [dead | {"transaction_id": f"dead_{number:05}"} for number in range(DEAD)]
        connection.execute(insert(deliveries), rows)

    async with open_world(tmp_path) as world:
        await world.record(metadata={})
        await world.forwarder(policy=Policy(held_for="test_mode")).step()
        await world.ledger.write(bury)

        async def raise_the_dead() -> Done:
            now_ms = world.ledger.now_ms()
            chosen = Selection(state="parked", reason="horizon")
            return await world.ledger.write(lambda c: replay(c, selection=chosen, now_ms=now_ms))

        forwarder = world.forwarder()
        first, again = await raise_the_dead(), await raise_the_dead()
        while len(await world.counted()) < SENT:
            if not await forwarder.step():
                world.clock.now += 1
        await world.ledger.write(_die_all)
        second = await raise_the_dead()
        while len(await posted(world)) < 2 * SENT:
            if not await forwarder.step():
                world.clock.now += 1
        statuses = {each["status"] for each in await world.requests()}
        counted = [transaction_id for transaction_id, _ in await world.counted()]
        posts = await posted(world)

    assert [each.changed for each in (first, again, second)] == [DEAD, 0, DEAD + 1]
    assert sorted(counted) == sorted(set(posts))
    assert len(posts) > len(counted)
    assert statuses == {200}


def _die_all(connection: Connection) -> None:
    dead = {"state": "parked", "reason": "horizon", "due_at_ms": None}
    connection.execute(deliveries.update().where(deliveries.c.kind == "sale").values(**dead))


async def test_60_a_backup_of_two_hours_ago_converges(tmp_path: Path) -> None:
    """Dodo sends again what came since; nothing counts twice that DataFast has already."""
    database, backup = tmp_path / "kit.db", tmp_path / "backup.db"
    async with open_world(tmp_path, rate_limit=100_000) as world:
        for number in range(20):
            await world.record(payment_id=f"pay_{number}", metadata={})
            if number == 9:
                await world.settle(world.forwarder(per_minute=60_000))
        with closing(sqlite3.connect(database)) as one, closing(sqlite3.connect(backup)) as two:
            one.backup(two)
        world.clock.now += 2 * HOUR_S
        for number in range(20, 30):
            await world.record(payment_id=f"pay_{number}", metadata={})
        await world.settle(world.forwarder(per_minute=60_000))
        before = await world.counted()
        world.ledger.close()
        _restore(backup, database)
        with closing(Ledger.open(f"sqlite:///{database}", clock=world.clock)) as restored:
            world.ledger, world.messages = restored, 20
            for number in range(20, 30):
                await world.record(payment_id=f"pay_{number}", metadata={})
            await world.settle(world.forwarder(per_minute=60_000))
            states = await restored.read(lambda c: set(c.scalars(select(deliveries.c.state))))
        after = await world.counted()

    assert len(before) == 30
    assert sorted(after) == sorted(before)
    assert states == {"done"}


def _restore(backup: Path, database: Path) -> None:
    for path in database.parent.glob(database.name + "*"):
        path.unlink()
    backup.rename(database)
