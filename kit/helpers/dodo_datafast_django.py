# SPDX-License-Identifier: MIT
"""
Dodo's checkout and webhook for Django, with DataFast's visitor carried through both.

Yours to edit. Use: path("", include("dodo_datafast_django")) in urls.py, and a form that posts
`product` to /checkout with its {% csrf_token %}; the webhook needs none.
"""

from __future__ import annotations

import io
import logging
import os
import socket
import time
from contextlib import closing
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from . import dodo_datafast as core

DEADLINE_S, LOOKUP_S, MAX_BYTES = 12.0, 4.0, 1 << 20  # all calls of a request; a lookup; a body

_log = logging.getLogger(__name__)


@require_POST
def checkout(request: HttpRequest) -> HttpResponse:
    """Open a checkout session that names the visitor, and send the buyer to Dodo's page."""
    shop, product_id = core.read_shop(os.environ), request.POST.get("product", "")
    if product_id not in shop.products:
        return HttpResponse("Choose a product on the shop's own page.", status=400)
    visitor = core.visitor_from_cookies(request.headers.get("Cookie"))
    exchange = core.open_checkout(shop, [{"product_id": product_id, "quantity": 1}], visitor)
    try:
        session = core.carry_out(exchange, send, time.monotonic() + DEADLINE_S)
    except core.CheckoutError as problem:
        _log.error("checkout not opened: %s", problem)
        return HttpResponse("Nothing was charged; please try again in a moment.", status=502)
    return HttpResponseRedirect(session.checkout_url or shop.return_url, status=303)


@csrf_exempt
@require_POST
def webhook(request: HttpRequest) -> HttpResponse:
    """Verify a webhook over its raw bytes, report it to DataFast, and only then answer Dodo."""
    shop, body, headers = core.read_shop(os.environ), request.body, request.headers.items()
    exchange = core.answer_webhook(shop, body, headers, now=time.time())
    answer = core.carry_out(exchange, send, time.monotonic() + DEADLINE_S)
    _log.log(answer.level, "webhook %s: %s", answer.event_id or "refused", answer.reason)
    return JsonResponse({"status": answer.reason}, status=answer.status)


def send(outgoing: core.Outgoing, ends: float) -> core.Reply | None:
    """Return a whole answer, or None where none came in time; redirects are not followed."""
    ends = min(ends, time.monotonic() + LOOKUP_S) if outgoing.method == "GET" else ends
    scheme, _, host, target = outgoing.url.split("/", 3)
    connect = HTTPSConnection if scheme == "https:" else HTTPConnection
    try:
        with closing(connect(host, timeout=max(ends - time.monotonic(), 0.001))) as http:
            http.request(outgoing.method, f"/{target}", outgoing.content, dict(outgoing.headers))
            reply = HTTPResponse(http.sock, method=outgoing.method)
            reply.fp = io.BufferedReader(Timed(http.sock, ends))
            reply.begin()
            return core.Reply(reply.status, reply.headers.items(), reply.read(MAX_BYTES))
    except (OSError, HTTPException) as problem:
        _log.warning("no answer from %s: %r", host, problem)
        return None


class Timed(io.RawIOBase):
    """What a socket receives, under one deadline: an answer that comes in drips must end too."""

    def __init__(self, source: socket.socket, ends: float) -> None:
        self.source, self.ends = source, ends

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self.source.settimeout(max(self.ends - time.monotonic(), 0.001))
        return self.source.recv_into(buffer)


urlpatterns = [path("checkout", checkout), path("webhooks/dodo", webhook)]
