"""Serve the stand-ins from a thread, for whoever has no event loop to run them in."""

import asyncio
import base64
import contextlib
import secrets
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urljoin

import uvicorn
from starlette.types import ASGIApp

from kit.sandbox.datafast import RATE_LIMIT, create_datafast
from kit.sandbox.dodo import create_dodo
from kit.sandbox.products import CATALOGUE

WEBSITE_ID = "dfid_sandbox"
START_TIMEOUT_S = 20


def _new_dodo_key() -> str:
    return f"dodo_test_{secrets.token_urlsafe(24)}"


def _new_webhook_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def _new_datafast_key() -> str:
    return f"df_{secrets.token_urlsafe(24)}"


@dataclass(frozen=True, slots=True)
class Keys:
    """What a shop and the stand-ins know one another by; each is made up if it is not given."""

    dodo_api_key: str = field(repr=False, default_factory=_new_dodo_key)
    webhook_secret: str = field(repr=False, default_factory=_new_webhook_secret)
    datafast_api_key: str = field(repr=False, default_factory=_new_datafast_key)


@dataclass(frozen=True, slots=True)
class Live:
    """Both stand-ins, running: addresses as browsers name them and for programs, and their keys."""

    dodo_page: str
    dodo_api: str
    datafast_page: str
    datafast_api: str
    website_id: str
    domain: str
    keys: Keys

    def variables(self, shop: str | None = None) -> dict[str, str]:
        """Return the environment that points a shop at them; `shop` is its address."""
        home = "" if shop is None else urljoin(shop, "/")
        own = {"DODO_PAYMENTS_RETURN_URL": home, "KIT_BASE_URL": home.rstrip("/")}
        return (own if home else {}) | {
            "DODO_PAYMENTS_API_KEY": self.keys.dodo_api_key,
            "DODO_PAYMENTS_WEBHOOK_KEY": self.keys.webhook_secret,
            "DODO_PAYMENTS_ENVIRONMENT": "test_mode",
            "DODO_PAYMENTS_BASE_URL": self.dodo_api,
            "DATAFAST_API_KEY": self.keys.datafast_api_key,
            "DATAFAST_BASE_URL": self.datafast_api,
            "DATAFAST_WEBSITE_ID": self.website_id,
            "DATAFAST_DOMAIN": self.domain,
            "KIT_CHECKOUT_HOSTS": self.dodo_page,
            "KIT_PRODUCTS": ",".join(product.product_id for product in CATALOGUE),
        }

    def tag(self) -> str:
        """Return the script tag for the pages of a shop on this machine."""
        return (
            f'<script defer data-website-id="{self.website_id}" data-domain="{self.domain}" '
            f'data-allow-localhost="true" data-disable-payments="true"\n'
            f'  data-api-url="{self.datafast_page}/api/events" '
            f'src="{self.datafast_page}/js/script.js"></script>'
        )


@contextlib.contextmanager
def live_sandboxes(
    *,
    templates_dir: Path,
    static_dir: Path,
    domain: str,
    additional_domains: Sequence[str] = (),
    website_id: str = WEBSITE_ID,
    webhook_url: str = "",
    ports: tuple[int, int] = (0, 0),
    keys: Keys | None = None,
    any_product: bool = False,
    rate_limit: int = RATE_LIMIT,
) -> Iterator[Live]:
    """
    Run both stand-ins, with nothing on disk, until the `with` ends.

    `domain` is the shop's root domain, `additional_domains` the website's others, `webhook_url`
    where webhooks go (nowhere, if it is empty), `ports` those of Dodo and of DataFast, 0 for any,
    `keys` those a shop has already. With `any_product` Dodo sells whatever it is asked for;
    DataFast's API takes `rate_limit` calls a minute.
    Raises OSError for a port that is taken.
    """
    keys = keys or Keys()
    with contextlib.ExitStack() as stack:
        dodo_socket, datafast_socket = (
            stack.enter_context(socket.create_server(("127.0.0.1", port))) for port in ports
        )
        dodo_port, datafast_port = (
            listening.getsockname()[1] for listening in (dodo_socket, datafast_socket)
        )
        live = Live(
            dodo_page=f"http://checkout.localhost:{dodo_port}",
            dodo_api=f"http://127.0.0.1:{dodo_port}",
            datafast_page=f"http://datafast.localhost:{datafast_port}",
            datafast_api=f"http://127.0.0.1:{datafast_port}",
            website_id=website_id,
            domain=domain,
            keys=keys,
        )
        dodo = create_dodo(
            database=":memory:",
            public_url=live.dodo_page,
            templates_dir=templates_dir,
            static_dir=static_dir,
            api_key=keys.dodo_api_key,
            webhook_secret=keys.webhook_secret,
            webhook_url=webhook_url,
            any_product=any_product,
        )
        datafast = create_datafast(
            database=":memory:",
            api_key=keys.datafast_api_key,
            website_id=website_id,
            domain=domain,
            additional_domains=additional_domains,
            rate_limit=rate_limit,
        )
        stack.enter_context(serving({dodo_socket: dodo, datafast_socket: datafast}))
        yield live


class _Server(uvicorn.Server):
    """uvicorn's server, which says when it is up."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(uvicorn.Config(app, log_level="error", lifespan="on"))
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so; uvicorn itself would end the process, after it has logged why."""
        try:
            await super().startup(sockets)
        except SystemExit:
            raise RuntimeError("the app did not start") from None
        self.up.set()


@contextlib.contextmanager
def serving(apps: Mapping[socket.socket, ASGIApp]) -> Iterator[None]:
    """
    Serve each app on its listening socket, all in one thread, until the `with` ends.

    Raises RuntimeError if one does not start.
    """
    servers = {listening: _Server(app) for listening, app in apps.items()}
    started: Future[None] = Future()

    async def serve_all() -> None:
        async with asyncio.TaskGroup() as group:
            for listening, server in servers.items():
                group.create_task(server.serve(sockets=[listening]))
            for server in servers.values():
                await server.up.wait()
            started.set_result(None)

    def run() -> None:
        try:
            asyncio.run(serve_all())
        except BaseException as problem:
            if started.done():
                raise
            failure = RuntimeError("a server on loopback did not start: see the log above")
            failure.__cause__ = problem
            started.set_exception(failure)

    thread = threading.Thread(target=run, name="stand-ins")
    thread.start()
    try:
        started.result(START_TIMEOUT_S)
        yield
    finally:
        for server in servers.values():
            server.should_exit = True
        thread.join()
