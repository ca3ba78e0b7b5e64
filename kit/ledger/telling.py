"""Tell a journey: from the ledger's rows to the hops that a person reads."""

from collections.abc import Sequence
from dataclasses import dataclass

from kit.hops import REASONS, Hop, Tone
from kit.ledger.rows import Row

_MONEY_EVENTS = ("payment.succeeded", "refund.succeeded", "dispute.lost", "dispute.accepted")


@dataclass(frozen=True, slots=True)
class Journey:
    """One journey; amounts are minor units, `amount` is the report's in major units."""

    key: str
    started_at_ms: int
    product: str | None
    order_ref: str | None
    payment_id: str | None
    visitor_id: str | None
    source: str | None
    amount: str | None
    currency: str | None
    paid_minor: int | None
    paid_currency: str | None
    verdict: str
    reason: str | None
    tone: Tone
    hops: tuple[Hop, ...]


@dataclass(frozen=True, slots=True)
class Parts:
    """The rows that one journey is told from; messages and deliveries oldest first."""

    visitor_id: str | None
    visit: Row | None
    checkout: Row | None
    messages: Sequence[Row]
    deliveries: Sequence[Row]
    payment: Row | None

    @property
    def began_at_ms(self) -> int:
        """When this journey began here: at its checkout, its first message, or its landing."""
        if self.checkout is not None:
            return int(self.checkout["created_at_ms"])
        if self.messages:
            return int(self.messages[0]["received_at_ms"])
        return int(self.visit["first_seen_at_ms"]) if self.visit is not None else 0


def tell_journey(key: str, parts: Parts) -> Journey:
    """Tell one journey from its rows."""
    delivery = _foremost(parts.deliveries)
    verdict, reason = _standing(parts)
    checkout, payment = parts.checkout, parts.payment
    hops = [*_visit_hops(parts), *_checkout_hops(parts), *_message_hops(parts)]
    for row in parts.deliveries:
        hops += _delivery_hops(row)
    return Journey(
        key=key,
        started_at_ms=parts.began_at_ms,
        product=checkout["product"] if checkout is not None else None,
        order_ref=checkout["order_ref"] if checkout is not None else None,
        payment_id=payment["payment_id"] if payment is not None else None,
        visitor_id=parts.visitor_id,
        source=_source(parts.visit),
        amount=delivery["amount"] if delivery is not None else None,
        currency=delivery["currency"] if delivery is not None else None,
        paid_minor=payment["total_minor"] if payment is not None else None,
        paid_currency=payment["currency"] if payment is not None else None,
        verdict=verdict,
        reason=reason,
        tone=REASONS[reason].tone if reason else "wait",
        hops=tuple(hops),
    )


_TONES: tuple[Tone, ...] = ("lost", "wait", "warn", "ok")


def _foremost(rows: Sequence[Row]) -> Row | None:
    """Return the delivery that needs a look first; among equals the sale itself."""
    return min(rows, key=lambda row: _TONES.index(REASONS[row["reason"]].tone), default=None)


def _standing(parts: Parts) -> tuple[str, str | None]:
    """Say in a word how a journey stands, and for what reason."""
    delivery = _foremost(parts.deliveries)
    if delivery is not None:
        waiting = delivery["state"] in ("held", "ready", "sending")
        word = "waiting" if waiting else "parked" if delivery["state"] == "parked" else None
        # Done without a verdict is the reversal of a sale that does not count, or was deleted.
        ended = "deleted" if delivery["delete_only"] else "skipped"
        return word or delivery["verdict"] or ended, delivery["reason"]
    money = [row for row in parts.messages if (row["type"] or "").startswith("payment.")]
    if money or parts.messages:
        last = (money or parts.messages)[-1]
        words = {"stored": "waiting", "waiting": "waiting", "parked": "parked"}
        words |= {"unreadable": "unreadable"}
        return words.get(last["state"], "skipped"), last["reason"]
    if parts.checkout is not None:
        failed = parts.checkout["state"] == "failed"
        return ("failed", "session_failed") if failed else ("unpaid", "no_webhook")
    return "visit", "pageview_passed"


def _source(visit: Row | None) -> str | None:
    if visit is None:
        return None
    names = ("utm_source", "ref", "source", "via", "referrer_host")
    return next((visit[name] for name in names if visit[name]), None)


