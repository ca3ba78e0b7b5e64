"""
Many kills under load while DataFast fails in every way at once, and the sum of it all.

Two phases: Dodo sends until each message was answered with a 2xx, whatever is killed meanwhile;
then everything is accounted for, id by id, on the ledger's side and on DataFast's.
"""

import asyncio
import contextlib
import random
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from kit.sender import Pace
from tests.faults.monkey import Monkey
from tests.faults.outside import Outside, Webhook, eventually, outside, rows
from tests.faults.plan import Plan
from tests.faults.process import SERVE, Kit, kit

Found = TypeVar("Found")

SENDERS = 8
STUCK_AFTER_S, CALM_LOOK_S = 20.0, 0.1
SAY_EVERY = 10
AT_WORK = 0.7
"""How often a process is killed at work; else it is killed while it starts, mostly."""
WORKS_S, STARTS_S = 2.0, 0.5
DATABASE_LIVES_S = (2.0, 6.0)
LOOK_S = 0.05


@dataclass(frozen=True, slots=True)
class Account:
    """What a storm came to. Only the first five are promises; the rest says how hard it blew."""

    kills: int
    acknowledged: int
    """Webhooks that were answered with a 2xx."""
    missing: int
    """Of those, the ones that are not in the ledger, or whose money is not at DataFast."""
    effects_not_one: int
    """Transactions that do not count exactly once and with their exact amount."""
    stuck: int
    """Rows of the ledger that are not at an end."""
    attempts: int
    """Attempts that the sender made: each but one for a webhook was without a 2xx."""
    transactions: int
    faults: int
    repeats: int
    """Raw posts to DataFast beyond one for each transaction."""
    allowed_repeats: int
    """As many as the faults ask for, and what may be under way when a process is killed."""
    seconds: float

    @property
    def kept(self) -> bool:
        """Whether every promise was kept."""
        broken = self.missing + self.effects_not_one + self.stuck
        return broken == 0 and self.repeats <= self.allowed_repeats

    def as_json(self) -> dict[str, Any]:
        """Return the figures by name."""
        return asdict(self)

    def __add__(self, other: "Account") -> "Account":
        """Return what both storms came to."""
        mine, theirs = self.as_json(), other.as_json()
        return Account(**{name: mine[name] + theirs[name] for name in mine})


