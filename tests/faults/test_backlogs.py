"""What piled up: behind a DataFast that was away, or since the last backup."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from kit.ledger import Ledger
from kit.ledger.schema import deliveries
from kit.outcomes import HORIZON_S
from tests.test_forwarder import open_world

pytestmark = pytest.mark.anyio

SENT = 70
HOUR_S = 3600.0


async def test_30_a_black_hole_of_three_days_ends_without_a_stampede(tmp_path: Path) -> None:
    """What waits is sent at the usual pace: no 429, and each sale counts once."""
    async with open_world(tmp_path) as world:
        forwarder = replace(world.forwarder(), jitter=lambda: 1.0)
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
