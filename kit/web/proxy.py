"""
First-party proxy for DataFast's script and events: two routes, fixed upstreams, few headers.

DataFast's own guides forward whatever the browser sent, the shop's session cookie included. Here a
short list goes up and a shorter one comes back. When DataFast is down the page gets the last good
script, else an empty one: analytics never breaks a page.
"""

import asyncio
import json
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
from sqlalchemy import Connection
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from kit.errors import TransportError
from kit.helpers.dodo_datafast import Outgoing
from kit.ledger import Ledger
from kit.ledger.visits import record_visit, visit_from_pageview
from kit.transport import Reply, send
from kit.web.guard import Networks, client_address

SCRIPTS = ("script.js", "script.cookieless.js", "script.hash.js")
SCRIPT_FRESH_S = 300.0
SCRIPT_DEADLINE_S = 4.0
SCRIPT_RETRY_S = 10.0  # or every page would wait while DataFast is down, one after the other
EVENT_DEADLINE_S = 8.0
BODY_DEADLINE_S = 5.0
MAX_EVENT_BYTES = 64 * 1024
MAX_SCRIPT_BYTES = 512 * 1024

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Script:
    body: bytes
    etag: str | None
    fetched_at: float


class Proxy:
    """
    The endpoints, for any Starlette or FastAPI shop. `clock` gives Unix seconds.

    `upstream` and `base_url` are origins without a slash at their end. `payment_hosts` are those a
    buyer returns from: as a referrer they would count as traffic from the payment page.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        *,
        upstream: str,
        base_url: str,
        trusted_proxies: Networks,
        payment_hosts: Callable[[str], bool],
        ledger: Ledger,
        clock: Callable[[], float],
    ) -> None:
        self._http = http
        self._upstream = upstream
        self._base_url = base_url
        self._trusted = trusted_proxies
        self._is_payment_host = payment_hosts
        self._ledger = ledger
        self._clock = clock
        self._scripts: dict[str, _Script] = {}
        self._failed_at: dict[str, float] = {}
        self._fetching: dict[str, asyncio.Lock] = {name: asyncio.Lock() for name in SCRIPTS}

    async def script(self, request: Request) -> Response:
        """Answer `GET /js/{name}` with DataFast's script."""
        name = str(request.path_params["name"])
        if name not in SCRIPTS:
            return Response(status_code=404)
        async with self._fetching[name]:
            script = await self._current(name)
        if script is None:
            return Response(
                b"", media_type="text/javascript", headers={"Cache-Control": "no-store"}
            )
        headers = {"Cache-Control": f"public, max-age={int(SCRIPT_FRESH_S)}"}
        if script.etag is not None:
            headers["ETag"] = script.etag
            if request.headers.get("if-none-match") == script.etag:
                return Response(status_code=304, headers=headers)
        return Response(script.body, media_type="text/javascript", headers=headers)

    async def _current(self, name: str) -> _Script | None:
        held = self._scripts.get(name)
        if held is not None and self._clock() - held.fetched_at < SCRIPT_FRESH_S:
            return held
        if 0 <= self._clock() - self._failed_at.get(name, -math.inf) < SCRIPT_RETRY_S:
            return held
        self._failed_at[name] = self._clock()
        headers = {"If-None-Match": held.etag} if held is not None and held.etag else {}
        outgoing = Outgoing("GET", f"{self._upstream}/js/{name}", headers, b"")
        try:
            reply = await send(
                self._http, outgoing, deadline_s=SCRIPT_DEADLINE_S, max_bytes=MAX_SCRIPT_BYTES
            )
        except TransportError as problem:
            _log.warning("script not fetched: %s", problem)
            return held
        if reply.status == 304 and held is not None:
            held = _Script(held.body, held.etag, self._clock())
        elif reply.status == 200 and "javascript" in _header(reply, "content-type"):
            held = _Script(reply.body, _header(reply, "etag") or None, self._clock())
        else:
            _log.warning("script not fetched: DataFast answered %s", reply.status)
            return held
        self._scripts[name] = held
        del self._failed_at[name]
        return held

    async def event(self, request: Request) -> Response:
        """Pass `POST /api/events` on, and remember the visit once DataFast took it."""
        try:
            async with asyncio.timeout(BODY_DEADLINE_S):
                body = await _read_body(request)
        except (TimeoutError, ClientDisconnect):
            return Response(status_code=408)
        if body is None:
            return Response(status_code=413)
        tracked = _object(body)
        referrer = tracked.get("referrer")
        if isinstance(referrer, str) and self._is_payment_host(referrer):
            body = json.dumps(tracked | {"referrer": None}, separators=(",", ":")).encode()
        outgoing = Outgoing("POST", f"{self._upstream}/api/events", self._headers(request), body)
        try:
            reply = await send(
                self._http, outgoing, deadline_s=EVENT_DEADLINE_S, max_bytes=MAX_EVENT_BYTES
            )
        except TransportError as problem:
            _log.warning("event not passed: %s", problem)
            return Response(status_code=503, headers={"Retry-After": "5"})
        if 200 <= reply.status < 300:
            self._remember(tracked)
        return Response(
            reply.body,
            status_code=reply.status,
            headers={"Cache-Control": "no-store"},
            media_type=_header(reply, "content-type") or None,
        )

    def _headers(self, request: Request) -> dict[str, str]:
        # A byte beyond ASCII is legal here, and the client library refuses to send it.
        given = {name: value for name, value in request.headers.items() if value.isascii()}
        headers: dict[str, str] = {
            name: given[name]
            for name in ("user-agent", "content-type", "accept-language")
            if name in given
        }
        # DataFast requires an Origin (datafast/flask-proxy); a same-origin request may have none.
        headers["origin"] = given.get("origin", self._base_url)
        address = client_address(request, self._trusted)
        return headers | ({"x-datafast-real-ip": address} if address else {})

    def _remember(self, tracked: dict[str, Any]) -> None:
        visit = visit_from_pageview(tracked)
        if visit is None:
            return
        now_ms = self._ledger.now_ms()

        def write(connection: Connection) -> None:
            record_visit(connection, visit, now_ms)

        self._ledger.note(write)


def hosts_matcher(hosts: tuple[str, ...]) -> Callable[[str], bool]:
    """Return a test of whether a URL is on one of `hosts`, written as CSP sources are."""
    names = [
        urlsplit(host if "://" in host else f"https://{host}").hostname or "" for host in hosts
    ]

    def matches(url: str) -> bool:
        try:
            host = urlsplit(url).hostname or ""
        except ValueError:
            return False
        return any(
            host == name or (name.startswith("*.") and host.endswith(name[1:])) for name in names
        )

    return matches


async def _read_body(request: Request) -> bytes | None:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_EVENT_BYTES:
            return None
    return body


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _header(reply: Reply, name: str) -> str:
    return next((value for key, value in reply.headers if key.lower() == name), "")
