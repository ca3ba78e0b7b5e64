"""`/inspector`: the newest journeys, what needs a person, and the filters."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

from sqlalchemy import Connection
from starlette.requests import Request

from kit.actions import releasable
from kit.hops import REASONS
from kit.ledger import journeys, lanes
from kit.ledger.drift import drifted
from kit.ledger.filters import CAPTURE_REASONS, STATES, VERDICTS
from kit.ledger.interventions import recent_interventions
from kit.ledger.piles import count_messages, count_piles
from kit.ledger.rows import Row
from kit.web.inspector.asked import (
    FILTERS,
    INSPECTOR,
    filter_of,
    list_path,
    place_of,
    place_text,
)
from kit.web.inspector.naming import Naming, shown_journey
from kit.web.pages import moment_text

PAGE_SIZE: Final = 25
# What a total counts, and which filter shows it; None for what no filter can.
_TOTALS: Final[Mapping[str, dict[str, str] | None]] = {
    "orders": None,
    "paid": None,
    "attributed": {"state": "attributed"},
    "recorded": {"state": "recorded"},
    "waiting": {"state": "waiting"},
    "parked": {"state": "parked"},
}


@dataclass(frozen=True, slots=True)
class Listing:
    """The page of all journeys."""

    naming: Naming
    lane: str
    path: str = INSPECTOR
    template: str = "inspector/index.html"

    def read(self, connection: Connection, request: Request) -> dict[str, Any]:
        """Read all that the page shows, as it was at one moment. Raises NotAsked."""
        query = request.query_params
        wanted = filter_of(query)
        piles, messages = count_piles(connection), count_messages(connection)
        found, older = journeys.recent_journeys(
            connection, before=place_of(query), limit=PAGE_SIZE, wanted=wanted, piles=piles
        )
        unclear = sum(number for state, _, number in messages if state == "parked")
        refused = [dict(row) for row in journeys.refused_webhooks(connection)]
        reasons: Counter[str] = Counter()
        for reason, number in chain(
            ((pile.reason, pile.number) for pile in piles),
            ((reason, number) for _, reason, number in messages),
        ):
            reasons[reason] += number
        return {
            "journeys": [self.naming.plain(journey) for journey in found],
            "totals": journeys.totals(connection, piles, unclear),
            "alarms": _alarms(lanes.find_lane(connection, self.lane), refused),
            "refused_webhooks": refused,
            "releasable": releasable(connection),
            "drift": [f"{row['kind']} {row['name']}" for row in drifted(connection)],
            "interventions": [dict(row) for row in recent_interventions(connection)],
            "filter": {name: query[name] for name in FILTERS if query.get(name)},
            "reasons": dict(sorted(reasons.items())),
            "currencies": sorted({pile.currency for pile in piles}),
            "next_before": place_text(older) if older is not None else None,
        }

    def shown(self, request: Request, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the template needs besides."""
        query, totals = request.query_params, body["totals"]
        older = body["next_before"]
        reasons = sorted({*body["reasons"], *CAPTURE_REASONS, *filter(None, [query.get("reason")])})
        return {
            "journeys": [shown_journey(journey) for journey in body["journeys"]],
            "totals": [
                (name.capitalize(), totals.get(name, 0), list_path(wanted) if wanted else None)
                for name, wanted in _TOTALS.items()
            ],
            "releasable": [
                {"reason": code, "number": number, "sentence": REASONS[code].sentence}
                for code, number in body["releasable"].items()
            ],
            "last_by_hand": [
                row | {"at_text": moment_text(row["at_ms"])} for row in body["interventions"][:1]
            ],
            "states": {
                "Reports": [state for state in STATES if state not in VERDICTS][:6],
                "Answers": VERDICTS,
                "Without a report": STATES[-4:],
            },
            "reasons": [(code, body["reasons"].get(code)) for code in reasons],
            "is_first": not query.get("before"),
            "newest_url": list_path(query),
            "older_url": list_path(query, before=older) if older is not None else None,
        }


def _alarms(lane: Row | None, refused: list[dict[str, Any]]) -> list[dict[str, str | None]]:
    found = []
    if lane is not None and lane["paused_reason"] is not None:
        found.append(_alarm("Nothing is being sent to DataFast", lane["paused_reason"]))
    return found + [
        _alarm(f"{row['count']} webhooks refused", row["reason"], at_ms=row["last_at_ms"])
        for row in refused
    ]


def _alarm(title: str, code: str, *, at_ms: int | None = None) -> dict[str, str | None]:
    reason = REASONS[code]
    return {
        "title": title,
        "sentence": reason.sentence,
        "fix": reason.fix,
        "at_text": moment_text(at_ms),
    }
