"""Dodo and DataFast on real sockets: the kit's stand-ins, with Dodo's sender of webhooks."""

import asyncio
import contextlib
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from kit.resources import resource_dir
from kit.sandbox import fixtures, journal, signer
from kit.sandbox.datafast import create_datafast
from kit.sandbox.dodo import create_dodo
from kit.sandbox.pageviews import VISITOR
from kit.sandbox.revenue import REVENUE
from kit.sandbox.store import Document, Store
from kit.server import Listener, bind, serve
from tests.faults.process import SETTINGS

DOMAIN = "shop.localhost"
WEBSITE_ID = "dfid_faults000000000000001"
VISITOR_ID = "0b8e6c1e-2d1c-4f0a-9f2e-6a4f1f4d7c11"
PAYMENTS = "/api/v1/payments"
ATTEMPT_S = 15.0  # Dodo's own patience
LOOK_S = 0.02


@dataclass(frozen=True, slots=True)
class Webhook:
    """One message of Dodo's: the id stays over all attempts, the signature is made for each."""

    id: str
    body: bytes

    def headers(self) -> dict[str, str]:
        """Sign it for an attempt that is made now."""
        secret = SETTINGS["DODO_PAYMENTS_WEBHOOK_KEY"]
        return signer.sign(
            secret, message_id=self.id, timestamp_s=int(time.time()), body=self.body
        ) | {"content-type": "application/json"}


@dataclass(slots=True)
class Outside:
    """Both services, what they hold, and what came to DataFast's door."""

    dodo_url: str
    datafast_url: str
    dodo: Store
    datafast: Store
    http: httpx.AsyncClient = field(default_factory=lambda: httpx.AsyncClient(trust_env=False))

    @property
    def environ(self) -> dict[str, str]:
        """The settings that lead a kit here."""
        return {"DODO_PAYMENTS_BASE_URL": self.dodo_url, "DATAFAST_BASE_URL": self.datafast_url}

    def sell(self, payment_id: str, *, visitor_id: str | None = None, amount: int = 1999) -> bytes:
        """Let a payment be at Dodo; returns the body of its webhook."""
        metadata = {"datafast_visitor_id": visitor_id} if visitor_id else {}
        message = fixtures.load(
            "payment.succeeded",
            payment_id=payment_id,
            created_at=datetime.now(UTC).isoformat(),
            total_amount=amount,
            tax=0,
            metadata=metadata,
            subscription_id=None,
            checkout_session_id=None,
        )
        self.dodo.put("payment", payment_id, message["data"])
        return json.dumps(message).encode()

    def see(self, visitor_id: str) -> None:
        """Let DataFast have a pageview of a visitor."""
        seen: Document = {
            "visitor_id": visitor_id,
            "first_seen_at": "2026-10-02T09:00:00Z",
            "last_seen_at": "2026-10-02T09:00:00Z",
            "first_href": f"http://{DOMAIN}/",
            "first_referrer": None,
            "pages": [f"http://{DOMAIN}/"],
        }
        self.datafast.put(VISITOR, visitor_id, seen)

    async def chaos(self, service_url: str, mode: str, **rule: Any) -> None:
        """Ask a service for a fault."""
        answer = await self.http.post(f"{service_url}/_sandbox/chaos", json={"mode": mode} | rule)
        answer.raise_for_status()

    def posts(self) -> Counter[str]:
        """Count the raw posts by transaction id, repeats and those that met a fault among them."""
        bodies = [each["body"] for each in self.datafast.all(journal.KIND) if each["body"]]
        return Counter(json.loads(body)["transaction_id"] for body in bodies)

    def statuses(self) -> Counter[int | None]:
        """Count DataFast's answers by status; None is a call that got none."""
        return Counter(each["status"] for each in self.datafast.all(journal.KIND))

    def moments(self) -> list[float]:
        """Return when each call came to DataFast, as Unix seconds."""
        return [
            datetime.fromisoformat(each["received_at"]).timestamp()
            for each in self.datafast.all(journal.KIND)
        ]

    def counted(self) -> dict[str, Document]:
        """Return what counts at DataFast, by transaction id."""
        return {each["transaction_id"]: each for each in self.datafast.all(REVENUE)}

    async def deliver(
        self, webhook: Webhook, shop_url: str, *, in_parts: bool = False
    ) -> int | None:
        """Make one attempt; returns the status, or None where no answer came."""
        headers = webhook.headers() | {"content-length": str(len(webhook.body))}
        content = _halves(webhook.body) if in_parts else webhook.body
        try:
            answer = await self.http.post(
                f"{shop_url}/webhooks/dodo", content=content, headers=headers, timeout=ATTEMPT_S
            )
        except httpx.HTTPError:
            return None
        return answer.status_code

    async def insist(self, webhook: Webhook, shop_url: Callable[[], str | None]) -> int:
        """Deliver until a 2xx, as Dodo does though sooner; returns the number of attempts."""
        attempts = 0
        while True:
            url, attempts = shop_url(), attempts + 1
            status = await self.deliver(webhook, url) if url is not None else None
            if status is not None and 200 <= status < 300:
                return attempts
            await asyncio.sleep(random.uniform(0.01, 0.1))


