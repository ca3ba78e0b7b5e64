"""The clients of both services, as the settings want them."""

from collections.abc import Callable

from kit.datafast import DataFastClient
from kit.dodo import DodoClient
from kit.settings import Settings
from kit.transport import open_client


def open_dodo(settings: Settings) -> DodoClient:
    """Open a client for the account of the settings."""
    return DodoClient(
        open_client(),
        api_key=settings.dodo_api_key.reveal(),
        environment=settings.dodo_environment,
        base_url=settings.dodo_base_url,
        checkout_hosts=settings.checkout_hosts,
    )


def open_datafast(settings: Settings, *, clock: Callable[[], float]) -> DataFastClient:
    """Open a client for the website of the settings."""
    return DataFastClient(
        open_client(),
        api_key=settings.datafast_api_key.reveal(),
        clock=clock,
        website_id=settings.datafast_api_website_id,
        base_url=settings.datafast_base_url,
    )
