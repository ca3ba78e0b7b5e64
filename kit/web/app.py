"""The composition root: every piece is made here, and put away in reverse order."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from urllib.parse import urlsplit

import httpx
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from kit.datafast import DataFastClient
from kit.dodo import DodoClient
from kit.helpers.dodo_datafast import signing_key
from kit.ledger import Ledger
from kit.resources import resource_dir
from kit.sender import Pace
from kit.settings import Settings
from kit.web.consent import ConsentRule, Refusals
from kit.web.continuity import Continuity, copy_name
from kit.web.forms import MAX_FORM_BYTES
from kit.web.guard import FloodGate, Limit, SecurityHeaders, is_loopback_host
from kit.web.health import Health
from kit.web.inspector.access import Access
from kit.web.inspector.actions import Actions
from kit.web.inspector.attribution import Attribution
from kit.web.inspector.curl import Curl
from kit.web.inspector.journey import JourneyPage
from kit.web.inspector.listing import Listing
from kit.web.inspector.live import Streams
from kit.web.inspector.naming import Naming
from kit.web.inspector.news import News
from kit.web.inspector.pages import Inspector
from kit.web.metrics import Metrics
from kit.web.mishaps import Mishaps
from kit.web.pages import Pages, ScriptTag
from kit.web.proxy import Proxy, hosts_matcher
from kit.web.receiver import Receiver
from kit.web.storefront.capture import Capture
from kit.web.storefront.catalogue import Catalogue
from kit.web.storefront.checkout import Checkout
from kit.web.storefront.consent import MAX_ANSWER_BYTES, ConsentForm
from kit.web.storefront.cookies import ShopCookies
from kit.web.storefront.orders import OrderPages
from kit.web.storefront.shelves import Shelves
from kit.worker import Work, compose_forwarder

# One buyer, and all of them: Dodo allows an account 240 calls a minute (dodo/api-reference).
BUYER_LIMIT = Limit(burst=10, per_minute=20)
SHOP_LIMIT = Limit(burst=60, per_minute=200)


def create_app(
    settings: Settings,
    *,
    ledger: Ledger,
    dodo: DodoClient,
    datafast: DataFastClient,
    proxy_http: httpx.AsyncClient,
    clock: Callable[[], float],
    catalogue: Catalogue | None = None,
    demo: bool = False,
    pace: Pace | None = None,
    buyer_limit: Limit = BUYER_LIMIT,
    shop_limit: Limit = SHOP_LIMIT,
) -> Starlette:
    """
    Compose receiver, proxy, inspector and forwarder; with a catalogue, the storefront as well.

    The app works only inside its lifespan, at whose end it closes ledger and clients.
    `app.state.health.broken` says why it cannot go on, once it cannot (`kit.server.Listener`).
    """
    forwarder = compose_forwarder(settings, ledger=ledger, dodo=dodo, datafast=datafast, pace=pace)
    lane = forwarder.pace.lane
    work = Work(forwarder)
    health = Health(ledger, work.running, clock)
    receiver = Receiver(
        ledger,
        keys=[signing_key(key.reveal()) for key in settings.dodo_webhook_keys],
        clock=clock,
        tolerance_s=settings.webhook_tolerance_s,
    )
    consent = ConsentRule(
        required=settings.consent == "required",
        cookie=settings.consent_cookie,
        accepted=settings.consent_value,
    )
    tag = _script_tag(settings) if catalogue is not None else None
    pages = Pages(
        tag=tag,
        demo=demo,
        # The demo's buyers are sent to the stand-in for Dodo, which has a page for trouble.
        trouble_url=f"{settings.checkout_hosts[0]}/_sandbox/trouble" if demo else None,
        consent=consent,
        cookieless=settings.cookieless,
    )
    keys = [key.reveal() for key in settings.secret_keys]
    token = settings.inspector_token.reveal() if settings.inspector_token else None
    cookies = ShopCookies(keys, secure=settings.secure)
    access = Access(token=token, keys=keys, secure=settings.secure)
    metrics = Metrics(ledger, access.admits, lane, settings.datafast_rate)
    naming = Naming({slug: product.name for slug, product in (catalogue or {}).items()})
    curl = Curl(
        settings.dodo_environment,
        settings.dodo_base_url,
        settings.datafast_base_url,
        settings.datafast_api_website_id,
    )
    views = (Listing(naming, lane), JourneyPage(naming, curl), Attribution(ledger), News())
    streams = Streams(ledger)
    inspector = Inspector(ledger, access, pages, settings.base_url, views, streams)
    proxy = Proxy(
        proxy_http,
        upstream=settings.datafast_base_url,
        base_url=settings.base_url,
        trusted_proxies=settings.trusted_proxies,
        payment_hosts=hosts_matcher(settings.checkout_hosts),
        ledger=ledger,
        consent=consent,
        revalidate=settings.continuity,
        clock=clock,
    )
    routes: list[BaseRoute] = [
        *proxy.routes(),
        *inspector.routes(),
        Route(
            "/inspector/actions",
            Actions(inspector, dodo, settings.holds_test_payments).post,
            methods=["POST"],
            max_body_size=MAX_FORM_BYTES,
        ),
        Mount("/static", StaticFiles(directory=resource_dir("static"))),
    ]
    if catalogue is not None:
        capture = Capture(consent, settings.cookieless)
        shelves = Shelves(catalogue, cookies, pages)
        checkout = Checkout(
            ledger=ledger,
            dodo=dodo,
            catalogue=catalogue,
            cookies=cookies,
            capture=capture,
            pages=pages,
            gate=FloodGate(each=buyer_limit, total=shop_limit, clock=clock),
            base_url=settings.base_url,
            trusted_proxies=settings.trusted_proxies,
        )
        orders = OrderPages(ledger, dodo, catalogue, cookies, capture, pages)
        answers = ConsentForm(
            ledger,
            rule=consent,
            pages=pages,
            tag=tag,
            base_url=settings.base_url,
            domain=settings.datafast_domain,
            copies=(copy_name(secure=settings.secure),),
        )
        routes += [
            Route("/", shelves.index),
            Route("/products/{slug}", shelves.product),
            Route("/checkout", checkout.post, methods=["POST"], max_body_size=MAX_FORM_BYTES),
            Route("/orders/{ref}", orders.get),
        ]
        if consent.can_ask:
            routes.append(
                Route("/consent", answers.post, methods=["POST"], max_body_size=MAX_ANSWER_BYTES)
            )

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(asyncio.to_thread, ledger.close)
            for client in (dodo, datafast, proxy_http):
                stack.push_async_callback(client.aclose)
            await stack.enter_async_context(work.started())
            yield

    app = Starlette(
        routes=[
            # Outside the pages' middleware: it is the hot path, and needs none of it.
            Route("/webhooks/dodo", receiver),
            Route("/healthz", health.live),
            Route("/readyz", health.ready),
            # Scrapers call it by the machine's address, which the pages' middleware refuses.
            Route("/metrics", metrics.get),
            Mount(
                "/",
                app=SecurityHeaders(
                    # Around the whole app, since Starlette answers a 500 outside its middleware.
                    _with_visitors(_guarded(settings, pages, routes), settings, consent, clock),
                    form_targets=settings.checkout_hosts,
                    secure=settings.secure,
                ),
            ),
        ],
        lifespan=lifespan,
    )
    app.state.health = health
    app.state.farewell = streams.end
    return app


def _with_visitors(
    app: ASGIApp, settings: Settings, consent: ConsentRule, clock: Callable[[], float]
) -> ASGIApp:
    """Put what keeps and what ends a visitor's cookies around the pages, as far as it is wanted."""
    if settings.continuity and settings.datafast_domain is not None:
        app = Continuity(
            app,
            keys=[key.reveal() for key in settings.secret_keys],
            domain=settings.datafast_domain,
            base_url=settings.base_url,
            consent=consent,
            clock=clock,
        )
    if consent.required:
        app = Refusals(app, consent=consent, domain=settings.datafast_domain)
    return app


def _guarded(settings: Settings, pages: Pages, routes: list[BaseRoute]) -> Starlette:
    host = urlsplit(settings.base_url).hostname or ""
    host = f"[{host}]" if ":" in host else host
    mishaps = Mishaps(pages)
    return Starlette(
        routes=routes,
        middleware=[
            Middleware(
                TrustedHostMiddleware,
                allowed_hosts=[host, "localhost", "*.localhost", "127.0.0.1"],
                www_redirect=False,
            ),
        ],
        exception_handlers={HTTPException: mishaps.refused, Exception: mishaps.failed},
    )


def _script_tag(settings: Settings) -> ScriptTag | None:
    if settings.datafast_website_id is None or settings.datafast_domain is None:
        return None
    return ScriptTag(
        src="/js/script.cookieless.js" if settings.cookieless else "/js/script.js",
        website_id=settings.datafast_website_id,
        domain=settings.datafast_domain,
        # On loopback a faithful script stays silent unless it is told to speak.
        allow_localhost=is_loopback_host(urlsplit(settings.base_url).hostname or ""),
    )
