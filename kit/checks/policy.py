"""Content-Security-Policy, as far as a script, its events and a checkout need it (CSP Level 3)."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

_FALLBACKS = {
    "script": ("script-src-elem", "script-src", "default-src"),
    "connect": ("connect-src", "default-src"),
    "form": ("form-action",),
}
_PORTS = {"http": 80, "https": 443}
_SOURCE = re.compile(r"(?:([a-z][a-z0-9+.-]*)://)?(\*|(?:\*\.)?[^/:*]+)(?::(\d+|\*))?(/[^?#]*)?")


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy of a page at `page_url`: its directives, the first of a name counting."""

    page_url: str
    directives: dict[str, tuple[str, ...]]

    def allows_script(self, url: str, nonce: str | None) -> bool:
        """Tell whether the page may load this script from a tag with this nonce."""
        sources = self._sources("script")
        if sources is None or (nonce and f"'nonce-{nonce}'" in sources):
            return True
        if "'strict-dynamic'" in sources:
            return False  # hosts are ignored beside it
        return self._matches(sources, url)

    def allows_connection(self, url: str) -> bool:
        """Tell whether the page's scripts may post to this URL."""
        sources = self._sources("connect")
        return sources is None or self._matches(sources, url)

    def allows_form(self, url: str) -> bool:
        """Tell whether a form of the page may lead to this URL, by a redirect too."""
        sources = self._sources("form")
        return sources is None or self._matches(sources, url)

    def _sources(self, kind: str) -> tuple[str, ...] | None:
        return next(
            (self.directives[name] for name in _FALLBACKS[kind] if name in self.directives), None
        )

    def _matches(self, sources: Sequence[str], url: str) -> bool:
        page, target = urlsplit(self.page_url), urlsplit(url)
        return any(_matches(source, page, target) for source in sources)


def read_policies(values: Iterable[str], page_url: str) -> list[Policy]:
    """Read the policies of headers and meta tags; each of them must allow what is done."""
    return [
        Policy(page_url, _directives(text))
        for value in values
        for text in value.split(",")
        if text.strip()
    ]


def _directives(text: str) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for directive in text.split(";"):
        name, *sources = directive.split() or [""]
        if name:
            found.setdefault(name.lower(), tuple(sources))
    return found


def _matches(source: str, page: SplitResult, target: SplitResult) -> bool:
    if source == "'self'":
        return _origin(target) == _origin(page) or (
            target.scheme == "https" and target.hostname == page.hostname and page.scheme == "http"
        )
    if source == "*":
        return target.scheme in ("http", "https", page.scheme)
    if re.fullmatch(r"[a-z][a-z0-9+.-]*:", source, re.IGNORECASE):
        return _fits_scheme(source[:-1].lower(), target.scheme)
    found = _SOURCE.fullmatch(source)
    if found is None or source.startswith("'"):
        return False
    scheme, host, port, path = found.groups()
    return (
        _fits_scheme((scheme or page.scheme).lower(), target.scheme)
        and _fits_host(host.lower(), target.hostname or "")
        and _fits_port(port, target)
        and _fits_path(path or "", target.path or "/")
    )


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)


def _fits_scheme(wanted: str, scheme: str) -> bool:
    return scheme == wanted or (wanted, scheme) == ("http", "https")


def _fits_host(pattern: str, host: str) -> bool:
    if pattern.startswith("*."):
        return host.endswith(pattern[1:])
    return pattern in ("*", host)


def _fits_port(pattern: str | None, target: SplitResult) -> bool:
    port = target.port or _PORTS.get(target.scheme)
    if pattern is None:
        return port == _PORTS.get(target.scheme)
    return pattern == "*" or int(pattern) == port or (pattern, port) == ("80", 443)


def _fits_path(pattern: str, path: str) -> bool:
    if pattern in ("", "/"):
        return True
    return path.startswith(pattern) if pattern.endswith("/") else path == pattern
