"""Signed webhooks made ahead, so that the load generator only has to send them."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass

from kit.helpers.dodo_datafast import signing_key
from kit.sandbox.fixtures import load

SECRET = "whsec_" + "YmVuY2htYXJrLXNlY3JldC1ub3QtZm9yLXVzZS0wMDAx"
PATH = "/webhooks/dodo"
BODY_BYTES = 3072  # what a real payment takes

_MARK = "pay_00000000"


@dataclass(frozen=True, slots=True)
class Requests:
    """Whole HTTP requests: each has a start of its own, and all have the same end."""

    starts: Sequence[bytes]
    end: bytes
    first: int
    """The number of the first, which its id bears."""

    def part(self, first: int, number: int) -> "Requests":
        """Return some of them."""
        return Requests(self.starts[first : first + number], self.end, self.first + first)


def webhook_id(number: int) -> str:
    """Return the id of a message."""
    return f"msg_{number:08}"


def payment_id(number: int) -> str:
    """Return the payment that a message is about."""
    return f"pay_{number:08}"


def sign_requests(number: int, *, first: int = 0) -> Requests:
    """
    Sign that many sales, each with a message id and a payment id of its own.

    The JSON is in the form of `JSON.stringify`: the Express adapter checks the signature over what
    it has parsed and written anew, and refuses every other form.
    """
    before, after = _body().split(_MARK.encode(), 1)
    key, now = signing_key(SECRET), int(time.time())
    starts = []
    for index in range(first, first + number):
        start = before + payment_id(index).encode()
        text = f"{webhook_id(index)}.{now}.".encode() + start + after
        signature = base64.b64encode(hmac.digest(key, text, hashlib.sha256)).decode()
        head = (
            f"POST {PATH} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
            f"content-length: {len(start) + len(after)}\r\nwebhook-id: {webhook_id(index)}\r\n"
            f"webhook-timestamp: {now}\r\nwebhook-signature: v1,{signature}\r\n\r\n"
        )
        starts.append(head.encode() + start)
    return Requests(starts, after, first)


def _body() -> bytes:
    message = load("payment.succeeded", payment_id=_MARK)
    padding = 0
    while (short := BODY_BYTES - len(_written(message))) > 0:
        # Metadata is where a shop's own data goes; a value has 500 characters at most.
        message["data"]["metadata"][f"padding_{padding}"] = "x" * min(max(short - 16, 1), 500)
        padding += 1
    return _written(message)


def _written(message: object) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode()
