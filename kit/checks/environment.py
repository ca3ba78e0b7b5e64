"""The environment: every variable's name, the shape of each key, and what belongs together."""

import re
import sys
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path

from kit.checks.setup import Setup, is_local
from kit.hops import Hop
from kit.settings import setting_names, variable_of

OURS = ("DODO_", "DATAFAST_", "KIT_")
# Read by the official SDK and command line of Dodo, by Dodo's own samples, by the copied files, and
# by other parts of the kit than its settings.
OTHERS = frozenset(
    {
        *("DODO_PAYMENTS_CUSTOM_HEADERS", "DODO_PAYMENTS_LOG", "DODO_PAYMENTS_RETURN_URL"),
        "DODO_WH_TEST_SERVER_URL",
        *("KIT_BROWSER", "KIT_NO_BOOTSTRAP", "KIT_PRODUCTS"),
    }
)
SERVER_ONLY = "KIT_SECRET_KEY"
DATAFAST_LIMIT = 60  # calls a minute and token, as production integrations report


def check_environment(setup: Setup) -> list[Hop]:
    """Look at the settings and their file, without a call to anybody."""
    return [
        *_settings(setup),
        *_unknown(setup),
        *_keys(setup),
        _money(setup),
        _rate(setup),
        _addresses(setup),
        *_env_file(setup.env_file),
    ]


def _settings(setup: Setup) -> Iterator[Hop]:
    for problem in setup.problems:
        name = variable_of(problem)
        unset = name == SERVER_ONLY and name not in setup.environ
        yield Hop(name, "setting_for_server" if unset else "setting_wrong", seen=problem)
    if not setup.problems:
        yield Hop("Settings", "settings_whole")


def _unknown(setup: Setup) -> Iterator[Hop]:
    known = setting_names()
    for name in sorted(setup.environ):
        if name.startswith(OURS) and name not in known | OTHERS:
            near = get_close_matches(name, known, n=1, cutoff=0.6)
            yield Hop(name, "setting_unknown", expected=near[0] if near else None)


def _keys(setup: Setup) -> Iterator[Hop]:
    settings = setup.settings
    shapes = {
        "DODO_PAYMENTS_API_KEY": (settings.dodo_api_key, r"dodo_(test|live)_.+"),
        "DATAFAST_API_KEY": (settings.datafast_api_key, r"dft?_.+"),
    }
    shapes |= {
        f"DODO_PAYMENTS_WEBHOOK_KEY, key {place}": (key, r"whsec_.+")
        for place, key in enumerate(settings.dodo_webhook_keys, start=1)
    }
    unusual = [
        (name, shape)
        for name, (key, shape) in shapes.items()
        if key.reveal() and not re.fullmatch(shape, key.reveal())
    ]
    if settings.datafast_website_id and not settings.datafast_website_id.startswith("dfid_"):
        unusual.append(("DATAFAST_WEBSITE_ID", r"dfid_.+"))
    for name, shape in unusual:
        begins = shape.replace("dodo_(test|live)_", "dodo_test_ or dodo_live_")
        begins = begins.replace("dft?_", "df_ or dft_").removesuffix(".+")
        yield Hop(name, "key_unusual", expected=f"it begins with {begins}")
    if not unusual:
        yield Hop("Keys", "keys_in_shape")


def _money(setup: Setup) -> Hop:
    settings = setup.settings
    live, sandbox = settings.dodo_environment == "live_mode", is_local(settings.datafast_base_url)
    reason = "money_counted"
    if live and sandbox:
        reason = "live_to_sandbox"
    elif settings.holds_test_payments:
        reason = "test_mode"
    elif not live and not sandbox:
        reason = "test_money_counted"
    return Hop("Where money counts", reason, seen=settings.dodo_environment)


def _rate(setup: Setup) -> Hop:
    rate = setup.settings.datafast_rate
    too_high = rate > DATAFAST_LIMIT and not is_local(setup.settings.datafast_base_url)
    reason = "rate_too_high" if too_high else "rate_within"
    return Hop("Rate of reports", reason, seen=f"{rate:g} a minute")


def _addresses(setup: Setup) -> Hop:
    settings = setup.settings
    # The kit itself speaks plain http: whoever offers https stands in front of it.
    hidden = settings.secure and not settings.trusted_proxies
    return Hop("Visitors' addresses", "addresses_hidden" if hidden else "addresses_known")


def _env_file(path: Path) -> list[Hop]:
    try:
        mode = path.stat().st_mode
    except OSError:
        return []
    if sys.platform == "win32":
        return []  # its modes say nothing about other users
    if mode & 0o077:
        return [Hop("Keys on disk", "env_file_open", seen=f"{path.name}, mode {mode & 0o777:o}")]
    return []
