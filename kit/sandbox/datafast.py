"""A stand-in for DataFast: tracking script, event ingest and payments API."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from kit.sandbox.backstage import Backstage
from kit.sandbox.chaos import Chaos
from kit.sandbox.journal import Intake, Journal
from kit.sandbox.limits import RateLimit
from kit.sandbox.pageviews import EVENT, VISITOR, PageViews
from kit.sandbox.refusals import ApiError, answer_datafast_error, datafast_refusal
from kit.sandbox.revenue import REVENUE, Revenue
from kit.sandbox.script import serve_script
from kit.sandbox.store import Store
from kit.sandbox.visitors import Visitors

RATE_LIMIT = 60
"""Calls a minute for each token, as a production export met it (2026)."""
PAGES = {"events": EVENT, "payments": REVENUE, "visitors": VISITOR}
Handler = Callable[[Request], Awaitable[Response]]


def create_datafast(
    *,
    database: str,
    api_key: str,
    website_id: str,
    domain: str,
    additional_domains: Sequence[str] = (),
    clock: Callable[[], float] = time.time,
    rate_limit: int = RATE_LIMIT,
    window_s: float = 60,
    keep_unattributed: bool = True,
    chaos: Chaos | None = None,
) -> Starlette:
    """Build the app for one website: `website_id` is the script's (`dfid_…`).

    `additional_domains` are its other root domains (cross-domain tracking).
    `database` is a SQLite path or ":memory:". `rate_limit` calls are allowed per token in
    `window_s`. `keep_unattributed` decides whether a payment of a visitor without a pageview
    counts (without a visitor) or is dropped. `chaos` are rules that somebody else may change too.
    """
    store = Store(database)
    pageviews = PageViews(
        store,
        website_id=website_id,
        domain=domain,
        additional_domains=additional_domains,
        clock=clock,
    )
    revenue = Revenue(store, keep_unattributed=keep_unattributed, clock=clock)
    visitors = Visitors(store, revenue)
    limit = RateLimit(limit=rate_limit, window_s=window_s, clock=clock)
    journal, chaos = Journal(store, api_key=api_key, clock=clock), chaos or Chaos()
    backstage = Backstage(journal=journal, chaos=chaos, store=store, kinds=PAGES)
    closing = asyncio.Event()

    def api(answer: Handler) -> Handler:
        """Put an API handler behind the key and the rate limit."""

        async def limited(request: Request) -> Response:
            token = _token(request, api_key)
            if not limit.take(token):
                return limit.refusal(token)
            response = await answer(request)
            response.headers.update(limit.headers(token))
            return response

        return limited

    def refuse(status: int, message: str) -> Response:
        return limit.refusal("") if status == 429 else datafast_refusal(status, message)

    async def reset(_request: Request) -> JSONResponse:
        backstage.reset()
        limit.forget()
        return JSONResponse({"reset": True})

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        store.open()
        closing.clear()
        try:
            yield
        finally:
            closing.set()
            store.close()

    return Starlette(
        routes=[
            Route("/js/script.js", serve_script, methods=["GET"]),
            Route("/js/script.{variant}.js", serve_script, methods=["GET"]),
            Route("/api/events", pageviews.receive, methods=["POST"]),
            Route("/api/events", pageviews.preflight, methods=["OPTIONS"]),
            Route("/api/v1/payments", api(revenue.record), methods=["POST"]),
            Route("/api/v1/payments", api(revenue.delete), methods=["DELETE"]),
            Route("/api/v1/visitors/{visitor_id}", api(visitors.read), methods=["GET"]),
            *backstage.routes(reset),
        ],
        middleware=[
            Middleware(Intake, journal=journal, chaos=chaos, refuse=refuse, closing=closing)
        ],
        exception_handlers={
            ApiError: answer_datafast_error,
            HTTPException: answer_datafast_error,
        },
        lifespan=lifespan,
    )


def _token(request: Request, api_key: str) -> str:
    """Return the right token. Raises ApiError 401, or 400 for an account token without a site."""
    if request.headers.get("authorization") != f"Bearer {api_key}":
        raise ApiError(401, "The API token is missing or invalid.")
    if api_key.startswith("dft_") and not request.query_params.get("websiteId"):
        raise ApiError(400, "websiteId is required with an account token.")
    return api_key
