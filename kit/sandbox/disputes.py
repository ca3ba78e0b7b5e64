"""Disputes of payments, stage by stage."""

from typing import Any

from kit.sandbox.books import DISPUTE, PAYMENT, Books
from kit.sandbox.fixtures import load
from kit.sandbox.money import decimals
from kit.sandbox.stamps import iso, new_id
from kit.sandbox.store import Document

EVENTS = ("opened", "challenged", "won", "lost", "accepted", "expired", "cancelled")
OPEN = ("dispute_opened", "dispute_challenged")
STAGES = ("dispute", "pre_dispute", "pre_arbitration")
# Dodo documents a string and no unit; a receiver must live with all of these.
AMOUNT_FORMS = ("minor", "major", "garbage")


class Disputes:
    """Disputes; each is opened once and then moves on under its id."""

    def __init__(self, books: Books) -> None:
        """Enter disputes in `books`."""
        self._books = books

    def under_way(self, payment: Document) -> Document | None:
        """Return the payment's open dispute, if it has one."""
        still_open = [one for one in self.of(payment) if one["dispute_status"] in OPEN]
        return still_open[-1] if still_open else None

    def of(self, payment: Document) -> list[Document]:
        """Return a payment's disputes, oldest first."""
        return [
            dispute
            for dispute in self._books.store.all(DISPUTE)
            if dispute["payment_id"] == payment["payment_id"]
        ]

    def move(
        self,
        payment: Document,
        event: str,
        *,
        at: float,
        dispute: Document | None = None,
        **fields: Any,
    ) -> Document:
        """Let `event` happen to a dispute, or to a new one, and announce it.

        `fields` replace fields of the dispute, such as `amount` (a string) and `currency`.
        """
        if dispute is None:
            data = load(
                f"dispute.{event}",
                dispute_id=new_id("dp"),
                payment_id=payment["payment_id"],
                amount=str(payment["total_amount"]),
                currency=payment["currency"],
                created_at=iso(at),
            )["data"]
            dispute = {field: data[field] for field in data if field != "payload_type"}
        moved = dispute | {"dispute_status": f"dispute_{event}"} | fields
        with self._books.store.together():
            self._books.store.put(DISPUTE, moved["dispute_id"], moved)
            current = self._books.find(PAYMENT, payment["payment_id"])
            self._books.amend(current, at=at, disputes=self.of(payment))
            self._books.announce(f"dispute.{event}", kind=DISPUTE, key=moved["dispute_id"], at=at)
        return moved


def written_amount(amount_minor: int, currency: str, form: str) -> str:
    """Write an amount in one of AMOUNT_FORMS: "2900", "29.00" or no number at all."""
    if form == "garbage":
        return "about " + str(amount_minor)
    places = decimals(currency) if form == "major" else 0
    if not places:
        return str(amount_minor)
    digits = str(amount_minor).rjust(places + 1, "0")
    return f"{digits[:-places]}.{digits[-places:]}"


def dispute_object(dispute: Document, payment: Document) -> Document:
    """Return a dispute as `GET /disputes/{id}` answers it."""
    return dispute | {
        "brand_id": payment["brand_id"],
        "customer": payment["customer"],
        "payment_provider": payment.get("payment_provider", "dodo"),
        "reason": None,
    }


def dispute_item(dispute: Document) -> Document:
    """Return a dispute, as `dispute_object` gave it, as `GET /disputes` lists it."""
    hidden = ("brand_id", "customer", "reason", "remarks")
    return {field: dispute[field] for field in dispute if field not in hidden}
