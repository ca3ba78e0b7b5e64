"""A stand-in for Dodo Payments: API, hosted checkout page and signed webhooks."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from kit.sandbox.backstage import Backstage
from kit.sandbox.billing import Billing
from kit.sandbox.books import (
    ABANDONED,
    CHECKOUT,
    CUSTOMER,
    DISPUTE,
    PAYMENT,
    REFUND,
    SUBSCRIPTION,
    Books,
)
from kit.sandbox.chaos import Chaos
from kit.sandbox.delivery import DELIVERY, ENDPOINT, RETRY_DELAYS_S, Outbox
from kit.sandbox.desk import Desk
from kit.sandbox.disputes import Disputes
from kit.sandbox.dodo_api import DodoApi, endpoint_document
from kit.sandbox.hosted import HostedPage
from kit.sandbox.journal import Intake, Journal
from kit.sandbox.levers import Levers
from kit.sandbox.money_api import MoneyApi
from kit.sandbox.overlay import serve_overlay
from kit.sandbox.posted import Posted
from kit.sandbox.products import CATALOGUE, AnyProducts, Product
from kit.sandbox.recoveries import Recoveries
from kit.sandbox.refunds import Refunds
from kit.sandbox.refusals import ApiError, answer_dodo_error, dodo_refusal
from kit.sandbox.signer import read_key
from kit.sandbox.stamps import iso
from kit.sandbox.store import Store
from kit.sandbox.switchboard import Switchboard
from kit.sandbox.switches import Switches
from kit.sandbox.till import Till
from kit.sandbox.trouble import Trouble, datafast_service, dodo_service

FIRST_ENDPOINT = "ep_shop"
PAGES = {
    "abandoned_checkouts": ABANDONED,
    "checkouts": CHECKOUT,
    "customers": CUSTOMER,
    "deliveries": DELIVERY,
    "disputes": DISPUTE,
    "payments": PAYMENT,
    "refunds": REFUND,
    "subscriptions": SUBSCRIPTION,
}


def create_dodo(
    *,
    database: str,
    public_url: str,
    templates_dir: Path,
    static_dir: Path,
    api_key: str,
    webhook_secret: str,
    webhook_url: str,
    products: Sequence[Product] = CATALOGUE,
    any_product: bool = False,
    clock: Callable[[], float] = time.time,
    retry_delays_s: Sequence[float] = RETRY_DELAYS_S,
    datafast_chaos: Chaos | None = None,
) -> Starlette:
    """Build the app; it delivers webhooks while its lifespan is entered.

    `database` is a SQLite path or ":memory:", `public_url` the origin buyers see. `webhook_url` is
    registered as the first endpoint with `webhook_secret` (`whsec_…`); an empty one is not.
    With `any_product` a product that is not among `products` is made up, not refused.
    `retry_delays_s` holds the wait before each delivery attempt. With the rules of the stand-in for
    DataFast the page for trouble holds switches for both. Raises ValueError for a secret
    that is not base64.
    """
    read_key(webhook_secret)
    store, switches = Store(database), Switches()
    outbox = Outbox(store, switches=switches, clock=clock, retry_delays_s=retry_delays_s)
    books = Books(store, outbox, public_url=public_url, clock=clock)
    by_id: Mapping[str, Product] = {product.product_id: product for product in products}
    if any_product:
        by_id = AnyProducts(by_id)
    till = Till(books, products=by_id, switches=switches)
    billing, refunds = Billing(books, products=by_id), Refunds(books)
    disputes, recoveries = Disputes(books), Recoveries(books)
    api = DodoApi(books, till, products=by_id, switches=switches, api_key=api_key)
    money_api = MoneyApi(books, billing, refunds, products=by_id, api_key=api_key)
    levers = Levers(books, billing, refunds, disputes, recoveries)
    desk = Desk(levers, products=by_id, templates_dir=templates_dir)
    switchboard = Switchboard(switches, outbox)
    hosted = HostedPage(store, till, templates_dir=templates_dir)
    journal, chaos = Journal(store, api_key=api_key, clock=clock), Chaos()
    backstage = Backstage(journal=journal, chaos=chaos, store=store, kinds=PAGES)
    services = {"dodo": dodo_service(chaos)}
    if datafast_chaos is not None:
        services["datafast"] = datafast_service(datafast_chaos)
    trouble = Trouble(services, switches, outbox, templates_dir=templates_dir)
    closing = asyncio.Event()

    def register_shop() -> None:
        if webhook_url:
            endpoint = endpoint_document(
                FIRST_ENDPOINT, url=webhook_url, secret=webhook_secret, created_at=iso(clock())
            )
            store.put(ENDPOINT, FIRST_ENDPOINT, endpoint)
        else:
            store.delete(ENDPOINT, FIRST_ENDPOINT)

    async def move_shop(request: Request) -> JSONResponse:
        """Answer `POST /_sandbox/shop {"webhook_url": …}`: where the first endpoint is from now."""
        nonlocal webhook_url
        webhook_url = Posted(await request.body(), "webhook_url").text("webhook_url")
        register_shop()
        return JSONResponse({"webhook_url": webhook_url})

    async def reset(_request: Request) -> JSONResponse:
        backstage.reset()
        switches.reset()
        outbox.forget()
        register_shop()
        return JSONResponse({"reset": True})

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        store.open()
        closing.clear()
        register_shop()
        worker = asyncio.create_task(outbox.run())
        try:
            yield
        finally:
            closing.set()
            worker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await worker
            store.close()

    return Starlette(
        routes=[
            *api.routes(),
            *money_api.routes(),
            *(
                route
                for path in ("/session/{session_id}", "/overlay/session/{session_id}")
                for route in (
                    Route(path, hosted.show, methods=["GET"]),
                    Route(path, hosted.submit, methods=["POST"]),
                )
            ),
            Route("/overlay.js", serve_overlay, methods=["GET"]),
            *levers.routes(),
            *switchboard.routes(),
            *desk.routes(),
            *trouble.routes(),
            Route("/_sandbox/shop", move_shop, methods=["POST"]),
            *backstage.routes(reset),
            Mount("/static", StaticFiles(directory=static_dir, check_dir=False), name="static"),
        ],
        middleware=[
            Middleware(Intake, journal=journal, chaos=chaos, refuse=dodo_refusal, closing=closing)
        ],
        exception_handlers={
            ApiError: answer_dodo_error,
            HTTPException: answer_dodo_error,
        },
        lifespan=lifespan,
    )
