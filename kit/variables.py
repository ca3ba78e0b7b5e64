"""Environment variables of each kind, read one by one: what is wrong is named, no value shown."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TypeVar
from urllib.parse import urlsplit

from kit.helpers.dodo_datafast import SecretError, signing_key

T = TypeVar("T")

MIN_SECRET_KEY_LENGTH = 32
MIN_TOKEN_LENGTH = 32

_LOOPBACK = re.compile(r"localhost|.+\.localhost|127(?:\.\d+){3}|::1")


@dataclass(frozen=True, slots=True)
class Secret:
    """A value that shows itself only when asked to."""

    _value: str

    def reveal(self) -> str:
        """Return the value, for the one place that needs it."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__


def is_loopback(host: str) -> bool:
    """Tell whether a host can only mean this machine, so that plain http to it is safe."""
    return _LOOPBACK.fullmatch(host) is not None


class Variables:
    """Reads variables one by one and collects what is wrong with them."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.asked: set[str] = set()
        self.problems: list[str] = []

    def optional(self, name: str) -> str | None:
        """Read a text; one that is empty counts as unset."""
        self.asked.add(name)
        return self._environ.get(name, "").strip() or None

    def key(self, name: str, what: str) -> Secret:
        """Read an API key, which must be there."""
        value = self.optional(name)
        if value is None:
            self.problems.append(f"{name} is not set: it must be {what}")
        # It becomes a header; what a copy from a web page leaves in it could not be sent.
        elif not re.fullmatch(r"[!-~]+", value):
            self.problems.append(f"{name} must be {what}: ASCII without spaces")
        return Secret(value or "")

    def words(self, name: str) -> tuple[str, ...]:
        """Read words between spaces or commas."""
        return tuple(part for part in re.split(r"[\s,]+", self.optional(name) or "") if part)

    def choice(self, name: str, choices: tuple[str, ...], default: str) -> str:
        """Read one of some words."""
        value = self.optional(name) or default
        return self._checked(name, value, value in choices, f"one of {', '.join(choices)}", default)

    def switch(self, name: str) -> bool:
        """Read 1 or 0."""
        value = (self.optional(name) or "0").lower()
        known = value in ("0", "1", "true", "false", "yes", "no", "on", "off")
        return self._checked(name, value in ("1", "true", "yes", "on"), known, "1 or 0", False)

    def whole(self, name: str, bounds: tuple[int, int], default: int) -> int:
        """Read a whole number within bounds."""
        value = self.optional(name) or str(default)
        low, high = bounds
        valid = re.fullmatch(r"[0-9]{1,9}", value) is not None and low <= int(value) <= high
        number = int(value) if valid else default
        return self._checked(name, number, valid, f"a whole number from {low} to {high}", default)

    def url(self, name: str, default: str | None, *, plain: bool = False) -> str | None:
        """Read an https URL; on this machine, or anywhere if `plain`, http will do."""
        value = self.optional(name)
        if value is None:
            return default
        try:
            parts = urlsplit(value)
            host, _port = parts.hostname or "", parts.port
        except ValueError:
            parts, host = urlsplit(""), ""
        # urlsplit drops some characters and keeps others that no URL may hold.
        bare = re.fullmatch(r"[!-~]+", value) is not None and not set(value) & set("?#@\\\"'<>;,")
        http = parts.scheme == "http" and (plain or _LOOPBACK.fullmatch(host) is not None)
        valid = bool(host) and bare and (parts.scheme == "https" or http)
        url = parts._replace(netloc=parts.netloc.lower()).geturl().rstrip("/")
        return self._checked(
            name, url, valid, "an https URL (http on localhost only)", default or ""
        )

    def origin(self, name: str, default: str) -> str:
        """Read a URL without a path, as browsers write it in `Origin`."""
        url = self.url(name, default, plain=self._on_sandboxes()) or default
        parts = urlsplit(url)
        scheme_port = {"https": ":443", "http": ":80"}[parts.scheme]
        origin = f"{parts.scheme}://{parts.netloc.removesuffix(scheme_port)}"
        return self._checked(name, origin, not parts.path, "a URL without a path", default)

    def _on_sandboxes(self) -> bool:
        """Tell whether both services are stand-ins on this machine, so that no money moves."""
        bases = [self.optional(f"{name}_BASE_URL") for name in ("DODO_PAYMENTS", "DATAFAST")]
        try:
            hosts = [urlsplit(base or "").hostname or "" for base in bases]
        except ValueError:
            return False
        return all(_LOOPBACK.fullmatch(host) for host in hosts)

    def hosts(self, name: str) -> tuple[str, ...]:
        """Read the hosts a buyer may be sent to, as they stand in the page's policy."""
        words = self.words(name)
        for word in words:
            scheme, _, place = word.rpartition("://")
            host = re.fullmatch(r"((?:\*\.)?[a-z0-9-]+(?:\.[a-z0-9-]+)*)(?::[0-9]{1,5})?", place)
            loopback = host is not None and _LOOPBACK.fullmatch(host[1]) is not None
            if host is None or not (scheme in ("", "https") or (scheme == "http" and loopback)):
                self.problems.append(
                    f"{name} must be hosts such as https://*.dodopayments.com "
                    "(http on localhost only)"
                )
                break
        return words

    def domain(self, name: str) -> str | None:
        """Read a domain without anything around it."""
        value = self.optional(name)
        if value is None:
            return None
        valid = re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)*", value) is not None
        return self._checked(name, value, valid, "the root domain alone, such as example.com", "")

    def networks(self, name: str) -> tuple[IPv4Network | IPv6Network, ...]:
        """Read addresses and networks."""
        try:
            return tuple(ip_network(word) for word in self.words(name))
        except ValueError:
            self.problems.append(f"{name} must be addresses or networks, such as 10.0.0.0/8")
            return ()

    def cookie_name(self, name: str, default: str) -> str:
        """Read a cookie's name that DataFast does not use."""
        value = self.optional(name) or default
        # A refusal ends every cookie that begins so, and would end its own.
        valid = re.fullmatch(r"(?!datafast_)[A-Za-z0-9_.-]{1,100}", value) is not None
        must_be = "a cookie's name in letters, digits, dots, dashes and underscores"
        return self._checked(name, value, valid, must_be, default)

    def cookie_value(self, name: str, default: str) -> str:
        """Read what a cookie of an agreement says; a star stands for anything."""
        value = self.optional(name) or default
        pattern = re.escape(value).replace(r"\*", ".*")
        valid = re.fullmatch(r"[!#-+\--:<-\[\]-~]{1,200}", value) is not None
        valid = valid and re.fullmatch(pattern, "refused") is None
        must_be = "what the cookie says of a visitor who agreed, and of nobody else"
        return self._checked(name, value, valid, must_be, default)

    def webhook_keys(self, name: str) -> tuple[Secret, ...]:
        """Read secrets of a webhook, of which one at least must be there."""
        keys = self.words(name)
        if not keys:
            self.problems.append(f"{name} is not set: it must be the webhook's secret from Dodo")
        for place, key in enumerate(keys, start=1):
            try:
                signing_key(key)
            except SecretError as problem:
                self.problems.append(f"{name}, key {place}: {problem}")
        return tuple(Secret(key) for key in keys)

    def secret_keys(self, name: str) -> tuple[Secret, ...]:
        """Read keys that sign cookies, newest first."""
        keys = self.words(name)
        if not keys or any(len(key) < MIN_SECRET_KEY_LENGTH for key in keys):
            self.problems.append(
                f"{name} must be {MIN_SECRET_KEY_LENGTH} characters or more, newest first; make "
                'one with: python3 -c "import secrets; print(secrets.token_urlsafe(32))"'
            )
        return tuple(Secret(key) for key in keys)

    def token(self, name: str) -> Secret | None:
        """Read what opens the inspector."""
        value = self.optional(name)
        if value is not None and len(value) < MIN_TOKEN_LENGTH:
            self.problems.append(f"{name} must be {MIN_TOKEN_LENGTH} characters or more")
        return Secret(value) if value else None

    def _checked(self, name: str, value: T, valid: bool, must_be: str, fallback: T) -> T:
        if not valid:
            self.problems.append(f"{name} must be {must_be}")
            return fallback
        return value
