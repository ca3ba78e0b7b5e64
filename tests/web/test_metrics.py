"""`GET /metrics`: what a scraper reads, who may, and what is not in it."""

import re
from pathlib import Path

import httpx
import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from kit import __version__
from tests.web.conftest import (
    EMAIL,
    NAME,
    Clock,
    Shop,
    eventually,
    nobody,
    open_shop,
    payment_event,
)

pytestmark = pytest.mark.anyio

README = Path(__file__).resolve().parents[2] / "README.md"
TOKEN = "planted-inspector-token-of-32-characters"
VISITOR_ID = "0b8e6c1e-2d1c-4f0a-9f2e-6a4f1f4d7c11"

Samples = dict[tuple[str, ...], float]


def families(answer: httpx.Response) -> list[Metric]:
    """Read the plain format with Prometheus's own parser."""
    return list(text_string_to_metric_families(answer.text))


def samples(answer: httpx.Response) -> Samples:
    """Return every sample, by its name and the values of its labels in the labels' order."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in families(answer)
        for sample in family.samples
    }


async def scrape(shop: Shop) -> Samples:
    """Read the metrics as a scraper does."""
    answer = await shop.http.get("/metrics")

    assert answer.status_code == 200

    return samples(answer)


async def sold(shop: Shop) -> None:
    """Sell, and wait until DataFast has answered."""
    await shop.pay(await shop.buy())
    [payment] = await shop.at_dodo("payments")
    await shop.webhook(payment_event(**payment))

    async def answered() -> bool:
        return [row["verdict"] for row in await shop.rows("deliveries")] == ["recorded"]

    await eventually(answered)


async def test_a_sale_is_counted_where_it_stands(shop: Shop) -> None:
    """Reports, messages, the lane and the share of attributed sales."""
    before = await scrape(shop)
    await sold(shop)
    after = await scrape(shop)

    assert before["kit_info", __version__] == 1
    assert not [key for key in before if key[0] in ("kit_deliveries", "kit_messages")]
    assert ("kit_attribution_ratio", "1d") not in before
    assert after["kit_deliveries", "sale", "recorded_without_visitor", "done", "recorded"] == 1
    assert after["kit_messages", "payment", "mapped", "mapped"] == 1
    assert after["kit_attribution_ratio", "1d"] == 0
    assert after["kit_attribution_ratio", "all"] == 0
    assert after["kit_oldest_waiting_seconds", "report"] == 0
    assert after["kit_lane_paused", ""] == 0
    assert after["kit_lane_calls_available",] < before["kit_lane_calls_available",]
    assert after["kit_lane_wait_seconds",] == 0


async def test_a_paused_lane_and_what_waits_behind_it_are_told(shop: Shop) -> None:
    """With the reason, and the age of the oldest report."""
    await shop.chaos(shop.datafast, mode="redirect", match={"path": "/api/v1/payments"})
    await shop.pay(await shop.buy())
    [payment] = await shop.at_dodo("payments")
    await shop.webhook(payment_event(**payment))

    async def paused() -> bool:
        return any(row["paused_reason"] for row in await shop.rows("lanes"))

    await eventually(paused)
    shop.clock.now += 120
    told = await scrape(shop)
    [reason] = [key[1] for key in told if key[0] == "kit_lane_paused"]

    assert reason != ""
    assert told["kit_lane_paused", reason] == 1
    assert told["kit_oldest_waiting_seconds", "report"] >= 120
    assert told["kit_lane_wait_seconds",] > 0


async def test_refused_webhooks_are_a_counter(shop: Shop) -> None:
    """Validly signed, and too old."""
    await shop.webhook(payment_event(), at=shop.clock.now - 3600)

    async def counted() -> bool:
        return bool(await shop.rows("refusals"))

    await eventually(counted)

    assert (await scrape(shop))["kit_webhooks_refused_total", "stale"] == 1


async def test_figures_survive_a_restart(tmp_path: Path, clock: Clock) -> None:
    """They are the ledger's, not the process's."""
    async with open_shop(tmp_path, clock=clock) as shop:
        await sold(shop)
        before = await scrape(shop)
    async with open_shop(tmp_path, clock=clock, dodo=nobody, datafast=nobody) as again:
        after = await scrape(again)

    counts = ("kit_deliveries", "kit_messages", "kit_attribution_ratio")

    assert [key for key in before if key[0] in counts]
    assert {key: before[key] for key in before if key[0] in counts} == {
        key: after[key] for key in after if key[0] in counts
    }


async def test_the_format_is_the_one_that_is_asked_for(shop: Shop) -> None:
    """Prometheus's own text, or OpenMetrics."""
    plain = await shop.http.get("/metrics", headers={"Accept": "*/*"})
    asked = {"Accept": "application/openmetrics-text; version=1.0.0"}
    modern = await shop.http.get("/metrics", headers=asked)

    assert plain.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert modern.headers["content-type"].startswith("application/openmetrics-text")
    assert plain.headers["cache-control"] == "no-store"
    told = openmetrics.text_string_to_metric_families(modern.text)  # type: ignore[no-untyped-call]

    assert {family.name for family in told} >= {"kit_deliveries", "kit_info"}


