"""`GET /orders/{ref}`: where Dodo sends the buyer back to, and the receipt."""

import logging
import re
from dataclasses import dataclass
from typing import Any

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from kit.dodo import DodoClient, as_message
from kit.errors import DodoError, LedgerUnavailable, TransportError
from kit.helpers.dodo_datafast import UnknownCurrency
from kit.ledger import Ledger, checkouts, journeys
from kit.ledger.rows import Row
from kit.ledger.stamps import moment_of
from kit.ledger.telling import Journey
from kit.web.money import display_money
from kit.web.pages import Pages, shown_hops
from kit.web.storefront.capture import Capture
from kit.web.storefront.catalogue import Catalogue
from kit.web.storefront.cookies import ShopCookies, is_order_ref

ASK_DODO_AFTER_S = 20.0
REFRESH_S = 3
_CLAIM = re.compile(r"[A-Za-z0-9_-]{1,128}")
_STATES = {"succeeded": "paid", "failed": "failed", "cancelled": "failed"}

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OrderPages:
    """The endpoint, with all it needs."""

    ledger: Ledger
    dodo: DodoClient
    catalogue: Catalogue
    cookies: ShopCookies
    capture: Capture
    pages: Pages

    async def get(self, request: Request) -> Response:
        """
        Show an order; a query is taken off the address before any script can read it.

        What the query says is a claim: only a verified webhook or Dodo's own API links a payment
        to an order. Dodo puts the buyer's e-mail there as well, which is not kept at all.
        """
        order_ref = str(request.path_params["ref"])
        if request.url.query:
            return await self._clean(request, order_ref)
        if not is_order_ref(order_ref):
            return self._unknown(request)
        try:
            order = await self.ledger.read(lambda c: checkouts.find_checkout(c, order_ref))
            if order is None:
                return self._unknown(request)
            return await self._receipt(request, order)
        except LedgerUnavailable:
            return self.pages.problem(
                request,
                status=503,
                title="Your order cannot be shown right now",
                message="Our order book is not readable at the moment. Your payment is safe.",
                action="Load this page again in a minute.",
                back_url=None,
                retry_after_s=10,
            )

    async def _clean(self, request: Request, order_ref: str) -> Response:
        if is_order_ref(order_ref):
            try:
                await self._record_return(request, order_ref)
            except LedgerUnavailable as problem:
                _log.warning("return not kept: %s", problem, extra={"order_ref": order_ref})
        response = RedirectResponse(request.url.path, status_code=303)
        response.headers["Cache-Control"] = "no-store"
        return response

    async def _record_return(self, request: Request, order_ref: str) -> None:
        # Only the browser that placed the order may say whose it is.
        mine = order_ref in self.cookies.orders(request)
        visitor = self.capture.at_return(request) if mine else None
        claims = {
            name: value
            for name in ("payment_id", "status")
            if _CLAIM.fullmatch(value := request.query_params.get(name, ""))
        }
        await self.ledger.write(
            lambda connection: checkouts.record_return(
                connection,
                order_ref,
                visitor=visitor,
                claims=claims,
                now_ms=self.ledger.now_ms(),
            )
        )

    async def _receipt(self, request: Request, order: Row) -> Response:
        order_ref = str(order["order_ref"])
        mine = order_ref in self.cookies.orders(request)
        if mine and order["returned_at_ms"] is None:
            await self._record_return(request, order_ref)
        journey = await self.ledger.read(lambda c: journeys.order_journey(c, order_ref))
        product = self.catalogue.get(order["product"])
        state = _STATES.get(str(order["payment_status"]), "pending")
        if not mine and state == "failed":
            state = "pending"  # a stranger learns whether it is paid, and nothing else
        context: dict[str, Any] = {
            "order": {
                "ref": order_ref,
                "product_name": product.name if product and mine else None,
                "price": product.price if product and mine else None,
                "state": state,
                "paid_amount": _paid(journey) if mine else None,
            },
            "mine": mine,
            "hops": shown_hops(journey.hops, began_ms=journey.started_at_ms)
            if mine and journey
            else [],
            "refresh_s": REFRESH_S if _unsettled(state, journey) else None,
        }
        response = self.pages.render(request, "shop/order.html", context)
        response.headers["Cache-Control"] = "private, no-store"
        if state == "pending" and self._is_overdue(order):
            response.background = BackgroundTask(self._ask_dodo, order)
        return response

    def _is_overdue(self, order: Row) -> bool:
        returned_at_ms, now_ms = order["returned_at_ms"], self.ledger.now_ms()
        known = returned_at_ms is not None and order["dodo_session_id"] is not None
        return bool(known and now_ms - returned_at_ms >= ASK_DODO_AFTER_S * 1000)

    async def _ask_dodo(self, order: Row) -> None:
        """
        Read the payment from Dodo's API when no webhook came; the same event, by another way.

        It is stored under an id of its own and reported under the same `transaction_id`, so that
        the webhook may still come without counting twice.
        """
        order_ref, session_id = str(order["order_ref"]), str(order["dodo_session_id"])
        try:
            turn = await self.ledger.write(
                lambda connection: checkouts.ask_dodo_now(
                    connection,
                    order_ref,
                    now_ms=self.ledger.now_ms(),
                    every_ms=int(ASK_DODO_AFTER_S * 1000),
                )
            )
            if not turn:
                return
            session = await self.dodo.checkout(session_id)
            payment_id = session.get("payment_id")
            status = session.get("payment_status")
            if status not in _STATES or not isinstance(payment_id, str):
                return
            payment = await self.dodo.payment(payment_id)
            # Dodo's own answer about our own session: the link is proven without metadata.
            proven = {**payment, "checkout_session_id": session_id}
            name = f"{status}-{payment_id}"
            now = moment_of(self.ledger.now_ms())
            signed = as_message(f"payment.{status}", name, proven, at=now)
            await self.ledger.record(signed, source="api")
        except (DodoError, TransportError, LedgerUnavailable, ValueError) as problem:
            _log.warning("Dodo not asked: %s", problem, extra={"order_ref": order_ref})

    def _unknown(self, request: Request) -> Response:
        return self.pages.problem(
            request,
            status=404,
            title="No such order",
            message="This address belongs to no order of ours.",
            action="Check the link in your e-mail from Dodo Payments.",
        )


def _paid(journey: Journey | None) -> str | None:
    if journey is None or journey.paid_minor is None or journey.paid_currency is None:
        return None
    try:
        return display_money(journey.paid_minor, journey.paid_currency)
    except UnknownCurrency:
        return None


def _unsettled(state: str, journey: Journey | None) -> bool:
    return state == "pending" or (journey is not None and journey.tone == "wait")
