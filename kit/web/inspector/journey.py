"""`/inspector/journeys/{key}`: one journey whole, with the raw messages and reports behind it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection
from starlette.requests import Request

from kit.hops import REASONS
from kit.ledger.journeys import find_account
from kit.ledger.rows import Row
from kit.ledger.stamps import moment_of
from kit.web.inspector.asked import INSPECTOR, NotThere, journey_path, key_of
from kit.web.inspector.curl import Curl
from kit.web.inspector.masking import masked
from kit.web.inspector.naming import Naming, shown_journey
from kit.web.pages import moment_text

_DROPPED = "The body was dropped, after KIT_RETENTION_DAYS or because its visitor was forgotten."
_UNREADABLE = (
    "The body is no JSON, so nothing tells what in it is personal. It is not shown; the column "
    "events.body of the ledger holds it."
)


@dataclass(frozen=True, slots=True)
class JourneyPage:
    """The page of one journey."""

    naming: Naming
    curl: Curl
    path: str = f"{INSPECTOR}/journeys/{{key:path}}"
    template: str = "inspector/journey.html"

    def read(self, connection: Connection, request: Request) -> dict[str, Any]:
        """Read all that the page shows, as it was at one moment. Raises NotThere."""
        kind, key = key_of(str(request.path_params["key"]))
        account = find_account(connection, kind, key)
        if account is None:
            raise NotThere(f"the ledger has no {kind} of this id")
        journey = account.journey
        late = any(hop.reason == "too_late" for hop in journey.hops)
        return {
            "journey": self.naming.plain(journey),
            "reports": [self._report(row, late=late) for row in account.reports],
            "messages": [_message(row) for row in account.messages],
            "orders": list(account.orders),
            "look_up": {
                name: command
                for name, command in (
                    ("payment", journey.payment_id and self.curl.payment(journey.payment_id)),
                    ("visitor", journey.visitor_id and self.curl.visitor(journey.visitor_id)),
                )
                if command
            },
        }

    def shown(self, request: Request, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the template needs besides."""
        return {
            "journey": shown_journey(body["journey"]),
            "reports": [_shown_report(report) for report in body["reports"]],
            "messages": [_shown_message(message) for message in body["messages"]],
            "orders": [(ref, journey_path(f"order:{ref}")) for ref in body["orders"]],
            "back": request.url.path,
        }

    def _report(self, row: Row, *, late: bool) -> dict[str, Any]:
        reason = REASONS[row["reason"]]
        names = (
            *("transaction_id", "kind", "amount", "currency", "basis", "state", "verdict"),
            *("reason", "message", "visitor_id", "visitor_source", "visitor_dropped", "renewal"),
            *("attempts", "depends_on", "drift", "occurred_at_ms", "created_at_ms", "due_at_ms"),
            *("first_sent_at_ms", "answered_at_ms"),
        )
        ended = row["state"] == "done" and row["verdict"] is None
        late = late and row["kind"] == "sale" and row["visitor_id"] is None
        return {name: row[name] for name in names} | {
            "sentence": reason.sentence,
            "fix": reason.fix,
            "tone": reason.tone,
            "can_replay": row["state"] != "sending" and not ended,
            "can_reattribute": late and row["state"] == "done",
            "curl": self.curl.report(row),
        }


def _message(row: Row) -> dict[str, Any]:
    reason = REASONS[row["reason"]]
    body = masked(row["body"]) if row["body"] is not None else None
    missing = _DROPPED if row["body"] is None else _UNREADABLE if body is None else None
    sent_s = row["sent_at_ms"] // 1000
    from_webhook = row["source"] == "webhook"
    names = (
        *("webhook_id", "type", "source", "received_at_ms", "times_received", "bodies_differ"),
        *("state", "reason", "transaction_id", "attempts"),
    )
    return {name: row[name] for name in names} | {
        "sentence": reason.sentence,
        "fix": reason.fix,
        "tone": reason.tone,
        # The signature was proven before anything was stored, and is not kept.
        "headers": {"webhook-id": row["webhook_id"], "webhook-timestamp": str(sent_s)}
        if from_webhook
        else {},
        "body": body,
        "body_missing": missing,
        "body_bytes": len(row["body"]) if row["body"] is not None else None,
        "body_sha256": row["body_sha256"].hex(),
    }


def _shown_report(report: Mapping[str, Any]) -> dict[str, Any]:
    return dict(report) | _moments(
        report, ("occurred_at_ms", "due_at_ms", "first_sent_at_ms", "answered_at_ms")
    )


def _shown_message(message: Mapping[str, Any]) -> dict[str, Any]:
    received = moment_of(message["received_at_ms"]).isoformat(timespec="milliseconds")
    return dict(message) | _moments(message, ("received_at_ms",)) | {"received": received}


def _moments(row: Mapping[str, Any], names: Sequence[str]) -> dict[str, str | None]:
    return {name.replace("_ms", "_text"): moment_text(row[name]) for name in names}
