"""A shop with a history: objects at Dodo, reports in the ledger, and time moved by hand."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from kit.forwarder import Forwarder
from kit.ledger.policy import Policy
from kit.ledger.rows import Row
from kit.ledger.schema import deliveries, events
from kit.lookups import Lookups
from kit.reconcile.books import OwnBooks
from kit.reconcile.follow import Fate, Follower
from kit.reconcile.pacing import Pacer
from kit.reconcile.progress import Progress
from kit.reconcile.run import Reconciliation, Report
from kit.sandbox.revenue import REVENUE
from kit.sender import Pace
from tests.databases import DATABASES, fresh_schema
from tests.money.conftest import open_shop
from tests.money.harness import Shop, empty
from tests.money.messages import OPENED, Message

SUBJECTS = ("payment", "refund", "dispute", "subscription")


@dataclass(slots=True)
class Scene:
    """A shop, and somebody who reconciles it."""

    shop: Shop
    policy: Policy = field(default_factory=Policy)
    per_minute: float = 3_600_000

    @property
    def forwarder(self) -> Forwarder:
        """A worker of the shop."""
        shop = self.shop
        return Forwarder(
            shop.ledger,
            Lookups(shop.ledger, shop.dodo_client),
            shop.datafast_client,
            policy=self.policy,
            pace=Pace(per_minute=self.per_minute),
            jitter=lambda: 1.0,
        )

    async def begin(self) -> None:
        """Forget all that was, but for a visitor whose pageview is known."""
        self.shop.clock.now = OPENED.timestamp() + 30 * 86_400
        self.policy = Policy()
        await self.shop.ledger.write(empty)
        (await self.shop.dodo.post("/_sandbox/reset")).raise_for_status()
        for payment in self.shop.datafast_store.all(REVENUE):
            self.shop.datafast_store.delete(REVENUE, payment["transaction_id"])

    def at_dodo(self, *messages: Message) -> None:
        """Let Dodo have what these messages are about."""
        with self.shop.dodo_store.together():
            for message in messages:
                document = message.document()
                [kind] = [
                    name
                    for name in SUBJECTS
                    if f"{name}_id" in document and message.type.startswith(f"{name}.")
                ]
                self.shop.dodo_store.put(kind, document[f"{kind}_id"], document)

    def change(self, kind: str, key: str, **fields: Any) -> None:
        """Let Dodo have something else now."""
        document = self.shop.dodo_store.get(kind, key)

        assert document is not None

        self.shop.dodo_store.put(kind, key, document | fields)

    async def report(self, *messages: Message) -> None:
        """Let Dodo have it, and its webhooks arrive and be reported."""
        self.at_dodo(*messages)
        for message in messages:
            self.shop.clock.now += 1
            await self.shop.ledger.record(message.signed())
        await self.work()

    async def work(self) -> None:
        """Let the worker do what is due."""
        while await self.forwarder.step():
            pass

    async def sleep(self, seconds: float) -> None:
        """Let time pass, and the worker do what falls due."""
        self.shop.clock.now += seconds
        await self.work()

    async def alter(self, transaction_id: str, **values: Any) -> None:
        """Change a report as it stands in the ledger."""
        await self.shop.ledger.write(
            lambda connection: connection.execute(
                update(deliveries)
                .where(deliveries.c.transaction_id == transaction_id)
                .values(**values)
            )
        )

    async def rows(self) -> dict[str, Row]:
        """Return all reports."""
        found = await self.shop.ledger.read(
            lambda connection: connection.execute(deliveries.select()).mappings().all()
        )
        return {row["transaction_id"]: row for row in found}

    async def messages(self) -> dict[str, Row]:
        """Return all messages."""
        found = await self.shop.ledger.read(
            lambda connection: connection.execute(events.select()).mappings().all()
        )
        return {row["webhook_id"]: row for row in found}

    def reconciliation(
        self, *, send: bool = False, began: Progress | None = None, **options: Any
    ) -> Reconciliation:
        """Prepare a reconciliation of all that happened."""
        shop = self.shop
        since_ms = int((OPENED.timestamp() - 86_400) * 1000)
        return Reconciliation(
            shop.dodo_client,
            OwnBooks(shop.ledger),
            self.policy,
            Pacer(shop.clock, self.sleep, options.pop("per_minute", 120)),
            began or Progress(since_ms, int(shop.clock.now * 1000), since_ms),
            send=send,
            **options,
        )

    async def reconcile(self, *, send: bool = False, **options: Any) -> Report:
        """Reconcile all that happened up to now."""
        return await self.reconciliation(send=send, **options).run()

    async def follow(self, report: Report) -> Sequence[Fate]:
        """Wait for what was taken in."""
        follower = Follower(OwnBooks(self.shop.ledger), "datafast", self.shop.clock, self.sleep)
        return await follower.follow(report.taken_in)

    async def at_datafast(self, page: str, **query: str) -> list[dict[str, Any]]:
        """Return what DataFast received or holds."""
        answer = await self.shop.datafast.get(f"/_sandbox/{page}", params=query)
        return list(answer.json())


def brief(report: Report) -> list[tuple[str, str, str]]:
    """Return what was found, as what, which and why."""
    return sorted((each.what, each.id, each.hop.reason) for each in report.found)


@contextlib.asynccontextmanager
async def open_scene(
    folder: Path, database_url: str, *, rate_limit: int = 1_000_000_000
) -> AsyncIterator[Scene]:
    """Open a shop on a database; DataFast allows so many calls a minute."""
    async with open_shop(folder, database_url=database_url, rate_limit=rate_limit) as shop:
        yield Scene(shop)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """Run async tests on asyncio, all of a file in one loop, which ends with the file."""
    return "asyncio"


@pytest.fixture(scope="module", params=DATABASES)
async def opened(
    request: pytest.FixtureRequest, anyio_backend: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Scene]:
    """Open one shop a file on each kind of database."""
    folder = tmp_path_factory.mktemp("reconcile")
    with contextlib.ExitStack() as stack:
        url = f"sqlite:///{folder}/kit.db"
        if request.param == "postgresql":
            url = stack.enter_context(fresh_schema(request.getfixturevalue("postgres")))
        async with open_scene(folder, url) as scene:
            yield scene


@pytest.fixture
async def scene(opened: Scene) -> Scene:
    """Give a shop without a past, a month after it was opened."""
    await opened.begin()
    return opened