async def test_every_metric_says_what_it_is(shop: Shop) -> None:
    """With its type, and in seconds or as a ratio where it is one."""
    told = families(await shop.http.get("/metrics"))

    assert all(family.name.startswith("kit_") for family in told)
    assert all(family.documentation.endswith(".") for family in told)
    assert {family.type for family in told} == {"gauge", "counter"}


async def test_the_readme_lists_every_metric_with_its_labels(shop: Shop) -> None:
    """And none that there is not."""
    await sold(shop)
    await shop.webhook(payment_event(), id="msg_stale", at=shop.clock.now - 3600)

    async def counted() -> bool:
        return bool(await shop.rows("refusals"))

    await eventually(counted)
    told = {
        sample.name: set(sample.labels)
        for family in families(await shop.http.get("/metrics"))
        for sample in family.samples
    }
    rows = re.findall(r"^\| (`kit_[a-z_`, ]+) \| (.*?) \|", README.read_text(), re.MULTILINE)
    listed = {
        name: set(re.findall(r"`([a-z]+)`", labels))
        for names, labels in rows
        for name in re.findall(r"`(kit_[a-z_]+)`", names)
    }

    assert listed == told


async def test_no_label_names_anything_of_a_buyer(shop: Shop) -> None:
    """No id, no address, no name, no product."""
    cookie = {"Cookie": f"datafast_visitor_id={VISITOR_ID}"}
    await shop.pay(await shop.buy(**cookie))
    [payment] = await shop.at_dodo("payments")
    await shop.webhook(payment_event(**payment))

    async def reported() -> bool:
        return bool(await shop.rows("deliveries"))

    await eventually(reported)
    answer = await shop.http.get("/metrics")
    told = answer.text
    [order] = await shop.rows("checkouts")
    private = (
        *(EMAIL, NAME, VISITOR_ID, payment["payment_id"], payment["customer"]["customer_id"]),
        *(order["order_ref"], order["product"], "msg_1", "datafast-"),
    )

    assert samples(answer)
    assert [text for text in private if text in told] == []


async def test_only_who_holds_the_token_reads_them_from_elsewhere(tmp_path: Path) -> None:
    """Under whatever name the machine is called; without a token nobody."""
    async with open_shop(tmp_path, dodo=nobody, datafast=nobody, KIT_INSPECTOR_TOKEN=TOKEN) as shop:
        async with shop.browser(address="203.0.113.9", Host="10.0.0.5:8000") as scraper:
            without = await scraper.get("/metrics")
            wrong = await scraper.get("/metrics", headers={"Authorization": "Bearer wrong"})
            right = await scraper.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
            nonsense = await scraper.get("/metrics", headers={"Host": "["})
        tunnelled = await shop.http.get("/metrics", headers={"X-Forwarded-For": "203.0.113.9"})

    assert nonsense.status_code == 401
    assert [without.status_code, wrong.status_code, right.status_code] == [401, 401, 200]
    assert without.headers["www-authenticate"] == "Bearer"
    assert tunnelled.status_code == 401
    assert "kit_" not in without.text + wrong.text + tunnelled.text


async def test_a_ledger_that_cannot_be_read_is_a_503(shop: Shop) -> None:
    """A scraper must not take it for an empty one."""
    await shop.ledger.write(lambda connection: connection.exec_driver_sql("DROP TABLE refusals"))
    answer = await shop.http.get("/metrics")

    assert answer.status_code == 503
    assert "kit_deliveries" not in answer.text
