"""
A small shop on the copy-in core and nothing else of the kit: right, or wrong on purpose.

It loads the script from DataFast's own host, as most shops do. What a `Make` changes are the
mistakes that shops make; the browser laboratory has to find each of them.
"""

import contextlib
import html
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from kit.helpers.dodo_datafast import (
    Outgoing,
    Payment,
    SignatureError,
    checkout_metadata,
    checkout_request,
    payment_for,
    payment_request,
    read_checkout,
    verify_webhook,
    visitor_from_cookies,
    visitor_from_page,
)
from kit.lab.neighbours import trust
from kit.resources import resource_dir
from kit.sandbox.live import Live, live_sandboxes, serving

PRODUCT_ID = "pdt_coastline"


@dataclass(frozen=True, slots=True)
class Make:
    """How the shop is made; as it stands here it is right."""

    host: str = "shop.localhost"
    domain: str = "shop.localhost"
    """The root domain that DataFast knows."""
    landing_host: str | None = None
    """Where visitors land, if that is another subdomain."""
    script: bool = True
    data_domain: str | None = None
    """What the tag says, if that is not the root domain."""
    disable_payments: bool = True
    capture: Literal["server", "page"] = "server"
    metadata_key: str = "datafast_visitor_id"
    allowed_hostnames: str = ""
    """Other root domains of the same website, to which links hand the visitor over."""
    additional_domains: tuple[str, ...] = ()
    """The same, in DataFast's settings."""
    return_query: str = ""
    clean_return: bool = True
    overlay: bool = False


@dataclass(frozen=True, slots=True)
class SmallShop:
    """The running shop: where visitors land, the page with the button, and its stand-ins."""

    url: str
    product_url: str
    live: Live


@contextlib.contextmanager
def open_small_shop(make: Make = Make()) -> Iterator[SmallShop]:
    """Run the shop and both stand-ins in one thread each, until the `with` ends."""
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        port = listening.getsockname()[1]
        live = stack.enter_context(
            live_sandboxes(
                templates_dir=resource_dir("templates"),
                static_dir=resource_dir("static"),
                domain=make.domain,
                additional_domains=make.additional_domains,
                webhook_url=f"http://127.0.0.1:{port}/webhook",
            )
        )
        origin = f"http://{make.host}:{port}"
        app = _Pages(make, live, origin).app()
        stack.enter_context(serving({listening: app}))
        landing = f"http://{make.landing_host}:{port}" if make.landing_host else origin
        yield SmallShop(f"{landing}/", f"{origin}/maps", live)


class _Pages:
    def __init__(self, make: Make, live: Live, origin: str) -> None:
        self._make = make
        self._live = live
        self._origin = origin

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/", self.landing),
                Route("/maps", self.product),
                Route("/buy", self.buy, methods=["POST"]),
                Route("/thanks", self.thanks),
                Route("/webhook", self.webhook, methods=["POST"]),
            ]
        )

    async def landing(self, _request: Request) -> Response:
        return self._page(f'<a href="{self._origin}/maps">Maps</a>')

    async def product(self, _request: Request) -> Response:
        return self._page(_OVERLAY if self._make.overlay else _FORM[self._make.capture])

    async def buy(self, request: Request) -> Response:
        form = dict(pair.split("=", 1) for pair in (await request.body()).decode().split("&"))
        if self._make.capture == "page":
            visitor = visitor_from_page(form.get("visitor"))
        else:
            visitor = visitor_from_cookies(request.headers.get("cookie"))
        metadata = checkout_metadata(visitor)
        if (visitor_id := metadata.pop("datafast_visitor_id", None)) is not None:
            metadata[self._make.metadata_key] = visitor_id
        outgoing = checkout_request(
            [{"product_id": PRODUCT_ID, "quantity": 1}],
            metadata=metadata,
            return_url=f"{self._origin}/thanks?{self._make.return_query}".rstrip("?"),
            api_key=self._live.keys.dodo_api_key,
            base_url=self._live.dodo_api,
        )
        status, body = await _send(outgoing)
        session = read_checkout(status, body, hosts=(self._live.dodo_page,))
        if self._make.overlay:
            return JSONResponse({"checkout_url": session.checkout_url})
        return RedirectResponse(str(session.checkout_url), status_code=303)

    async def thanks(self, request: Request) -> Response:
        if request.url.query and self._make.clean_return:
            return RedirectResponse("/thanks", status_code=303)
        return self._page("Thank you.")

    async def webhook(self, request: Request) -> Response:
        try:
            event = verify_webhook(
                await request.body(),
                request.headers.items(),
                [self._live.keys.webhook_secret],
                now=time.time(),
            )
        except SignatureError:
            return Response(status_code=401)
        payment = payment_for(event)
        if isinstance(payment, Payment):
            await _send(
                payment_request(
                    payment,
                    api_key=self._live.keys.datafast_api_key,
                    base_url=self._live.datafast_api,
                )
            )
        return Response(status_code=200)

    def _page(self, body: str) -> Response:
        return HTMLResponse(
            '<!doctype html><html lang="en"><title>Small shop</title>'
            '<link rel="icon" href="data:,">'
            f"{self._tag()}<h1>Small shop</h1>{body}"
            f'<script src="{self._live.dodo_page}/overlay.js"></script></html>'
        )

    def _tag(self) -> str:
        if not self._make.script:
            return ""
        payments = ' data-disable-payments="true"' if self._make.disable_payments else ""
        domain = html.escape(self._make.data_domain or self._make.domain)
        allowed = html.escape(self._make.allowed_hostnames)
        local = ' data-allow-localhost="true"' if self._origin.count(".localhost") else ""
        return (
            f'<script defer data-website-id="{self._live.website_id}" data-domain="{domain}"'
            f' data-allowed-hostnames="{allowed}"{payments}{local}'
            f' src="{self._live.datafast_page}/js/script.js"></script>'
        )


_BUTTON = "<button>Buy for $29</button>"
_PLAIN = f"""<form method="post" action="/buy">
<input type="hidden" name="visitor">{_BUTTON}</form>"""
_FORM = {
    "server": _PLAIN,
    "page": f"""{_PLAIN}
<script>
document.querySelector("form").addEventListener("submit", function (event) {{
  var found = /datafast_visitor_id=([^;]*)/.exec(document.cookie);
  event.target.visitor.value = found ? found[1] : "";
}});
</script>""",
}
_OVERLAY = f"""{_BUTTON}
<script>
document.querySelector("button").addEventListener("click", async function () {{
  var answer = await fetch("/buy", {{method: "POST", body: "x=1"}});
  var checkout = window.DodoPaymentsCheckout.DodoPayments;
  checkout.Initialize({{mode: "test", displayType: "overlay"}});
  checkout.Checkout.open({{checkoutUrl: (await answer.json()).checkout_url}});
}});
</script>"""


async def _send(outgoing: Outgoing) -> tuple[int, bytes]:
    async with httpx.AsyncClient(verify=trust(), trust_env=False) as client:
        answer = await client.request(
            outgoing.method, outgoing.url, headers=outgoing.headers, content=outgoing.content
        )
    return answer.status_code, answer.content
