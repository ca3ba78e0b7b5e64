"""Give money back: full, partial, several times, and some that fail."""

from typing import Any

from kit.sandbox.books import PAYMENT, REFUND, Books
from kit.sandbox.fixtures import load
from kit.sandbox.listing import refund_item
from kit.sandbox.refusals import ApiError
from kit.sandbox.stamps import iso, new_id
from kit.sandbox.store import Document

STATUSES = ("succeeded", "failed", "pending", "review")
ANNOUNCED = ("succeeded", "failed")
# Money that a failed refund has not given back.
GIVEN = ("succeeded", "pending", "review")


class Refunds:
    """Refunds of payments; together never more than was paid."""

    def __init__(self, books: Books) -> None:
        """Enter refunds in `books`."""
        self._books = books

    def rest(self, payment: Document) -> int:
        """Return what can still be given back, in minor units."""
        given = sum(
            refund["amount"] or 0 for refund in self.of(payment) if refund["status"] in GIVEN
        )
        return int(payment["total_amount"]) - given

    def of(self, payment: Document) -> list[Document]:
        """Return a payment's refunds, oldest first."""
        return [
            refund
            for refund in self._books.store.all(REFUND)
            if refund["payment_id"] == payment["payment_id"]
        ]

    def create(
        self,
        payment: Document,
        amount_minor: int | None,
        *,
        at: float,
        status: str = "succeeded",
        reason: str | None = None,
        metadata: dict[str, Any] | None = None,
        fields: dict[str, Any] | None = None,
        webhook: dict[str, Any] | None = None,
    ) -> Document:
        """Refund an amount, or with None the rest; announces what succeeded or failed.

        `metadata` is the refund's own, not the payment's. `fields` replace fields of the refund,
        `webhook` those of its message alone. Raises ApiError 422 for more than the rest.
        """
        if payment["status"] != "succeeded":
            raise ApiError(422, "Only a payment that succeeded can be refunded.")
        rest = self.rest(payment)
        amount = rest if amount_minor is None else amount_minor
        if not 1 <= amount <= rest:
            raise ApiError(
                422, f"The amount must be from 1 to {rest}, what is left of the payment."
            )
        refund_id = new_id("ref")
        data = load(
            "refund.succeeded",
            **{
                "refund_id": refund_id,
                "payment_id": payment["payment_id"],
                "status": status,
                "is_partial": amount < payment["total_amount"],
                "amount": amount,
                "currency": payment["currency"],
                "reason": reason,
                "metadata": metadata or {},
                "customer": payment["customer"],
                "created_at": iso(at),
            }
            | (fields or {}),
        )["data"]
        refund = {field: data[field] for field in data if field != "payload_type"}
        with self._books.store.together():
            self._enter(refund, at=at, webhook=webhook)
        return refund

    def settle(self, refund: Document, status: str, *, at: float) -> Document:
        """Let a pending refund succeed or fail."""
        if refund["status"] not in ("pending", "review"):
            raise ApiError(409, f"This refund is {refund['status']} already.")
        settled = refund | {"status": status}
        with self._books.store.together():
            self._enter(settled, at=at, webhook=None)
        return settled

    def _enter(self, refund: Document, *, at: float, webhook: dict[str, Any] | None) -> None:
        self._books.store.put(REFUND, refund["refund_id"], refund)
        payment = self._books.find(PAYMENT, refund["payment_id"])
        refunds = self.of(payment)
        succeeded = [one for one in refunds if one["status"] == "succeeded"]
        given = sum(one["amount"] or 0 for one in succeeded)
        refund_status = "full" if given >= payment["total_amount"] else "partial"
        self._books.amend(
            payment,
            at=at,
            refunds=[refund_item(one) for one in refunds],
            refund_status=refund_status if succeeded else None,
        )
        if refund["status"] in ANNOUNCED:
            self._books.announce(
                f"refund.{refund['status']}",
                kind=REFUND,
                key=refund["refund_id"],
                at=at,
                extras=webhook,
            )
