"""Journeys of the laboratory in the tests: where they are played, and where their reports go."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from e2e.product import ROOT, Demo
from kit.lab.engines import Engine
from kit.lab.evidence import OpenContext
from kit.lab.findings import Outcome
from kit.lab.observers import DataFastSandbox, DodoSandbox
from kit.lab.report import Report, Script
from kit.lab.scenarios import Scenario
from kit.lab.shop import Shop
from kit.lab.stage import Patience, Stage
from kit.lab.visit import Visit
from tests.shops.small import SmallShop

RESULTS = ROOT / "test-results"
PRODUCT = "coastline-atlas"


@dataclass(slots=True)
class Lab:
    """Journeys in one browser, whose reports go into the matrix."""

    engine: Engine
    open_context: OpenContext
    reports: list[Report]
    demo: Demo
    script: Script = "sandbox"

    def at(self, place: Demo | SmallShop | None = None, **changes: Any) -> Stage:
        """Set the stage at a shop: the product as it comes, another, or a small one."""
        return Stage(
            **{
                "open_context": self.open_context,
                "browser": self.engine.name,
                "script": self.script,
                "patience": Patience(report_s=25),
                "pictures": RESULTS / "continuity",
                "pictured": frozenset({"return"}),
                **_place(place or self.demo),
                **changes,
            }
        )

    def play(self, scenario: Scenario, stage: Stage | None = None) -> Report:
        """Play a scenario of the laboratory and enter its report."""
        visit = Visit(stage or self.at(), scenario.name, scenario.expected)
        scenario.play(visit.enter(**scenario.options))
        return self.report(visit)

    def visit(
        self,
        scenario: str,
        *,
        at: Stage | None = None,
        expected: Outcome = "kept",
        **options: Any,
    ) -> Visit:
        """Begin a journey to be taken step by step; `report` ends it."""
        return Visit(at or self.at(), scenario, expected).enter(**options)

    def report(self, visit: Visit) -> Report:
        """End a journey and enter its report."""
        report = visit.report()
        self.reports.append(report)
        return report


def _place(place: Demo | SmallShop) -> dict[str, Any]:
    if isinstance(place, Demo):
        home, product = f"{place.shop}/", f"{place.shop}/products/{PRODUCT}"
        dodo = DodoSandbox(place.dodo, place.dodo_local)
        datafast = DataFastSandbox(place.datafast_local)
    else:
        home, product = place.url, place.product_url
        dodo = DodoSandbox(place.live.dodo_page, place.live.dodo_api)
        datafast = DataFastSandbox(place.live.datafast_api)
    shop = Shop(home, product, domain=_domain(product))
    return {"shop": shop, "dodo": dodo, "datafast": datafast}


def _domain(url: str) -> str | None:
    """Return the root of a made-up name; on localhost cookies belong to one host."""
    host = urlsplit(url).hostname or ""
    return None if host.endswith("localhost") else ".".join(host.split(".")[-2:])
