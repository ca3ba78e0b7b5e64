"""The `/_sandbox` levers: what Dodo, a bank or a buyer would do, done on request.

Each takes a JSON object (or nothing) and answers with the object it made or changed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from kit.sandbox.billing import MOVES, Billing
from kit.sandbox.books import DISPUTE, PAYMENT, REFUND, SUBSCRIPTION, Books
from kit.sandbox.disputes import AMOUNT_FORMS, EVENTS, STAGES, Disputes, written_amount
from kit.sandbox.fixtures import FixtureError
from kit.sandbox.posted import Posted
from kit.sandbox.proration import PRORATION_MODES
from kit.sandbox.recoveries import STEPS, Recoveries
from kit.sandbox.refunds import STATUSES, Refunds
from kit.sandbox.refusals import ApiError
from kit.sandbox.store import Document
from kit.sandbox.terms import Terms

TERMS = ("outcome", "amount", "currency", "retry_attempt", "metadata", "fields", "without", "at")
OUTCOMES = ("succeeded", "failed", "processing", "cancelled")
# Fields that older payments lack; the books need the others.
OPTIONAL = (
    *("charge_type", "includes_usage", "is_multi_subscription", "service_periods"),
    *("subscription_ids", "checkout_session_id", "retry_attempt", "payment_provider"),
    *("is_update_payment_method", "settlement_tax", "tax", "updated_at"),
)


@dataclass(frozen=True, slots=True)
class Levers:
    """Routes that make money move."""

    books: Books
    billing: Billing
    refunds: Refunds
    disputes: Disputes
    recoveries: Recoveries

    def routes(self) -> list[Route]:
        """Return the routes."""
        table: dict[str, Callable[[str, bytes], Document | None]] = {
            "subscriptions/{id}/renew": self._renew,
            "subscriptions/{id}/end-trial": self._end_trial,
            "subscriptions/{id}/change-plan": self._change_plan,
            "subscriptions/{id}/charge": self._charge,
            "subscriptions/{id}/update-payment-method": self._new_card,
            "payments/{id}/settle": self._settle,
            "payments/{id}/refund": self._refund,
            "payments/{id}/dispute": self._dispute,
            "payments/{id}/recover": self._recover,
            "refunds/{id}/settle": self._settle_refund,
        }
        table |= {f"subscriptions/{{id}}/{action}": self._mover(action) for action in MOVES}
        return [
            Route(f"/_sandbox/{path}", _endpoint(pull), methods=["POST"])
            for path, pull in table.items()
        ]

    def _renew(self, key: str, body: bytes) -> Document:
        """Charge the next period; `together_with` names subscriptions of the same payment."""
        posted = Posted(body, *TERMS, "charge_type", "status", "together_with")
        keys = [key, *posted.texts("together_with")]
        subscriptions = [self.books.find(SUBSCRIPTION, one) for one in keys]
        return self.billing.renew(subscriptions, self._terms(posted))

    def _end_trial(self, key: str, body: bytes) -> Document:
        posted = Posted(body, *TERMS, "charge_type", "status")
        return self.billing.end_trial(self.books.find(SUBSCRIPTION, key), self._terms(posted))

    def _change_plan(self, key: str, body: bytes) -> Document | None:
        posted = Posted(body, *TERMS, "charge_type", "product_id", "quantity", "mode")
        return self.billing.change_plan(
            self.books.find(SUBSCRIPTION, key),
            posted.text("product_id"),
            quantity=posted.whole("quantity", low=1) or 1,
            mode=posted.choice("mode", PRORATION_MODES),
            terms=self._terms(posted),
        )

    def _charge(self, key: str, body: bytes) -> Document:
        posted = Posted(body, *TERMS, "charge_type")
        return self.billing.charge(self.books.find(SUBSCRIPTION, key), self._terms(posted))

    def _new_card(self, key: str, body: bytes) -> Document:
        """Update the payment method; `due_charge` also takes what a held subscription owes."""
        posted = Posted(body, *TERMS, "charge_type", "due_charge")
        return self.billing.update_payment_method(
            self.books.find(SUBSCRIPTION, key),
            self._terms(posted),
            due_charge=posted.flag("due_charge"),
        )

    def _mover(self, action: str) -> Callable[[str, bytes], Document]:
        def move(key: str, body: bytes) -> Document:
            at = Posted(body, "at").moment("at", self.books.clock())
            return self.billing.move(self.books.find(SUBSCRIPTION, key), action, at=at)

        return move

    def _settle(self, key: str, body: bytes) -> Document:
        posted = Posted(body, "outcome", "at")
        return self.billing.settle(
            self.books.find(PAYMENT, key),
            posted.choice("outcome", ("succeeded", "failed", "cancelled")),
            at=posted.moment("at", self.books.clock()),
        )

    def _refund(self, key: str, body: bytes) -> Document:
        """Refund `amount`, or all that is left."""
        names = ("amount", "status", "reason", "metadata", "fields", "webhook", "at")
        posted = Posted(body, *names)
        return self.refunds.create(
            self.books.find(PAYMENT, key),
            posted.whole("amount", low=1),
            at=posted.moment("at", self.books.clock()),
            status=posted.choice("status", STATUSES),
            reason=posted.text("reason") or None,
            metadata=posted.fields("metadata"),
            fields=posted.fields("fields"),
            webhook=posted.fields("webhook"),
        )

    def _settle_refund(self, key: str, body: bytes) -> Document:
        posted = Posted(body, "status", "at")
        return self.refunds.settle(
            self.books.find(REFUND, key),
            posted.choice("status", ("succeeded", "failed")),
            at=posted.moment("at", self.books.clock()),
        )

    def _dispute(self, key: str, body: bytes) -> Document:
        """Move the payment's open dispute, the one that `dispute_id` names, or a new one."""
        posted = Posted(
            body,
            *("stage", "dispute_id", "dispute_stage", "amount", "amount_minor", "amount_form"),
            *("currency", "is_resolved_by_rdr", "remarks", "at"),
        )
        payment = self.books.find(PAYMENT, key)
        dispute = self.disputes.under_way(payment)
        if "dispute_id" in posted:
            dispute = self.books.find(DISPUTE, posted.text("dispute_id"))
        return self.disputes.move(
            payment,
            posted.choice("stage", EVENTS),
            at=posted.moment("at", self.books.clock()),
            dispute=dispute,
            **self._dispute_fields(posted, payment),
        )

    def _dispute_fields(self, posted: Posted, payment: Document) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        if "dispute_stage" in posted:
            fields["dispute_stage"] = posted.choice("dispute_stage", STAGES)
        if "is_resolved_by_rdr" in posted:
            fields["is_resolved_by_rdr"] = posted.flag("is_resolved_by_rdr")
        for name in ("currency", "remarks"):
            if name in posted:
                fields[name] = posted.text(name)
        if "amount" in posted:
            fields["amount"] = posted.text("amount")
        elif "amount_minor" in posted or "amount_form" in posted:
            given = posted.whole("amount_minor")
            amount = payment["total_amount"] if given is None else given
            form = posted.choice("amount_form", AMOUNT_FORMS)
            fields["amount"] = written_amount(amount, payment["currency"], form)
        return fields

    def _recover(self, key: str, body: bytes) -> Document:
        """Detect an abandoned checkout, recover it, or both; the answer is the last step's."""
        posted = Posted(body, "step", "metadata", "checkout_session", "at")
        payment = self.books.find(PAYMENT, key)
        at = posted.moment("at", self.books.clock())
        step = posted.choice("step", STEPS)
        if step != "recovered":
            abandoned = self.recoveries.detect(payment, at=at)
            if step == "detected":
                return abandoned
        metadata = payment["metadata"]
        if "metadata" in posted and posted.anything("metadata") != "original":
            metadata = posted.fields("metadata")
        kept = posted.flag("checkout_session")
        session_id = payment.get("checkout_session_id") if kept else None
        return self.recoveries.recover(payment, at=at, metadata=metadata, session_id=session_id)

    def _terms(self, posted: Posted) -> Terms:
        fields = posted.fields("fields")
        without = set(posted.texts("without"))
        if posted.anything("charge_type") == "absent":
            without.add("charge_type")
        elif "charge_type" in posted:
            fields = {"charge_type": posted.anything("charge_type")} | fields
        if not without <= set(OPTIONAL):
            raise ApiError(422, f"without takes: {', '.join(OPTIONAL)}.")
        return Terms(
            at=posted.moment("at", self.books.clock()),
            outcome=posted.choice("outcome", OUTCOMES),
            held=posted.choice("status", ("on_hold", "past_due")),
            amount_minor=posted.whole("amount"),
            currency=posted.text("currency") or None,
            retry_attempt=posted.whole("retry_attempt"),
            metadata=posted.fields("metadata") if "metadata" in posted else None,
            fields=fields,
            without=tuple(sorted(without)),
        )


def _endpoint(pull: Callable[[str, bytes], Document | None]) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        body = await request.body()
        try:
            return JSONResponse(pull(request.path_params["id"], body))
        except FixtureError as error:
            raise ApiError(422, str(error)) from None

    return endpoint
