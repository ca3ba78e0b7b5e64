"""Dodo's API as far as a shop needs it, answered from the store."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from kit.sandbox.books import CHECKOUT, PAYMENT, SUBSCRIPTION, Books
from kit.sandbox.calls import read_json
from kit.sandbox.checkouts import read_order
from kit.sandbox.delivery import ENDPOINT
from kit.sandbox.gate import behind_key
from kit.sandbox.goods import product_item, product_object
from kit.sandbox.listing import listed, page, payment_item, subscription_item
from kit.sandbox.products import Product
from kit.sandbox.refusals import ApiError
from kit.sandbox.shapes import shaped
from kit.sandbox.signer import new_secret
from kit.sandbox.stamps import iso, new_id
from kit.sandbox.store import Document
from kit.sandbox.switches import Switches
from kit.sandbox.till import Till

ENDPOINT_FIELDS: dict[str, type] = {
    "description": str,
    "disabled": bool,
    "filter_types": list,
    "headers": dict,
    "metadata": dict,
    "rate_limit": int,
}


class DodoApi:
    """The JSON endpoints; every one wants the bearer key."""

    def __init__(
        self,
        books: Books,
        till: Till,
        *,
        products: Mapping[str, Product],
        switches: Switches,
        api_key: str,
    ) -> None:
        """Answer from `books` and open sessions at `till`."""
        self._books = books
        self._store = books.store
        self._till = till
        self._products = products
        self._switches = switches
        self._api_key = api_key

    def routes(self) -> list[Route]:
        """Return the routes, each behind the key."""
        return behind_key(
            [
                ("POST", "/checkouts", self._open_checkout),
                ("GET", "/checkouts/{id}", self._checkout),
                ("GET", "/payments", self._payments),
                ("GET", "/payments/{id}", self._payment),
                ("GET", "/subscriptions", self._subscriptions),
                ("GET", "/subscriptions/{id}", self._subscription),
                ("GET", "/products", self._product_list),
                ("GET", "/products/{id}", self._product),
                ("POST", "/webhooks", self._add_endpoint),
                ("GET", "/webhooks", self._endpoints),
                ("GET", "/webhooks/{id}", self._endpoint),
                ("DELETE", "/webhooks/{id}", self._remove_endpoint),
                ("GET", "/webhooks/{id}/secret", self._secret),
            ],
            self._api_key,
        )

    def _open_checkout(self, _request: Request, body: bytes) -> Response:
        session = self._till.open(read_order(read_json(body), self._products))
        return JSONResponse(
            {
                "session_id": session["session_id"],
                "checkout_url": session["checkout_url"],
                "client_secret": None,
                "payment_id": None,
                "publishable_key": None,
            }
        )

    def _checkout(self, request: Request, _body: bytes) -> Response:
        session = self._find(CHECKOUT, request)
        fields = ("created_at", "customer_email", "customer_name", "payment_id", "payment_status")
        return JSONResponse(
            {"id": session["session_id"]} | {field: session[field] for field in fields}
        )

    def _payments(self, request: Request, _body: bytes) -> Response:
        query = request.query_params
        found = page(listed(self._store, PAYMENT, query), query)
        items = [self._shaped(PAYMENT, payment_item(payment)) for payment in found]
        return JSONResponse({"items": items})

    def _payment(self, request: Request, _body: bytes) -> Response:
        return JSONResponse(self._shaped(PAYMENT, self._find(PAYMENT, request)))

    def _subscriptions(self, request: Request, _body: bytes) -> Response:
        found = page(self._store.all(SUBSCRIPTION), request.query_params)
        items = [
            self._shaped(
                SUBSCRIPTION,
                subscription_item(subscription, self._products[subscription["product_id"]].name),
            )
            for subscription in found
        ]
        return JSONResponse({"items": items})

    def _subscription(self, request: Request, _body: bytes) -> Response:
        return JSONResponse(self._shaped(SUBSCRIPTION, self._find(SUBSCRIPTION, request)))

    def _shaped(self, kind: str, document: Document) -> Document:
        return shaped(kind, document, self._switches.api_shape)

    def _product_list(self, request: Request, _body: bytes) -> Response:
        documents = [product_item(product) for product in self._products.values()]
        return JSONResponse({"items": page(documents[::-1], request.query_params)})

    def _product(self, request: Request, _body: bytes) -> Response:
        product = self._products.get(request.path_params["id"])
        if product is None:
            raise ApiError(404, f"Product {request.path_params['id']} not found.")
        return JSONResponse(product_object(product))

    def _add_endpoint(self, _request: Request, body: bytes) -> Response:
        document = read_json(body)
        url = document.get("url") if isinstance(document, dict) else None
        if not isinstance(url, str) or urlsplit(url).scheme not in ("http", "https"):
            raise ApiError(422, "url must be an absolute http or https URL.")
        endpoint: Document = endpoint_document(
            new_id("ep"), url=url, secret=new_secret(), created_at=iso(self._books.clock())
        )
        for field, kind in ENDPOINT_FIELDS.items():
            value = document.get(field)
            if value is not None and not isinstance(value, kind):
                raise ApiError(422, f"{field} must be {kind.__name__}.")
            endpoint[field] = endpoint[field] if value is None else value
        texts = [text for pair in endpoint["headers"].items() for text in pair]
        if not all(isinstance(text, str) and text.isascii() for text in texts):
            raise ApiError(422, "headers must be ASCII strings.")
        self._store.put(ENDPOINT, endpoint["id"], endpoint)
        return JSONResponse(_public_endpoint(endpoint))

    def _endpoints(self, _request: Request, _body: bytes) -> Response:
        data = [_public_endpoint(endpoint) for endpoint in self._store.all(ENDPOINT)]
        return JSONResponse({"data": data, "iterator": None, "done": True})

    def _endpoint(self, request: Request, _body: bytes) -> Response:
        return JSONResponse(_public_endpoint(self._find(ENDPOINT, request)))

    def _remove_endpoint(self, request: Request, _body: bytes) -> Response:
        endpoint = self._find(ENDPOINT, request)
        self._store.delete(ENDPOINT, endpoint["id"])
        return Response(status_code=204)

    def _secret(self, request: Request, _body: bytes) -> Response:
        return JSONResponse({"secret": self._find(ENDPOINT, request)["secret"]})

    def _find(self, kind: str, request: Request) -> Document:
        return self._books.find(kind, request.path_params["id"])


def endpoint_document(endpoint_id: str, *, url: str, secret: str, created_at: str) -> Document:
    """Build a webhook endpoint that takes every event type."""
    return {
        "id": endpoint_id,
        "url": url,
        "secret": secret,
        "description": "",
        "disabled": False,
        "filter_types": [],
        "headers": {},
        "metadata": {},
        "rate_limit": None,
        "created_at": created_at,
        "updated_at": created_at,
    }


def _public_endpoint(endpoint: Document) -> Document:
    hidden = ("secret", "headers")
    return {field: endpoint[field] for field in endpoint if field not in hidden}
