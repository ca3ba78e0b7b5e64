"""The cash desk: sessions become payments and subscriptions, and those become webhooks."""

from collections.abc import Mapping
from dataclasses import asdict

from kit.sandbox.basket import Line, lines_of, one_time_cart, service_periods
from kit.sandbox.books import CHECKOUT, CUSTOMER, SUBSCRIPTION, Books
from kit.sandbox.checkouts import Order
from kit.sandbox.fixtures import load
from kit.sandbox.products import Product
from kit.sandbox.refusals import ApiError
from kit.sandbox.stamps import days_later, iso, month_later, new_id, seconds
from kit.sandbox.store import Document
from kit.sandbox.switches import Switches

SESSION_LIFETIME_S = 24 * 3600
BILLING = {"country": "FR", "city": "Lyon", "state": None, "street": None, "zipcode": "69001"}
# In a stored object these belong to one message, not to the object.
MESSAGE_ONLY = ("payload_type", "payment_id", "past_due_ends_at")


class Till:
    """Open sessions and take (invented) money for them."""

    def __init__(
        self, books: Books, *, products: Mapping[str, Product], switches: Switches
    ) -> None:
        """Enter what is bought in `books`; `switches` say how a trial starts."""
        self._books = books
        self._store = books.store
        self._products = products
        self._switches = switches

    def open(self, order: Order) -> Document:
        """Open a checkout session. Raises ApiError when the order's customer is unknown."""
        customer_id = order.customer.get("customer_id")
        customer = self._customer(customer_id) if customer_id else None
        session_id = new_id("cks")
        session: Document = {
            "session_id": session_id,
            "created_at": iso(self._books.clock()),
            "checkout_url": f"{self._books.public_url}/session/{session_id}",
            "order": asdict(order),
            "customer_email": customer["email"] if customer else order.customer.get("email"),
            "customer_name": customer["name"] if customer else order.customer.get("name"),
            "payment_id": None,
            "payment_status": None,
            "used": False,
        }
        self._store.put(CHECKOUT, session_id, session)
        return session

    def state(self, session: Document) -> str:
        """Return "open", "paid" or "expired"; sessions are single use and live for 24 hours."""
        if session["payment_status"] == "succeeded" or session.get("used"):
            return "paid"
        age_s = self._books.clock() - seconds(session["created_at"])
        return "expired" if age_s > SESSION_LIFETIME_S else "open"

    def lines(self, session: Document) -> list[Line]:
        """Return the session's cart with prices and trials."""
        return lines_of(session, self._products, trial_amount_minor=self._switches.trial_amount)

    def pay(self, session: Document, *, email: str, name: str) -> dict[str, str]:
        """Take the payment and queue its webhooks; returns the query of the return URL.

        A first subscription charge sends `payment.succeeded`, `subscription.active`,
        `subscription.renewed` and `subscription.updated` with one timestamp (a real test-mode log
        of January 2026). A free trial sends `subscription.active`, and before it a payment of 0
        or none: Dodo's pages say both, and a switch decides.
        """
        now = self._books.clock()
        lines = self.lines(session)
        with self._store.together():
            customer = self._buyer(session, email=email, name=name)
            subscriptions = self._subscribe(session, customer, now, status="active")
            payment_id = None
            session["used"] = True
            free_trials = all(line.trial_period_days and not line.due_minor for line in lines)
            if free_trials and not self._switches.trial_payment:
                self._store.put(CHECKOUT, session["session_id"], session)
            else:
                payment = self._charge(session, customer, subscriptions, now, status="succeeded")
                payment_id = payment["payment_id"]
            recurring = [line for line in lines if line.product.interval]
            for line, subscription in zip(recurring, subscriptions, strict=True):
                types = ["subscription.active"]
                if line.due_minor:
                    types += ["subscription.renewed", "subscription.updated"]
                self._books.announce_subscription(
                    subscription, types, at=now, payment_id=payment_id
                )
        answer = {"email": customer["email"]}
        if subscriptions:
            first = subscriptions[0]["subscription_id"]
            return {"subscription_id": first, "status": "active"} | answer
        return {"payment_id": payment_id or "", "status": "succeeded"} | answer

    def decline(self, session: Document, *, email: str, name: str) -> None:
        """Refuse the card: a failed payment and its webhook; the session stays open."""
        now = self._books.clock()
        with self._store.together():
            customer = self._buyer(session, email=email, name=name)
            subscriptions = self._subscribe(session, customer, now, status="failed")
            self._charge(session, customer, subscriptions, now, status="failed")

    def _customer(self, customer_id: str) -> Document:
        for customer in self._store.all(CUSTOMER):
            if customer["customer_id"] == customer_id:
                return customer
        raise ApiError(404, f"Customer {customer_id} not found.", code="NOT_FOUND")

    def _buyer(self, session: Document, *, email: str, name: str) -> Document:
        """Return the order's customer, else that of the e-mail address, else a new one."""
        customer_id = session["order"]["customer"].get("customer_id")
        if customer_id:
            return self._customer(customer_id)
        key = email.lower()
        customer = self._store.get(CUSTOMER, key)
        if customer is None:
            customer = {
                "customer_id": new_id("cus"),
                "email": email,
                "name": name,
                "phone_number": None,
                "metadata": {},
            }
            self._store.put(CUSTOMER, key, customer)
        session["customer_email"], session["customer_name"] = email, customer["name"]
        return customer

    def _subscribe(
        self, session: Document, customer: Document, now: float, *, status: str
    ) -> list[Document]:
        """Store one subscription for each recurring line of the cart."""
        subscriptions = []
        for line in self.lines(session):
            if line.product.interval is None:
                continue
            days = line.trial_period_days
            base = load(
                "subscription.active",
                subscription_id=new_id("sub"),
                status=status,
                product_id=line.product.product_id,
                quantity=line.quantity,
                currency=line.product.currency,
                recurring_pre_tax_amount=line.amount_minor,
                metadata=session["order"]["metadata"],
                customer=customer,
                billing=session["order"]["billing"] or BILLING,
                created_at=iso(now),
                previous_billing_date=iso(now),
                next_billing_date=iso(days_later(now, days) if days else month_later(now)),
                payment_frequency_interval=line.product.interval,
                trial_period_days=days,
                trial_amount=line.trial_amount_minor if days else None,
                on_demand=session["order"].get("on_demand") is not None,
                has_payment_method=status == "active",
                expires_at=iso(days_later(now, 3650)),
            )["data"]
            subscription = {key: base[key] for key in base if key not in MESSAGE_ONLY}
            self._store.put(SUBSCRIPTION, subscription["subscription_id"], subscription)
            subscriptions.append(subscription)
        return subscriptions

    def _charge(
        self,
        session: Document,
        customer: Document,
        subscriptions: list[Document],
        now: float,
        *,
        status: str,
    ) -> Document:
        """Enter the payment and note it in the session."""
        lines = self.lines(session)
        ids = [subscription["subscription_id"] for subscription in subscriptions]
        payment = self._books.enter(
            status,
            at=now,
            total_minor=sum(line.due_minor for line in lines),
            tax_minor=sum(line.tax_minor for line in lines),
            currency=lines[0].product.currency,
            customer=customer,
            billing=session["order"]["billing"] or BILLING,
            metadata=session["order"]["metadata"],
            checkout_session_id=session["session_id"],
            subscription_id=ids[0] if len(ids) == 1 else None,
            subscription_ids=ids,
            is_multi_subscription=len(ids) > 1,
            charge_type="new" if ids else None,
            service_periods=service_periods(lines, subscriptions) if status == "succeeded" else [],
            product_cart=one_time_cart(lines),
            payment_link=session["checkout_url"],
        )
        session["payment_id"], session["payment_status"] = payment["payment_id"], status
        self._store.put(CHECKOUT, session["session_id"], session)
        return payment
