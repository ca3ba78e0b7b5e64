"""Ask servers that are near: shops and stand-ins, again and again while a journey lasts."""

import ssl
from collections.abc import Mapping
from functools import cache
from typing import Any

import httpx

TIMEOUT_S = 10.0


def ask(
    url: str, query: Mapping[str, str] | None = None, *, timeout_s: float = TIMEOUT_S
) -> httpx.Response:
    """Return the answer to a GET, whatever its status. Raises httpx's errors."""
    return httpx.get(url, params=query, **_how(timeout_s))


def tell(url: str, document: Any) -> httpx.Response:
    """Return the answer to a POST of JSON, whatever its status. Raises httpx's errors."""
    return httpx.post(url, json=document, **_how(TIMEOUT_S))


def _how(timeout_s: float) -> dict[str, Any]:
    # The proxies of the environment are for the internet, not for a neighbour on loopback.
    return {"verify": trust(), "trust_env": False, "timeout": timeout_s}


@cache
def trust() -> ssl.SSLContext:
    """Read the authorities once: it takes ten times as long as a call."""
    return httpx.create_ssl_context(trust_env=False)
