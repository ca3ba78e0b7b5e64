"""DataFast's payments API: record, recognise a repetition, delete."""

import json
import re
import uuid
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from kit.sandbox.journal import CHAOS_SCOPE
from kit.sandbox.pageviews import VISITOR
from kit.sandbox.refusals import ApiError
from kit.sandbox.stamps import iso, seconds
from kit.sandbox.store import Document, Store

REVENUE = "revenue"
CURRENCY = re.compile(r"[A-Z]{3}")
MAX_DIGITS = 30
TEXTS = ("email", "customer_email", "name", "customer_name", "customer_id")
FLAGS = ("renewal", "refunded", "is_free_trial")


class Revenue:
    """The payments of one website, each `transaction_id` counted once."""

    def __init__(
        self, store: Store, *, keep_unattributed: bool, clock: Callable[[], float]
    ) -> None:
        """Keep or drop payments of visitors without a pageview: both are seen as possible."""
        self._store = store
        self._keep_unattributed = keep_unattributed
        self._clock = clock

    async def record(self, request: Request) -> Response:
        """Answer `POST /api/v1/payments`.

        200 with `message` and `transaction_id`, also for a repetition. A visitor without a
        pageview gets "First event not found": by default a 200 that does not repeat the
        `transaction_id`, as production integrations report, or on request (chaos) a 404.
        """
        payment = _read_payment(await request.body())
        transaction_id = payment["transaction_id"]
        if self._store.get(REVENUE, transaction_id) is not None:
            return _recorded("Payment already recorded", transaction_id)
        visitor_id = payment["datafast_visitor_id"]
        forced = request.scope.get(CHAOS_SCOPE)
        known = visitor_id is not None and self._store.get(VISITOR, visitor_id) is not None
        attributed = known and forced is None
        if attributed or visitor_id is None or self._keep_unattributed:
            now = iso(self._clock())
            payment |= {"attributed": attributed, "received_at": now}
            payment["at"] = payment["timestamp"] or now
            self._store.put(REVENUE, transaction_id, payment)
        if attributed:
            return _recorded("Payment recorded and attributed successfully", transaction_id)
        if visitor_id is None:
            return _recorded("Payment recorded", transaction_id)
        message = f"First event not found for visitor {visitor_id}"
        if forced == "no_pageview_404":
            raise ApiError(404, message)
        return JSONResponse({"message": message})

    async def delete(self, request: Request) -> Response:
        """Answer `DELETE /api/v1/payments?transaction_id=` (or visitor and range, or range)."""
        query = request.query_params
        transaction_id = query.get("transaction_id") or query.get("tx_id")
        if transaction_id:
            if self._store.get(REVENUE, transaction_id) is None:
                raise ApiError(404, f"Transaction {transaction_id} not found.")
            self._store.delete(REVENUE, transaction_id)
            return _deleted(1, {"transaction_id": transaction_id})
        visitor_id = query.get("datafast_visitor_id")
        if visitor_id is not None and _uuid_version(visitor_id) is None:
            raise ApiError(400, "datafast_visitor_id must be a UUID.")
        start, end = _moment(query, "startAt"), _moment(query, "endAt")
        if visitor_id is None and (start is None or end is None):
            raise ApiError(400, "Name a transaction_id, a datafast_visitor_id or a time range.")
        chosen = [
            payment
            for payment in self._store.all(REVENUE)
            if visitor_id in (None, payment["datafast_visitor_id"])
            and (start is None or start <= seconds(payment["at"]))
            and (end is None or seconds(payment["at"]) <= end)
        ]
        for payment in chosen:
            self._store.delete(REVENUE, payment["transaction_id"])
        return _deleted(len(chosen), {"datafast_visitor_id": visitor_id} if visitor_id else {})

    def of_visitor(self, visitor_id: str) -> list[Document]:
        """Return what is attributed to one visitor, oldest first."""
        return [
            payment
            for payment in self._store.all(REVENUE)
            if payment["attributed"] and payment["datafast_visitor_id"] == visitor_id
        ]


def _read_payment(body: bytes) -> Document:
    """Read a report; `amount` is kept as the exact decimal text. Raises ApiError 400."""
    try:
        fields = json.loads(body, parse_float=Decimal, parse_int=Decimal)
    except (ValueError, RecursionError):
        raise ApiError(400, "The body must be JSON.") from None
    if not isinstance(fields, dict):
        raise ApiError(400, "The body must be a JSON object.")
    amount = fields.get("amount")
    if not isinstance(amount, Decimal) or not _plain(amount):
        raise ApiError(400, "amount must be a number of at least 0, in major units.")
    currency = fields.get("currency")
    if not isinstance(currency, str) or not CURRENCY.fullmatch(currency):
        raise ApiError(400, "currency must be an ISO 4217 code.")
    if not isinstance(fields.get("transaction_id"), str) or not fields["transaction_id"]:
        raise ApiError(400, "transaction_id is required.")
    visitor_id = fields.get("datafast_visitor_id", fields.get("visitorId"))
    if visitor_id is not None and _uuid_version(visitor_id) is None:
        raise ApiError(400, "datafast_visitor_id must be a UUID.")
    _check_optional(fields)
    return {
        "transaction_id": fields["transaction_id"],
        "amount": str(amount),
        "currency": currency,
        "datafast_visitor_id": visitor_id,
        "email": fields.get("email", fields.get("customer_email")),
        "name": fields.get("name", fields.get("customer_name")),
        "customer_id": fields.get("customer_id"),
        "renewal": fields.get("renewal", False),
        "refunded": fields.get("refunded", False),
        "is_free_trial": fields.get("is_free_trial", amount == 0),
        "timestamp": fields.get("timestamp"),
        "raw": body.decode(errors="replace"),
    }


def _plain(amount: Decimal) -> bool:
    _, digits, exponent = amount.as_tuple()
    return (
        amount.is_finite()
        and amount >= 0
        and len(digits) <= MAX_DIGITS
        and isinstance(exponent, int)
        and abs(exponent) <= MAX_DIGITS
    )


def _check_optional(fields: Mapping[str, Any]) -> None:
    """Refuse wrong types and nulls: what is not known is to be left out."""
    for name in ("datafast_visitor_id", *TEXTS):
        if name in fields and not isinstance(fields[name], str):
            raise ApiError(400, f"{name} must be a string.")
    for name in FLAGS:
        if name in fields and not isinstance(fields[name], bool):
            raise ApiError(400, f"{name} must be true or false.")
    if "timestamp" in fields:
        try:
            seconds(fields["timestamp"])
        except (TypeError, ValueError):
            raise ApiError(400, "timestamp must be ISO 8601.") from None


def _uuid_version(value: object) -> int | None:
    """Return the version of a canonical UUID, or None for anything else."""
    if not isinstance(value, str):
        return None
    try:
        parsed = uuid.UUID(value)
    except ValueError:
        return None
    return parsed.version if str(parsed) == value else None


def _moment(query: Mapping[str, str], name: str) -> float | None:
    if name not in query:
        return None
    try:
        return seconds(query[name])
    except ValueError:
        raise ApiError(400, f"{name} must be ISO 8601.") from None


def _recorded(message: str, transaction_id: str) -> Response:
    return JSONResponse({"message": message, "transaction_id": transaction_id})


def _deleted(count: int, facts: dict[str, str]) -> Response:
    message = f"{count} payment{'' if count == 1 else 's'} deleted"
    return JSONResponse({"status": "success", "data": [{"message": message} | facts]})
