"""`GET /inspector` and its JSON twin."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from kit.errors import LedgerUnavailable
from kit.helpers.dodo_datafast import UnknownCurrency
from kit.hops import REASONS
from kit.ledger import Ledger, journeys, lanes
from kit.ledger.journeys import Journey
from kit.web.forms import read_form
from kit.web.guard import is_same_origin
from kit.web.inspector.access import Access
from kit.web.money import display_money
from kit.web.pages import Pages, moment_text, shown_hops

PAGE_SIZE = 25
_TOTALS = ("orders", "paid", "attributed", "recorded", "waiting", "parked")


@dataclass(frozen=True, slots=True)
class Inspector:
    """The endpoints, with all they need."""

    ledger: Ledger
    access: Access
    pages: Pages
    titles: Mapping[str, str]
    """The products' names by slug."""
    lane: str
    base_url: str

    async def index(self, request: Request) -> Response:
        """Show the newest journeys, or the sign-in form."""
        if not self.access.admits(request):
            return self._sign_in_form(request, error=None, status=401)
        before_ms = _before_ms(request)
        try:
            found, counts, lane = await self._load(before_ms)
        except LedgerUnavailable:
            return self._unreadable(request)
        shown = found[:PAGE_SIZE]
        older = shown[-1].started_at_ms if len(found) > PAGE_SIZE else None
        context = {
            "journeys": [self._shown(journey) for journey in shown],
            "totals": [(name.capitalize(), counts.get(name, 0)) for name in _TOTALS],
            "lane": lane,
            "page": 1,
            "next_url": f"/inspector?before={older}" if older else None,
            "previous_url": "/inspector" if before_ms is not None else None,
            "json_url": "/inspector.json",
            "checked_at_text": moment_text(self.ledger.now_ms()),
        }
        response = self.pages.render(request, "inspector/index.html", context)
        response.headers["Cache-Control"] = "private, no-store"
        return response

    async def data(self, request: Request) -> Response:
        """Give the same as JSON."""
        if not self.access.admits(request):
            problem = {"ok": False, "error": "send the inspector token as a bearer token"}
            return JSONResponse(problem, 401, {"WWW-Authenticate": "Bearer"})
        try:
            found, counts, lane = await self._load(_before_ms(request))
            refused = await self.ledger.read(journeys.refused_webhooks)
        except LedgerUnavailable as unavailable:
            return JSONResponse({"ok": False, "error": str(unavailable)}, 503)
        shown = found[:PAGE_SIZE]
        body = {
            "ok": True,
            "journeys": [self._as_json(journey) for journey in shown],
            "totals": counts,
            "lane": lane,
            "refused_webhooks": [dict(row) for row in refused],
            "next_before_ms": shown[-1].started_at_ms if len(found) > PAGE_SIZE else None,
        }
        return JSONResponse(body, headers={"Cache-Control": "private, no-store"})

    async def sign_in(self, request: Request) -> Response:
        """Take the token from the form and remember the browser."""
        if not is_same_origin(request, self.base_url):
            return self._sign_in_form(request, error="Sign in from this page.", status=403)
        form = await read_form(request)
        if not self.access.accepts(form.get("token", "")):
            return self._sign_in_form(request, error="That is not the token.", status=401)
        response = RedirectResponse("/inspector", status_code=303)
        self.access.sign_in(response)
        return response

    async def _load(
        self, before_ms: int | None
    ) -> tuple[tuple[Journey, ...], dict[str, int], dict[str, Any] | None]:
        found = await self.ledger.read(
            lambda c: journeys.recent_journeys(c, before_ms=before_ms, limit=PAGE_SIZE + 1)
        )
        counts = await self.ledger.read(journeys.totals)
        lane = await self.ledger.read(lambda c: lanes.find_lane(c, self.lane))
        refused = await self.ledger.read(journeys.refused_webhooks)
        code = lane["paused_reason"] if lane is not None else None
        code = code or next((row["reason"] for row in refused), None)
        reason = REASONS[code] if code else None
        alarm = {"paused_reason": reason.sentence, "fix": reason.fix} if reason else None
        return found, counts, alarm

    def _shown(self, journey: Journey) -> dict[str, Any]:
        return {
            "title": self._title(journey),
            "order_ref": journey.order_ref,
            "visitor_id": journey.visitor_id,
            "source": journey.source,
            "amount": _amount(journey),
            "verdict": journey.verdict,
            "tone": journey.tone,
            "started_at": moment_text(journey.started_at_ms),
            "started_at_text": moment_text(journey.started_at_ms),
            "hops": shown_hops(journey.hops, began_ms=journey.started_at_ms),
        }

    def _as_json(self, journey: Journey) -> dict[str, Any]:
        fields = replace(journey, hops=())
        plain = {name: getattr(fields, name) for name in Journey.__slots__ if name != "hops"}
        return plain | {
            "title": self._title(journey),
            "hops": [hop.as_dict() for hop in journey.hops],
        }

    def _title(self, journey: Journey) -> str:
        if (title := self.titles.get(journey.product or "")) is not None:
            return title
        if journey.payment_id is not None:
            return f"Payment {journey.payment_id}"
        return journey.product or {"visit": "Visit"}.get(journey.verdict, "Webhook")

    def _sign_in_form(self, request: Request, *, error: str | None, status: int) -> Response:
        if not self.access.has_token:
            error = "No token is set: set KIT_INSPECTOR_TOKEN, or open this page on the machine."
        context = {"error": error, "next": "/inspector"}
        return self.pages.render(request, "inspector/signin.html", context, status=status)

    def _unreadable(self, request: Request) -> Response:
        return self.pages.problem(
            request,
            status=503,
            title="The ledger cannot be read",
            message="The database gave no answer. Webhooks are refused until it does.",
            action="See the server's log and the disk's free space.",
            back_url="/inspector",
        )


def _before_ms(request: Request) -> int | None:
    value = request.query_params.get("before", "")
    return int(value) if value.isascii() and value.isdigit() and len(value) <= 15 else None


def _amount(journey: Journey) -> str | None:
    if journey.paid_minor is None or journey.paid_currency is None:
        return None
    try:
        return display_money(journey.paid_minor, journey.paid_currency)
    except UnknownCurrency:
        return f"{journey.paid_minor} {journey.paid_currency}"
