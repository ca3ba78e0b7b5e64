"""The environment, read once and checked whole: every problem is named, no value is shown."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from typing import Literal, cast
from urllib.parse import urlsplit

from kit.errors import SettingsError
from kit.helpers.dodo_datafast import Basis
from kit.variables import Secret, Variables, is_loopback

DATAFAST_URL = "https://datafa.st"
# Dodo stamps and signs each attempt anew (standard-webhooks); should it keep the first attempt's
# time, its last retry comes after 27 h 35 min. Ids are kept for good, so a longer window is safe.
_TOLERANCE_S = (300, 108_000)


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
        return is_loopback(host)


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
    source = Variables(environ)
    return _read(source), tuple(source.problems)


def variable_of(problem: str) -> str:
    """Return the name of the variable that a problem of `review_settings` is about."""
    return re.match(r"\w*", problem)[0]  # type: ignore[index]  # it matches everything


def setting_names() -> frozenset[str]:
    """Return the names of all variables that the settings are read from."""
    source = Variables({})
    _read(source)
    return frozenset(source.asked)


def _read(source: Variables) -> Settings:
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
    source.problems += [*_clashing_keys(settings), *_clashing_modes(settings)]
    return settings


def _clashing_modes(settings: Settings) -> Iterator[str]:
    """Name ways of knowing a visitor that exclude each other."""
    if settings.continuity and settings.cookieless:
        yield "KIT_CONTINUITY keeps a cookie and KIT_COOKIELESS forbids them: unset one"
    if settings.continuity and settings.datafast_domain is None:
        yield "KIT_CONTINUITY needs DATAFAST_DOMAIN, the domain of the cookie it restores"


def _clashing_keys(settings: Settings) -> Iterator[str]:
    """Name keys that belong to another environment, or that cannot be used alone."""
    key = settings.dodo_api_key.reveal()
    for prefix, environment in (("dodo_test_", "test_mode"), ("dodo_live_", "live_mode")):
        if key.startswith(prefix) and settings.dodo_environment != environment:
            yield (
                f"DODO_PAYMENTS_API_KEY is a key of {environment}, but "
                f"DODO_PAYMENTS_ENVIRONMENT is {settings.dodo_environment}"
            )
    website = settings.datafast_api_website_id
    if settings.datafast_api_key.reveal().startswith("dft_") and not (
        website and re.fullmatch(r"[0-9a-f]{24}", website)
    ):
        yield (
            "DATAFAST_API_KEY is an account token (dft_): set DATAFAST_API_WEBSITE_ID to the "
            "website's 24 hex digits (not the dfid_… of the script)"
        )