class Storm:
    """One run: `shops` are processes on one database, killed in turn by chance."""

    def __init__(
        self,
        world: Outside,
        shops: Sequence[Kit],
        database_url: str,
        chance: random.Random,
        *,
        name: str = "storm",
        say: Callable[[str], None] = lambda _: None,
        monkey: Monkey | None = None,
    ) -> None:
        self._world = world
        self._shops = shops
        self._database_url = database_url
        self._chance = chance
        self._say = say
        self._monkey = monkey
        self._plan = Plan(world, chance, name)
        self._name = name
        self._transactions: dict[str, str] = {}
        self._acknowledged: set[str] = set()
        self._attempts = 0
        self._kills = 0
        self._seconds = 0.0
        self._over = asyncio.Event()

    async def run(self, kills: int) -> Account:
        """Blow, wait for the calm, and account for everything."""
        began = time.monotonic()
        for shop in self._shops:
            shop.start()
        await self._send(Webhook("msg_first", b'{"type": "x", "data": {}}'))
        async with asyncio.TaskGroup() as group:
            supervising = group.create_task(self._supervise())
            await self._blow(kills)
            await self._calm()
            supervising.cancel()
        for shop in self._shops:
            assert await shop.stop() == 0
        self._seconds = time.monotonic() - began
        return self.account()

    async def _blow(self, kills: int) -> None:
        webhooks = self._plan.webhooks()
        async with asyncio.TaskGroup() as group:
            for _ in range(SENDERS):
                group.create_task(self._keep_sending(webhooks))
            group.create_task(self._restart_the_database())
            await eventually(lambda: len(self._acknowledged) >= SENDERS)
            while self._kills < kills:
                if await self._kill_one():
                    self._kills += 1
                    if self._kills % SAY_EVERY == 0:
                        answered = len(self._acknowledged)
                        self._say(f"{self._kills} kills, {answered} webhooks answered")
            self._over.set()

    async def _kill_one(self) -> bool:
        """Kill one, for its supervisor to start it again; False for one that ended by itself."""
        shop = self._chance.choice(self._shops)
        longest_s = STARTS_S
        if self._chance.random() < AT_WORK:
            longest_s = WORKS_S
            with contextlib.suppress(TimeoutError):
                await eventually(lambda: shop.port, within_s=WORKS_S)
        await asyncio.sleep(self._chance.uniform(0.0, longest_s))
        return await shop.kill() == -signal.SIGKILL

    async def _restart_the_database(self) -> None:
        """Stop or crash the server now and then, if it is one."""
        while self._monkey is not None and not self._over.is_set():
            await asyncio.sleep(self._chance.uniform(*DATABASE_LIVES_S))
            if self._chance.random() < 0.5:
                await asyncio.to_thread(self._monkey.crash)
                continue
            try:
                await asyncio.to_thread(self._monkey.stop)
                await asyncio.sleep(self._chance.uniform(0.0, 0.5))
            finally:
                await asyncio.to_thread(self._monkey.start)

    async def _supervise(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            for shop in self._shops:
                code = shop.process.exitcode
                # One that finds no database ends with 1, to be started again.
                assert code in (None, -signal.SIGKILL, 1), f"{code}: {shop.log.read_text()}"
                if code is not None:
                    shop.start()

    async def _keep_sending(self, webhooks: Iterator[tuple[Webhook, str | None]]) -> None:
        while not self._over.is_set():
            webhook, transaction_id = next(webhooks)
            if transaction_id is not None:
                await self._plan.spoil(transaction_id)
                self._transactions[webhook.id] = transaction_id
            copies = self._chance.choice((1, 1, 1, 2, 3))
            await asyncio.gather(*(self._send(webhook) for _ in range(copies)))
            await asyncio.sleep(self._chance.uniform(0.0, 0.1))

    async def _send(self, webhook: Webhook) -> None:
        def somewhere() -> str | None:
            port = self._chance.choice(self._shops).port
            return None if port is None else f"http://127.0.0.1:{port}"

        attempts = await self._world.insist(webhook, somewhere)
        self._attempts += attempts
        self._acknowledged.add(webhook.id)

    async def _calm(self) -> None:
        """Wait until nothing is left to do, or nothing has been done for a while."""
        left, since = self._unfinished(), time.monotonic()
        while left and time.monotonic() - since < STUCK_AFTER_S:
            await asyncio.sleep(CALM_LOOK_S)
            # In a thread: this loop is DataFast's too, and must not keep it from answering.
            found = await asyncio.to_thread(self._unfinished)
            if found != left:
                left, since = found, time.monotonic()

    def _unfinished(self) -> int:
        """Count the rows that are not at an end."""
        query = """
            SELECT (SELECT count(*) FROM events WHERE state IN ('stored', 'waiting'))
                + (SELECT count(*) FROM deliveries
                   WHERE state <> 'done' OR verdict IS NULL OR due_at_ms IS NOT NULL)
        """
        with create_engine(self._database_url, poolclass=NullPool).connect() as connection:
            return int(connection.exec_driver_sql(query).scalar_one())

    def account(self) -> Account:
        """Hold both sides against each other."""
        stored = {each["webhook_id"] for each in rows(self._database_url, "events")}
        counted, posts = self._mine(self._world.counted()), self._mine(self._world.posts())
        owed = {self._transactions[each] for each in self._acknowledged & set(self._transactions)}
        expected = self._plan.expected
        right = {
            transaction_id
            for transaction_id, amount in expected.items()
            if transaction_id in counted and Decimal(counted[transaction_id]["amount"]) == amount
        }
        return Account(
            kills=self._kills,
            acknowledged=len(self._acknowledged),
            missing=len(self._acknowledged - stored) + len(owed - set(counted)),
            effects_not_one=len(set(expected) - right) + len(set(counted) - set(expected)),
            stuck=self._unfinished(),
            attempts=self._attempts,
            transactions=len(expected),
            faults=self._plan.faults,
            repeats=sum(posts.values()) - len(posts),
            allowed_repeats=self._plan.repeats + self._kills * Pace().concurrency,
            seconds=round(self._seconds, 1),
        )

    def _mine(self, found: Mapping[str, Found]) -> dict[str, Found]:
        return {key: value for key, value in found.items() if f"_{self._name}_" in key}


async def storm(
    folder: Path,
    database_url: str,
    *,
    kills: int,
    processes: Sequence[Sequence[str]] = (SERVE,),
    keep_unattributed: bool = True,
    seed: int,
    say: Callable[[str], None] = lambda _: None,
    monkey: Monkey | None = None,
) -> Account:
    """
    Run a storm in `folder` on an empty database, and account for it.

    `processes` are the arguments of each. With a `monkey` the database is stopped and crashed
    meanwhile.
    """
    async with outside(folder, keep_unattributed=keep_unattributed) as world:
        with contextlib.ExitStack() as stack:
            shops = [
                stack.enter_context(
                    kit(folder, database_url, f"kit{number}", arguments, **world.environ)
                )
                for number, arguments in enumerate(processes)
            ]
            blown = Storm(world, shops, database_url, random.Random(seed), say=say, monkey=monkey)
            return await blown.run(kills)
