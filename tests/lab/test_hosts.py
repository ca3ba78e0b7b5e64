"""Names of this machine, and addresses that programs reach."""

import pytest

from kit.lab.hosts import is_local, local_address

MADE_UP = {"shop.example": "10.0.0.5", "*.contour.test": "127.0.0.1"}


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://shop.localhost:5000/a?b=c", "http://127.0.0.1:5000/a?b=c"),
        ("https://shop.localhost", "https://127.0.0.1"),
        ("http://shop.example:8000/", "http://10.0.0.5:8000/"),
        ("http://www.contour.test:8000/", "http://127.0.0.1:8000/"),
        ("http://contour.test/", "http://contour.test/"),
        ("http://localhost:5000/", "http://localhost:5000/"),
        ("https://example.com/", "https://example.com/"),
    ],
)
def test_a_name_that_resolvers_do_not_know_becomes_an_address(url: str, expected: str) -> None:
    """Names of localhost, and those that were told."""
    assert local_address(url, MADE_UP) == expected


@pytest.mark.parametrize("host", ["localhost", "shop.localhost", "mac.local", "127.0.0.2", "::1"])
def test_a_developers_machine_has_many_names(host: str) -> None:
    """Those that DataFast's script takes for one."""
    assert is_local(host)


@pytest.mark.parametrize("host", ["localhost.example", "192.168.0.4", "local", "contour.test", ""])
def test_others_are_not_local(host: str) -> None:
    """Not even in the same room."""
    assert not is_local(host)
