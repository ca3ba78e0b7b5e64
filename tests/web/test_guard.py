"""Addresses, loopback and floods, where a whole shop would hide the edge."""

from ipaddress import ip_network

import pytest
from starlette.requests import HTTPConnection

from kit.web.guard import (
    FloodGate,
    Limit,
    client_address,
    is_direct_loopback,
    is_loopback_host,
    is_same_origin,
)
from tests.web.conftest import Clock


def connection(*headers: tuple[str, str], peer: str | None = "127.0.0.1") -> HTTPConnection:
    """Return a request with these headers from an address; None stands for a UNIX socket."""
    return HTTPConnection(
        {
            "type": "http",
            "headers": [(name.encode(), value.encode()) for name, value in headers],
            "client": None if peer is None else (peer, 1),
        }
    )


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("a.b.localhost", True),
        ("127.0.0.1", True),
        ("127.255.0.9", True),
        ("::1", True),
        ("notlocalhost", False),
        ("localhost.example", False),
        ("127.0.0.1.example", False),
        ("0.0.0.0", False),  # noqa: S104 - nothing is bound
        ("2130706433", False),
        ("", False),
    ],
)
def test_loopback_names(host: str, *, loopback: bool) -> None:
    """What can only mean this machine."""
    assert is_loopback_host(host) is loopback


def test_a_request_through_a_unix_socket_is_not_direct() -> None:
    """A socket has no peer address: whoever may write to it could be a reverse proxy."""
    asked = connection(("host", "localhost"), peer=None)

    assert not is_direct_loopback(asked)
    assert client_address(asked, [ip_network("127.0.0.0/8")]) == ""


@pytest.mark.parametrize("host", ["[", "[::1", "127.0.0.1:["])
def test_a_host_that_is_no_name_is_not_this_machine(host: str) -> None:
    """Anybody may write anything there, and is told no more than a stranger."""
    assert not is_direct_loopback(connection(("host", host)))


def test_a_reverse_proxy_that_tells_nothing_is_known_by_its_protocol() -> None:
    """Nginx with a bare `proxy_pass` names itself by loopback, and asks in HTTP/1.0."""
    asked = connection(("host", "127.0.0.1:8000"), ("connection", "close"))
    asked.scope["http_version"] = "1.0"

    assert not is_direct_loopback(asked)


def test_forwarding_lists_may_come_in_several_headers() -> None:
    """They are read as one list, from its end."""
    asked = connection(
        ("x-forwarded-for", "203.0.113.1"),
        ("x-forwarded-for", "203.0.113.2, 10.0.0.2"),
        peer="10.0.0.1",
    )

    assert client_address(asked, [ip_network("10.0.0.0/8")]) == "203.0.113.2"


def test_the_port_of_an_origin_counts() -> None:
    """Another port of one host is another site's page."""
    asked = connection(("origin", "http://localhost:9000"))

    assert not is_same_origin(asked, "http://localhost:8000")
    assert is_same_origin(asked, "http://localhost:9000/any/path")


def test_a_budget_fills_up_again_with_time(clock: Clock) -> None:
    """Never beyond its burst, and not by a clock that was set back."""
    gate = FloodGate(each=Limit(2, 60), total=Limit(100, 60), clock=clock)
    first = [gate.admits("a") for _ in range(3)]
    clock.now -= 3600
    set_back = gate.admits("a")
    clock.now += 1
    after_a_second = [gate.admits("a") for _ in range(2)]
    clock.now += 3600
    after_an_hour = [gate.admits("a") for _ in range(3)]

    assert first == [True, True, False]
    assert set_back is False
    assert after_a_second == [True, False]
    assert after_an_hour == [True, True, False]


def test_ten_thousand_addresses_do_not_fill_the_memory(clock: Clock) -> None:
    """The oldest are forgotten; the budget of all is not."""
    gate = FloodGate(each=Limit(1, 1), total=Limit(20_000, 1), clock=clock)
    for number in range(20_000):
        gate.admits(f"address-{number}")

    assert len(gate._buckets) <= 10_001  # how much is kept shows nowhere else
    assert gate.admits("one-more") is False
