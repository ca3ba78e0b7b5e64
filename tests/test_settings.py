"""The environment: what is refused, in which words, and that no value is ever shown."""

import ast
import inspect
import re
from dataclasses import fields
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit import settings as module
from kit.errors import SettingsError
from kit.settings import (
    Settings,
    read_settings,
    review_settings,
    setting_names,
    variable_of,
)
from kit.variables import Secret

GOOD = {
    "DODO_PAYMENTS_API_KEY": "dodo_test_fixture",
    "DODO_PAYMENTS_WEBHOOK_KEY": "whsec_Zml4dHVyZS13ZWJob29rLXNlY3JldC0wMDAx",
    "DATAFAST_API_KEY": "df_fixture",
    "KIT_SECRET_KEY": "fixture-key-of-thirty-two-characters",
}
SECRETS = (*GOOD, "KIT_INSPECTOR_TOKEN")


def read(**changes: str | None) -> Settings:
    """Read good settings with changes; None unsets one."""
    wanted = {name: value for name, value in (GOOD | changes).items() if value is not None}
    return read_settings(wanted)


def problems(**changes: str | None) -> tuple[str, ...]:
    """Return what is wrong with settings; they must be refused."""
    with pytest.raises(SettingsError) as refused:
        read(**changes)
    return refused.value.problems


def test_the_keys_of_the_two_services_are_all_that_is_needed() -> None:
    """Everything else has a default that is safe to begin with."""
    found = read()

    assert found.dodo_environment == "test_mode"
    assert found.dodo_base_url is None
    assert found.datafast_base_url == "https://datafa.st"
    assert found.base_url == "http://127.0.0.1:8000"
    assert found.checkout_hosts == ("https://*.dodopayments.com",)
    assert found.trusted_proxies == ()
    assert found.database_url == "sqlite:///kit.db"
    assert found.revenue_basis == "gross"
    assert found.webhook_tolerance_s == 300
    assert found.retention_days == 90
    assert (found.send_customer, found.send_test, found.inspector_token) == (False, False, None)
    assert found.log == "text"
    assert (found.consent, found.consent_cookie, found.consent_value) == (
        "off",
        "kit_consent",
        "given",
    )
    assert (found.cookieless, found.continuity) == (False, False)
    assert found.holds_test_payments


