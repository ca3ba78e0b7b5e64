"""The short storms, and that their sums would show a loss; `python -m tests.faults` is long."""

import asyncio
import contextlib
import random
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from kit.sandbox.revenue import REVENUE
from tests.faults.monkey import Monkey
from tests.faults.outside import Outside, outside, rows
from tests.faults.process import SERVE, WORK, kit
from tests.faults.storm import Storm

pytestmark = pytest.mark.anyio


async def test_storms_on_both_databases_lose_nothing_and_double_nothing(
    tmp_path: Path, sqlite_url: str, postgres_url: str
) -> None:
    """
    Kills at random points, and DataFast drops what has no visitor that it knows.

    On PostgreSQL it is two servers and a worker, and the database goes away and comes back too.
    """
    async with outside(tmp_path, keep_unattributed=False) as world:
        with contextlib.ExitStack() as stack:
            alone, one, two, three = (
                stack.enter_context(kit(tmp_path, url, name, arguments, **world.environ))
                for url, name, arguments in (
                    (sqlite_url, "alone", SERVE),
                    (postgres_url, "one", SERVE),
                    (postgres_url, "two", SERVE),
                    (postgres_url, "three", WORK),
                )
            )
            small = Storm(world, [alone], sqlite_url, random.Random(1), name="small")
            large = Storm(
                world,
                [one, two, three],
                postgres_url,
                random.Random(2),
                name="large",
                monkey=Monkey(postgres_url),
            )
            accounts = await asyncio.gather(small.run(3), large.run(3))

    for account in accounts:
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
    other = f"{transaction_id}_again"
    world.datafast.put(REVENUE, other, payment | {"transaction_id": other})


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
                world.datafast.delete(REVENUE, f"{transaction_id}_again")
        left = rows(sqlite_url, "deliveries")

    assert (before.missing, before.effects_not_one, before.stuck) == (0, 0, 0)
    assert len(left) == before.transactions
    assert figures == {"steal": (1, 1), "falsify": (0, 1), "double": (0, 1), "forget": (1, 0)}
