"""Keep what came in, then let chaos or the app answer it."""

import asyncio
import hmac
from collections.abc import Callable
from urllib.parse import parse_qsl

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kit.sandbox import faults
from kit.sandbox.calls import Call
from kit.sandbox.chaos import ANSWER_MODES, Chaos
from kit.sandbox.refusals import Refuse
from kit.sandbox.stamps import iso, new_id
from kit.sandbox.store import Document, Store

KIND = "request"
KEPT = 5_000
BODY_LIMIT_BYTES = 1_000_000
# Its own pages and the stylesheet would bury what a test looks for.
UNRECORDED = ("/_sandbox", "/static")
CHAOS_SCOPE = "sandbox.chaos"


class Journal:
    """The requests a stand-in received, newest last, without anybody's API key."""

    def __init__(self, store: Store, *, api_key: str, clock: Callable[[], float]) -> None:
        """Write to `store`; `api_key` is what a right bearer token is."""
        self._store = store
        self._bearer = f"Bearer {api_key}".encode()
        self._clock = clock
        self._count = 0

    def write(self, call: Call) -> Callable[[int], None]:
        """Keep a request at once; the returned function adds the status of the answer."""
        if self._count % 500 == 0:
            self._store.trim(KIND, newest=KEPT)
        self._count += 1
        key = new_id("req")
        document: Document = {
            "received_at": iso(self._clock()),
            "method": call.method,
            "path": call.path,
            "query": dict(parse_qsl(call.query)),
            "headers": self._safe(call.headers),
            "body": call.body.decode(errors="replace"),
            "subjects": {name: sorted(values) for name, values in call.subjects().items()},
            "status": None,
        }
        self._store.put(KIND, key, document)

        def answered(status: int) -> None:
            # A reset between request and answer has emptied the journal.
            if self._store.get(KIND, key) is not None:
                self._store.put(KIND, key, document | {"status": status})

        return answered

    def read(self, wanted: dict[str, str]) -> list[Document]:
        """Return the requests that carry every wanted visitor id, transaction id or path."""
        return [
            {name: value for name, value in document.items() if name != "subjects"}
            for document in self._store.all(KIND)
            if all(value in document["subjects"].get(name, ()) for name, value in wanted.items())
        ]

    def _safe(self, headers: tuple[tuple[str, str], ...]) -> dict[str, str]:
        """Return the headers, repeated ones joined, and of the key only whether it was right."""
        shown: dict[str, str] = {}
        for name, value in headers:
            safe = value
            if name == "authorization":
                right = hmac.compare_digest(value.encode(), self._bearer)
                safe = "right" if right else "wrong"
            shown[name] = f"{shown[name]}, {safe}" if name in shown else safe
        return shown


class Intake:
    """ASGI middleware: journal, then chaos, then the app."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        journal: Journal,
        chaos: Chaos,
        refuse: Refuse,
        closing: asyncio.Event,
    ) -> None:
        """Wrap `app`; `refuse` builds the service's own error bodies."""
        self._app = app
        self._journal = journal
        self._chaos = chaos
        self._refuse = refuse
        self._closing = closing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection."""
        if scope["type"] != "http" or scope["path"].startswith(UNRECORDED):
            await self._app(scope, receive, send)
            return
        body = await _read_body(receive)
        if body is None:
            await self._refuse(413, "The body is too large.")(scope, receive, send)
            return
        call = _call(scope, body)
        answered = self._journal.write(call)

        async def recorded(message: Message) -> None:
            if message["type"] == "http.response.start":
                answered(message["status"])
            await send(message)

        rule = self._chaos.take(call)
        if rule is None or rule.mode in ANSWER_MODES:
            if rule is not None:
                scope[CHAOS_SCOPE] = rule.mode
            await self._app(scope, _replay(body, receive), recorded)
            return
        if rule.after:
            await self._app(scope, _replay(body, receive), _discard)
        await faults.play(
            rule.mode, scope, receive, recorded, refuse=self._refuse, closing=self._closing
        )


def _call(scope: Scope, body: bytes) -> Call:
    headers = tuple(
        (name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]
    )
    query = scope["query_string"].decode("latin-1")
    return Call(scope["method"], scope["path"], query, headers, body)


async def _read_body(receive: Receive) -> bytes | None:
    """Return the whole body, or None when it passes the limit."""
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > BODY_LIMIT_BYTES:
            return None
        if not message.get("more_body", False):
            return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Hand an already read body to the app, and after it whatever the server says."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return messages.pop() if messages else await receive()

    return replayed


async def _discard(_message: Message) -> None:
    """Swallow an answer that chaos replaces."""
