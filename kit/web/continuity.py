"""
The continuity cookie: the server's own copy of the visitor id, which no script has written.

Safari deletes what scripts have written after seven days of use without a visit (webkit.org,
"Tracking Prevention in WebKit"), and with it the visitor. This copy is signed and set by the
server, so it stays; from it `datafast_visitor_id` is set again before the script runs, which then
takes it over. Pure ASGI, for any Starlette or FastAPI shop:

    app.add_middleware(
        Continuity, keys=[SECRET_KEY], domain="example.com", base_url="https://example.com"
    )
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from itsdangerous import BadData, URLSafeSerializer
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kit.helpers.dodo_datafast import VISITOR_COOKIE, visitor_from_cookies
from kit.web.consent import ConsentRule
from kit.web.guard import is_loopback_host
from kit.web.jar import (
    add_cookies,
    cookie_line,
    cookie_values,
    end_lines,
    host_name,
    last_cookie,
    script_domain,
)

LIFE_S = 365 * 24 * 3600  # as long as the script's own cookie
LINK_PARAMETER: Final = "_df_vid"
MAX_LINKED = 4

_NO_CONSENT_NEEDED = ConsentRule()


def copy_name(*, secure: bool) -> str:
    """Return the name of the copy's cookie; on https a prefix binds it to this very host."""
    return "__Host-kit_visitor" if secure else "kit_visitor"


@dataclass(frozen=True, slots=True)
class _Dated:
    """A visitor id, and when it was first seen in Unix seconds."""

    visitor_id: str
    since: int


@dataclass(frozen=True, slots=True)
class _Copy:
    """What the signed value holds: the visitor, and ids that only a link has brought."""

    visitor: _Dated | None = None
    linked: tuple[_Dated, ...] = ()


