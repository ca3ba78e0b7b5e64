"""Journeys as people and programs read them: with a title, an amount and an address."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kit.helpers.dodo_datafast import UnknownCurrency
from kit.hops import REASONS
from kit.ledger.stamps import moment_of
from kit.ledger.telling import Journey
from kit.web.inspector.asked import journey_path
from kit.web.money import display_money
from kit.web.pages import hop_time_text

_TONES = ("lost", "wait", "warn", "ok")
_TONE_WORDS = {"ok": "passed", "wait": "waiting", "warn": "to check", "lost": "lost"}


@dataclass(frozen=True, slots=True)
class Naming:
    """Knows the products' names by slug."""

    products: Mapping[str, str]

    def title(self, journey: Journey) -> str:
        """Say what was bought, or what this is about."""
        if (title := self.products.get(journey.product or "")) is not None:
            return title
        if journey.payment_id is not None:
            return f"Payment {journey.payment_id}"
        if journey.product is not None:
            return journey.product
        kind, _, key = journey.key.partition(":")
        return {"visit": "Visit", "payment": f"Payment {key}"}.get(kind, "Webhook")

    def plain(self, journey: Journey) -> dict[str, Any]:
        """Return a journey as plain data."""
        fields = {name: getattr(journey, name) for name in Journey.__slots__ if name != "hops"}
        return fields | {
            "title": self.title(journey),
            "path": journey_path(journey.key),
            "hops": [hop.as_dict() for hop in journey.hops],
        }


def shown_journey(journey: Mapping[str, Any]) -> dict[str, Any]:
    """Add what a template shows to a journey that is plain data."""
    began_ms = journey["started_at_ms"]
    hops = [
        hop | {"at_text": hop_time_text(hop["at_ms"], began_ms=began_ms)} for hop in journey["hops"]
    ]
    tones = [hop["tone"] for hop in hops]
    counts = ((tones.count(tone), _TONE_WORDS[tone]) for tone in reversed(_TONES))
    reason = REASONS.get(journey["reason"] or "")
    began = moment_of(began_ms)
    return dict(journey) | {
        "hops": hops,
        "hops_text": ", ".join(f"{number} {word}" for number, word in counts if number),
        "amount_text": _amount(journey),
        "began": began.isoformat(timespec="milliseconds"),
        "began_text": began.strftime("%d %b %Y, %H:%M:%S"),
        "began_day": began.strftime("%d %b"),
        "began_time": began.strftime("%H:%M:%S"),
        "why": reason.sentence if reason else None,
        "fix": reason.fix if reason else None,
        "element": "".join(char if char.isalnum() else "-" for char in journey["key"]),
    }


def _amount(journey: Mapping[str, Any]) -> str | None:
    minor, currency = journey["paid_minor"], journey["paid_currency"]
    if minor is None or currency is None:
        return None
    try:
        return display_money(minor, currency)
    except UnknownCurrency:
        return f"{minor} {currency}"
