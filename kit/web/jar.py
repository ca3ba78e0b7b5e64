"""
Cookies as they stand in a header, and Set-Cookie lines for DataFast's cookies and our copies.

A line's Domain, its end, and no cache.
"""

import re
from collections.abc import Iterable
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection

# What the tracking script takes for localhost (npm datafast 3.0.18): no Domain there.
_LOCAL = re.compile(r"localhost|127(?:\.\d+){3}|::1|.+\.local|.+\.localhost")
_HOST_NAME = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)*")
# Caches that put these above Cache-Control would hand one visitor's cookie to everybody.
_OTHER_CACHES = ("cdn-cache-control", "surrogate-control", "expires")


def cookie_values(connection: HTTPConnection, name: str) -> list[str]:
    """
    Return every value that a request has for a cookie, as it stands in the header.

    Not `connection.cookies`, which takes the quotes off each cookie there is: nothing of ours has
    any, and with 16 kB of backslashes that keeps the server busy for a second (CVE-2024-7592, in
    Python before 3.11.10 and 3.12.6).
    """
    parts = ";".join(connection.headers.getlist("cookie")).split(";")
    pairs = (part.strip(" \t").partition("=") for part in parts)
    return [value for found, equals, value in pairs if equals and found == name]


def last_cookie(connection: HTTPConnection, name: str) -> str:
    """Return the last of a cookie's values; empty where there is none."""
    return (cookie_values(connection, name) or [""])[-1]


def host_name(host_header: str) -> str:
    """Return the name in a `Host` header, without its port; empty for what is none."""
    try:
        return urlsplit(f"//{host_header}").hostname or ""
    except ValueError:
        return ""


def script_domain(host: str, domain: str) -> str | None:
    """
    Return the Domain that DataFast's script gives its cookies on a host; None is the host alone.

    The script's `data-domain`, or on a host outside it that host (npm datafast 3.0.18).
    """
    if _LOCAL.fullmatch(host) or not _is_name(host):
        return None
    return domain if host == domain or host.endswith(f".{domain}") else host


def cookie_line(
    name: str,
    value: str,
    *,
    max_age_s: int,
    domain: str | None = None,
    secure: bool = False,
    http_only: bool = False,
) -> str:
    """Write a cookie for the whole site that arrives by links from other sites too."""
    parts = [f"{name}={value}", f"Max-Age={max_age_s}", "Path=/", "SameSite=Lax"]
    if max_age_s == 0:
        parts.insert(1, "Expires=Thu, 01 Jan 1970 00:00:00 GMT")
    if domain is not None:
        parts.append(f"Domain={domain}")
    parts += [word for word, wanted in (("Secure", secure), ("HttpOnly", http_only)) if wanted]
    return "; ".join(parts)


def end_lines(names: Iterable[str], *, host: str, domain: str | None) -> list[str]:
    """End cookies wherever a script may have put them: host alone, root domain, host's domain."""
    domains = [name for name in dict.fromkeys((domain, host)) if name and _is_name(name)]
    return [
        cookie_line(name, "", max_age_s=0, domain=where)
        for name in names
        for where in (None, *domains)
    ]


def add_cookies(headers: MutableHeaders, lines: Iterable[str]) -> None:
    """Put cookies of this one visitor on an answer, which no cache may keep from now on."""
    for line in lines:
        headers.append("set-cookie", line)
    headers["cache-control"] = "no-store"
    for name in _OTHER_CACHES:
        if name in headers:
            del headers[name]


def _is_name(host: str) -> bool:
    """Tell whether a host can be a cookie's Domain: a name of several labels, not an address."""
    try:
        ip_address(host)
    except ValueError:
        return _HOST_NAME.fullmatch(host) is not None and "." in host
    return False
