"""The webhook endpoint: prove the bytes, put them on disk, say so. Everything else is later."""

import asyncio
import logging
import re
from collections.abc import Callable, Mapping, Sequence

from sqlalchemy import Connection
from starlette.types import Receive, Scope, Send

from kit.errors import LedgerUnavailable
from kit.helpers.dodo_datafast import SignatureError, verify_signature
from kit.ledger import Ledger
from kit.ledger.events import count_refusal

MAX_BODY_BYTES = 64 * 1024  # a payment is 3 kB; the specification advises 20 kB
BODY_DEADLINE_S = 10.0
ANSWER_DEADLINE_S = 13.0  # in all; Dodo gives up after 15 s (dodo/developer-resources/webhooks)

_log = logging.getLogger(__name__)

_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_HEADERS = (b"webhook-id", b"webhook-timestamp", b"webhook-signature")
_ANSWERS: Mapping[str, tuple[int, bytes]] = {
    "accepted": (200, b'{"status":"accepted"}'),
    "duplicate": (200, b'{"status":"duplicate"}'),
    "unsigned": (401, b'{"status":"refused","error":"the signature does not fit this body"}'),
    "method": (405, b'{"status":"refused","error":"send webhooks with POST"}'),
    "slow": (408, b'{"status":"refused","error":"the body took too long"}'),
    "too_large": (413, b'{"status":"refused","error":"the body is too large"}'),
    "unavailable": (503, b'{"status":"unavailable","error":"not stored; send it again"}'),
}
_EXTRA_HEADERS: Mapping[str, list[tuple[bytes, bytes]]] = {
    "method": [(b"allow", b"POST")],
    "slow": [(b"connection", b"close")],
    "too_large": [(b"connection", b"close")],
    "unavailable": [(b"retry-after", b"5")],
}


class _Refused(Exception):  # noqa: N818 - a signal inside this file
    def __init__(self, answer: str) -> None:
        self.answer = answer


class Receiver:
    """
    The ASGI app behind `POST /webhooks/dodo`.

    A 200 means that the event is fsynced; before that there is none. `keys` are decoded secrets,
    every one of them accepted; `clock` gives Unix seconds.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        keys: Sequence[bytes],
        clock: Callable[[], float],
        tolerance_s: float = 300,
    ) -> None:
        self._ledger = ledger
        self._keys = list(keys)
        self._clock = clock
        self._tolerance_s = tolerance_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one webhook."""
        try:
            answer = await self._receive(scope, receive)
        except _Refused as refused:
            answer = refused.answer
        status, body = _ANSWERS[answer]
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            *_EXTRA_HEADERS.get(answer, ()),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _receive(self, scope: Scope, receive: Receive) -> str:
        if scope["method"] != "POST":
            return "method"
        answer_by = asyncio.get_running_loop().time() + ANSWER_DEADLINE_S
        try:
            async with asyncio.timeout(BODY_DEADLINE_S):
                body = await _read_body(scope, receive)
        except TimeoutError:
            return "slow"
        # Latin-1 so that no header can fail to decode; the check refuses what is not ASCII.
        headers = [
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, value in scope["headers"]
            if name in _HEADERS
        ]
        try:
            signed = verify_signature(
                body, headers, self._keys, now=self._clock(), tolerance_s=self._tolerance_s
            )
        except SignatureError as refusal:
            self._report(refusal, headers)
            return "unsigned"
        try:
            async with asyncio.timeout_at(answer_by):
                return await self._ledger.record(signed)
        except (LedgerUnavailable, TimeoutError) as problem:
            # What is stored after all makes the next attempt a duplicate.
            why = str(problem) or "the database took too long"
            _log.error("webhook not stored: %s", why, extra={"webhook_id": signed.id})
            return "unavailable"

    def _report(self, refusal: SignatureError, headers: Sequence[tuple[str, str]]) -> None:
        if refusal.signed is None:
            _log.info("webhook refused: %s", refusal.reason, extra=_claimed(headers))
            return
        reason, now_ms = refusal.reason, self._ledger.now_ms()
        _log.error(
            "validly signed webhook refused as %s: the clock is off, or Dodo keeps the first "
            "attempt's time (KIT_WEBHOOK_TOLERANCE_S)",
            reason,
            extra={"webhook_id": refusal.signed.id},
        )

        def count(connection: Connection) -> None:
            count_refusal(connection, reason, now_ms)

        self._ledger.note(count)


def _claimed(headers: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Name a message in a log entry as it names itself; nothing proves it, so only an id does."""
    named = [value for name, value in headers if name == "webhook-id"]
    well_formed = len(named) == 1 and _ID.fullmatch(named[0]) is not None
    return {"webhook_id": named[0]} if well_formed else {}


async def _read_body(scope: Scope, receive: Receive) -> bytes:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit() and int(value[:20]) > MAX_BODY_BYTES:
            raise _Refused("too_large")
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Refused("slow")
        body += bytes(message.get("body", b""))
        if len(body) > MAX_BODY_BYTES:
            raise _Refused("too_large")
        if not message.get("more_body", False):
            return body
