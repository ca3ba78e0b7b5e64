"""Content-Security-Policy as browsers read it."""

import pytest

from kit.checks.policy import read_policies

PAGE = "https://shop.example.com/products/1"
OWN = "https://shop.example.com/js/script.js"
DATAFAST = "https://datafa.st/js/script.js"
EVENTS = "https://datafa.st/api/events"
CHECKOUT = "https://checkout.dodopayments.com/session/cks_1"


@pytest.mark.parametrize(
    ("policy", "url", "nonce", "allowed"),
    [
        ("", OWN, None, True),
        ("img-src 'self'", DATAFAST, None, True),
        ("default-src 'self'", OWN, None, True),
        ("default-src 'self'", DATAFAST, None, False),
        ("script-src 'none'", OWN, None, False),
        ("default-src 'none'; script-src 'self'", OWN, None, True),
        ("script-src 'self'; script-src-elem https://datafa.st", DATAFAST, None, True),
        ("script-src 'self'; script-src-elem https://datafa.st", OWN, None, False),
        ("script-src 'nonce-abc'", DATAFAST, "abc", True),
        ("script-src 'nonce-abc'", DATAFAST, "abd", False),
        ("script-src 'nonce-abc'", DATAFAST, None, False),
        ("script-src 'strict-dynamic' 'nonce-abc' https:", DATAFAST, None, False),
        ("script-src 'strict-dynamic' 'nonce-abc'", DATAFAST, "abc", True),
        ("script-src https:", DATAFAST, None, True),
        ("script-src *", DATAFAST, None, True),
        ("script-src datafa.st", DATAFAST, None, True),
        ("script-src DATAFA.ST", DATAFAST, None, True),
        ("script-src https://datafa.st:443", DATAFAST, None, True),
        ("script-src https://datafa.st:8443", DATAFAST, None, False),
        ("script-src https://datafa.st:*", "https://datafa.st:8443/x.js", None, True),
        ("script-src *.datafa.st", DATAFAST, None, False),
        ("script-src *.example.com", OWN, None, True),
        ("script-src https://datafa.st/js/", DATAFAST, None, True),
        ("script-src https://datafa.st/js", DATAFAST, None, False),
        ("script-src https://datafa.st/js/script.js", DATAFAST, None, True),
        ("script-src http://datafa.st", DATAFAST, None, True),
        ("script-src 'self'; script-src https://datafa.st", DATAFAST, None, False),
    ],
)
def test_scripts(policy: str, url: str, nonce: str | None, allowed: bool) -> None:
    """By host, by nonce, and by what the directives fall back to; the first of a name counts."""
    policies = read_policies([policy], PAGE)

    assert all(each.allows_script(url, nonce) for each in policies) == allowed


@pytest.mark.parametrize(
    ("policy", "allowed"),
    [
        ("default-src 'self'", False),
        ("connect-src 'self' https://datafa.st", True),
        ("default-src 'none'; connect-src *", True),
        ("script-src 'none'", True),
    ],
)
def test_connections(policy: str, allowed: bool) -> None:
    """The script posts its events."""
    [read] = read_policies([policy], PAGE)

    assert read.allows_connection(EVENTS) == allowed


@pytest.mark.parametrize(
    ("policy", "allowed"),
    [
        ("default-src 'none'", True),
        ("form-action 'self'", False),
        ("form-action 'self' https://*.dodopayments.com", True),
        ("form-action https://dodopayments.com", False),
    ],
)
def test_forms(policy: str, allowed: bool) -> None:
    """Nothing stands in for form-action, and a redirect counts as the form's own target."""
    [read] = read_policies([policy], PAGE)

    assert read.allows_form(CHECKOUT) == allowed


def test_several_policies_are_kept_apart() -> None:
    """In one header, by commas, or in several: each must allow what is done."""
    policies = read_policies(["script-src 'self', script-src https:", "img-src *", ""], PAGE)

    assert [each.allows_script(DATAFAST, None) for each in policies] == [False, True, True]


def test_a_page_on_http_lets_its_own_host_be_on_https() -> None:
    """And a host without a scheme means the page's, or better."""
    [own] = read_policies(["script-src 'self'"], "http://shop.example.com/")
    [host] = read_policies(["script-src datafa.st"], "http://shop.example.com/")

    assert own.allows_script(OWN, None)
    assert host.allows_script(DATAFAST, None)
    assert host.allows_script("http://datafa.st/js/script.js", None)
