"""The part of Dodo's API that moves money after the checkout: as the official SDK calls it."""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from kit.sandbox.billing import Billing
from kit.sandbox.books import DISPUTE, PAYMENT, REFUND, SUBSCRIPTION, Books
from kit.sandbox.calls import read_json
from kit.sandbox.checkouts import MAX_QUANTITY, read_metadata
from kit.sandbox.disputes import dispute_item, dispute_object
from kit.sandbox.gate import behind_key
from kit.sandbox.listing import page, refund_item
from kit.sandbox.products import Product
from kit.sandbox.proration import PRORATION_MODES
from kit.sandbox.refunds import Refunds
from kit.sandbox.refusals import ApiError
from kit.sandbox.store import Document
from kit.sandbox.terms import Terms

NO_LINK = {"client_secret": None, "expires_on": None, "payment_link": None}


class MoneyApi:
    """Refunds, disputes, and the charges of subscriptions."""

    def __init__(
        self,
        books: Books,
        billing: Billing,
        refunds: Refunds,
        *,
        products: Mapping[str, Product],
        api_key: str,
    ) -> None:
        """Answer from `books`."""
        self._books = books
        self._billing = billing
        self._refunds = refunds
        self._products = products
        self._api_key = api_key

    def routes(self) -> list[Route]:
        """Return the routes, each behind the key."""
        return behind_key(
            [
                ("POST", "/refunds", self._refund_payment),
                ("GET", "/refunds", self._refund_list),
                ("GET", "/refunds/{id}", self._refund),
                ("GET", "/disputes", self._dispute_list),
                ("GET", "/disputes/{id}", self._dispute),
                ("PATCH", "/subscriptions/{id}", self._change),
                ("POST", "/subscriptions/{id}/charge", self._charge),
                ("POST", "/subscriptions/{id}/change-plan", self._change_plan),
                ("POST", "/subscriptions/{id}/update-payment-method", self._new_card),
            ],
            self._api_key,
        )

    def _refund_payment(self, _request: Request, body: bytes) -> Response:
        wanted = _object(body)
        payment = self._books.find(PAYMENT, _text(wanted, "payment_id"))
        refund = self._refunds.create(
            payment,
            self._amount_of_items(wanted, payment),
            at=self._books.clock(),
            reason=_text(wanted, "reason") if wanted.get("reason") is not None else None,
            metadata=read_metadata(wanted.get("metadata")),
        )
        return JSONResponse(refund)

    def _amount_of_items(self, wanted: Document, payment: Document) -> int | None:
        """Sum the items in the payment's currency; None without items means all that is left.

        Amounts are in the settlement currency unless `currency` names the payment's
        (SDK 1.123.0, refunds.create).
        """
        items = wanted.get("items")
        if items is None:
            return None
        if not isinstance(items, list) or not items:
            raise ApiError(422, "items must be a list of items.")
        currency = wanted.get("currency")
        if currency not in (None, payment["currency"]):
            raise ApiError(422, "currency must be the one the customer paid in.")
        total = 0
        for item in items:
            item_id = item.get("item_id") if isinstance(item, dict) else None
            product = self._products.get(item_id) if isinstance(item_id, str) else None
            if product is None:
                raise ApiError(422, "Each item needs the item_id of a product.")
            amount = item.get("amount")
            if amount is None:
                total += min(product.price_minor, payment["total_amount"])
                continue
            if type(amount) is not int or amount < 1:
                raise ApiError(422, "An item's amount must be a whole number from 1.")
            if currency is None and payment["settlement_amount"]:
                amount = round(amount * payment["total_amount"] / payment["settlement_amount"])
            total += amount
        return total

    def _refund_list(self, request: Request, _body: bytes) -> Response:
        found = self._books.store.all(REFUND)
        subscription_id = request.query_params.get("subscription_id")
        if subscription_id:
            ids = {one["payment_id"] for one in self._books.payments_of(subscription_id)}
            found = [refund for refund in found if refund["payment_id"] in ids]
        query = {name: v for name, v in request.query_params.items() if name != "subscription_id"}
        return JSONResponse({"items": [refund_item(refund) for refund in page(found, query)]})

    def _refund(self, request: Request, _body: bytes) -> Response:
        return JSONResponse(self._books.find(REFUND, request.path_params["id"]))

    def _dispute_list(self, request: Request, _body: bytes) -> Response:
        found = [
            (dispute, self._books.find(PAYMENT, dispute["payment_id"]))
            for dispute in self._books.store.all(DISPUTE)
        ]
        listed = [dispute_object(dispute, payment) for dispute, payment in found]
        return JSONResponse(
            {"items": [dispute_item(one) for one in page(listed, request.query_params)]}
        )

    def _dispute(self, request: Request, _body: bytes) -> Response:
        dispute = self._books.find(DISPUTE, request.path_params["id"])
        payment = self._books.find(PAYMENT, dispute["payment_id"])
        return JSONResponse(dispute_object(dispute, payment))

    def _change(self, request: Request, body: bytes) -> Response:
        """Change metadata (whether Dodo merges is unknown: replaced here) or cancel."""
        subscription, wanted = self._subscription(request), _object(body)
        now = self._books.clock()
        if wanted.get("metadata") is not None:
            subscription["metadata"] = read_metadata(wanted["metadata"])
        if isinstance(wanted.get("cancel_at_next_billing_date"), bool):
            subscription["cancel_at_next_billing_date"] = wanted["cancel_at_next_billing_date"]
        status = wanted.get("status")
        if status is None:
            self._books.store.put(SUBSCRIPTION, subscription["subscription_id"], subscription)
            self._books.announce_subscription(subscription, ["subscription.updated"], at=now)
            return JSONResponse(subscription)
        moves = {"cancelled": "cancel", "paused": "pause", "active": "unpause"}
        if status not in moves:
            raise ApiError(422, f"status must be one of: {', '.join(moves)}.")
        return JSONResponse(self._billing.move(subscription, moves[status], at=now))

    def _charge(self, request: Request, body: bytes) -> Response:
        subscription, wanted = self._subscription(request), _object(body)
        if not subscription["on_demand"]:
            raise ApiError(422, "Only an on-demand subscription can be charged at will.")
        terms = Terms(
            at=self._books.clock(),
            amount_minor=_whole(wanted, "product_price", low=0),
            currency=wanted.get("product_currency"),
            metadata=_metadata_or_none(wanted),
        )
        payment = self._billing.charge(subscription, terms)
        return JSONResponse({"payment_id": payment["payment_id"]})

    def _change_plan(self, request: Request, body: bytes) -> Response:
        subscription, wanted = self._subscription(request), _object(body)
        mode = wanted.get("proration_billing_mode")
        if mode not in PRORATION_MODES:
            modes = ", ".join(PRORATION_MODES)
            raise ApiError(422, f"proration_billing_mode must be one of: {modes}.")
        payment = self._billing.change_plan(
            subscription,
            _text(wanted, "product_id"),
            quantity=_whole(wanted, "quantity", low=1),
            mode=mode,
            terms=Terms(at=self._books.clock(), metadata=_metadata_or_none(wanted)),
        )
        return JSONResponse(NO_LINK | {"payment_id": payment and payment["payment_id"]})

    def _new_card(self, request: Request, body: bytes) -> Response:
        """Take the new card at once: there is no page to type one into."""
        subscription, wanted = self._subscription(request), _object(body)
        if wanted.get("type") not in ("new", "existing"):
            raise ApiError(422, "type must be new or existing.")
        terms = Terms(at=self._books.clock())
        payment = self._billing.update_payment_method(subscription, terms, due_charge=True)
        return JSONResponse(NO_LINK | {"payment_id": payment["payment_id"]})

    def _subscription(self, request: Request) -> Document:
        return self._books.find(SUBSCRIPTION, request.path_params["id"])


def _object(body: bytes) -> Document:
    document = read_json(body)
    if not isinstance(document, dict):
        raise ApiError(422, "The body must be a JSON object.")
    return document


def _text(wanted: Document, name: str) -> str:
    value = wanted.get(name)
    if not isinstance(value, str):
        raise ApiError(422, f"{name} must be a string.")
    return value


def _whole(wanted: Document, name: str, *, low: int) -> int:
    value: Any = wanted.get(name)
    if type(value) is not int or not low <= value <= MAX_QUANTITY * 1_000_000:
        raise ApiError(422, f"{name} must be a whole number from {low}.")
    return value


def _metadata_or_none(wanted: Document) -> dict[str, Any] | None:
    """Return the payment's own metadata; without one the subscription's is taken."""
    return None if wanted.get("metadata") is None else read_metadata(wanted["metadata"])
