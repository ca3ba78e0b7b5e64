"""What stands in front of the pages: security headers, same-origin posts, addresses, floods."""

import secrets
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kit.web.jar import host_name

Networks = Sequence[IPv4Network | IPv6Network]

_FORWARDING = ("forwarded", "x-forwarded-", "x-real-ip", "cf-", "via", "true-client-ip")
_MAX_ADDRESSES = 10_000


class SecurityHeaders:
    """
    Middleware: one nonce for each request, and headers that shut everything not asked for.

    `form_targets` are the origins a form may lead to: browsers hold every redirect after a post
    against `form-action`.
    """

    def __init__(self, app: ASGIApp, *, form_targets: Iterable[str], secure: bool) -> None:
        self.app = app
        self._policy = (
            "default-src 'none'; img-src 'self' data:; style-src 'self'; "
            "script-src 'nonce-{nonce}'; connect-src 'self'; "
            f"form-action 'self' {' '.join(form_targets)}; "
            "base-uri 'none'; frame-ancestors 'none'"
        ).replace(" ;", ";")
        self._secure = secure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and put the headers on its answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        nonce = secrets.token_urlsafe(16)
        scope.setdefault("state", {})["nonce"] = nonce

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("Content-Security-Policy", self._policy.format(nonce=nonce))
                headers["X-Content-Type-Options"] = "nosniff"
                # Not "no-referrer": that would turn the Origin of our own forms into "null".
                headers["Referrer-Policy"] = "strict-origin-when-cross-origin"
                headers["Permissions-Policy"] = "camera=(), geolocation=(), microphone=()"
                headers["Cross-Origin-Opener-Policy"] = "same-origin"
                if self._secure:
                    headers["Strict-Transport-Security"] = "max-age=31536000"
            await send(message)

        await self.app(scope, receive, send_guarded)


def is_same_origin(connection: HTTPConnection, base_url: str) -> bool:
    """
    Tell whether a post comes from a page of this shop, or from no browser at all.

    Every browser names the origin of a post; what names none is a program, which a forged form
    cannot be (MDN, "Cross-Site Request Forgery", 2026).
    """
    site = connection.headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = connection.headers.get("origin")
    return origin is None or origin == _origin(base_url)


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def client_address(connection: HTTPConnection, trusted: Networks) -> str:
    """
    Return the address of whoever asks, believing `X-Forwarded-For` from trusted hops alone.

    The list is read from its end: what a client wrote there itself stands at the beginning.
    """
    peer = connection.client.host if connection.client else ""
    address = _plain_address(peer) or peer
    if not _within(address, trusted):
        return address
    hops = ",".join(connection.headers.getlist("x-forwarded-for")).split(",")
    for hop in map(_plain_address, reversed(hops)):
        if hop is None:
            break
        address = hop
        if not _within(hop, trusted):
            break
    return address


def _plain_address(hop: str) -> str | None:
    """
    Return an address without what some write around it; None for what is none.

    A port comes from Azure's gateways, a socket of both families maps IPv4 into IPv6.
    """
    text = hop.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        parsed = ip_address(text)
    except ValueError:
        return None
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return str(mapped or text)


def is_direct_loopback(connection: HTTPConnection) -> bool:
    """
    Tell whether a person on this very machine asks.

    Peer and `Host` must both be loopback, and nothing may have forwarded the request: behind a
    tunnel every peer is 127.0.0.1, and a rebound name brings a foreign `Host`. nginx sets a `Host`
    of its own and no forwarding header unless it is told to, but asks in HTTP/1.0, as no browser
    does (1.22, with a bare `proxy_pass`).
    """
    address = connection.client.host if connection.client else ""
    host = host_name(connection.headers.get("host", ""))
    forwarded = any(name.startswith(_FORWARDING) for name in connection.headers)
    relayed = forwarded or connection.scope.get("http_version") == "1.0"
    return _is_loopback(address) and is_loopback_host(host) and not relayed


def is_loopback_host(host: str) -> bool:
    """Tell whether a host name or address can only mean this machine."""
    return host == "localhost" or host.endswith(".localhost") or _is_loopback(host)


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


def _household(address: str) -> str:
    """Return what one customer of a provider has: an IPv4 address, or a whole IPv6 /64."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    return address if parsed.version == 4 else str(ip_network(f"{address}/64", strict=False))


def _within(address: str, networks: Networks) -> bool:
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in networks)


@dataclass(frozen=True, slots=True)
class Limit:
    """How many requests may follow one another at once, and how many a minute after that."""

    burst: int
    per_minute: float


class FloodGate:
    """
    Token buckets in memory: one for each address, one for all. Each process counts for itself.

    Dodo's limit holds for the whole account, so one script at the checkout could stop all sales.
    """

    def __init__(self, *, each: Limit, total: Limit, clock: Callable[[], float]) -> None:
        self._each = each
        self._total = total
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def admits(self, address: str) -> bool:
        """Take one request of an address off its budget; False when there is none left."""
        now = self._clock()
        address = _household(address)
        if not self._take(address, self._each, now):
            return False
        admitted = self._take("", self._total, now)
        while len(self._buckets) > _MAX_ADDRESSES:
            self._buckets.popitem(last=False)
        return admitted

    def _take(self, key: str, limit: Limit, now: float) -> bool:
        tokens, since = self._buckets.pop(key, (float(limit.burst), now))
        tokens = min(tokens + max(now - since, 0) * limit.per_minute / 60, limit.burst)
        admitted = tokens >= 1
        self._buckets[key] = (tokens - 1 if admitted else tokens, now)
        return admitted
