"""DataFast's API, as far as a payment needs it. Thin: the rules are in the helpers."""

import json
import re
from collections.abc import Callable
from typing import Any, Literal
from urllib.parse import urlencode

import httpx

from kit.errors import TransportError
from kit.helpers.dodo_datafast import Outgoing, Payment, Verdict, payment_request, read_reply
from kit.transport import Reply, send

DEADLINE_S = 10.0
_UUID = re.compile(r"[0-9a-f-]{36}")


class DataFastClient:
    """One DataFast website. `website_id` is needed with a `dft_` account token only."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        *,
        api_key: str,
        clock: Callable[[], float],
        website_id: str | None = None,
        base_url: str = "https://datafa.st",
        deadline_s: float = DEADLINE_S,
    ) -> None:
        self._http = http
        self._api_key = api_key
        self._clock = clock
        self._website_id = website_id
        self._base_url = base_url.rstrip("/")
        self._deadline_s = deadline_s

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def record_payment(self, payment: Payment) -> Verdict:
        """
        Report one payment and judge the answer.

        No answer in time is a "retry": DataFast may have taken it, and the same `transaction_id`
        makes the repeat harmless.
        """
        outgoing = payment_request(
            payment, api_key=self._api_key, website_id=self._website_id, base_url=self._base_url
        )
        try:
            reply = await send(self._http, outgoing, deadline_s=self._deadline_s)
        except TransportError as failure:
            return Verdict("retry", f"datafast_{failure.reason}")
        return read_reply(
            reply.status,
            reply.headers,
            reply.body,
            transaction_id=payment.transaction_id,
            now=self._clock(),
            visitor_sent=payment.datafast_visitor_id is not None,
        )

    async def delete_payment(self, transaction_id: str) -> Verdict | None:
        """
        Let DataFast forget a payment; None once it says so (datafast/api/website/payments/delete).

        One that is not there (404) counts as forgotten. Anything else is a verdict, as
        `record_payment`'s.
        """
        try:
            reply = await self._delete(transaction_id)
        except TransportError as failure:
            return Verdict("retry", f"datafast_{failure.reason}")
        said = (_json_object(reply.body) or {}).get("status")
        done = 200 <= reply.status < 300 and said == "success"
        gone = reply.status == 404 and said == "error"
        return None if done or gone else self._judged(reply, transaction_id)

    async def may_write(self, nonce: str) -> Verdict | None:
        """
        Tell whether the key may write, by deleting a payment that never was; None if it may.

        A read proves nothing: there are keys that read and do not write. Only 404 in DataFast's
        own envelope says that the key was good and the payment is not there. Raises
        TransportError.
        """
        transaction_id = f"kit-doctor-{nonce}"
        reply = await self._delete(transaction_id)
        if reply.status == 404 and _is_enveloped(reply.body):
            return None
        return self._judged(reply, transaction_id)

    async def _delete(self, transaction_id: str) -> Reply:
        # Only ever by this filter: the others delete a visitor's whole revenue, or a day's.
        query = {"transaction_id": transaction_id}
        if self._api_key.startswith("dft_"):
            query["websiteId"] = self._website_id or ""
        return await self._ask("DELETE", f"{self._base_url}/api/v1/payments?{urlencode(query)}")

    def _judged(self, reply: Reply, transaction_id: str) -> Verdict:
        return read_reply(
            reply.status,
            reply.headers,
            reply.body,
            transaction_id=transaction_id,
            now=self._clock(),
        )

    async def _ask(self, method: Literal["GET", "DELETE"], url: str) -> Reply:
        headers = {"Authorization": f"Bearer {self._api_key}", "Accept": "application/json"}
        outgoing = Outgoing(method, url, headers, b"")
        return await send(self._http, outgoing, deadline_s=self._deadline_s)

    async def visitor_seen(self, visitor_id: str) -> Literal["seen", "unseen", "unknown"]:
        """
        Tell whether DataFast has a pageview of this visitor (datafast/api-get-visitor: 404 if not).

        "unknown" is any other answer: the caller must not wait for it.
        """
        if not _UUID.fullmatch(visitor_id):
            return "unknown"
        url = f"{self._base_url}/api/v1/visitors/{visitor_id}"
        if self._api_key.startswith("dft_"):
            url += f"?websiteId={self._website_id}"
        try:
            reply = await self._ask("GET", url)
        except TransportError:
            return "unknown"
        if reply.status == 200:
            return "seen" if _json_object(reply.body) is not None else "unknown"
        return "unseen" if reply.status == 404 and _is_enveloped(reply.body) else "unknown"


def _is_enveloped(body: bytes) -> bool:
    return (_json_object(body) or {}).get("status") == "error"


def _json_object(body: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
