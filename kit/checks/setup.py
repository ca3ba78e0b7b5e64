"""What is examined, and with what: all that a check needs is handed to it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urljoin, urlsplit

import httpx

from kit.datafast import DataFastClient
from kit.dodo import DodoClient
from kit.helpers.dodo_datafast import Outgoing
from kit.hops import Hop
from kit.settings import Settings, variable_of
from kit.transport import Reply, send
from kit.variables import is_loopback

DEADLINE_S = 10.0
MAX_PAGE_BYTES = 4 << 20
MAX_REDIRECTS = 6


class Sign(Protocol):
    """Signs a body as Dodo does, and returns the three `webhook-*` headers."""

    def __call__(
        self, secret: str, *, message_id: str, timestamp_s: int, body: bytes
    ) -> Mapping[str, str]:
        """Sign one body at a moment."""


@dataclass(frozen=True, slots=True)
class Setup:
    """One shop's settings, the clients that reach its world, and the clock (Unix seconds)."""

    settings: Settings
    problems: tuple[str, ...]
    """What is wrong with the settings, each beginning with the variable's name."""
    environ: Mapping[str, str]
    env_file: Path
    webhook_url: str
    page_url: str
    http: httpx.AsyncClient
    dodo: DodoClient
    datafast: DataFastClient
    sign: Sign
    message: Mapping[str, Any]
    """The message of a round trip: of a type that moves no money."""
    clock: Callable[[], float]

    def needs(self, what: str, *names: str) -> list[Hop]:
        """Return what to say of a check that cannot be made because these variables are wrong."""
        wrong = {variable_of(each) for each in self.problems}
        missing = [name for name in names if name in wrong]
        return [Hop(what, "not_checked", seen=f"needs {' and '.join(missing)}")] if missing else []

    async def ask(
        self, method: str, url: str, *, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Reply:
        """Send one request to the shop. Raises TransportError."""
        outgoing = Outgoing(method, url, headers or {}, body)
        return await send(self.http, outgoing, deadline_s=DEADLINE_S, max_bytes=MAX_PAGE_BYTES)

    async def visit(self, url: str, headers: Mapping[str, str]) -> tuple[str, Reply]:
        """
        Get a page or script as a browser does: return where redirects led, and what was there.

        Raises TransportError.
        """
        for _ in range(MAX_REDIRECTS):
            reply = await self.ask("GET", url, headers=headers)
            if reply.status not in (301, 302, 303, 307, 308):
                break
            url = urljoin(url, header(reply, "location"))
        return url, reply


def header(reply: Reply, name: str) -> str:
    """Return the first header of a name, or nothing."""
    return next((value for key, value in reply.headers if key.lower() == name), "")


def is_local(url: str) -> bool:
    """Tell whether a URL can only mean this machine."""
    return is_loopback(urlsplit(url).hostname or "")


def is_same_place(one: str, other: str) -> bool:
    """Tell whether two URLs lead to one receiver; all names of this machine are the same."""
    places = [(*_origin(url), urlsplit(url).path.rstrip("/")) for url in (one, other)]
    return places[0] == places[1]


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    return parts.scheme, "this machine" if is_local(url) else parts.hostname or "", port
