"""Webhooks as Dodo sends them: any of its events, new each time, signed with the shop's secret."""

import json
import time
from dataclasses import dataclass, field
from typing import Any

from kit.sandbox.fixtures import change, load
from kit.sandbox.fresh import freshen
from kit.sandbox.signer import sign
from kit.sandbox.stamps import new_id


@dataclass(frozen=True, slots=True)
class SignedWebhook:
    """One message, for any HTTP client: post `body` as it is, with `headers`."""

    headers: dict[str, str]
    body: bytes

    @property
    def message(self) -> dict[str, Any]:
        """The message: `{business_id, type, timestamp, data}`."""
        message: dict[str, Any] = json.loads(self.body)
        return message

    @property
    def id(self) -> str:
        """The `webhook-id`, by which a shop knows a message that comes again."""
        return self.headers["webhook-id"]


@dataclass(frozen=True, slots=True)
class SignWebhook:
    """Signs webhooks with the secret that the shop must know."""

    secret: str = field(repr=False)

    def __call__(self, event: str, /, **changes: Any) -> SignedWebhook:
        """
        Return a signed message of one of Dodo's event types, with new ids and of this moment.

        `changes` are fields of its data: `currency="JPY"`, `metadata={…}`; a name with dots
        reaches inside, as in `**{"customer.email": "ada@example.com"}`. Raises KeyError for an
        event or a field that Dodo does not have.
        """
        now = time.time()
        message = freshen(load(event), now=now)
        for name, value in changes.items():
            change(message, name, value)
        body = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()
        signed = sign(self.secret, message_id=new_id("msg"), timestamp_s=int(now), body=body)
        return SignedWebhook({"content-type": "application/json"} | signed, body)