def _visit_hops(parts: Parts) -> list[Hop]:
    visit, checkout = parts.visit, parts.checkout
    if visit is None:
        absent = checkout is not None and checkout["visitor_id"] is not None
        return [Hop("Pageview", "pageview_not_seen")] if absent else []
    campaign = [visit[name] for name in ("utm_source", "utm_medium", "utm_campaign")]
    seen = " ".join([visit["landing_path"] or "/", *(part for part in campaign if part)])
    return [Hop("Pageview", "pageview_passed", seen=seen, at_ms=visit["first_seen_at_ms"])]


def _checkout_hops(parts: Parts) -> list[Hop]:
    checkout = parts.checkout
    if checkout is None:
        return [Hop("Checkout", "checkout_unknown")] if parts.messages else []
    at_ms = checkout["created_at_ms"]
    opened = {"opening": "session_opening", "failed": "session_failed"}
    returned_at_ms = checkout["returned_at_ms"]
    hops = [
        Hop(
            "Visitor cookie at checkout",
            "restored"
            if checkout["capture_source"] == "continuity"
            else checkout["capture_reason"],
            seen=checkout["visitor_id"],
            at_ms=at_ms,
        ),
        Hop(
            "Metadata sent to Dodo",
            opened.get(checkout["state"], "session_opened"),
            seen=checkout["dodo_session_id"],
            at_ms=at_ms,
        ),
    ]
    if checkout["state"] == "open":
        hops.append(
            Hop(
                "Return from Dodo's page",
                _return_reason(parts),
                seen=checkout["return_visitor_id"],
                at_ms=returned_at_ms,
            )
        )
        if not parts.messages:
            hops.append(Hop("Webhook", "no_webhook"))
    return hops


def _return_reason(parts: Parts) -> str:
    """Say what the buyer's return brought: nothing yet, the visitor, another one, or too late."""
    checkout = parts.checkout
    if checkout is None or checkout["returned_at_ms"] is None:
        return "not_returned"
    returned, captured = checkout["return_visitor_id"], checkout["visitor_id"]
    if returned is not None and captured is not None and returned != captured:
        return "visitor_differs"
    sale = next((row for row in parts.deliveries if row["kind"] == "sale"), None)
    late = sale is not None and sale["visitor_id"] is None and sale["first_sent_at_ms"] is not None
    return "too_late" if returned is not None and late else "returned"


def _message_hops(parts: Parts) -> list[Hop]:
    hops = []
    for row in parts.messages:
        name = row["type"] or "Webhook"
        if row["type"] in _MONEY_EVENTS or row["type"] is None:
            arrived = "read_from_api" if row["source"] == "api" else "verified"
            seen = row["webhook_id"]
            if row["times_received"] > 1:
                seen += f" ({row['times_received']} times)"
            hops.append(Hop(f"{name} received", arrived, seen=seen, at_ms=row["received_at_ms"]))
        hops.append(
            Hop(
                f"{name} read",
                row["reason"],
                seen=row["transaction_id"],
                at_ms=row["received_at_ms"],
            )
        )
    return hops


_VISITOR_REASONS = {
    "metadata": "visitor_in_metadata",
    "ledger": "visitor_from_ledger",
    "return": "visitor_from_return",
    "dodo": "visitor_from_dodo",
    "forgotten": "forgotten",
    "none": "visitor_missing",
}


def _delivery_hops(row: Row) -> list[Hop]:
    found = _VISITOR_REASONS[row["visitor_source"]]
    if row["visitor_dropped"] and found != "forgotten":
        found = "visitor_dropped"
    amount = f"{row['amount']} {row['currency']}"
    renewed = row["kind"] == "sale" and row["renewal"]
    kind = "renewal" if renewed else row["kind"]
    if renewed and not row["renewal_proven"] and row["first_sent_at_ms"] is not None:
        kind = "renewal_unproven"
    hops = [
        Hop("Counted as", kind, seen=f"{amount}, {row['basis']}"),
        Hop("Visitor of the payment", found, seen=row["visitor_id"]),
    ]
    if row["exponent_unverified"]:
        hops.append(Hop("Decimals of the currency", "exponent_unverified", seen=row["currency"]))
    if row["first_sent_at_ms"] is None:
        hops.append(Hop("Sent to DataFast", row["reason"], seen=amount))
        return hops
    hops.append(Hop("Sent to DataFast", "sent", seen=amount, at_ms=row["first_sent_at_ms"]))
    hops.append(
        Hop(
            "DataFast's answer",
            "sending" if row["state"] == "sending" else row["reason"],
            seen=row["message"],
            at_ms=row["answered_at_ms"],
        )
    )
    return hops