def test_every_setting_is_read_from_its_own_variable() -> None:
    """All of them at once, none at its default."""
    found = read(
        DODO_PAYMENTS_API_KEY="dodo_live_fixture",
        DODO_PAYMENTS_WEBHOOK_KEY=f"{GOOD['DODO_PAYMENTS_WEBHOOK_KEY']}, "
        "b2xkLWZpeHR1cmUtd2ViaG9vay1zZWNyZXQtMQ==",
        DODO_PAYMENTS_ENVIRONMENT="live_mode",
        DODO_PAYMENTS_BASE_URL="https://dodo.example/api/",
        DATAFAST_API_KEY="dft_fixture",
        DATAFAST_WEBSITE_ID="dfid_fixture",
        DATAFAST_DOMAIN="shop.example",
        DATAFAST_BASE_URL="https://datafast.example",
        DATAFAST_API_WEBSITE_ID="0123456789abcdef01234567",
        KIT_BASE_URL="https://shop.example",
        KIT_CHECKOUT_HOSTS="https://pay.example, *.pay.example",
        KIT_TRUSTED_PROXIES="10.0.0.0/8 ::1",
        KIT_DATABASE_URL="sqlite:////data/kit.db",
        KIT_SECRET_KEY="new-key-of-thirty-two-characters-x old-key-of-thirty-two-characters-x",
        KIT_INSPECTOR_TOKEN="token-of-thirty-two-characters-xx",
        KIT_REVENUE_BASIS="settlement",
        KIT_BRANDS="brnd_1,brnd_2",
        KIT_DISPUTES="ignore",
        KIT_HOLD_S="0",
        KIT_CONSENT="required",
        KIT_CONSENT_COOKIE="CookieConsent",
        KIT_CONSENT_VALUE="*statistics:true*",
        KIT_CONTINUITY="1",
        KIT_SEND_CUSTOMER="yes",
        KIT_SEND_TEST="1",
        KIT_WEBHOOK_TOLERANCE_S="108000",
        KIT_RETENTION_DAYS="0",
        KIT_DATAFAST_RATE="30",
        KIT_LOG="json",
    )
    revealed = {
        field.name: value.reveal() if isinstance(value, Secret) else value
        for field in fields(found)
        for value in [getattr(found, field.name)]
    }
    revealed["dodo_webhook_keys"] = tuple(key.reveal() for key in found.dodo_webhook_keys)
    revealed["secret_keys"] = tuple(key.reveal() for key in found.secret_keys)

    assert revealed == {
        "dodo_api_key": "dodo_live_fixture",
        "dodo_webhook_keys": (
            GOOD["DODO_PAYMENTS_WEBHOOK_KEY"],
            "b2xkLWZpeHR1cmUtd2ViaG9vay1zZWNyZXQtMQ==",
        ),
        "dodo_environment": "live_mode",
        "dodo_base_url": "https://dodo.example/api",
        "datafast_api_key": "dft_fixture",
        "datafast_website_id": "dfid_fixture",
        "datafast_domain": "shop.example",
        "datafast_base_url": "https://datafast.example",
        "datafast_api_website_id": "0123456789abcdef01234567",
        "base_url": "https://shop.example",
        "checkout_hosts": ("https://pay.example", "*.pay.example"),
        "trusted_proxies": (ip_network("10.0.0.0/8"), ip_network("::1")),
        "database_url": "sqlite:////data/kit.db",
        "secret_keys": (
            "new-key-of-thirty-two-characters-x",
            "old-key-of-thirty-two-characters-x",
        ),
        "inspector_token": "token-of-thirty-two-characters-xx",
        "revenue_basis": "settlement",
        "brands": frozenset({"brnd_1", "brnd_2"}),
        "disputes": "ignore",
        "hold_s": 0,
        "consent": "required",
        "consent_cookie": "CookieConsent",
        "consent_value": "*statistics:true*",
        "cookieless": False,
        "continuity": True,
        "send_customer": True,
        "send_test": True,
        "webhook_tolerance_s": 108_000,
        "retention_days": 0,
        "datafast_rate": 30,
        "log": "json",
    }
    assert found.secure
    assert not found.holds_test_payments


def test_all_problems_are_named_at_once() -> None:
    """Whoever sets the kit up mends them in one go."""
    found = problems(
        **dict.fromkeys(GOOD),
        KIT_BASE_URL="shop.example",
        KIT_TRUSTED_PROXIES="x",
        KIT_INSPECTOR_TOKEN="short",
        KIT_LOG="xml",
        KIT_SEND_TEST="maybe",
        KIT_DATAFAST_RATE="0",
        KIT_CHECKOUT_HOSTS="https://[",
        DATAFAST_DOMAIN="https://shop.example",
    )
    named = [re.match(r"[A-Z_]+", problem) for problem in found]

    assert sorted(match[0] for match in named if match) == sorted(
        [
            *GOOD,
            "DATAFAST_DOMAIN",
            "KIT_BASE_URL",
            "KIT_CHECKOUT_HOSTS",
            "KIT_DATAFAST_RATE",
            "KIT_INSPECTOR_TOKEN",
            "KIT_LOG",
            "KIT_SEND_TEST",
            "KIT_TRUSTED_PROXIES",
        ]
    )


def test_each_problem_stands_on_a_line_of_its_own() -> None:
    """The message is what the command line prints."""
    with pytest.raises(SettingsError) as refused:
        read_settings({})
    first, *lines = str(refused.value).splitlines()

    assert first == "the settings cannot be used:"
    assert lines == [f"  - {problem}" for problem in refused.value.problems]


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("value", [None, "", "  ", "\t\n"])
def test_an_empty_variable_counts_as_unset(name: str, value: str | None) -> None:
    """A `.env` file is full of them."""
    [problem] = problems(**{name: value})

    assert problem.startswith(f"{name} ")


