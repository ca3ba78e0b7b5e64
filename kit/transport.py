"""Send one request under one absolute deadline, and read a bounded answer."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from types import MappingProxyType
from typing import cast
from urllib.parse import urlsplit

import httpx

from kit.errors import TransportError
from kit.helpers.dodo_datafast import Outgoing

MAX_REPLY_BYTES = 1 << 20
MAX_CONNECTIONS = 16
HEADERS: Mapping[str, str] = MappingProxyType(
    # Answers are small; unpacking one could make it large.
    {"user-agent": "dodo-datafast-kit", "accept": "*/*", "accept-encoding": "identity"}
)


@dataclass(frozen=True, slots=True)
class Reply:
    """One whole HTTP answer."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


def open_client(transport: httpx.AsyncBaseTransport | None = None) -> httpx.AsyncClient:
    """
    Open a client that follows no redirect, reads no proxy settings and keeps few connections.

    A redirect is never followed, so that a key is never sent to another host.
    """
    return httpx.AsyncClient(
        transport=transport or _Wires(MAX_CONNECTIONS),
        trust_env=False,
        follow_redirects=False,
        timeout=None,  # noqa: S113 - `send` puts one deadline over the whole exchange
    )


class _Wires(httpx.AsyncBaseTransport):
    """
    Connections side by side, each a pool of its own.

    For each request a pool looks at all its connections, and asks the system about each that is
    idle: with sixteen in one, that takes as long as the exchange itself.
    """

    def __init__(self, number: int) -> None:
        self._turn = asyncio.Semaphore(number)
        self._wires: list[httpx.AsyncHTTPTransport] = []
        self._free: list[httpx.AsyncHTTPTransport] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await self._turn.acquire()
        wire = self._free.pop() if self._free else self._another()
        try:
            response = await wire.handle_async_request(request)
        except BaseException:
            self._give_back(wire)
            raise
        source = cast("httpx.AsyncByteStream", response.stream)
        response.stream = _Lent(source, partial(self._give_back, wire))
        return response

    async def aclose(self) -> None:
        for wire in self._wires:
            await wire.aclose()

    def _another(self) -> httpx.AsyncHTTPTransport:
        limits = httpx.Limits(max_connections=1)
        wire = httpx.AsyncHTTPTransport(verify=_tls(), trust_env=False, limits=limits)
        self._wires.append(wire)
        return wire

    def _give_back(self, wire: httpx.AsyncHTTPTransport) -> None:
        self._free.append(wire)
        self._turn.release()


class _Lent(httpx.AsyncByteStream):
    """What comes over a wire, which is free again once that is closed."""

    def __init__(self, source: httpx.AsyncByteStream, give_back: Callable[[], None]) -> None:
        self._source = source
        self._give_back: Callable[[], None] | None = give_back

    def __aiter__(self) -> AsyncIterator[bytes]:
        return aiter(self._source)

    async def aclose(self) -> None:
        give_back, self._give_back = self._give_back, None
        try:
            await self._source.aclose()
        finally:
            if give_back is not None:
                give_back()


@cache
def _tls() -> ssl.SSLContext:
    """Read the authorities once for all clients: it takes as long as the rest of a start."""
    return httpx.create_ssl_context(trust_env=False)


async def send(
    client: httpx.AsyncClient,
    outgoing: Outgoing,
    *,
    deadline_s: float,
    max_bytes: int = MAX_REPLY_BYTES,
) -> Reply:
    """
    Send a request; connecting, writing and reading share `deadline_s`.

    A name under `.localhost` is this machine (RFC 6761), whether or not a resolver knows it.
    Raises TransportError when no whole answer of at most `max_bytes` came in time.
    """
    host = urlsplit(outgoing.url).netloc
    try:
        async with asyncio.timeout(deadline_s):
            return await _exchange(client, outgoing, max_bytes, host)
    except TimeoutError:
        raise TransportError("timeout", host) from None
    except (httpx.ConnectError, httpx.UnsupportedProtocol):
        raise TransportError("connect", host) from None
    except (httpx.HTTPError, httpx.InvalidURL):
        raise TransportError("broken", host) from None


async def _exchange(
    client: httpx.AsyncClient, outgoing: Outgoing, max_bytes: int, host: str
) -> Reply:
    url, named = _resolved(outgoing.url)
    # Put together here, not by the client: that is slower, and sends cookies of answers back.
    given = {name.lower(): value for name, value in outgoing.headers.items()}
    headers = {**HEADERS, **named, **given}
    request = httpx.Request(outgoing.method, url, headers=headers, content=outgoing.content)
    response = await client.send(request, stream=True)
    try:
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > max_bytes:
                raise TransportError("too_large", host)
        return Reply(response.status_code, tuple(response.headers.multi_items()), bytes(body))
    finally:
        await response.aclose()


def _resolved(url: str) -> tuple[str, dict[str, str]]:
    """Return where to connect for a URL, and the header that still names its host."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return url, {}  # the client refuses it, and says so
    if parts.scheme != "http" or not host.endswith(".localhost"):
        return url, {}
    netloc = "127.0.0.1" if port is None else f"127.0.0.1:{port}"
    return parts._replace(netloc=netloc).geturl(), {"host": parts.netloc}
