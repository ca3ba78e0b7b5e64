"""The desk: recent subscriptions and payments, with a button for what may happen to each."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from kit.sandbox.billing import HELD, RENEWABLE
from kit.sandbox.books import PAYMENT, SUBSCRIPTION
from kit.sandbox.levers import Levers
from kit.sandbox.money import display
from kit.sandbox.products import Product
from kit.sandbox.refusals import ApiError
from kit.sandbox.store import Document
from kit.sandbox.templates import open_templates
from kit.sandbox.terms import Terms

TEMPLATE = "sandbox/desk.html"
PATH = "/_sandbox/desk"
SHOWN = 12
POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; font-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": POLICY,
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


Act = Callable[[Document], Any]


class Desk:
    """`GET` and `POST /_sandbox/desk`: the levers for a person, without a script."""

    def __init__(
        self, levers: Levers, *, products: Mapping[str, Product], templates_dir: Path
    ) -> None:
        """Render `sandbox/desk.html` of `templates_dir`."""
        self._levers = levers
        self._books = levers.books
        self._products = products
        self._templates = open_templates(templates_dir)
        self._actions: dict[str, tuple[str, Act]] = {
            "renew": (SUBSCRIPTION, self._renew),
            "fail": (SUBSCRIPTION, self._fail),
            "end-trial": (SUBSCRIPTION, self._end_trial),
            "change-plan": (SUBSCRIPTION, self._change_plan),
            "cancel": (SUBSCRIPTION, self._cancel),
            "refund-half": (PAYMENT, self._refund_half),
            "refund-rest": (PAYMENT, self._refund_rest),
            "dispute-lost": (PAYMENT, self._lose_dispute),
        }

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route(PATH, self.show, methods=["GET"]),
            Route(PATH, self.submit, methods=["POST"]),
        ]

    async def show(self, _request: Request) -> Response:
        """Show what can be moved."""
        return self._page()

    async def submit(self, request: Request) -> Response:
        """Do one `action` to the object `id`, then show the desk again."""
        form = parse_qs((await request.body()).decode(errors="replace"))
        action, key = form.get("action", [""])[0], form.get("id", [""])[0]
        if action not in self._actions:
            return self._page(problem="That is not on the desk.", status=422)
        kind, act = self._actions[action]
        try:
            act(self._books.find(kind, key))
        except ApiError as error:
            return self._page(problem=error.message, status=error.status)
        return RedirectResponse(PATH, status_code=303)

    def _page(self, *, problem: str = "", status: int = 200) -> Response:
        page = self._templates.get_template(TEMPLATE).render(
            subscriptions=[self._subscription(one) for one in self._newest(SUBSCRIPTION)],
            payments=[self._payment(one) for one in self._newest(PAYMENT)],
            problem=problem,
        )
        return HTMLResponse(page, status_code=status, headers=HEADERS)

    def _newest(self, kind: str) -> list[Document]:
        return self._books.store.all(kind)[: -SHOWN - 1 : -1]

    def _subscription(self, subscription: Document) -> dict[str, Any]:
        """Describe a subscription and the buttons that fit its state."""
        key = subscription["subscription_id"]
        paid = any(one["total_amount"] for one in self._books.payments_of(key))
        trial = bool(subscription["trial_period_days"]) and not paid
        buttons = []
        if subscription["status"] in RENEWABLE:
            retry = subscription["status"] in HELD
            if trial and not retry:
                buttons.append(("end-trial", "End trial"))
            else:
                buttons.append(("renew", "Retry" if retry else "Renew"))
            buttons.append(("fail", "Fail the retry" if retry else "Fail renewal"))
            if not retry and self._other_plan(subscription) is not None:
                buttons.append(("change-plan", "Change plan"))
            buttons.append(("cancel", "Cancel"))
        price = display(subscription["recurring_pre_tax_amount"], subscription["currency"])
        return {
            "id": key,
            "name": self._products[subscription["product_id"]].name,
            "state": "trial"
            if trial and subscription["status"] == "active"
            else _words(subscription["status"]),
            "price": f"{price} per month",
            "buyer": subscription["customer"]["email"],
            "next": subscription["next_billing_date"][:10],
            "buttons": buttons,
        }

    def _payment(self, payment: Document) -> dict[str, Any]:
        """Describe a payment and the buttons that fit its state."""
        currency = payment["currency"]
        rest = self._levers.refunds.rest(payment) if payment["status"] == "succeeded" else 0
        buttons = []
        if rest > 1:
            buttons.append(("refund-half", "Refund half"))
        if rest:
            buttons.append(
                (
                    "refund-rest",
                    "Refund the rest" if rest < payment["total_amount"] else "Refund all",
                )
            )
        if payment["status"] == "succeeded" and payment["total_amount"] and not payment["disputes"]:
            buttons.append(("dispute-lost", "Lose a dispute"))
        facts = [_words(payment["status"])]
        if payment.get("charge_type"):
            facts.append(_words(payment["charge_type"]))
        if payment["refund_status"]:
            facts.append(f"refunded: {payment['refund_status']}")
        facts += [_words(dispute["dispute_status"]) for dispute in payment["disputes"]]
        return {
            "id": payment["payment_id"],
            "amount": display(payment["total_amount"], currency),
            "facts": " · ".join(facts),
            "buyer": payment["customer"]["email"],
            "at": payment["created_at"][:16].replace("T", " "),
            "buttons": buttons,
        }

    def _other_plan(self, subscription: Document) -> Product | None:
        for product in self._products.values():
            fits = product.interval and product.currency == subscription["currency"]
            if fits and product.product_id != subscription["product_id"]:
                return product
        return None

    def _renew(self, subscription: Document) -> None:
        self._levers.billing.renew([subscription], self._terms())

    def _fail(self, subscription: Document) -> None:
        self._levers.billing.renew([subscription], self._terms(outcome="failed"))

    def _end_trial(self, subscription: Document) -> None:
        self._levers.billing.end_trial(subscription, self._terms())

    def _change_plan(self, subscription: Document) -> None:
        product = self._other_plan(subscription)
        if product is None:
            raise ApiError(409, "There is no other plan in this currency.")
        self._levers.billing.change_plan(
            subscription,
            product.product_id,
            quantity=1,
            mode="full_immediately",
            terms=self._terms(),
        )

    def _cancel(self, subscription: Document) -> None:
        self._levers.billing.move(subscription, "cancel", at=self._books.clock())

    def _refund_half(self, payment: Document) -> None:
        half = self._levers.refunds.rest(payment) // 2
        self._levers.refunds.create(payment, half, at=self._books.clock())

    def _refund_rest(self, payment: Document) -> None:
        self._levers.refunds.create(payment, None, at=self._books.clock())

    def _lose_dispute(self, payment: Document) -> None:
        self._levers.disputes.move(payment, "lost", at=self._books.clock())

    def _terms(self, *, outcome: str = "succeeded") -> Terms:
        return Terms(at=self._books.clock(), outcome=outcome)


def _words(name: str) -> str:
    return name.replace("_", " ")
