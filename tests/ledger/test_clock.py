"""The ledger's clock: it goes forward, whatever happens to the machine's own."""

from dataclasses import dataclass

import pytest

from kit.ledger import Ledger
from kit.ledger.clock import SteadyClock
from tests.databases import connected, on_postgres


@dataclass(slots=True)
class Machine:
    """A machine's two clocks."""

    host: float = 1_790_856_000.0
    up: float = 500.0

    def clock(self, *, follow_host: bool = True) -> SteadyClock:
        """Start a steady clock on this machine."""
        return SteadyClock(
            follow_host=follow_host, host=lambda: self.host, monotonic=lambda: self.up
        )

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.host += seconds
        self.up += seconds


def test_a_clock_set_back_does_not_stop_the_time() -> None:
    """Leases and retries fall due as if nothing had happened."""
    machine = Machine()
    clock = machine.clock()
    began = clock()
    machine.host -= 600
    machine.wait(7)

    assert clock() - began == 7


def test_a_clock_set_forward_is_followed() -> None:
    """It was late before; what falls due early does no harm."""
    machine = Machine()
    clock = machine.clock()
    machine.host += 600

    assert clock() == machine.host


def test_a_database_gives_the_time_of_all() -> None:
    """Machines whose clocks are ten minutes apart agree on when a lease ends."""
    early, late = Machine(), Machine(host=1_790_856_600.0, up=9.0)
    clocks = [machine.clock(follow_host=False) for machine in (early, late)]
    for clock in clocks:
        clock.set(1_790_856_100.0)
    early.wait(3)
    late.wait(3)

    assert [clock() for clock in clocks] == [1_790_856_103.0] * 2


@on_postgres
def test_a_shared_ledger_goes_by_the_time_of_its_server(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever this machine believes."""
    monkeypatch.setattr("time.time", lambda: 1_000_000_000.0)
    ledger = Ledger.open(database_url)
    now_ms = ledger.now_ms()
    ledger.close()
    with connected(database_url) as connection:
        row = connection.execute("SELECT extract(epoch FROM now())::float8").fetchone()

    assert row is not None
    assert abs(now_ms / 1000 - float(str(row[0]))) < 60
