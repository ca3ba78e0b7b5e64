"""The environment, read once and checked whole: every problem is named, no value is shown."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Literal, TypeVar, cast
from urllib.parse import urlsplit

from kit.errors import SettingsError
from kit.helpers.dodo_datafast import Basis, SecretError, signing_key

T = TypeVar("T")

DATAFAST_URL = "https://datafa.st"
MIN_SECRET_KEY_LENGTH = 32
MIN_TOKEN_LENGTH = 32

# Dodo stamps and signs each attempt anew (standard-webhooks); should it keep the first attempt's
# time, its last retry comes after 27 h 35 min. Ids are kept for good, so a longer window is safe.
_TOLERANCE_S = (300, 108_000)
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


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the kit is told. URLs carry no trailing slash; times are in seconds."""

    dodo_api_key: Secret
    dodo_webhook_keys: tuple[Secret, ...]
    dodo_environment: Literal["test_mode", "live_mode"]
    dodo_base_url: str | None
    datafast_api_key: Secret
    datafast_website_id: str | None
    datafast_domain: str | None
    datafast_base_url: str
    datafast_api_website_id: str | None
    base_url: str
    checkout_hosts: tuple[str, ...]
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...]
    database_url: str = field(repr=False)  # it may hold a password
    secret_keys: tuple[Secret, ...]
    """Newest first."""
    inspector_token: Secret | None
    revenue_basis: Basis
    brands: frozenset[str]
    disputes: Literal["reverse", "ignore"]
    hold_s: int
    """How long a sale without a visitor waits for its buyer to come back with one."""
    consent: Literal["off", "required"]
    consent_cookie: str
    consent_value: str
    """What the cookie says when a visitor has agreed; a star stands for anything."""
    cookieless: bool
    continuity: bool
    send_customer: bool
    send_test: bool
    webhook_tolerance_s: int
    retention_days: int
    """How long bodies of settled messages stay; 0 is for good."""
    datafast_rate: float
    """Calls to DataFast a minute, all processes together."""
    log: Literal["text", "json"]

    @property
    def secure(self) -> bool:
        """Whether the shop is on https, so that its cookies can be bound to it."""
        return self.base_url.startswith("https://")

    @property
    def holds_test_payments(self) -> bool:
        """Whether test payments stay here: DataFast has no test mode and would count them."""
        real = (urlsplit(self.datafast_base_url).hostname or "").endswith("datafa.st")
        return self.dodo_environment == "test_mode" and real and not self.send_test

    @property
    def reports_to_a_stand_in(self) -> bool:
        """Whether DataFast is a stand-in on this machine, where nothing comes minutes late."""
        host = urlsplit(self.datafast_base_url).hostname or ""
        return _LOOPBACK.fullmatch(host) is not None


def read_settings(environ: Mapping[str, str]) -> Settings:
    """
    Read the settings from environment variables; empty ones count as unset.

    Raises SettingsError naming every problem at once.
    """
    settings, problems = review_settings(environ)
    if problems:
        raise SettingsError(problems)
    return settings


def review_settings(environ: Mapping[str, str]) -> tuple[Settings, tuple[str, ...]]:
    """
    Return the settings as far as they can be used, and every problem, each by its variable.

    Where a variable is wrong its default stands, or an empty secret: whoever reads on must look at
    the problems first.
    """
    source = _Source(environ)
    return _read(source), tuple(source.problems)


def is_loopback(host: str) -> bool:
    """Tell whether a host can only mean this machine, so that plain http to it is safe."""
    return _LOOPBACK.fullmatch(host) is not None


def variable_of(problem: str) -> str:
    """Return the name of the variable that a problem of `review_settings` is about."""
    return re.match(r"\w*", problem)[0]  # type: ignore[index]  # it matches everything


def setting_names() -> frozenset[str]:
    """Return the names of all variables that the settings are read from."""
    source = _Source({})
    _read(source)
    return frozenset(source.asked)