class Continuity:
    """
    Middleware: keeps a signed copy of the visitor id, and restores the cookie from it.

    `keys` sign it, newest first; an older key still reads. `domain` is the script's `data-domain`,
    `base_url` where visitors reach the shop, `clock` gives Unix seconds. Without consent, where
    `consent` requires it, nothing is read or written; a refusal ends the copy.

    A valid DataFast cookie always wins and becomes the copy, but for an id that a link has brought
    (`_df_vid`): the script adopts whatever stands there, so anybody could plant it. A copy counts
    for 365 days from its first capture, which the signed value holds and no visit prolongs.
    The app behind sees the restored cookie in this very request, with `visitor_restored` in its
    state.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        keys: Sequence[str],
        domain: str,
        base_url: str,
        consent: ConsentRule = _NO_CONSENT_NEEDED,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.app = app
        self._newest = URLSafeSerializer(keys[0], salt="kit.continuity")
        self._any = URLSafeSerializer(list(reversed(keys)), salt="kit.continuity")
        self._domain = domain
        self._own_host = urlsplit(base_url).hostname or ""
        self._secure = base_url.startswith("https://")
        self._name = copy_name(secure=self._secure)
        self._consent = consent
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and keep or restore its visitor on the answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        asked = HTTPConnection(scope)
        if not self._consent.permits(asked):
            refused = self._consent.state(asked) == "refused" and cookie_values(asked, self._name)
            await self.app(scope, receive, self._sender(send, [self._end()] if refused else []))
            return
        now = int(self._clock())
        signed = last_cookie(asked, self._name)
        held, current = self._read(signed, now)
        seen = visitor_from_cookies(asked.headers.get("cookie"))
        wanted = _renewed(held, seen.visitor_id, _linked_ids(asked), now)
        lines = []
        if wanted != held or (signed and not current):
            lines.append(self._copy_line(wanted, now))
        if seen.visitor_id is None and held.visitor is not None:
            lines += self._restoring(asked, held.visitor, now, malformed=seen.reason == "malformed")
            scope = _with_visitor(scope, held.visitor.visitor_id)
        await self.app(scope, receive, self._sender(send, lines))

    def _sender(self, send: Send, lines: list[str]) -> Send:
        if not lines:
            return send

        async def send_with_cookies(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                # Where the app itself has decided, a withdrawal for example, that stands.
                own = (f"{self._name}=", f"{VISITOR_COOKIE}=")
                if not any(line.startswith(own) for line in headers.getlist("set-cookie")):
                    add_cookies(headers, lines)
            await send(message)

        return send_with_cookies

    def _read(self, signed: str, now: int) -> tuple[_Copy, bool]:
        """Return what a signed value still says, and whether it is as we would write it today."""
        for serializer in (self._newest, self._any):
            try:
                value = serializer.loads(signed)
            except BadData:
                continue
            copy = _parsed(value)
            valid = _still_valid(copy, now)
            return valid, serializer is self._newest and valid == copy
        return _Copy(), True  # unreadable counts as absent, and is written over when there is cause

    def _copy_line(self, copy: _Copy, now: int) -> str:
        dated = [*copy.linked, *([copy.visitor] if copy.visitor else [])]
        if not dated:
            return self._end()
        value = self._newest.dumps(
            {
                "visitor": copy.visitor and [copy.visitor.visitor_id, copy.visitor.since],
                "linked": [[each.visitor_id, each.since] for each in copy.linked],
            }
        )
        return cookie_line(
            self._name,
            value if isinstance(value, str) else value.decode(),
            max_age_s=max(_remaining_s(each, now) for each in dated),
            secure=self._secure,
            http_only=True,
        )

    def _end(self) -> str:
        return cookie_line(self._name, "", max_age_s=0, secure=self._secure, http_only=True)

    def _restoring(
        self, asked: HTTPConnection, visitor: _Dated, now: int, *, malformed: bool
    ) -> list[str]:
        host = host_name(asked.headers.get("host", ""))
        if is_loopback_host(host):
            host = self._own_host  # a reverse proxy may ask for 127.0.0.1 in the shop's name
        domain = script_domain(host, self._domain)
        restored = cookie_line(
            VISITOR_COOKIE, visitor.visitor_id, max_age_s=_remaining_s(visitor, now), domain=domain
        )
        # The script reads the first cookie of the name, so a broken one must not stand beside it.
        broken = end_lines([VISITOR_COOKIE], host="", domain=None) if malformed and domain else []
        return [*broken, restored]


def _renewed(held: _Copy, seen: str | None, linked: list[str] | None, now: int) -> _Copy:
    """Return what the copy becomes by a request that shows an id, or whose link brought some."""
    known = held.visitor.visitor_id if held.visitor else None
    if linked is not None:
        brought = [each for each in linked if each not in (known, seen)]
        others = [each for each in held.linked if each.visitor_id not in brought]
        dated = [_Dated(each, now) for each in brought]
        return replace(held, linked=tuple([*others, *dated][-MAX_LINKED:])) if dated else held
    if seen is None or seen == known or seen in [each.visitor_id for each in held.linked]:
        return held
    return replace(held, visitor=_Dated(seen, now))


def _linked_ids(asked: HTTPConnection) -> list[str] | None:
    """
    Return the ids that a link brought to this page, or to the page that asks for a script.

    None where it brought none; an empty list where what it brought can be nobody's id.
    """
    try:
        referrer = urlsplit(asked.headers.get("referer", "")).query
    except ValueError:
        referrer = ""
    values = [
        value
        for query in (asked.url.query, referrer)
        for name, value in parse_qsl(query, keep_blank_values=True)
        if name == LINK_PARAMETER
    ]
    if not values:
        return None
    ids = (visitor_from_cookies(f"{VISITOR_COOKIE}={value}").visitor_id for value in values)
    return list(dict.fromkeys(each for each in ids if each is not None))


def _with_visitor(scope: Scope, visitor_id: str) -> Scope:
    """Let the app behind see the cookie that this answer restores."""
    restored = f"{VISITOR_COOKIE}={visitor_id}".encode()
    sent = [value for name, value in scope["headers"] if name == b"cookie"]
    others = [header for header in scope["headers"] if header[0] != b"cookie"]
    scope.setdefault("state", {})["visitor_restored"] = True
    return {**scope, "headers": [*others, (b"cookie", b"; ".join([*sent, restored]))]}


def _parsed(value: Any) -> _Copy:
    try:
        visitor, linked = value["visitor"], value["linked"]
        return _Copy(
            _Dated(str(visitor[0]), int(visitor[1])) if visitor else None,
            tuple(_Dated(str(visitor_id), int(since)) for visitor_id, since in linked),
        )
    except (KeyError, TypeError, ValueError, IndexError):
        return _Copy()  # signed by another version of the kit


def _still_valid(copy: _Copy, now: int) -> _Copy:
    visitor = copy.visitor
    return _Copy(
        visitor if visitor is not None and _remaining_s(visitor, now) > 0 else None,
        tuple(each for each in copy.linked if _remaining_s(each, now) > 0),
    )


def _remaining_s(dated: _Dated, now: int) -> int:
    # A clock that was set back must not lengthen a life.
    return min(dated.since + LIFE_S - now, LIFE_S)
