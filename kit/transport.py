"""Send one request under one absolute deadline, and read a bounded answer."""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from urllib.parse import urlsplit

import httpx

from kit.errors import TransportError
from kit.helpers.dodo_datafast import Outgoing

MAX_REPLY_BYTES = 1 << 20
MAX_CONNECTIONS = 8  # httpx gets slower, not faster, past this many
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
        transport=transport,
        verify=_tls(),
        trust_env=False,
        follow_redirects=False,
        timeout=None,  # noqa: S113 - `send` puts one deadline over the whole exchange
        limits=httpx.Limits(max_connections=MAX_CONNECTIONS),
    )


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