def _read(source: "_Source") -> Settings:
    environment = source.choice(
        "DODO_PAYMENTS_ENVIRONMENT", ("test_mode", "live_mode"), default="test_mode"
    )
    settings = Settings(
        dodo_api_key=source.key("DODO_PAYMENTS_API_KEY", "a Dodo API key"),
        dodo_webhook_keys=source.webhook_keys("DODO_PAYMENTS_WEBHOOK_KEY"),
        dodo_environment=cast("Literal['test_mode', 'live_mode']", environment),
        dodo_base_url=source.url("DODO_PAYMENTS_BASE_URL", default=None),
        datafast_api_key=source.key("DATAFAST_API_KEY", "a DataFast API key"),
        datafast_website_id=source.optional("DATAFAST_WEBSITE_ID"),
        datafast_domain=source.domain("DATAFAST_DOMAIN"),
        datafast_base_url=source.url("DATAFAST_BASE_URL", default=DATAFAST_URL) or DATAFAST_URL,
        datafast_api_website_id=source.optional("DATAFAST_API_WEBSITE_ID"),
        base_url=source.origin("KIT_BASE_URL", default="http://127.0.0.1:8000"),
        checkout_hosts=source.hosts("KIT_CHECKOUT_HOSTS") or ("https://*.dodopayments.com",),
        trusted_proxies=source.networks("KIT_TRUSTED_PROXIES"),
        database_url=source.optional("KIT_DATABASE_URL") or "sqlite:///kit.db",
        secret_keys=source.secret_keys("KIT_SECRET_KEY"),
        inspector_token=source.token("KIT_INSPECTOR_TOKEN"),
        revenue_basis=cast(
            "Basis",
            source.choice("KIT_REVENUE_BASIS", ("gross", "net", "settlement"), default="gross"),
        ),
        disputes=cast(
            "Literal['reverse', 'ignore']",
            source.choice("KIT_DISPUTES", ("reverse", "ignore"), default="reverse"),
        ),
        hold_s=source.whole("KIT_HOLD_S", (0, 86_400), default=600),
        consent=cast(
            "Literal['off', 'required']",
            source.choice("KIT_CONSENT", ("off", "required"), default="off"),
        ),
        consent_cookie=source.cookie_name("KIT_CONSENT_COOKIE", default="kit_consent"),
        consent_value=source.cookie_value("KIT_CONSENT_VALUE", default="given"),
        cookieless=source.switch("KIT_COOKIELESS"),
        continuity=source.switch("KIT_CONTINUITY"),
        brands=frozenset(source.words("KIT_BRANDS")),
        send_customer=source.switch("KIT_SEND_CUSTOMER"),
        send_test=source.switch("KIT_SEND_TEST"),
        webhook_tolerance_s=source.whole("KIT_WEBHOOK_TOLERANCE_S", _TOLERANCE_S, default=300),
        retention_days=source.whole("KIT_RETENTION_DAYS", (0, 3650), default=90),
        datafast_rate=source.whole("KIT_DATAFAST_RATE", (1, 100_000), default=50),
        log=cast("Literal['text', 'json']", source.choice("KIT_LOG", ("text", "json"), "text")),
    )
    source.check_environment(settings)
    source.check_modes(settings)
    return settings


