"""`/healthz` and `/readyz`."""

import asyncio
import sqlite3

import pytest
from sqlalchemy import Connection, update

from kit import worker
from kit.errors import LedgerUnavailable
from kit.ledger import Ledger
from kit.ledger.schema import deliveries
from kit.web.health import FRESH_S, Health
from tests.web.conftest import Clock, Shop, eventually, payment_event

pytestmark = pytest.mark.anyio


async def test_a_shop_that_runs_is_live_and_ready(shop: Shop) -> None:
    """Both for whoever asks, whatever host they name."""
    live = await shop.http.get("/healthz", headers={"host": "10.0.0.3"})
    ready = await shop.http.get("/readyz", headers={"host": "10.0.0.3"})

    assert (live.status_code, live.json()) == (200, {"status": "live"})
    assert (ready.status_code, ready.json()) == (200, {"status": "ready"})
    assert [row["name"] for row in await shop.rows("meta")] == ["schema_version", "heartbeat_ms"]


async def test_a_locked_ledger_is_not_ready_and_recovers(shop: Shop) -> None:
    """Ready is what commits: the load balancer looks elsewhere until it does."""
    with sqlite3.connect(shop.file, isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        refused = await shop.http.get("/readyz")
        live = await shop.http.get("/healthz")
        other.execute("ROLLBACK")
    other.close()
    again = await shop.http.get("/readyz")

    assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
    assert refused.json() == {"status": "not ready", "problem": "the ledger takes no writes"}
    assert (live.status_code, again.status_code) == (200, 200)


async def test_a_closed_ledger_is_not_ready(shop: Shop) -> None:
    """Without a writer no promise can be kept."""
    await asyncio.to_thread(shop.ledger.close)

    assert (await shop.http.get("/readyz")).status_code == 503


async def test_a_stopped_forwarder_is_not_ready(shop: Shop, clock: Clock) -> None:
    """Webhooks would be taken and never sent on."""
    health = Health(shop.ledger, lambda: False, clock)
    answer = await health.ready(None)  # type: ignore[arg-type]  # it looks at no request

    assert answer.status_code == 503
    assert b"the forwarder has stopped" in answer.body


async def test_a_forwarder_that_fails_is_started_again(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Not ready as long as it fails; a row that nobody can read is put right meanwhile."""
    monkeypatch.setattr(worker, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(worker, "MAX_PAUSE_S", 0.01)
    await shop.chaos(shop.dodo, mode="500")
    await shop.webhook(payment_event())

    async def was_tried() -> bool:
        return [row["reason"] for row in await shop.rows("deliveries")] == ["dodo_unreachable"]

    # Not before: what is on its way is written anew when it ends.
    await eventually(was_tried)
    await shop.ledger.write(
        lambda c: c.execute(update(deliveries).values(amount="?", due_at_ms=0)).rowcount
    )

    async def is_ready() -> bool:
        return (await shop.http.get("/readyz")).status_code == 200

    async def is_not_ready() -> bool:
        return not await is_ready()

    await eventually(is_not_ready)
    taken = await shop.webhook(payment_event(), id="msg_2")
    await shop.ledger.write(lambda c: c.execute(update(deliveries).values(amount="1")).rowcount)

    assert taken.status_code == 200
    assert await eventually(is_ready)
    assert "the forwarder has stopped" in caplog.text


async def test_17_a_dead_writer_is_broken_for_good(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is taken, readiness is red, and whoever runs the app learns why."""

    class Halt(BaseException):
        pass

    def die(_connection: Connection) -> None:
        raise Halt

    before = shop.app.state.health.broken()
    with pytest.raises(LedgerUnavailable):
        await shop.ledger.write(die)
    answer = await shop.webhook(payment_event())
    ready = await shop.http.get("/readyz")

    assert before is None
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert (ready.status_code, ready.headers["retry-after"]) == (503, "5")
    assert "has died" in shop.app.state.health.broken()


async def test_asking_often_commits_once_a_second(shop: Shop, clock: Clock) -> None:
    """Anybody may ask; it must not load the disk."""

    async def heartbeat(ledger: Ledger) -> int:
        [row] = [row for row in await shop.rows("meta") if row["name"] == "heartbeat_ms"]
        return int(row["value"])

    await shop.http.get("/readyz")
    first = await heartbeat(shop.ledger)
    clock.now += FRESH_S / 2
    await asyncio.gather(*(shop.http.get("/readyz") for _ in range(20)))
    soon = await heartbeat(shop.ledger)
    clock.now += FRESH_S
    await shop.http.get("/readyz")

    assert soon == first
    assert await heartbeat(shop.ledger) == int(clock.now * 1000)
