# SPDX-License-Identifier: MIT
"""
Dodo's checkout and webhook for Flask, with DataFast's visitor carried through both.

Yours to edit. Use: app.register_blueprint(dodo), and a form that posts `product` to /checkout.
With Flask-WTF's CSRFProtect: csrf.exempt("dodo_datafast_flask.webhook"), and that one only.
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

from flask import Blueprint, abort, jsonify, redirect, request
from flask.typing import ResponseReturnValue

from . import dodo_datafast as core

DEADLINE_S, LOOKUP_S, MAX_BYTES = 12.0, 4.0, 1 << 20  # all calls of a request; a lookup; a body

dodo = Blueprint("dodo", __name__)
_log = logging.getLogger(__name__)


@dodo.post("/checkout")
def checkout() -> ResponseReturnValue:
    """Open a checkout session that names the visitor, and send the buyer to Dodo's page."""
    shop, product_id = core.read_shop(os.environ), request.form.get("product", "")
    if product_id not in shop.products or request.headers.get("Sec-Fetch-Site") == "cross-site":
        abort(400, "Choose a product on the shop's own page.")
    visitor = core.visitor_from_cookies(request.headers.get("Cookie"))
    exchange = core.open_checkout(shop, [{"product_id": product_id, "quantity": 1}], visitor)
    try:
        session = core.carry_out(exchange, send, time.monotonic() + DEADLINE_S)
    except core.CheckoutError as problem:
        _log.error("checkout not opened: %s", problem)
        abort(502, "Nothing was charged; please try again in a moment.")
    return redirect(session.checkout_url or shop.return_url, 303)


@dodo.post("/webhooks/dodo")
def webhook() -> ResponseReturnValue:
    """Verify a webhook over its raw bytes, report it to DataFast, and only then answer Dodo."""
    if (request.content_length or 0) > MAX_BYTES:
        abort(413)
    shop, body, headers = core.read_shop(os.environ), request.get_data(), request.headers.items()
    exchange = core.answer_webhook(shop, body, headers, now=time.time())
    answer = core.carry_out(exchange, send, time.monotonic() + DEADLINE_S)
    _log.log(answer.level, "webhook %s: %s", answer.event_id or "refused", answer.reason)
    return jsonify(status=answer.reason), answer.status


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
