"""
First-party proxy for DataFast's script and events: two routes, fixed upstreams, few headers.

DataFast's own guides forward whatever the browser sent, the shop's session cookie included. Here a
short list goes up and a shorter one comes back. When DataFast is down the page gets the last good
script, else an empty one: analytics never breaks a page. For any Starlette or FastAPI shop:

    proxy = Proxy(
        httpx.AsyncClient(timeout=None), upstream="https://datafa.st", base_url="https://example.com"
    )
    app.router.routes.extend(proxy.routes())
"""

import asyncio
import hashlib
import json
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import httpx
from sqlalchemy import Connection
from starlette.background import BackgroundTask
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from kit.errors import TransportError
from kit.helpers.dodo_datafast import Outgoing
from kit.ledger import Ledger
from kit.ledger.visits import record_visit, visit_from_pageview
from kit.transport import Reply, send
from kit.web.consent import ConsentRule
from kit.web.guard import Networks, client_address

SCRIPTS = ("script.js", "script.cookieless.js", "script.hash.js")
SCRIPT_FRESH_S = 300.0
SCRIPT_STALE_S = 24 * 3600.0  # until then a page gets the one that is there and does not wait
SCRIPT_DEADLINE_S = 4.0
SCRIPT_RETRY_S = 10.0  # or every page would wait while DataFast is down, one after the other
EVENT_DEADLINE_S = 8.0
BODY_DEADLINE_S = 5.0
MAX_EVENT_BYTES = 64 * 1024
MAX_SCRIPT_BYTES = 512 * 1024

_NO_CONSENT_NEEDED = ConsentRule()

_log = logging.getLogger(__name__)


def _nobody(_referrer: str) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class _Script:
    body: bytes
    validators: dict[str, str]
    """How DataFast is asked whether it has changed."""
    etag: str
    fetched_at: float


class Proxy:
    """
    The endpoints, for any Starlette or FastAPI shop. `clock` gives Unix seconds.

    `upstream` and `base_url` are origins without a slash at their end. `payment_hosts` are those a
    buyer returns from: as a referrer they would count as traffic from the payment page. With a
    `ledger` visits are kept. Where `consent` is required and not given, the script is empty and no
    event goes up. `revalidate` lets browsers ask for the script on every page, which the
    continuity cookie needs where the pages themselves do not pass through it.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        *,
        upstream: str,
        base_url: str,
        trusted_proxies: Networks = (),
        payment_hosts: Callable[[str], bool] = _nobody,
        ledger: Ledger | None = None,
        consent: ConsentRule = _NO_CONSENT_NEEDED,
        revalidate: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._http = http
        self._upstream = upstream
        self._base_url = base_url
        self._trusted = trusted_proxies
        self._is_payment_host = payment_hosts
        self._ledger = ledger
        self._consent = consent
        # A withdrawal holds at once, and no shared cache gives the script to who has not agreed.
        self._cache_control = (
            "private, no-cache"
            if revalidate or consent.required
            else f"public, max-age={int(SCRIPT_FRESH_S)}"
        )
        self._clock = clock
        self._scripts: dict[str, _Script] = {}
        self._failed_at: dict[str, float] = {}
        self._fetching: dict[str, asyncio.Lock] = {name: asyncio.Lock() for name in SCRIPTS}

    def routes(self) -> list[Route]:
        """Return both routes, at the places where DataFast's script looks for them."""
        return [
            Route("/js/{name}", self.script),
            Route("/api/events", self.event, methods=["POST"]),
        ]

    async def script(self, request: Request) -> Response:
        """Answer `GET /js/{name}` with DataFast's script."""
        name = str(request.path_params["name"])
        if name not in SCRIPTS:
            return Response(status_code=404)
        if not self._consent.permits(request):
            return _empty_script()
        script = self._scripts.get(name)
        refresh = None
        if script is not None and 0 <= self._age_s(script) < SCRIPT_STALE_S:
            refresh = BackgroundTask(self._current, name)
        else:
            script = await self._current(name)
        if script is None:
            return _empty_script()
        headers = {"Cache-Control": self._cache_control, "ETag": script.etag}
        if _names_tag(request.headers.get("if-none-match", ""), script.etag):
            return Response(status_code=304, headers=headers, background=refresh)
        return Response(
            script.body, media_type="text/javascript", headers=headers, background=refresh
        )

    def _age_s(self, script: _Script) -> float:
        return self._clock() - script.fetched_at

    async def _current(self, name: str) -> _Script | None:
        """Return the script as DataFast has it now, or the last good one."""
        async with self._fetching[name]:
            held = self._scripts.get(name)
            if held is not None and 0 <= self._age_s(held) < SCRIPT_FRESH_S:
                return held
            if 0 <= self._clock() - self._failed_at.get(name, -math.inf) < SCRIPT_RETRY_S:
                return held
            self._failed_at[name] = self._clock()
            fresh = await self._fetch(name, held)
            if fresh is None:
                return held
            self._scripts[name] = fresh
            del self._failed_at[name]
            return fresh

    async def _fetch(self, name: str, held: _Script | None) -> _Script | None:
        validators = held.validators if held is not None else {}
        outgoing = Outgoing("GET", f"{self._upstream}/js/{name}", validators, b"")
        try:
            reply = await send(
                self._http, outgoing, deadline_s=SCRIPT_DEADLINE_S, max_bytes=MAX_SCRIPT_BYTES
            )
        except TransportError as problem:
            _log.warning("script not fetched: %s", problem)
            return None
        if reply.status == 304 and held is not None:
            return replace(held, fetched_at=self._clock())
        if reply.status == 200 and "javascript" in _header(reply, "content-type"):
            return _script(reply, self._clock())
        _log.warning("script not fetched: DataFast answered %s", reply.status)
        return None

    async def event(self, request: Request) -> Response:
        """
        Pass `POST /api/events` on, and remember the visit once DataFast took it.

        Without consent it goes no further. The answer is then 204: the script writes its cookie
        again after a 200 alone, and the SDK tries nothing again after any 2xx.
        """
        if not self._consent.permits(request):
            return Response(status_code=204, headers={"Cache-Control": "no-store"})
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
            self._remember(tracked, reply)
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
        # DataFast requires an Origin (datafast/flask-proxy); a same-origin request may have none,
        # and a page that hides its referrer says "null".
        origin = given.get("origin", "null")
        headers["origin"] = self._base_url if origin == "null" else origin
        address = client_address(request, self._trusted)
        return headers | ({"x-datafast-real-ip": address} if address else {})

    def _remember(self, tracked: dict[str, Any], reply: Reply) -> None:
        if tracked.get("cookieless") is True:
            # The page's own id is thrown away; DataFast's answer names the visitor.
            tracked = tracked | {"visitorId": _object(reply.body).get("visitorId")}
        visit = visit_from_pageview(tracked)
        if visit is None or self._ledger is None:
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


def _script(reply: Reply, now: float) -> _Script:
    known = {"If-None-Match": "etag", "If-Modified-Since": "last-modified"}
    validators = {asks: value for asks, name in known.items() if (value := _header(reply, name))}
    own = f'"{hashlib.sha256(reply.body).hexdigest()[:32]}"'
    return _Script(reply.body, validators, validators.get("If-None-Match", own), now)


def _empty_script() -> Response:
    return Response(b"", media_type="text/javascript", headers={"Cache-Control": "no-store"})


def _names_tag(if_none_match: str, etag: str) -> bool:
    """Compare as RFC 9110 has it for this header: a list, and weak tags are as good."""
    tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return "*" in tags or etag.removeprefix("W/") in tags


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
