"""The webhook's way in: a signed message of no consequence, sent to the shop's own endpoint."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kit.checks.clocks import told_time
from kit.checks.setup import Setup
from kit.errors import TransportError
from kit.hops import Hop
from kit.transport import Reply

NAME = "Signed round trip"
MESSAGE_ID = "kit-doctor"
"""One id for good: a ledger keeps one row of it, however often the doctor calls."""
WRONG_SECRET = "whsec_" + "a2l0IGRvY3RvcjogdGhpcyBzaWducyBub3RoaW5n"


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """What became of the message, and its id where the kit's own ledger must hold it now."""

    hops: list[Hop]
    stored: str | None = None


async def check_webhook(setup: Setup) -> RoundTrip:
    """Send the message signed rightly and wrongly, and see which is taken."""
    ready = await _readiness(setup)
    needed = setup.needs(NAME, "DODO_PAYMENTS_WEBHOOK_KEY", "KIT_BASE_URL")
    if needed or ready.reason == "shop_silent":
        return RoundTrip([ready, *needed])
    try:
        trip = await _send(setup)
    except TransportError as problem:
        return RoundTrip([ready, Hop("Webhook receiver", "shop_silent", seen=str(problem))])
    return RoundTrip([ready, *trip.hops], trip.stored if ready.reason == "shop_ready" else None)


async def _readiness(setup: Setup) -> Hop:
    name, url = "Server", f"{setup.settings.base_url}/readyz"
    try:
        reply = await setup.ask("GET", url)
    except TransportError as problem:
        return Hop(name, "shop_silent", seen=str(problem))
    told = _json(reply)
    if told.get("status") == "ready":
        return Hop(name, "shop_ready", seen=setup.settings.base_url)
    if told.get("status") == "not ready":
        return Hop(name, "shop_not_ready", seen=str(told.get("problem")))
    return Hop(name, "shop_is_another", seen=setup.settings.base_url)


async def _send(setup: Setup) -> RoundTrip:
    secret = setup.settings.dodo_webhook_keys[0].reveal()
    unsigned = await _post(setup, WRONG_SECRET, odd(setup.message), setup.clock())
    if 200 <= unsigned.status < 300:
        return RoundTrip([Hop(NAME, "message_unguarded", seen=_shown(unsigned))])
    if (fault := _fault(unsigned.status)) is not None:
        return RoundTrip([Hop("Webhook receiver", fault, seen=_shown(unsigned))])
    # The receiver's own time, so that a wrong clock is told as one, and not as a wrong secret.
    now = told_time(unsigned) or setup.clock()
    reply = await _post(setup, secret, odd(setup.message), now)
    if 200 <= reply.status < 300:
        return RoundTrip([Hop(NAME, "message_accepted", seen=_shown(reply))], stored=MESSAGE_ID)
    if (fault := _fault(reply.status)) is not None:
        return RoundTrip([Hop("Webhook receiver", fault, seen=_shown(reply))])
    if reply.status != unsigned.status:
        # Past the signature: what the shop says of the content is its own affair.
        return RoundTrip([Hop(NAME, "message_accepted", seen=_shown(reply))])
    for style, body in plain(setup.message).items():
        again = await _post(setup, secret, body, now, message_id=f"{MESSAGE_ID}-{style}")
        if again.status != unsigned.status:
            seen = f"{style} JSON passes, and JSON with escapes, 1.0 and odd spaces does not"
            return RoundTrip([Hop(NAME, "message_rewritten", seen=seen)])
    return RoundTrip([Hop(NAME, "message_refused", seen=_shown(reply))])


async def _post(
    setup: Setup, secret: str, body: bytes, now: float, *, message_id: str = MESSAGE_ID
) -> Reply:
    signed = setup.sign(secret, message_id=message_id, timestamp_s=int(now), body=body)
    headers = dict(signed) | {"Content-Type": "application/json"}
    return await setup.ask("POST", setup.webhook_url, body=body, headers=headers)


def odd(message: Mapping[str, Any]) -> bytes:
    """
    Write a message as no program would: whoever parses it and writes it anew changes it.

    Spaces, an escaped letter beside the same one plain, 1.0, an exponent, and a line at the end.
    """
    fields = {**message, "data": {**message["data"], "remarks": "caf\u00e9 </caf\u00e9>"}}
    text = json.dumps(fields, ensure_ascii=False, separators=(" , ", " : "))
    text = text.replace("caf\u00e9 ", "caf\\u00e9 \\u002f ", 1)
    return f' {text[:-1]} , "kit_doctor" : [1.0, 1e2, -0.0] }}\n'.encode()


def plain(message: Mapping[str, Any]) -> dict[str, bytes]:
    """Write a message as JavaScript does, and as Python does: rewriting leaves one as it is."""
    kept = json.dumps(message, sort_keys=True)
    return {
        "compact": json.dumps(json.loads(kept), separators=(",", ":")).encode(),
        "spaced": kept.encode(),
    }


def _fault(status: int) -> str | None:
    """Tell what stands in the way, unless the status may be a receiver's word on a signature."""
    if status in (400, 401, 403, 422):
        return None
    if status in (404, 405, 410) or 300 <= status < 400:
        return "receiver_missing"
    return "receiver_fails" if status >= 500 else "receiver_shut"


def _shown(reply: Reply) -> str:
    told = _json(reply).get("status")
    return f"{reply.status} {told}" if isinstance(told, str) else str(reply.status)


def _json(reply: Reply) -> Mapping[str, Any]:
    try:
        told = json.loads(reply.body)
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}
