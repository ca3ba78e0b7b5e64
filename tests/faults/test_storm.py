"""The short storms, and that their sums would show a loss; `python -m tests.faults` is long."""

import random
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from kit.sandbox.revenue import REVENUE
from tests.faults.monkey import Monkey
from tests.faults.outside import Outside, outside, rows
from tests.faults.process import SERVE, WORK, kit
from tests.faults.storm import Storm, storm

pytestmark = pytest.mark.anyio


async def test_a_storm_on_sqlite_loses_nothing_and_doubles_nothing(
    tmp_path: Path, sqlite_url: str
) -> None:
    """Kills at random points, and DataFast drops what has no visitor that it knows."""
    account = await storm(tmp_path, sqlite_url, kills=4, keep_unattributed=False, seed=1)

    assert (account.missing, account.effects_not_one, account.stuck) == (0, 0, 0)
    assert account.repeats <= account.allowed_repeats
    assert account.acknowledged > 10


async def test_a_storm_on_postgres_with_three_processes_loses_nothing_and_doubles_nothing(
    tmp_path: Path, postgres_url: str
) -> None:
    """Two servers and a worker, killed in turn while the database goes away and comes back."""
    account = await storm(
        tmp_path,
        postgres_url,
        kills=4,
        processes=(SERVE, SERVE, WORK),
        seed=2,
        monkey=Monkey(postgres_url),
    )

    assert (account.missing, account.effects_not_one, account.stuck) == (0, 0, 0)
    assert account.repeats <= account.allowed_repeats
    assert account.acknowledged > 10


def steal(world: Outside, url: str, transaction_id: str) -> None:
    """Let DataFast lose a payment."""
    world.datafast.delete(REVENUE, transaction_id)


def falsify(world: Outside, url: str, transaction_id: str) -> None:
    """Let DataFast have another amount."""
    payment = world.counted()[transaction_id]
    world.datafast.put(REVENUE, transaction_id, payment | {"amount": "0.01"})


def double(world: Outside, url: str, transaction_id: str) -> None:
    """Let DataFast count a payment under a second id."""
    payment = world.counted()[transaction_id]
    world.datafast.put(REVENUE, "another", payment | {"transaction_id": "another"})


def forget(world: Outside, url: str, transaction_id: str) -> None:
    """Let the ledger lose a message."""
    with create_engine(url).begin() as connection:
        connection.exec_driver_sql("DELETE FROM events WHERE webhook_id = 'msg_first'")


async def test_the_sums_show_a_loss(tmp_path: Path, sqlite_url: str) -> None:
    """Whoever counts must be seen to count: each fault, made by hand, is a figure of its own."""
    figures = {}
    async with outside(tmp_path) as world:
        with kit(tmp_path, sqlite_url, **world.environ) as shop:
            blown = Storm(world, [shop], sqlite_url, random.Random(3))
            before = await blown.run(0)
            for spoil in (steal, falsify, double, forget):
                [transaction_id, *_] = sorted(world.counted())
                counted = world.counted()
                spoil(world, sqlite_url, transaction_id)
                after = blown.account()
                figures[spoil.__name__] = (after.missing, after.effects_not_one)
                for each, payment in counted.items():
                    world.datafast.put(REVENUE, each, payment)
                world.datafast.delete(REVENUE, "another")
        left = rows(sqlite_url, "deliveries")

    assert (before.missing, before.effects_not_one, before.stuck) == (0, 0, 0)
    assert len(left) == before.transactions
    assert figures == {"steal": (1, 1), "falsify": (0, 1), "double": (0, 1), "forget": (1, 0)}
