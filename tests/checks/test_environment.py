"""The environment: names, shapes of keys, and what belongs together."""

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kit.checks.environment import OTHERS, check_environment
from kit.hops import Hop
from kit.settings import setting_names
from tests.checks.conftest import World, reasons

HELPERS = Path(__file__).resolve().parents[2] / "kit" / "helpers"
NAMES = r'"((?:DODO_PAYMENTS|DATAFAST|KIT)_[A-Z_]+)"'
LIVE = {
    "DODO_PAYMENTS_API_KEY": "dodo_live_planted",
    "DODO_PAYMENTS_ENVIRONMENT": "live_mode",
    "DODO_PAYMENTS_BASE_URL": None,
    "DATAFAST_BASE_URL": None,
    "KIT_CHECKOUT_HOSTS": None,
    "KIT_BASE_URL": "https://shop.example.com",
    "KIT_TRUSTED_PROXIES": "10.0.0.1",
}
ALL_WELL = [
    *("settings_whole", "keys_in_shape", "money_counted", "rate_within", "addresses_known"),
]


def notable(hops: list[Hop]) -> list[tuple[str, str]]:
    """Return name and reason of what is not ok."""
    return [(hop.name, hop.reason) for hop in hops if hop.tone != "ok"]


@pytest.mark.parametrize("environ", [{}, LIVE], ids=["sandbox", "live"])
def test_a_whole_environment_has_nothing_to_say(world: World, environ: dict[str, Any]) -> None:
    """Neither against stand-ins nor in live mode."""
    assert reasons(check_environment(world.setup(**environ))) == ALL_WELL


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"DATAFAST_API_KEY": None}, ("DATAFAST_API_KEY", "setting_wrong")),
        ({"KIT_HOLD_S": "soon"}, ("KIT_HOLD_S", "setting_wrong")),
        (
            {"DODO_PAYMENTS_API_KEY": "dodo_live_planted"},
            ("DODO_PAYMENTS_API_KEY", "setting_wrong"),
        ),
        ({"KIT_SECRET_KEY": None}, ("KIT_SECRET_KEY", "setting_for_server")),
        ({"KIT_SECRET_KEY": "short"}, ("KIT_SECRET_KEY", "setting_wrong")),
        ({"DATAFAST_KEY": "df_planted"}, ("DATAFAST_KEY", "setting_unknown")),
        ({"KIT_SECRET": "planted"}, ("KIT_SECRET", "setting_unknown")),
        ({"DATAFAST_API_KEY": "dodo_test_x"}, ("DATAFAST_API_KEY", "key_unusual")),
        ({"DODO_PAYMENTS_API_KEY": "df_x"}, ("DODO_PAYMENTS_API_KEY", "key_unusual")),
        (
            {"DODO_PAYMENTS_WEBHOOK_KEY": "cGxhbnRlZC13ZWJob29rLXNlY3JldC0wMDAx"},
            ("DODO_PAYMENTS_WEBHOOK_KEY, key 1", "key_unusual"),
        ),
        ({"DATAFAST_WEBSITE_ID": "6650c0"}, ("DATAFAST_WEBSITE_ID", "key_unusual")),
        (
            LIVE | {"DATAFAST_BASE_URL": "http://localhost:2"},
            ("Where money counts", "live_to_sandbox"),
        ),
        ({"DATAFAST_BASE_URL": None}, ("Where money counts", "test_mode")),
        (
            {"DATAFAST_BASE_URL": None, "KIT_SEND_TEST": "1"},
            ("Where money counts", "test_money_counted"),
        ),
        (LIVE | {"KIT_DATAFAST_RATE": "90"}, ("Rate of reports", "rate_too_high")),
        (LIVE | {"KIT_TRUSTED_PROXIES": None}, ("Visitors' addresses", "addresses_hidden")),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else "",
)
def test_what_is_wrong_is_named(
    world: World, environ: dict[str, Any], expected: tuple[str, str]
) -> None:
    """By its variable where there is one, and nothing else is blamed; no value is shown."""
    hops = check_environment(world.setup(**environ))
    shown = " ".join(f"{hop.seen} {hop.expected}" for hop in hops)

    assert notable(hops) == [expected]
    assert "planted" not in shown


def test_a_typing_mistake_is_told_its_name(world: World) -> None:
    """The nearest name that is read."""
    [hop] = [
        each
        for each in check_environment(world.setup(KIT_TRUSTED_PROXY="10.0.0.1"))
        if each.reason == "setting_unknown"
    ]

    assert (hop.name, hop.expected) == ("KIT_TRUSTED_PROXY", "KIT_TRUSTED_PROXIES")


def test_names_that_others_read_are_left_alone(world: World) -> None:
    """Dodo's own tools have variables too, and so have other parts of the kit."""
    names = ("DODO_PAYMENTS_RETURN_URL", "DODO_PAYMENTS_LOG", "KIT_BROWSER", "KIT_NO_BOOTSTRAP")
    added: dict[str, Any] = dict.fromkeys(names, "x")
    setup = world.setup(**added)

    assert reasons(check_environment(setup)) == ALL_WELL


def test_what_the_copied_files_read_is_known() -> None:
    """So that a shop with copies is told of no typing mistake."""
    sources = (path.read_text() for path in HELPERS.glob("*.py"))
    read = {name for text in sources for name in re.findall(NAMES, text)}

    assert "KIT_PRODUCTS" in read
    assert read <= setting_names() | OTHERS


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
@pytest.mark.parametrize(("mode", "told"), [(0o600, False), (0o644, True), (0o640, True)])
def test_a_file_of_keys_is_its_owners_alone(
    world: World, tmp_path: Path, mode: int, told: bool
) -> None:
    """Others who may read it may sign as Dodo does."""
    file = tmp_path / ".env"
    file.touch(mode=mode)
    file.chmod(mode)
    hops = check_environment(replace(world.setup(), env_file=file))

    assert ("env_file_open" in reasons(hops)) == told
