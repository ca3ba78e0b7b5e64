"""The whole shop, opened from settings: what `kit serve` and `kit demo` run."""

from collections.abc import Callable

from starlette.applications import Starlette

from kit.cli.clients import open_datafast, open_dodo
from kit.ledger import Ledger
from kit.sender import Pace
from kit.settings import Settings
from kit.transport import open_client
from kit.web.app import create_app
from kit.web.guard import Limit
from kit.web.storefront.catalogue import Catalogue

_ANY_NUMBER = Limit(burst=100_000, per_minute=100_000)


def open_shop(
    settings: Settings,
    *,
    clock: Callable[[], float],
    catalogue: Catalogue | None = None,
    sandboxed: bool = False,
) -> Starlette:
    """
    Open ledger and clients, and compose the app around them; `sandboxed` shortens its waits.

    Each destination has connections of its own: a slow DataFast must not hold up a checkout.
    Raises LedgerError.
    """
    limits = {"buyer_limit": _ANY_NUMBER, "shop_limit": _ANY_NUMBER} if sandboxed else {}
    pace = Pace(pageview_wait_s=settings.hold_s) if settings.reports_to_a_stand_in else Pace()
    return create_app(
        settings,
        ledger=Ledger.open(settings.database_url),
        dodo=open_dodo(settings),
        datafast=open_datafast(settings, clock=clock),
        proxy_http=open_client(),
        clock=clock,
        catalogue=catalogue,
        demo=sandboxed,
        pace=pace,
        **limits,
    )
