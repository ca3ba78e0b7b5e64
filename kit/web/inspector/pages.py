"""`GET /inspector` and its JSON twin."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from kit.actions import releasable
from kit.errors import LedgerUnavailable
from kit.helpers.dodo_datafast import UnknownCurrency
from kit.hops import REASONS
from kit.ledger import Ledger, journeys, lanes
from kit.ledger.drift import drifted
from kit.ledger.interventions import recent_interventions
from kit.ledger.stamps import moment_of
from kit.ledger.telling import Journey
from kit.web.forms import read_form
from kit.web.guard import is_same_origin
from kit.web.inspector.access import Access
from kit.web.money import display_money
from kit.web.pages import Pages, moment_text, shown_hops

PAGE_SIZE = 25
_TOTALS = ("orders", "paid", "attributed", "recorded", "waiting", "parked")


@dataclass(frozen=True, slots=True)
class _View:
    """What one page shows."""

    journeys: tuple[Journey, ...]
    next_cursor: str | None
    totals: dict[str, int]
    alarms: list[dict[str, str | None]]
    refused: list[dict[str, Any]]
    releasable: dict[str, int]
    drift: list[str]
    interventions: list[dict[str, Any]]


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
        cursor = _cursor(request)
        try:
            view = await self.ledger.read(lambda connection: self._view(connection, cursor))
        except LedgerUnavailable:
            return self._unreadable(request)
        context = {
            "journeys": [self._shown(journey) for journey in view.journeys],
            "totals": [(name.capitalize(), view.totals.get(name, 0)) for name in _TOTALS],
            "alarms": view.alarms,
            "releasable": [
                {"reason": code, "number": number, "sentence": REASONS[code].sentence}
                for code, number in view.releasable.items()
            ],
            "drift": view.drift,
            "page": 1,
            "next_url": f"/inspector?before={view.next_cursor}" if view.next_cursor else None,
            "previous_url": "/inspector" if cursor is not None else None,
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
        cursor = _cursor(request)
        try:
            view = await self.ledger.read(lambda connection: self._view(connection, cursor))
        except LedgerUnavailable as unavailable:
            return JSONResponse({"ok": False, "error": str(unavailable)}, 503)
        body = {
            "ok": True,
            "journeys": [self._as_json(journey) for journey in view.journeys],
            "totals": view.totals,
            "alarms": view.alarms,
            "refused_webhooks": view.refused,
            "releasable": view.releasable,
            "drift": view.drift,
            "interventions": view.interventions,
            "next_before": view.next_cursor,
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

    def _view(self, connection: Connection, cursor: journeys.Head | None) -> _View:
        """Read all that one page shows, as it was at one moment."""
        found, older = journeys.recent_journeys(connection, before=cursor, limit=PAGE_SIZE)
        lane = lanes.find_lane(connection, self.lane)
        refused = [dict(row) for row in journeys.refused_webhooks(connection)]
        alarms = []
        if lane is not None and lane["paused_reason"] is not None:
            alarms.append(_alarm("Nothing is being sent to DataFast", lane["paused_reason"]))
        alarms += [
            _alarm(f"{row['count']} webhooks refused", row["reason"], at_ms=row["last_at_ms"])
            for row in refused
        ]
        return _View(
            found,
            "-".join(map(str, older)) if older is not None else None,
            journeys.totals(connection),
            alarms,
            refused,
            releasable(connection),
            [f"{row['kind']} {row['name']}" for row in drifted(connection)],
            [dict(row) for row in recent_interventions(connection)],
        )

    def _shown(self, journey: Journey) -> dict[str, Any]:
        return {
            "title": self._title(journey),
            "order_ref": journey.order_ref,
            "visitor_id": journey.visitor_id,
            "source": journey.source,
            "amount": _amount(journey),
            "verdict": journey.verdict,
            "tone": journey.tone,
            "started_at": moment_of(journey.started_at_ms).isoformat(),
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


def _alarm(title: str, code: str, *, at_ms: int | None = None) -> dict[str, str | None]:
    reason = REASONS[code]
    return {
        "title": title,
        "sentence": reason.sentence,
        "fix": reason.fix,
        "at_text": moment_text(at_ms),
    }


def _cursor(request: Request) -> journeys.Head | None:
    """Read where the last page ended; anything else is the first page."""
    found = re.fullmatch(
        r"([0-9]{1,15})-(order|payment|message|visit)-([\x21-\x7e]{1,128})",
        request.query_params.get("before", ""),
    )
    return (int(found[1]), found[2], found[3]) if found else None


def _amount(journey: Journey) -> str | None:
    if journey.paid_minor is None or journey.paid_currency is None:
        return None
    try:
        return display_money(journey.paid_minor, journey.paid_currency)
    except UnknownCurrency:
        return f"{journey.paid_minor} {journey.paid_currency}"
