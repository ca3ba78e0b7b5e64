"""Deliver webhook messages: signed, retried on Dodo's schedule, always with the latest state."""

import asyncio
import json
import random
import ssl
import time
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import httpx

from kit.sandbox.fixtures import BUSINESS_ID
from kit.sandbox.shapes import shaped
from kit.sandbox.signer import new_secret, sign
from kit.sandbox.stamps import iso, new_id
from kit.sandbox.store import Document, Store
from kit.sandbox.switches import Switches
from kit.sandbox.waiting import Queue, arrange

# The wait before each of the eight attempts, 27 h 35 min in all (docs.dodopayments.com, webhooks
# page, 2026).
RETRY_DELAYS_S = (0, 5, 300, 1_800, 7_200, 18_000, 36_000, 36_000)
TIMEOUT_S = 15.0
AT_ONCE = 8

DELIVERY = "delivery"
ENDPOINT = "endpoint"
# Webhook bodies name their object's type; API answers do not (SDK 1.123.0 against real payloads).
PAYLOAD_TYPES = {
    "payment": "Payment",
    "subscription": "Subscription",
    "refund": "Refund",
    "dispute": "Dispute",
    "abandoned_checkout": "AbandonedCheckout",
}


@cache
def _tls() -> ssl.SSLContext:
    """Read the authorities once, however many stand-ins a test starts."""
    return httpx.create_ssl_context(trust_env=False)


