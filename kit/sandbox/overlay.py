"""The overlay checkout: the hosted page in a frame of the shop, and the script that opens it."""

import json
import secrets
from pathlib import Path

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

SOURCE = Path(__file__).with_name("overlay.js")


async def serve_overlay(_request: Request) -> Response:
    """Answer `/overlay.js`, the stand-in for the package `dodopayments-checkout`."""
    return Response(SOURCE.read_bytes(), media_type="text/javascript")


def send_back(target: str, *, shop: str) -> Response:
    """
    Ask the shop's page to go to `target`: the frame itself may not navigate it.

    `shop` is the origin of that page; nobody else hears where the buyer goes.
    """
    message = {"event_type": "checkout.redirect", "data": {"message": {"redirect_to": target}}}
    nonce = secrets.token_urlsafe(16)
    # JSON in a script: no text of it may end the element.
    call = f"parent.postMessage({json.dumps(message)}, {json.dumps(shop)})".replace("<", "\\u003c")
    return HTMLResponse(
        f'<!doctype html><title>Paid</title><script nonce="{nonce}">{call}</script>',
        headers={
            "cache-control": "no-store",
            "content-security-policy": (
                f"default-src 'none'; script-src 'nonce-{nonce}'; frame-ancestors {shop}"
            ),
        },
    )
