# SPDX-License-Identifier: MIT
"""
Dodo's checkout and webhook for Starlette and FastAPI, with DataFast's visitor carried through both.

Yours to edit. Use: app.routes.extend(dodo), and a form that posts `product` to /checkout. Needs
httpx. Where a middleware asks for CSRF tokens: the webhook is exempt, and that one only.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from functools import cache
from urllib.parse import parse_qs

import httpx
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from . import dodo_datafast as core

DEADLINE_S, LOOKUP_S, MAX_BYTES = 12.0, 4.0, 1 << 20  # all calls of a request; a lookup; a body
trusted = cache(httpx.create_ssl_context)  # reading whom to trust takes 20 ms

_log = logging.getLogger(__name__)


async def checkout(request: Request) -> Response:
    """Open a checkout session that names the visitor, and send the buyer to Dodo's page."""
    shop, form = core.read_shop(os.environ), parse_qs((await read(request)).decode("latin-1"))
    product_id = form.get("product", [""])[0]
    if product_id not in shop.products or request.headers.get("Sec-Fetch-Site") == "cross-site":
        raise HTTPException(400, "Choose a product on the shop's own page.")
    visitor = core.visitor_from_cookies(request.headers.get("Cookie"))
    exchange = core.open_checkout(shop, [{"product_id": product_id, "quantity": 1}], visitor)
    try:
        session = await core.carry_out_async(exchange, send, time.monotonic() + DEADLINE_S)
    except core.CheckoutError as problem:
        _log.error("checkout not opened: %s", problem)
        raise HTTPException(502, "Nothing was charged; please try again in a moment.") from None
    return RedirectResponse(session.checkout_url or shop.return_url, 303)


async def webhook(request: Request) -> Response:
    """Verify a webhook over its raw bytes, report it to DataFast, and only then answer Dodo."""
    shop, body, headers = core.read_shop(os.environ), await read(request), request.headers.items()
    exchange = core.answer_webhook(shop, body, headers, now=time.time())
    answer = await core.carry_out_async(exchange, send, time.monotonic() + DEADLINE_S)
    _log.log(answer.level, "webhook %s: %s", answer.event_id or "refused", answer.reason)
    return JSONResponse({"status": answer.reason}, answer.status)


async def read(request: Request) -> bytes:
    """Read a body, and no more of one than anybody needs who means well."""
    body = b""
    async for piece in request.stream():
        if len(body := body + piece) > MAX_BYTES:
            raise HTTPException(413, "This is too large.")
    return body


async def send(outgoing: core.Outgoing, ends: float) -> core.Reply | None:
    """Return a whole answer, or None where none came in time; redirects are not followed."""
    ends = min(ends, time.monotonic() + LOOKUP_S) if outgoing.method == "GET" else ends
    headers = {**outgoing.headers, "Accept-Encoding": "identity"}
    request = httpx.Request(
        outgoing.method, outgoing.url, headers=headers, content=outgoing.content
    )
    try:
        async with (
            asyncio.timeout(ends - time.monotonic()),
            httpx.AsyncClient(verify=trusted(), trust_env=False, timeout=DEADLINE_S) as client,
        ):
            reply, body = await client.send(request, stream=True), b""
            async for piece in reply.aiter_bytes():
                body = (body + piece)[:MAX_BYTES]
            return core.Reply(reply.status_code, reply.headers.multi_items(), body)
    except (TimeoutError, httpx.HTTPError) as problem:
        _log.warning("no answer from %s: %r", request.url.host, problem)
        return None


dodo = [
    Route("/checkout", checkout, methods=["POST"]),
    Route("/webhooks/dodo", webhook, methods=["POST"]),
]
