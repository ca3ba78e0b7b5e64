"""Consent: what a visitor answered, read from one cookie, and what a refusal takes away."""

import re
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import unquote

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kit.web.jar import add_cookies, cookie_values, end_lines, host_name

State = Literal["given", "refused", "not_asked"]

REFUSED: Final = "refused"
# Those of the script and of the SDK (npm datafast 3.0.18).
DATAFAST_COOKIES: Final = (
    "datafast_visitor_id",
    "datafast_session_id",
    "datafast_visitor_first_seen_at",
    "datafast_visitor_session_count",
    "datafast_session_start",
)
_PREFIX = "datafast_"
_COOKIE_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")


@dataclass(frozen=True, slots=True)
class ConsentRule:
    """
    Whether visitors are asked, and how an answer reads: the name and the value of a cookie.

    In `accepted` a star stands for anything, as in `*statistics:true*`, so that the cookie of a
    consent manager can be told; such a value nobody but that manager can write.
    """

    required: bool = False
    cookie: str = "kit_consent"
    accepted: str = "given"

    def state(self, connection: HTTPConnection) -> State:
        """Return the answer of this browser; where several contradict each other it is a no."""
        answers = cookie_values(connection, self.cookie) if self.required else []
        if not answers:
            return "not_asked"
        return "given" if all(map(self.accepts, answers)) else "refused"

    def permits(self, connection: HTTPConnection) -> bool:
        """Tell whether this visitor may be measured."""
        return not self.required or self.state(connection) == "given"

    def accepts(self, value: str) -> bool:
        """Tell whether a cookie's value says yes, as it stands or percent-decoded."""
        return any(_fits(self.accepted, text) for text in (value, unquote(value)))

    @property
    def can_ask(self) -> bool:
        """Whether the shop's own form can write the answer."""
        return self.required and "*" not in self.accepted


def _fits(pattern: str, text: str) -> bool:
    """Tell whether a text is what a pattern says, in which a star stands for anything."""
    # No regular expression: with a few stars it takes seconds over a cookie that is made for it.
    first, *others = pattern.split("*")
    if not others:
        return text == first
    *between, last = others
    place, end = len(first), len(text) - len(last)
    if place > end or not (text.startswith(first) and text.endswith(last)):
        return False
    for part in between:
        found = text.find(part, place, end)
        if found < 0:
            return False
        place = found + len(part)
    return True


class Refusals:
    """
    Middleware: while a visitor refuses, every DataFast cookie that a request shows is ended.

    The answer may have come from a consent manager that knows nothing of these cookies, and a
    script that was running may have written one after they were deleted.
    """

    def __init__(self, app: ASGIApp, *, consent: ConsentRule, domain: str | None) -> None:
        self.app = app
        self._consent = consent
        self._domain = domain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and end its cookies on the answer."""
        names = []
        if scope["type"] == "http" and self._consent.required:
            asked = HTTPConnection(scope)
            if self._consent.state(asked) == "refused":
                names = datafast_names(asked)
        if not names:
            await self.app(scope, receive, send)
            return
        lines = end_lines(names, host=_host(asked), domain=self._domain)

        async def send_ended(message: Message) -> None:
            if message["type"] == "http.response.start":
                add_cookies(MutableHeaders(scope=message), lines)
            await send(message)

        await self.app(scope, receive, send_ended)


def datafast_names(connection: HTTPConnection) -> list[str]:
    """Return the names of DataFast's cookies that a request shows."""
    names = (
        part.strip(" \t").partition("=")[0]
        for part in connection.headers.get("cookie", "").split(";")
    )
    return sorted(
        {name for name in names if name.startswith(_PREFIX) and _COOKIE_NAME.fullmatch(name)}
    )


def refusal_lines(connection: HTTPConnection, *, domain: str | None) -> list[str]:
    """End all of DataFast's cookies, those that this request does not show as well."""
    names = dict.fromkeys((*DATAFAST_COOKIES, *datafast_names(connection)))
    return end_lines(names, host=_host(connection), domain=domain)


def _host(connection: HTTPConnection) -> str:
    return host_name(connection.headers.get("host", ""))
