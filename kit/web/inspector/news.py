"""`/inspector/news`: what is new at Dodo, what came differently, and what was done by hand."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection
from starlette.requests import Request

from kit.ledger.deliveries import changed_since
from kit.ledger.drift import drifted
from kit.ledger.interventions import recent_interventions
from kit.web.inspector.asked import INSPECTOR, journey_path
from kit.web.pages import moment_text


@dataclass(frozen=True, slots=True)
class News:
    """The page of drift and of interventions."""

    path: str = f"{INSPECTOR}/news"
    template: str = "inspector/news.html"

    def read(self, connection: Connection, _request: Request) -> dict[str, Any]:
        """Read all that the page shows, as it was at one moment."""
        return {
            "drift": [dict(row) for row in drifted(connection)],
            "changed": [dict(row) for row in changed_since(connection)],
            "interventions": [dict(row) for row in recent_interventions(connection, limit=50)],
        }

    def shown(self, _request: Request, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the template needs besides."""
        return {
            "drift": [
                row | {"at_text": moment_text(row["first_seen_at_ms"])} for row in body["drift"]
            ],
            "changed": [
                row | {"url": journey_path(":".join(_key(row)))} for row in body["changed"]
            ],
            "by_hand": [
                row | {"at_text": moment_text(row["at_ms"])} for row in body["interventions"]
            ],
        }


def _key(row: Mapping[str, Any]) -> tuple[str, str]:
    if row["order_ref"] is not None:
        return "order", row["order_ref"]
    return "payment", str(row["payment_id"])
