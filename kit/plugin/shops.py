"""Start somebody's shop for their tests."""

import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin

import pytest

from kit.lab.hosts import local_address
from kit.lab.running import ShopDown, running_shop
from kit.plugin.servers import DataFastServer, DodoServer


@dataclass(frozen=True, slots=True)
class StartShop:
    """Starts shops, which end with the tests."""

    dodo: DodoServer
    datafast: DataFastServer
    folder: Path
    stack: ExitStack

    def __call__(
        self,
        command: str | Sequence[str],
        url: str,
        *,
        webhooks: str | None = None,
        within_s: float = 30,
        **environ: str,
    ) -> str:
        """
        Run a shop's server until the tests end, and return `url` once it answers there.

        It gets the variables of both stand-ins and `environ`. Dodo's webhooks go to its path
        `webhooks`, /webhooks/dodo without. Fails the test, with what the server printed, if it does
        not start.
        """
        # `python`, `flask` and the like are those of the tests.
        programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        variables = {
            "PATH": programs,
            "DODO_PAYMENTS_RETURN_URL": urljoin(url, "/"),
            **self.dodo.variables,
            **self.datafast.variables,
            **environ,
        }
        log = self.folder / f"shop-{len(list(self.folder.iterdir())) + 1}.log"
        shop = running_shop(
            command, local_address(url), environ=variables, log=log, within_s=within_s
        )
        try:
            self.stack.enter_context(shop)
        except ShopDown as problem:
            pytest.fail(str(problem), pytrace=False)
        self.dodo.send_webhooks(url, webhooks)
        return url
