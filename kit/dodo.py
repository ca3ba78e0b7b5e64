"""Dodo's API, as far as a checkout and its payment need it. Thin: the rules are in the helpers."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, TypeAlias
from urllib.parse import quote, urlencode, urlsplit

import httpx

from kit.errors import DodoError, TransportError
from kit.helpers.dodo_datafast import (
    DODO_CHECKOUT_HOSTS,
    CheckoutError,
    CheckoutSession,
    Outgoing,
    Signed,
    checkout_request,
    dodo_url,
    lookup_request,
    read_checkout,
)
from kit.transport import MAX_REPLY_BYTES, send

DEADLINE_S = 10.0  # a person waits; the official SDK's defaults are 60 s and two retries
PAGE_SIZE = 100
MAX_PAGES = 20
FIRST_TRY_S = 6.0  # leaves a second try its time inside the same deadline
LIST_DEADLINE_S = 30.0  # nobody waits for it at a checkout
MAX_LIST_BYTES = 16 << 20  # a hundred objects, each with as much metadata as Dodo allows

Listed: TypeAlias = Literal["payments", "refunds", "disputes"]
"""What can be listed by the time of its creation, and where."""


class DodoClient:
    """One Dodo account in one environment ("test_mode" or "live_mode")."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        *,
        api_key: str,
        environment: str = "test_mode",
        base_url: str | None = None,
        checkout_hosts: Sequence[str] = DODO_CHECKOUT_HOSTS,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        self._http = http
        self._api_key = api_key
        self._environment = environment
        self._base_url = base_url
        self._checkout_hosts = tuple(checkout_hosts)
        self._deadline_s = deadline_s

    async def create_checkout(
        self,
        product_cart: Sequence[Mapping[str, Any]],
        *,
        metadata: Mapping[str, str],
        return_url: str,
        **fields: Any,
    ) -> CheckoutSession:
        """
        Open a checkout session, with at most one retry inside the deadline.

        A retry may leave a second session behind: unpaid, and gone after 24 h.
        Raises CheckoutError when Dodo refuses, TransportError when it gives no answer.
        """
        outgoing = checkout_request(
            product_cart,
            metadata=metadata,
            return_url=return_url,
            api_key=self._api_key,
            environment=self._environment,
            base_url=self._base_url,
            **fields,
        )
        clock = asyncio.get_running_loop().time
        end = clock() + self._deadline_s
        try:
            return await self._open_checkout(outgoing, min(FIRST_TRY_S, self._deadline_s))
        except CheckoutError as refusal:
            # A rate limit is not eased by asking again at once.
            if not refusal.retryable or refusal.status == 429:
                raise
        except TransportError:
            pass
        return await self._open_checkout(outgoing, max(end - clock(), 0.1))

    async def _open_checkout(self, outgoing: Outgoing, deadline_s: float) -> CheckoutSession:
        reply = await send(self._http, outgoing, deadline_s=deadline_s)
        return read_checkout(reply.status, reply.body, hosts=self._checkout_hosts)

    async def payment(self, payment_id: str) -> Mapping[str, Any]:
        """Read one payment. Raises DodoError (404 where there is none) and TransportError."""
        return await self._look_up("payments", payment_id)

    async def subscription(self, subscription_id: str) -> Mapping[str, Any]:
        """Read one subscription. Raises DodoError and TransportError."""
        return await self._look_up("subscriptions", subscription_id)

    async def checkout(self, session_id: str) -> Mapping[str, Any]:
        """Read one checkout session's payment id and status. Raises as `payment` does."""
        return await self._look_up("checkouts", session_id)

    async def look_up(self, kind: Listed, object_id: str) -> Mapping[str, Any]:
        """Read one payment, refund or dispute. Raises as `payment` does."""
        url = f"{self._url}/{kind}/{quote(object_id, safe='')}"
        return await self._read(Outgoing("GET", url, self._headers(), b""))

    async def page(
        self, kind: Listed, number: int, *, since: datetime, until: datetime
    ) -> Sequence[Mapping[str, Any]]:
        """
        Return one page, from 0, of what was created between two moments.

        Whether the moments themselves are inside, the order, and from which page on Dodo caps the
        number, is not documented (official SDK 1.123.0). Raises as `payment` does.
        """
        filters = {"created_at_gte": since.isoformat(), "created_at_lte": until.isoformat()}
        return await self._page(f"/{kind}", number, **filters)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def payments(self, *, subscription_id: str) -> AsyncIterator[Mapping[str, Any]]:
        """
        List a subscription's payments, as list items: tax and settlement are not in them.

        Raises as `payment` does.
        """
        async for item in self._pages("/payments", subscription_id=subscription_id):
            yield item

    async def products(self) -> list[Mapping[str, Any]]:
        """List the account's products (official SDK 1.123.0). Raises as `payment` does."""
        return [item async for item in self._pages("/products")]

    async def endpoints(self) -> list[Mapping[str, Any]]:
        """List the account's webhook endpoints (official SDK 1.123.0). Raises as `payment` does."""
        found: list[Mapping[str, Any]] = []
        query: dict[str, str | int] = {"limit": PAGE_SIZE}
        for _ in range(MAX_PAGES):
            answer = await self._ask("GET", f"/webhooks?{urlencode(query)}")
            found += [each for each in answer.get("data") or () if isinstance(each, dict)]
            iterator = answer.get("iterator")
            if answer.get("done") is not False or not isinstance(iterator, str):
                break
            query["iterator"] = iterator
        return found

    async def endpoint_secret(self, endpoint_id: str) -> str:
        """Read the secret that signs an endpoint's messages. Raises as `payment` does."""
        answer = await self._ask("GET", f"/webhooks/{quote(endpoint_id, safe='')}/secret")
        return str(answer.get("secret") or "")

    async def create_endpoint(
        self, url: str, *, events: Sequence[str], description: str
    ) -> Mapping[str, Any]:
        """
        Make a webhook endpoint that is sent these events; none of them named means all.

        Raises as `payment` does.
        """
        wanted = {"url": url, "description": description} | (
            {"filter_types": list(events)} if events else {}
        )
        return await self._ask("POST", "/webhooks", json.dumps(wanted).encode())

    async def may_write(self) -> bool:
        """
        Tell whether the key may open checkouts, by asking for one that nobody could open.

        `product_cart` is required, so an empty request is always refused: with 401 or 403 it is
        the key that is, and not the request. Raises TransportError.
        """
        try:
            await self._ask("POST", "/checkouts", b"{}")
        except DodoError as refusal:
            return refusal.status not in (401, 403)
        return True

    async def _ask(
        self, method: Literal["GET", "POST"], path: str, body: bytes = b""
    ) -> Mapping[str, Any]:
        url = dodo_url(self._environment, self._base_url) + path
        headers = self._headers() | ({"Content-Type": "application/json"} if body else {})
        return await self._read(Outgoing(method, url, headers, body))

    async def _pages(self, path: str, **filters: str) -> AsyncIterator[Mapping[str, Any]]:
        for number in range(MAX_PAGES):
            items = await self._page(path, number, **filters)
            for item in items:
                yield item
            if len(items) < PAGE_SIZE:
                return

    async def _page(self, path: str, number: int, **filters: str) -> Sequence[Mapping[str, Any]]:
        # Paged by hand from 0: the official SDK's own paging leaves out the second page.
        query = urlencode({**filters, "page_size": PAGE_SIZE, "page_number": number})
        answer = await self._read(
            Outgoing("GET", f"{self._url}{path}?{query}", self._headers(), b""),
            deadline_s=LIST_DEADLINE_S,
            max_bytes=MAX_LIST_BYTES,
        )
        items = answer.get("items")
        return [item for item in items or () if isinstance(item, dict)]

    @property
    def _url(self) -> str:
        return dodo_url(self._environment, self._base_url)

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._api_key}", "Accept": "application/json"}

    async def _look_up(
        self, kind: Literal["payments", "subscriptions", "checkouts"], object_id: str
    ) -> Mapping[str, Any]:
        return await self._read(
            lookup_request(
                kind,
                object_id,
                api_key=self._api_key,
                environment=self._environment,
                base_url=self._base_url,
            )
        )

    async def _read(
        self,
        outgoing: Outgoing,
        *,
        deadline_s: float | None = None,
        max_bytes: int = MAX_REPLY_BYTES,
    ) -> Mapping[str, Any]:
        reply = await send(
            self._http, outgoing, deadline_s=deadline_s or self._deadline_s, max_bytes=max_bytes
        )
        try:
            answer = json.loads(reply.body)
        except (ValueError, RecursionError):
            answer = None
        if 200 <= reply.status < 300 and isinstance(answer, dict):
            return answer
        code = answer.get("code") if isinstance(answer, dict) else None
        raise DodoError(
            f"Dodo answered {reply.status} to {outgoing.method} {urlsplit(outgoing.url).path}",
            status=reply.status,
            code=code if isinstance(code, str) else "",
            retryable=reply.status in (408, 425, 429) or not 400 <= reply.status < 500,
        )


def as_message(event_type: str, name: str, data: Mapping[str, Any], *, at: datetime) -> Signed:
    """
    Make of an object that was read from Dodo's API the message that its webhook would have been.

    `name` tells messages of the same kind apart; the id made of it is the same each time.
    """
    body = {"type": event_type, "timestamp": at.isoformat(), "data": data}
    return Signed(api_id(name), at, json.dumps(body).encode())


def api_id(name: str) -> str:
    """Return the id of a message that no webhook brought."""
    return f"api-{name}"[:128]
