"""`POST /checkout`: one form, one order, one session at Dodo, with the visitor in its metadata."""

import asyncio
import logging
from dataclasses import dataclass, replace

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from kit.dodo import DodoClient
from kit.errors import LedgerUnavailable, TransportError
from kit.helpers.dodo_datafast import (
    CheckoutError,
    Visitor,
    checkout_metadata,
)
from kit.ledger import Ledger, checkouts
from kit.ledger.rows import Row
from kit.web.consent import State
from kit.web.forms import read_form
from kit.web.guard import FloodGate, Networks, client_address, is_same_origin
from kit.web.pages import Pages
from kit.web.storefront.capture import Capture
from kit.web.storefront.catalogue import Catalogue, Product
from kit.web.storefront.cookies import ShopCookies, new_order_ref

TWIN_WAIT_S = 12.0  # a little longer than a call to Dodo may take
TWIN_POLL_S = 0.05

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Checkout:
    """The endpoint, with all it needs."""

    ledger: Ledger
    dodo: DodoClient
    catalogue: Catalogue
    cookies: ShopCookies
    capture: Capture
    pages: Pages
    gate: FloodGate
    base_url: str
    trusted_proxies: Networks

    async def post(self, request: Request) -> Response:
        """Open a checkout session for one product and send the buyer there."""
        if not is_same_origin(request, self.base_url):
            return self.pages.problem(
                request,
                status=403,
                title="This order came from another site",
                message="An order can be placed from this shop's own pages only.",
                action="Open the product here and press the button again.",
            )
        if not self.gate.admits(client_address(request, self.trusted_proxies)):
            return self.pages.problem(
                request,
                status=429,
                title="Too many orders at once",
                message="More orders came from your connection than a person places.",
                action="Wait a minute, then try again.",
                retry_after_s=60,
            )
        form = await read_form(request)
        product = self.catalogue.get(form.get("product", ""))
        attempt = self.cookies.read_attempt(form.get("attempt", ""))
        if product is None or attempt is None:
            return self._outdated(request, product)
        visitor, consent = self.capture.at_checkout(request, form)
        try:
            return await self._order(request, product, attempt, visitor, consent)
        except LedgerUnavailable:
            return self._try_later(request, product, status=503)

    async def _order(
        self, request: Request, product: Product, attempt: str, visitor: Visitor, consent: State
    ) -> Response:
        proposed = new_order_ref()
        try:
            order = await self.ledger.write(
                lambda connection: checkouts.begin_checkout(
                    connection,
                    attempt=attempt,
                    order_ref=proposed,
                    product=product.slug,
                    visitor=visitor,
                    consent=consent,
                    now_ms=self.ledger.now_ms(),
                )
            )
        except ValueError:  # one form, used for far too many orders
            return self._outdated(request, product)
        order_ref = str(order["order_ref"])
        if order_ref == proposed:
            kept = replace(visitor, visitor_id=order["visitor_id"], session_id=order["session_id"])
            metadata = checkout_metadata(kept, order_ref=order_ref)
            checkout_url = await self._open_session(product, order_ref, metadata)
        else:
            checkout_url = await self._session_of_twin(order)
        if checkout_url is None:
            return self._try_later(request, product, status=502)
        response = RedirectResponse(checkout_url, status_code=303)
        response.headers["Cache-Control"] = "no-store"
        self.cookies.add_order(request, response, order_ref)
        return response

    async def _open_session(
        self, product: Product, order_ref: str, metadata: dict[str, str]
    ) -> str | None:
        try:
            session = await self.dodo.create_checkout(
                [{"product_id": product.product_id, "quantity": 1}],
                metadata=metadata,
                return_url=f"{self.base_url}/orders/{order_ref}",
                cancel_url=f"{self.base_url}/products/{product.slug}",
            )
        except (CheckoutError, TransportError) as problem:
            _log.error("checkout not opened: %s", problem, extra={"order_ref": order_ref})
            await self.ledger.write(lambda c: checkouts.fail_opening(c, order_ref))
            return None
        url = session.checkout_url
        if url is None:
            _log.error("checkout without an address", extra={"order_ref": order_ref})
            await self.ledger.write(lambda c: checkouts.fail_opening(c, order_ref))
            return None
        await self.ledger.write(
            lambda connection: checkouts.finish_opening(
                connection, order_ref, dodo_session_id=session.session_id, checkout_url=url
            )
        )
        return url

    async def _session_of_twin(self, order: Row) -> str | None:
        """Wait for the session that another post of the same form is opening."""
        order_ref = order["order_ref"]
        try:
            async with asyncio.timeout(TWIN_WAIT_S):
                while order["state"] == "opening":
                    await asyncio.sleep(TWIN_POLL_S)
                    found = await self.ledger.read(lambda c: checkouts.find_checkout(c, order_ref))
                    if found is None:
                        return None
                    order = found
        except TimeoutError:
            return None
        url = order["checkout_url"]
        return str(url) if order["state"] == "open" and url else None

    def _outdated(self, request: Request, product: Product | None) -> Response:
        return self.pages.problem(
            request,
            status=400,
            title="This form is out of date",
            message="The order names no product of ours, or its page was open for too long.",
            action="Open the product again and press the button there. Nothing was charged.",
            back_url=f"/products/{product.slug}" if product else "/",
        )

    def _try_later(self, request: Request, product: Product, *, status: int) -> Response:
        return self.pages.problem(
            request,
            status=status,
            title="The checkout could not be opened",
            message="Our payment provider gave no usable answer. Nothing was charged.",
            action="Try again in a moment.",
            back_url=f"/products/{product.slug}",
            retry_after_s=10,
        )