BAD = {
    "DODO_PAYMENTS_API_KEY": ["dodo test", "dodo_test_é", "dodo_test_\u200b", "a\nb"],
    "DODO_PAYMENTS_ENVIRONMENT": ["live", "TEST_MODE", "production"],
    "DODO_PAYMENTS_WEBHOOK_KEY": [
        "whsec_",
        "whsec_!!!!",
        "c2hvcnQ=",
        "whsec_Zml4dHVyZS13ZWJob29rLXNlY3JldC0wMDA",
        "Zml4dHVyZS13ZWJob29rLXNlY3JldC0wMDAx,short",
        "A" * 100,
    ],
    "DATAFAST_API_KEY": ["df é", "df_\u201cquoted\u201d"],
    "DATAFAST_DOMAIN": ["https://shop.example", "shop.example/", "Shop.example", "a b", ".a"],
    "KIT_BASE_URL": [
        "shop.example",
        "ftp://shop.example",
        "http://shop.example",
        "http://127.0.0.1.example",
        "http://localhost.example",
        "https://",
        "https://user:pass@shop.example",
        "https://shop.example?x",
        "https://shop.example?",
        "https://shop.example#x",
        "https://shop.example/path",
        "https://shop.exa\tmple",
        "https://shop example",
        "https://shop.example:99999",
        "https://[::1",
        "https://shop.example;x",
        "https://münchen.example",
        "javascript:alert(1)",
    ],
    "DODO_PAYMENTS_BASE_URL": ["http://dodo.example", "x"],
    "DATAFAST_BASE_URL": ["http://datafa.st", "//datafa.st"],
    "KIT_CHECKOUT_HOSTS": [
        "http://pay.example",
        "https://pay.example/path",
        "https://pay.example;script-src",
        "*",
        "https://*",
        "'self'",
        "https://a@b.example",
        "https://[",
    ],
    "KIT_TRUSTED_PROXIES": ["x", "10.0.0.1/8", "10.0.0.0/99", "*"],
    "KIT_SECRET_KEY": ["short", "k" * 31, "fixture-key-of-thirty-two-characters,short"],
    "KIT_INSPECTOR_TOKEN": ["t" * 31, "short"],
    "KIT_REVENUE_BASIS": ["brutto"],
    "KIT_DISPUTES": ["undo"],
    "KIT_HOLD_S": ["-1", "86401", "10s"],
    "KIT_SEND_CUSTOMER": ["2", "ja"],
    "KIT_SEND_TEST": ["-"],
    "KIT_RETENTION_DAYS": ["-1", "3651", "90d", "1.5", "٩٠"],
    "KIT_WEBHOOK_TOLERANCE_S": ["299", "108001", "-300", "3e2", "300.0", "1" * 5000, "٣٠٠"],
    "KIT_DATAFAST_RATE": ["0", "x"],
    "KIT_LOG": ["xml"],
    "KIT_CONSENT": ["on", "opt-in"],
    "KIT_CONSENT_COOKIE": ["datafast_consent", "a b", "a=b", "é", "c" * 101],
    "KIT_CONSENT_VALUE": ["refused", "*", "ref*", "a;b", 'a"b', "a b", "é"],
    "KIT_COOKIELESS": ["maybe"],
    "KIT_CONTINUITY": ["2"],
}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param(name, value, id=f"{name}-{n}")
        for name in BAD
        for n, value in enumerate(BAD[name])
    ],
)
def test_a_value_that_cannot_work_is_refused_without_being_shown(name: str, value: str) -> None:
    """At start, by name, in one sentence."""
    [problem] = problems(**{name: value})

    assert problem.startswith(name)
    assert len(value) < 10 or value not in problem


def test_http_on_a_made_up_name_needs_both_stand_ins() -> None:
    """Without https there is no real money either."""
    shop = {"KIT_BASE_URL": "http://shop.contour.test:8000"}
    dodo = {"DODO_PAYMENTS_BASE_URL": "http://127.0.0.1:8001"}
    datafast = {"DATAFAST_BASE_URL": "http://127.0.0.1:8002"}

    assert read(**shop, **dodo, **datafast).base_url == "http://shop.contour.test:8000"
    broken = datafast | {"DODO_PAYMENTS_BASE_URL": "https://[::1"}
    for others in ({}, dodo, datafast, broken):
        assert any(problem.startswith("KIT_BASE_URL") for problem in problems(**shop, **others))


