"""Journeys through somebody's shop, watched from the landing page to DataFast's books."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import urljoin

import pytest
from playwright.sync_api import Page

from kit.lab.aside import BrowserThread
from kit.lab.observers import DataFastSandbox, DodoSandbox
from kit.lab.player import Player
from kit.lab.report import Report
from kit.lab.scenarios import FIRST_VISIT, Scenario
from kit.lab.shop import Shop
from kit.lab.visit import Visit
from kit.plugin.servers import DataFastServer, DodoServer

T = TypeVar("T")


class AttributionBrowser:
    """
    A browser of its own thread, beside the test's event loops and beside pytest-playwright.

    `journey` buys in a shop and tells what became of the visitor; `run` does anything with a page.
    """

    def __init__(self, thread: BrowserThread, dodo: DodoServer, datafast: DataFastServer) -> None:
        self._dodo = dodo
        self._datafast = datafast
        self._player = Player(
            thread,
            thread.engine,
            dodo=DodoSandbox(dodo.url, dodo.api_url),
            datafast=DataFastSandbox(datafast.api_url),
        )
        self.reports: list[Report] = []

    def journey(
        self,
        base_url: str,
        steps: Scenario | Callable[[Visit], None] = FIRST_VISIT,
        *,
        product: str | None = None,
        buy: str | None = None,
        cookies: Sequence[tuple[str, str]] = (),
        webhooks: str | None = None,
    ) -> Report:
        """
        Land on `base_url` from a campaign, buy, pay, come back; return the account of it.

        `product` is the page with the buy button, if that is another, and `buy` a CSS selector of
        the button, its form or link, guessed without. `cookies` are names and values that the
        visitor brings, a consent for example. `steps` is a scenario of `kit.lab.scenarios`, or a
        function of a `Visit` that takes the steps itself. Dodo's webhooks go to the path `webhooks`
        of the shop, where `start_shop` has said, or else to /webhooks/dodo.

        Fails the test when the shop is not pointed at the stand-ins: nothing could be said then.
        """
        self._dodo.send_webhooks(base_url, webhooks)
        shop = Shop(
            base_url,
            None if product is None else urljoin(base_url, product),
            buy,
            domain=self._datafast.domain,
            brings=tuple(cookies),
        )
        if not isinstance(steps, Scenario):
            steps = Scenario("checkout journey", "kept", steps)
        report = self._player.play(steps, shop)
        self.reports.append(report)
        if not report.observable:
            pytest.fail(
                f"{base_url} is not pointed at the stand-ins, so nothing is proven: start it with "
                "dodo_sandbox.variables and datafast_sandbox.variables, or by start_shop.",
                pytrace=False,
            )
        return report

    def run(self, work: Callable[[Page], T], **options: Any) -> T:
        """
        Return what `work` makes of a page in a fresh context, with Playwright's options for one.

        It runs in the browser's thread: nothing of Playwright's may leave it.
        """
        return self._player.run(work, **options)

    def close(self, keep_in: Any = None) -> Any:
        """Close what was opened; return the traces that were kept in a folder."""
        return self._player.close(keep_in)
