"""
`GET /metrics`: the ledger's figures in Prometheus's format.

Computed from the tables at each scrape, so that they survive restarts and are the same in every
process that shares a ledger. No label holds an id, an address or a name.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, Response

from kit import __version__
from kit.errors import LedgerUnavailable
from kit.ledger import Ledger
from kit.ledger.figures import Figures, read_figures


@dataclass(frozen=True, slots=True)
class Metrics:
    """The endpoint. `admits` tells who may read it; `lane` and `per_minute` are the sender's."""

    ledger: Ledger
    admits: Callable[[HTTPConnection], bool]
    lane: str
    per_minute: float

    async def get(self, request: Request) -> Response:
        """Answer a scrape, in the format that it asks for."""
        if not self.admits(request):
            problem = "send KIT_INSPECTOR_TOKEN as a bearer token\n"
            return PlainTextResponse(problem, 401, {"WWW-Authenticate": "Bearer"})
        now_ms = self.ledger.now_ms()
        try:
            figures = await self.ledger.read(
                lambda connection: read_figures(
                    connection, lane=self.lane, per_minute=self.per_minute, now_ms=now_ms
                )
            )
        except LedgerUnavailable as unavailable:
            return PlainTextResponse(f"{unavailable}\n", 503)
        registry = CollectorRegistry()
        registry.register(_Told(figures, now_ms))
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(
            encode(registry), headers={"Content-Type": content_type, "Cache-Control": "no-store"}
        )


@dataclass(frozen=True, slots=True, eq=False)  # the registry knows it by its identity
class _Told(Collector):
    figures: Figures
    now_ms: int

    def collect(self) -> Iterable[Metric]:
        """Yield every metric there is."""
        figures, lane = self.figures, self.figures.lane
        yield _gauge("kit_info", "The running version.", {(__version__,): 1}, ("version",))
        yield _gauge(
            "kit_deliveries",
            "Reports to DataFast, by where they stand.",
            figures.deliveries,
            ("kind", "state", "verdict", "reason"),
        )
        yield _gauge(
            "kit_oldest_waiting_seconds",
            "Age of the oldest message to be read, report to be sent, report that is held; or 0.",
            {(what,): age_s for what, age_s in figures.oldest_waiting_s.items()},
            ("what",),
        )
        yield _gauge(
            "kit_messages",
            "Webhook messages in the ledger, by class of event and where they stand.",
            figures.messages,
            ("class", "state", "reason"),
        )
        refused = CounterMetricFamily(
            "kit_webhooks_refused",
            "Validly signed webhooks that were refused for their time.",
            labels=("reason",),
        )
        for reason, number in sorted(figures.refused.items()):
            refused.add_metric((reason,), number)
        yield refused
        yield _gauge(
            "kit_attribution_ratio",
            "Share of the sales at DataFast that it attributed to a visitor, by age of the report.",
            {
                (window,): attributed / whole
                for window, (attributed, whole) in figures.attributed.items()
                if whole
            },
            ("window",),
        )
        yield _gauge(
            "kit_lane_paused",
            "1 while nothing is sent to DataFast, with the reason.",
            {(lane.paused_reason or "",): int(lane.paused_reason is not None)},
            ("reason",),
        )
        yield _gauge(
            "kit_lane_calls_available",
            "Calls to DataFast that may be made at once.",
            {(): max(lane.tokens, 0.0)},
        )
        yield _gauge(
            "kit_lane_wait_seconds",
            "How long DataFast asked to be left alone from now on.",
            {(): max(lane.not_before_ms - self.now_ms, 0) / 1000},
        )


def _gauge(
    name: str,
    help_text: str,
    values: Mapping[tuple[str, ...], float],
    labels: tuple[str, ...] = (),
) -> Metric:
    family = GaugeMetricFamily(name, help_text, labels=labels)
    for key, value in sorted(values.items()):
        family.add_metric(key, value)
    return family