@pytest.mark.parametrize(
    ("value", "base_url", "secure"),
    [
        ("https://shop.example/", "https://shop.example", True),
        ("HTTPS://Shop.Example", "https://shop.example", True),
        ("https://shop.example:443", "https://shop.example", True),
        ("https://shop.example:8443", "https://shop.example:8443", True),
        ("http://localhost:8000", "http://localhost:8000", False),
        ("http://shop.localhost:80/", "http://shop.localhost", False),
        ("http://[::1]:8000", "http://[::1]:8000", False),
        ("http://127.9.9.9", "http://127.9.9.9", False),
    ],
)
def test_the_shops_address_is_written_as_browsers_write_an_origin(
    value: str, base_url: str, *, secure: bool
) -> None:
    """It is compared with `Origin`, and decides whether cookies are `Secure`."""
    found = read(KIT_BASE_URL=value)

    assert (found.base_url, found.secure) == (base_url, secure)


@pytest.mark.parametrize(
    ("key", "environment", "fits"),
    [
        ("dodo_test_fixture", "test_mode", True),
        ("dodo_live_fixture", "live_mode", True),
        ("dodo_live_fixture", "test_mode", False),
        ("dodo_test_fixture", "live_mode", False),
        ("of_another_form", "live_mode", True),
    ],
)
def test_a_key_of_the_other_environment_is_refused(
    key: str, environment: str, *, fits: bool
) -> None:
    """Live money must not be taken by mistake, nor invented money counted."""
    changes = {"DODO_PAYMENTS_API_KEY": key, "DODO_PAYMENTS_ENVIRONMENT": environment}
    if fits:
        assert read(**changes).dodo_environment == environment
        return
    [problem] = problems(**changes)

    assert "DODO_PAYMENTS_API_KEY is a key of" in problem
    assert environment in problem
    assert key not in problem


@pytest.mark.parametrize("website", [None, "dfid_fixture", "0123456789abcdef0123456", "Z" * 24])
def test_an_account_token_needs_its_website(website: str | None) -> None:
    """The id of 24 hex digits, not the script's."""
    [problem] = problems(DATAFAST_API_KEY="dft_fixture", DATAFAST_API_WEBSITE_ID=website)

    assert "DATAFAST_API_WEBSITE_ID" in problem


def test_two_ways_of_knowing_a_visitor_exclude_each_other() -> None:
    """One keeps a cookie, the other is for shops that want none."""
    [problem] = problems(KIT_CONTINUITY="1", KIT_COOKIELESS="1", DATAFAST_DOMAIN="shop.example")

    assert "KIT_CONTINUITY" in problem
    assert "KIT_COOKIELESS" in problem
    assert read(KIT_COOKIELESS="1").cookieless


def test_continuity_needs_the_domain_of_its_cookie() -> None:
    """Without it nobody knows where the script would put its own."""
    [problem] = problems(KIT_CONTINUITY="1")

    assert "DATAFAST_DOMAIN" in problem


@pytest.mark.parametrize(
    ("changes", "held"),
    [
        ({}, True),
        ({"KIT_SEND_TEST": "1"}, False),
        ({"DATAFAST_BASE_URL": "http://127.0.0.1:8002"}, False),
        (
            {
                "DODO_PAYMENTS_ENVIRONMENT": "live_mode",
                "DODO_PAYMENTS_API_KEY": "dodo_live_fixture",
            },
            False,
        ),
    ],
)
def test_test_payments_stay_here_unless_they_are_wanted(
    changes: dict[str, str], *, held: bool
) -> None:
    """DataFast has no test mode."""
    assert read(**changes).holds_test_payments is held


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:8002", True),
        ("http://datafast.localhost:8002", True),
        ("https://datafast.example", False),
        (None, False),
    ],
)
def test_a_stand_in_for_datafast_is_one_on_this_machine(url: str | None, *, expected: bool) -> None:
    """Nothing comes minutes late there."""
    assert read(DATAFAST_BASE_URL=url).reports_to_a_stand_in is expected


