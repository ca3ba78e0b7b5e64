"""How fast Dodo is asked, and how often again."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from kit.errors import DodoError, KitError, TransportError
from kit.reconcile.pacing import TRIES, Pacer

pytestmark = pytest.mark.anyio


@dataclass(slots=True)
class Service:
    """Answers with these faults, one after the other, and then well."""

    faults: list[Exception] = field(default_factory=list)
    now: float = 0.0
    asked: list[float] = field(default_factory=list)

    def clock(self) -> float:
        """Return the time in seconds."""
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds

    async def answer(self) -> str:
        """Answer one call."""
        self.asked.append(self.now)
        if self.faults:
            raise self.faults.pop(0)
        return "well"

    def pacer(self, per_minute: float = 120) -> Pacer:
        """Return a pacer on this clock."""
        return Pacer(self.clock, self.sleep, per_minute)


def refusal(status: int) -> DodoError:
    """Return Dodo's refusal."""
    retryable = status in (408, 425, 429) or status >= 500
    return DodoError(f"Dodo answered {status}", status=status, retryable=retryable)


@pytest.mark.parametrize("per_minute", [1, 7, 60, 120, 1000])
async def test_no_minute_has_more_calls_than_agreed(per_minute: int) -> None:
    """Wherever it begins; and the budget is used."""
    service = Service()
    pacer = service.pacer(per_minute)
    for _ in range(per_minute * 3):
        await pacer.call(service.answer)
    most = max(
        sum(start <= other < start + 60 for other in service.asked) for start in service.asked
    )

    assert most <= per_minute
    assert service.now <= 60 * 6


async def test_a_few_calls_wait_for_nothing() -> None:
    """A small shop is through at once."""
    service = Service()
    pacer = service.pacer()
    for _ in range(20):
        assert await pacer.call(service.answer) == "well"

    assert service.now == 0


@pytest.mark.parametrize(
    ("fault", "least_s"),
    [
        (lambda: refusal(429), 15.0),
        (lambda: refusal(500), 1.0),
        (lambda: TransportError("timeout", "dodo"), 1.0),
    ],
    ids=["rate limit", "error", "no answer"],
)
async def test_a_passing_fault_is_waited_out(
    fault: Callable[[], Exception], least_s: float, caplog: pytest.LogCaptureFixture
) -> None:
    """Longer each time, and longest where too much was asked; whoever waits is told."""
    service = Service([fault(), fault(), fault()])

    assert await service.pacer().call(service.answer) == "well"

    waits = [
        later - earlier for earlier, later in zip(service.asked, service.asked[1:], strict=False)
    ]

    assert all(wait >= least_s for wait in waits)
    assert waits == sorted(waits)
    assert [record.getMessage().split("; ")[0] for record in caplog.records] == [str(fault())] * 3


@pytest.mark.parametrize("fault", [refusal(503), TransportError("connect", "dodo")], ids=str)
async def test_a_fault_that_stays_is_raised_in_the_end(fault: Exception) -> None:
    """After a few minutes."""
    service = Service([fault] * 100)
    with pytest.raises(type(fault)):
        await service.pacer().call(service.answer)

    assert len(service.asked) == TRIES
    assert 60 < service.now < 300


async def test_a_refusal_is_not_repeated() -> None:
    """It would be the same."""
    service = Service([refusal(404)])
    with pytest.raises(DodoError, match="404"):
        await service.pacer().call(service.answer)

    assert len(service.asked) == 1


@pytest.mark.parametrize("status", [401, 403])
async def test_a_key_that_may_not_read_is_said_so(status: int) -> None:
    """With the variable that holds it."""
    service = Service([refusal(status)])
    with pytest.raises(KitError, match="DODO_PAYMENTS_API_KEY") as refused:
        await service.pacer().call(service.answer)

    assert str(status) in str(refused.value)
