"""What a journey is given: a shop, a browser, whoever can be asked, and how long to wait."""

from dataclasses import dataclass
from pathlib import Path

from kit.lab.evidence import OpenContext
from kit.lab.observers import DataFastObserver, DodoObserver
from kit.lab.report import Script
from kit.lab.shop import Shop
from kit.lab.watch import is_dodo


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a journey waits for what may never come, in seconds."""

    script_s: float = 4.0
    button_s: float = 3.0
    page_s: float = 10.0
    report_s: float = 20.0


@dataclass(frozen=True, slots=True)
class Stage:
    """All a journey needs: the shop, a browser that opens contexts, and whoever can be asked."""

    shop: Shop
    open_context: OpenContext
    dodo: DodoObserver | None = None
    datafast: DataFastObserver | None = None
    browser: str = "chromium"
    script: Script = "sandbox"
    patience: Patience = Patience()
    pictures: Path | None = None
    """A folder for screenshots; None takes none."""
    pictured: frozenset[str] = frozenset({"landing", "checkout", "return"})
    """The steps of which screenshots are taken."""

    def is_checkout(self, url: str) -> bool:
        """Tell whether an address is a checkout page of Dodo or of its stand-in."""
        return is_dodo(url) or (self.dodo is not None and self.dodo.owns(url))