@pytest.mark.parametrize("word", ["1", "true", "YES", "on", "0", "False", "no", "OFF"])
def test_a_switch_takes_the_usual_words(word: str) -> None:
    """In any case of letters."""
    assert read(KIT_SEND_CUSTOMER=word).send_customer is (
        word.lower() in ("1", "true", "yes", "on")
    )


# Sixteen and more characters and a mark of their own, so that none occurs in a sentence by chance.
planted = st.text(
    st.characters(min_codepoint=33, max_codepoint=0x2FF), min_size=16, max_size=60
).map(lambda text: f"{text}¤")


@given(values=st.dictionaries(st.sampled_from(sorted([*BAD, *SECRETS])), planted))
def test_no_value_is_ever_in_a_message(values: dict[str, str]) -> None:
    """Whatever is set, right or wrong: a message goes to logs and issue trackers."""
    try:
        shown = repr(read_settings(values))
        secrets = {name: value for name, value in values.items() if name in SECRETS}
    except SettingsError as refused:
        shown = f"{refused}{refused!r}{refused.problems}"
        secrets = values

    assert not [name for name, value in secrets.items() if value in shown]


@given(token=planted, key=st.text("abcdefghijklmnop", min_size=32))
def test_no_secret_is_in_the_settings_own_text(token: str, key: str) -> None:
    """`repr` and `str` of settings and secrets can be logged without harm."""
    found = read(
        KIT_INSPECTOR_TOKEN=f"{token}{'t' * 16}".replace(" ", ""),
        KIT_SECRET_KEY=key,
        KIT_DATABASE_URL=f"postgresql://kit:{key}@db/kit",
    )
    shown = f"{found!r}{found}{found.inspector_token}{found.secret_keys!r}"

    assert key not in shown
    assert token not in shown
    assert GOOD["DODO_PAYMENTS_API_KEY"] not in shown
    assert str(found.dodo_api_key) == repr(found.dodo_api_key) == "Secret(…)"


def test_a_review_returns_what_can_be_used_beside_what_cannot() -> None:
    """For whoever looks at all of it: defaults and empty secrets stand in."""
    environ = GOOD | {"KIT_HOLD_S": "soon", "DATAFAST_API_KEY": "", "KIT_DATAFAST_RATE": "7"}
    reviewed, found = review_settings(environ)

    assert [variable_of(problem) for problem in found] == ["DATAFAST_API_KEY", "KIT_HOLD_S"]
    assert (reviewed.hold_s, reviewed.datafast_rate) == (600, 7)
    assert reviewed.datafast_api_key.reveal() == ""
    assert review_settings(GOOD) == (read(), ())


def test_a_problem_names_its_variable() -> None:
    """Also where it goes on with the place of a key."""
    [problem] = problems(DODO_PAYMENTS_WEBHOOK_KEY="whsec_?")

    assert problem.startswith("DODO_PAYMENTS_WEBHOOK_KEY, key 1: ")
    assert variable_of(problem) == "DODO_PAYMENTS_WEBHOOK_KEY"


def test_the_names_are_those_that_the_source_asks_for() -> None:
    """None is hidden behind a condition."""
    assert setting_names() == variables()


def test_settings_cannot_be_changed() -> None:
    """They are read once."""
    with pytest.raises(AttributeError):
        read().log = "json"  # type: ignore[misc]


def variables() -> set[str]:
    """Return every variable that the module names in a call."""
    tree = ast.parse(inspect.getsource(module))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    texts: list[Any] = [
        node.value for call in calls for node in call.args if isinstance(node, ast.Constant)
    ]
    return {
        text
        for text in texts
        if isinstance(text, str) and re.fullmatch(r"(DODO|DATAFAST|KIT)_[A-Z_]+", text)
    }


def test_the_table_of_bad_values_knows_every_variable() -> None:
    """A new setting needs its line there, or here where nothing can be wrong with it."""
    anything_goes = {
        "DATAFAST_WEBSITE_ID",
        "DATAFAST_API_WEBSITE_ID",
        "KIT_BRANDS",
        "KIT_DATABASE_URL",
    }

    assert variables() == set(BAD) | anything_goes
