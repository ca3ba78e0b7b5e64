"""Plays journeys for whoever is no browser test: the pytest plugin and `kit verify`."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from playwright.sync_api import Browser, BrowserContext, Page

from kit.lab.aside import BrowserThread
from kit.lab.engines import Engine, ordinary_user_agent
from kit.lab.evidence import Contexts, Trace
from kit.lab.fence import keep_events_back
from kit.lab.observers import DataFastObserver, DodoObserver
from kit.lab.report import Report
from kit.lab.scenarios import Scenario, play
from kit.lab.shop import Shop
from kit.lab.stage import Patience, Stage

T = TypeVar("T")


@dataclass(slots=True)
class Player:
    """
    Plays in the browser's thread, off the real services: see `fence`.

    Every context stays open until `close`, which keeps its trace and pictures or drops them.
    """

    thread: BrowserThread
    engine: Engine
    dodo: DodoObserver | None = None
    datafast: DataFastObserver | None = None
    patience: Patience = field(default_factory=Patience)
    pictures: Path | None = None
    trace: Trace = "looks"
    _contexts: Contexts | None = None

    def play(self, scenario: Scenario, shop: Shop) -> Report:
        """Play a scenario through a shop. Playwright's errors come through."""

        def work(browser: Browser) -> Report:
            stage = Stage(
                shop,
                self._opener(browser),
                dodo=self.dodo,
                datafast=self.datafast,
                browser=self.engine.name,
                patience=self.patience,
                pictures=self.pictures,
            )
            return play(scenario, stage)

        return self.thread.do(work)

    def run(self, work: Callable[[Page], T], **options: Any) -> T:
        """Return what `work` makes of a page in a fresh context, with Playwright's options."""
        return self.thread.do(lambda browser: work(self._opener(browser)(**options).new_page()))

    def close(self, keep_in: Path | None = None) -> list[Path]:
        """Close what was opened; return the traces that were kept, pictures beside them."""
        contexts, self._contexts = self._contexts, None
        if contexts is None:
            return []
        return self.thread.do(lambda _browser: contexts.close(keep_in))

    def _opener(self, browser: Browser) -> Callable[..., BrowserContext]:
        if self._contexts is None:
            chromium = self.engine.name == "chromium"
            usual = {"user_agent": ordinary_user_agent(browser)} if chromium else {}
            self._contexts = Contexts(browser, defaults=usual, trace=self.trace)
        contexts = self._contexts

        def open_context(**options: Any) -> BrowserContext:
            context = contexts.open(**options)
            keep_events_back(context)
            return context

        return open_context