class _Source:
    """Reads variables one by one and collects what is wrong with them."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.asked: set[str] = set()
        self.problems: list[str] = []

    def optional(self, name: str) -> str | None:
        self.asked.add(name)
        return self._environ.get(name, "").strip() or None

    def key(self, name: str, what: str) -> Secret:
        value = self.optional(name)
        if value is None:
            self.problems.append(f"{name} is not set: it must be {what}")
        # It becomes a header; what a copy from a web page leaves in it could not be sent.
        elif not re.fullmatch(r"[!-~]+", value):
            self.problems.append(f"{name} must be {what}: ASCII without spaces")
        return Secret(value or "")

    def words(self, name: str) -> tuple[str, ...]:
        return tuple(part for part in re.split(r"[\s,]+", self.optional(name) or "") if part)

    def choice(self, name: str, choices: tuple[str, ...], default: str) -> str:
        value = self.optional(name) or default
        return self._checked(name, value, value in choices, f"one of {', '.join(choices)}", default)

    def switch(self, name: str) -> bool:
        value = (self.optional(name) or "0").lower()
        known = value in ("0", "1", "true", "false", "yes", "no", "on", "off")
        return self._checked(name, value in ("1", "true", "yes", "on"), known, "1 or 0", False)

    def whole(self, name: str, bounds: tuple[int, int], default: int) -> int:
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
        value = self.optional(name)
        if value is None:
            return None
        valid = re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)*", value) is not None
        return self._checked(name, value, valid, "the root domain alone, such as example.com", "")

    def networks(self, name: str) -> tuple[IPv4Network | IPv6Network, ...]:
        try:
            return tuple(ip_network(word) for word in self.words(name))
        except ValueError:
            self.problems.append(f"{name} must be addresses or networks, such as 10.0.0.0/8")
            return ()

    def cookie_name(self, name: str, default: str) -> str:
        value = self.optional(name) or default
        # A refusal ends every cookie that begins so, and would end its own.
        valid = re.fullmatch(r"(?!datafast_)[A-Za-z0-9_.-]{1,100}", value) is not None
        must_be = "a cookie's name in letters, digits, dots, dashes and underscores"
        return self._checked(name, value, valid, must_be, default)

    def cookie_value(self, name: str, default: str) -> str:
        value = self.optional(name) or default
        pattern = re.escape(value).replace(r"\*", ".*")
        valid = re.fullmatch(r"[!#-+\--:<-\[\]-~]{1,200}", value) is not None
        valid = valid and re.fullmatch(pattern, "refused") is None
        must_be = "what the cookie says of a visitor who agreed, and of nobody else"
        return self._checked(name, value, valid, must_be, default)

    def webhook_keys(self, name: str) -> tuple[Secret, ...]:
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
        keys = self.words(name)
        if not keys or any(len(key) < MIN_SECRET_KEY_LENGTH for key in keys):
            self.problems.append(
                f"{name} must be {MIN_SECRET_KEY_LENGTH} characters or more, newest first; make "
                'one with: python3 -c "import secrets; print(secrets.token_urlsafe(32))"'
            )
        return tuple(Secret(key) for key in keys)

    def token(self, name: str) -> Secret | None:
        value = self.optional(name)
        if value is not None and len(value) < MIN_TOKEN_LENGTH:
            self.problems.append(f"{name} must be {MIN_TOKEN_LENGTH} characters or more")
        return Secret(value) if value else None

    def check_modes(self, settings: Settings) -> None:
        """Refuse ways of knowing a visitor that exclude each other."""
        if settings.continuity and settings.cookieless:
            self.problems.append(
                "KIT_CONTINUITY keeps a cookie and KIT_COOKIELESS forbids them: unset one"
            )
        if settings.continuity and settings.datafast_domain is None:
            self.problems.append(
                "KIT_CONTINUITY needs DATAFAST_DOMAIN, the domain of the cookie it restores"
            )

    def check_environment(self, settings: Settings) -> None:
        """Refuse keys that belong to another environment, or that cannot be used alone."""
        key = settings.dodo_api_key.reveal()
        for prefix, environment in (("dodo_test_", "test_mode"), ("dodo_live_", "live_mode")):
            if key.startswith(prefix) and settings.dodo_environment != environment:
                self.problems.append(
                    f"DODO_PAYMENTS_API_KEY is a key of {environment}, but "
                    f"DODO_PAYMENTS_ENVIRONMENT is {settings.dodo_environment}"
                )
        website = settings.datafast_api_website_id
        if settings.datafast_api_key.reveal().startswith("dft_") and not (
            website and re.fullmatch(r"[0-9a-f]{24}", website)
        ):
            self.problems.append(
                "DATAFAST_API_KEY is an account token (dft_): set DATAFAST_API_WEBSITE_ID to the "
                "website's 24 hex digits (not the dfid_… of the script)"
            )

    def _checked(self, name: str, value: T, valid: bool, must_be: str, fallback: T) -> T:
        if not valid:
            self.problems.append(f"{name} must be {must_be}")
            return fallback
        return value
