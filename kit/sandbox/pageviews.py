"""DataFast's ingest endpoint: `POST /api/events` from the tracking script."""

import hashlib
import re
import uuid
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from kit.sandbox.calls import read_json
from kit.sandbox.refusals import ApiError, datafast_refusal
from kit.sandbox.stamps import iso, new_id
from kit.sandbox.store import Document, Store

EVENT, VISITOR = "event", "visitor"
REQUIRED = ("websiteId", "domain", "href", "visitorId", "sessionId", "type")
TYPES = frozenset({"pageview", "custom", "identify", "payment", "external_link"})
LOCAL_HOST = re.compile(r"localhost|127\..*|::1|.*\.local|.*\.localhost")
DAY_S = 86_400


class PageViews:
    """Events as the script sends them; the first pageview makes a visitor known."""

    def __init__(
        self,
        store: Store,
        *,
        website_id: str,
        domain: str,
        additional_domains: Sequence[str] = (),
        clock: Callable[[], float],
    ) -> None:
        """Accept events of one website (`dfid_…`) and its domains."""
        self._store = store
        self._website_id = website_id
        self._domain = domain
        self._domains = (domain, *additional_domains)
        self._clock = clock

    async def receive(self, request: Request) -> Response:
        """Store one event; answer 200, with `visitorId` in cookieless mode.

        The script is served from another origin than the page, so answers and errors carry CORS
        headers. DataFast does not document its error bodies here; these are the API's.
        """
        origin = request.headers.get("origin")
        try:
            event = self._read(await request.body(), request)
        except ApiError as error:
            return _with_cors(datafast_refusal(error.status, error.message), origin)
        answer: dict[str, Any] = {"success": True}
        if event.get("cookieless"):
            event["visitorId"] = answer["visitorId"] = self._daily_visitor_id(request)
        self._keep(event)
        return _with_cors(JSONResponse(answer), origin)

    async def preflight(self, request: Request) -> Response:
        """Answer the browser's question before a cross-origin JSON post."""
        response = Response(status_code=204)
        response.headers["access-control-allow-methods"] = "POST, OPTIONS"
        response.headers["access-control-allow-headers"] = "content-type"
        response.headers["access-control-max-age"] = "600"
        return _with_cors(response, request.headers.get("origin"))

    def _read(self, body: bytes, request: Request) -> Document:
        if not request.headers.get("origin"):
            raise ApiError(400, "The Origin header is required.")
        event = read_json(body)
        if not isinstance(event, dict):
            raise ApiError(400, "The body must be a JSON object.")
        for name in REQUIRED:
            if not isinstance(event.get(name), str) or not event[name]:
                raise ApiError(400, f"{name} is required.")
        if event["type"] not in TYPES:
            raise ApiError(400, f"type must be one of {', '.join(sorted(TYPES))}.")
        if event["websiteId"] != self._website_id or event["domain"] != self._domain:
            raise ApiError(404, "No website has this id and domain.")
        host = urlsplit(event["href"]).hostname or ""
        inside = any(host == root or host.endswith(f".{root}") for root in self._domains)
        # Pages on loopback are let in whatever the domain, as a developer's are.
        if not inside and not LOCAL_HOST.fullmatch(host):
            raise ApiError(403, f"The page's host {host} does not belong to {self._domain}.")
        return event

    def _keep(self, event: Document) -> None:
        now = iso(self._clock())
        self._store.put(EVENT, new_id("evt"), event | {"received_at": now})
        if event["type"] != "pageview":
            return
        visitor_id = event["visitorId"]
        visitor = self._store.get(VISITOR, visitor_id) or {
            "visitor_id": visitor_id,
            "first_seen_at": now,
            "first_href": event["href"],
            "first_referrer": event.get("referrer"),
            "pages": [],
        }
        visitor["pages"] = [*visitor["pages"], event["href"]]
        visitor["last_seen_at"] = now
        self._store.put(VISITOR, visitor_id, visitor)

    def _daily_visitor_id(self, request: Request) -> str:
        """Derive the cookieless id: address, browser, domain, and a salt that changes each day.

        The id's real format is not documented. A UUID of version 5 it is here, so that whoever
        insists on version 4 finds out.
        """
        peer = request.client.host if request.client else ""
        address = request.headers.get("x-datafast-real-ip", peer)
        salt = str(int(self._clock() // DAY_S))
        facts = (address, request.headers.get("user-agent", ""), self._domain, salt)
        digest = hashlib.sha256("\n".join(facts).encode()).digest()
        return str(uuid.UUID(bytes=digest[:16], version=5))


def _with_cors(response: Response, origin: str | None) -> Response:
    if origin:
        response.headers["access-control-allow-origin"] = origin
        response.headers["vary"] = "Origin"
    return response
