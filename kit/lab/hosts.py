"""Names of this machine, and where a program finds what a browser calls by name."""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

# Where DataFast's script gives its cookies no Domain (facts of the script, 2026).
_LOCAL: Final = re.compile(r"localhost|.+\.localhost|.+\.local|127\..+|::1")


def is_local(host: str) -> bool:
    """Tell whether a host is a developer's own machine."""
    return _LOCAL.fullmatch(host) is not None


def local_address(url: str, hosts: Mapping[str, str] | None = None) -> str:
    """
    Return the address at which a program reaches what a browser calls `url`.

    Not every resolver knows `*.localhost`, and none the made-up names of `hosts`: a name, or
    `*.` and a domain, and its IP address.
    """
    parts = urlsplit(url)
    name = parts.hostname or ""
    known = {**(hosts or {}), "*.localhost": "127.0.0.1"}
    address = known.get(name) or next(
        (known[each] for each in known if each.startswith("*.") and name.endswith(each[1:])), None
    )
    if address is None:
        return url
    port = f":{parts.port}" if parts.port else ""
    return parts._replace(netloc=f"{address}{port}").geturl()