class Outbox:
    """Webhook messages on their way to the endpoints; pending ones survive a restart."""

    def __init__(
        self,
        store: Store,
        *,
        switches: Switches,
        clock: Callable[[], float],
        retry_delays_s: Sequence[float],
    ) -> None:
        """Deliver what `post` queues while `run` runs, as the switches say."""
        self._store = store
        self._switches = switches
        self._clock = clock
        self._delays_s = tuple(retry_delays_s)
        self._queue = Queue()
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._changed = asyncio.Event()

    def post(
        self,
        event_type: str,
        *,
        kind: str,
        key: str,
        occurred_at: float,
        extras: dict[str, Any] | None = None,
    ) -> str:
        """Queue one message about a stored object to every endpoint that wants it.

        `extras` are fields of this message alone. Returns the message's `webhook-id`.
        """
        message_id = new_id("msg")
        wanting = [
            endpoint
            for endpoint in self._store.all(ENDPOINT)
            if not endpoint["disabled"]
            and (not endpoint["filter_types"] or event_type in endpoint["filter_types"])
        ]
        for endpoint in wanting * self._switches.duplicate:
            delivery_id = new_id("dlv")
            due_at = self._clock() + self._delays_s[0] + self._switches.delay_s
            document: Document = {
                "delivery_id": delivery_id,
                "webhook_id": message_id,
                "endpoint_id": endpoint["id"],
                "type": event_type,
                "timestamp": iso(occurred_at),
                "kind": kind,
                "key": key,
                "extras": extras or {},
                "state": "pending",
                "next_attempt_at": due_at,
                "attempts": [],
            }
            self._store.put(DELIVERY, delivery_id, document)
            self._queue.put(delivery_id, due_at)
        self._changed.set()
        return message_id

    def wake(self) -> None:
        """Look at the switches again."""
        self._changed.set()

    def release(self, order: str | Sequence[str], *, seed: int | None = None) -> list[Document]:
        """Send everything that is pending now, one after the other, held or not yet due.

        `order` is "queued", "reversed", "shuffled" (by `seed`), or event types and webhook ids in
        the order wanted, others last. Returns the deliveries in the order in which they go out.
        """
        pending = [self._store.get(DELIVERY, key) for key in self._queue.waiting()]
        chosen = arrange([delivery for delivery in pending if delivery], order, seed=seed)
        self._queue.release([delivery["delivery_id"] for delivery in chosen])
        self._changed.set()
        return chosen

    def waiting(self) -> int:
        """Return how many deliveries are pending, due or not."""
        return len(self._queue.waiting())

    def forget(self) -> None:
        """Drop what is pending, after the store was emptied."""
        self._queue.clear()

    async def run(self) -> None:
        """Deliver until cancelled; starts with what an earlier run left pending."""
        for delivery in self._store.all(DELIVERY):
            if delivery["state"] == "pending":
                self._queue.put(delivery["delivery_id"], delivery["next_attempt_at"])
        # The proxies of the environment are for the internet, not for a neighbour on loopback.
        client = httpx.AsyncClient(
            verify=_tls(), timeout=TIMEOUT_S, follow_redirects=False, trust_env=False
        )
        async with client, asyncio.TaskGroup() as attempts:
            while True:
                self._changed.clear()
                for batch in self._batches():
                    attempts.create_task(self._attempt_each(client, batch))
                await self._wait_for_work()

    def _batches(self) -> list[list[str]]:
        """Take what is due; a batch goes out one by one, different ones at the same time."""
        batches = self._queue.take_released()
        if not self._switches.hold:
            due = self._queue.take_due(self._clock())
            if self._switches.shuffle:
                random.shuffle(due)
                batches.append(due)
            else:
                batches += [[delivery_id] for delivery_id in due]
        return batches

    async def _attempt_each(self, client: httpx.AsyncClient, batch: list[str]) -> None:
        for delivery_id in batch:
            await self._attempt(client, delivery_id)

    async def _wait_for_work(self) -> None:
        next_due_at = None if self._switches.hold else self._queue.next_due_at()
        wait_s = None if next_due_at is None else max(0.0, next_due_at - self._clock())
        try:
            async with asyncio.timeout(wait_s):
                await self._changed.wait()
        except TimeoutError:
            return

    async def _attempt(self, client: httpx.AsyncClient, delivery_id: str) -> None:
        async with self._slots:
            delivery = self._store.get(DELIVERY, delivery_id)
            endpoint = delivery and self._store.get(ENDPOINT, delivery["endpoint_id"])
            if delivery is None or not endpoint:
                return
            attempt = await self._send(client, delivery, endpoint)
        # A reset while the request was out has forgotten the delivery, and so do we.
        if self._store.get(DELIVERY, delivery_id) is None:
            return
        made = [*delivery["attempts"], attempt]
        delivered = attempt["status"] is not None and 200 <= attempt["status"] < 300
        retry = not delivered and len(made) < len(self._delays_s)
        due_at = self._clock() + self._delays_s[len(made)] if retry else None
        delivery["attempts"] = made
        delivery["state"] = "delivered" if delivered else "pending" if retry else "exhausted"
        delivery["next_attempt_at"] = due_at
        self._store.put(DELIVERY, delivery_id, delivery)
        if due_at is not None:
            self._queue.put(delivery_id, due_at)
            self._changed.set()

    async def _send(
        self, client: httpx.AsyncClient, delivery: Document, endpoint: Document
    ) -> dict[str, Any]:
        body = json.dumps(self._message(delivery), ensure_ascii=False, separators=(",", ":"))
        content = body.encode()
        started_at = self._clock()
        headers = endpoint["headers"] | sign(
            new_secret() if self._switches.forge else endpoint["secret"],
            message_id=delivery["webhook_id"],
            timestamp_s=int(started_at),
            body=content,
        )
        headers["content-type"] = "application/json"
        began = time.perf_counter()
        status, answer, error = None, None, None
        try:
            async with asyncio.timeout(TIMEOUT_S):
                response = await client.post(endpoint["url"], content=content, headers=headers)
            status, answer = response.status_code, response.text[:500]
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as failure:
            error = f"{type(failure).__name__}: {failure}".rstrip(": ")
        return {
            "at": iso(started_at),
            "webhook_timestamp": int(started_at),
            "url": endpoint["url"],
            "body": body,
            "status": status,
            "answer": answer,
            "error": error,
            "duration_ms": round((time.perf_counter() - began) * 1000),
        }

    def _message(self, delivery: Document) -> Document:
        """Build the body: the envelope as it was, the object as it is now."""
        kind = delivery["kind"]
        current = (self._store.get(kind, delivery["key"]) or {}) | delivery["extras"]
        return {
            "business_id": BUSINESS_ID,
            "type": delivery["type"],
            "timestamp": delivery["timestamp"],
            "data": {"payload_type": PAYLOAD_TYPES[kind]}
            | shaped(kind, current, self._switches.shape),
        }
