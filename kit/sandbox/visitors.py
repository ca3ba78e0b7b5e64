"""DataFast's visitor lookup: the cheapest way to ask whether a visitor id is known."""

import re
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from kit.sandbox.pageviews import VISITOR
from kit.sandbox.refusals import ApiError
from kit.sandbox.revenue import Revenue
from kit.sandbox.store import Store

UUID_V4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
CAMPAIGN = ("ref", "source", "via")


class Visitors:
    """`GET /api/v1/visitors/{id}`."""

    def __init__(self, store: Store, revenue: Revenue) -> None:
        """Answer from the stored pageviews."""
        self._store = store
        self._revenue = revenue

    async def read(self, request: Request) -> Response:
        """Answer 400 for what is not a UUID v4, 404 without a pageview, else what is known."""
        visitor_id = request.path_params["visitor_id"]
        if not UUID_V4.fullmatch(visitor_id):
            raise ApiError(400, "The visitor id must be a UUID v4.")
        visitor = self._store.get(VISITOR, visitor_id)
        if visitor is None:
            raise ApiError(404, f"No pageviews found for visitor {visitor_id}")
        landing = urlsplit(visitor["first_href"])
        campaign = {
            name: value
            for name, value in parse_qsl(landing.query)
            if name in CAMPAIGN or name.startswith("utm_")
        }
        payments = self._revenue.of_visitor(visitor_id)
        activity = {
            "visitCount": 1,
            "pageViewCount": len(visitor["pages"]),
            "firstVisitAt": visitor["first_seen_at"],
            "lastVisitAt": visitor["last_seen_at"],
            "currentUrl": visitor["pages"][-1],
            "visitedPages": [urlsplit(href).path for href in visitor["pages"]],
            "completedGoals": [
                {"name": "payment", "isServer": True, "origin": "payment_provider"}
                for _ in payments
            ],
        }
        data = {
            "visitorId": visitor_id,
            "identity": {"params": campaign, "referrer": visitor["first_referrer"]},
            "activity": activity,
            "profile": None,
            "prediction": None,
        }
        return JSONResponse({"status": "success", "data": data})