async def _halves(body: bytes) -> AsyncIterator[bytes]:
    middle = len(body) // 2
    yield body[:middle]
    await _a_moment()
    yield body[middle:]


@contextlib.asynccontextmanager
async def outside(
    folder: Path,
    *,
    keep_unattributed: bool = True,
    rate_limit: int = 1_000_000,
    window_s: float = 1.0,
) -> AsyncIterator[Outside]:
    """Serve both; DataFast allows `rate_limit` calls in `window_s`."""
    datafast = create_datafast(
        database=str(folder / "datafast.db"),
        api_key=SETTINGS["DATAFAST_API_KEY"],
        website_id=WEBSITE_ID,
        domain=DOMAIN,
        rate_limit=rate_limit,
        window_s=window_s,
        keep_unattributed=keep_unattributed,
    )
    dodo = create_dodo(
        database=str(folder / "dodo.db"),
        public_url="http://checkout.localhost",
        templates_dir=resource_dir("templates"),
        static_dir=resource_dir("static"),
        api_key=SETTINGS["DODO_PAYMENTS_API_KEY"],
        webhook_secret=SETTINGS["DODO_PAYMENTS_WEBHOOK_KEY"],
        webhook_url="",
    )
    async with contextlib.AsyncExitStack() as stack:
        sockets = [stack.enter_context(bind("127.0.0.1", 0)) for _ in range(2)]
        stack.enter_context(_long_memory())
        listeners = [
            Listener(app, each) for app, each in zip((dodo, datafast), sockets, strict=True)
        ]
        dodo_url, datafast_url = (f"http://127.0.0.1:{each.port}" for each in listeners)
        up = asyncio.Event()
        serving = asyncio.create_task(serve(listeners, ready=up.set))
        stack.push_async_callback(_stop, serving)
        await up.wait()
        opened = Outside(
            dodo_url,
            datafast_url,
            Store(str(folder / "dodo.db")),
            Store(str(folder / "datafast.db")),
        )
        for store in (opened.dodo, opened.datafast):
            store.open()
            stack.callback(store.close)
        stack.push_async_callback(opened.http.aclose)
        yield opened


@contextlib.contextmanager
def _long_memory() -> Iterator[None]:
    """Let the stand-ins keep every request: a repeat is to be counted however late it comes."""
    kept, journal.KEPT = journal.KEPT, 10_000_000
    try:
        yield
    finally:
        journal.KEPT = kept


async def _stop(serving: "asyncio.Task[None]") -> None:
    serving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await serving


async def eventually(seen: Callable[[], Any], *, within_s: float = 20.0) -> Any:
    """Return the first true result of a look at something that has no event to wait for."""
    async with asyncio.timeout(within_s):
        while not (found := seen()):
            await _a_moment()
    return found


async def _a_moment() -> None:
    await asyncio.sleep(LOOK_S)


def rows(database_url: str, table: str) -> list[Mapping[str, Any]]:
    """Read a table of a ledger, beside the processes that use it."""
    engine = create_engine(database_url, poolclass=NullPool)
    with engine.connect() as connection:
        return [
            dict(row)
            for row in connection.exec_driver_sql(f"SELECT * FROM {table}").mappings()  # noqa: S608
        ]
