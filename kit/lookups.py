"""What only Dodo can tell: whether a payment is real, what came before it, whose it is."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection

from kit.dodo import DodoClient
from kit.errors import DodoError, TransportError
from kit.ledger import Ledger, sales
from kit.ledger.claims import Delivery
from kit.ledger.events import settle_waiting
from kit.ledger.facts import Facts, facts_of
from kit.ledger.rows import Row
from kit.ledger.stamps import milliseconds
from kit.outcomes import is_tried_out


class UnknownAtDodo(Exception):  # noqa: N818 - an answer, not a failure
    """Dodo's API knows no such payment."""


@dataclass(frozen=True, slots=True)
class Lookups:
    """Asks Dodo, and keeps the answers in the ledger."""

    ledger: Ledger
    dodo: DodoClient

    async def prove(self, delivery: Delivery, *, age_s: float) -> Delivery:
        """
        Complete a delivery before its first send.

        A payment without a checkout of ours is confirmed, a renewal told from a first charge, a
        missing visitor looked for on the subscription. Raises UnknownAtDodo, and DodoError or
        TransportError while Dodo gives no answer; past the horizon `charge_type` has to do.
        """
        if not delivery.confirmed:
            delivery = await self._confirmed(delivery)
        for complete in (self._renewal_proven, self._visitor_found):
            try:
                delivery = await complete(delivery)
            except (DodoError, TransportError):
                if not is_tried_out(delivery, age_s=age_s):
                    raise
        return delivery

    async def _confirmed(self, delivery: Delivery) -> Delivery:
        try:
            if delivery.kind == "trial" and delivery.subscription_id is not None:
                await self.dodo.subscription(delivery.subscription_id)
            elif delivery.payment_id is not None:
                await self.dodo.payment(delivery.payment_id)
        except DodoError as refusal:
            if refusal.status == 404:
                raise UnknownAtDodo from None
            raise
        return replace(delivery, confirmed=True)

    async def _renewal_proven(self, delivery: Delivery) -> Delivery:
        if delivery.renewal_proven:
            return delivery
        payment_id = str(delivery.payment_id)
        created_at_ms = milliseconds(delivery.payment.timestamp)

        def ask_ledger(connection: Connection) -> tuple[tuple[str, ...], bool]:
            charged = sales.charged_subscriptions(connection, payment_id)
            return charged, sales.is_charged_before(
                connection, charged, created_at_ms=created_at_ms, payment_id=payment_id
            )

        subscriptions, before = await self.ledger.read(ask_ledger)
        for subscription_id in () if before else subscriptions:
            async for facts in self._paid_charges(subscription_id):
                earlier = (facts.created_at_ms, facts.payment_id) < (created_at_ms, payment_id)
                if earlier and facts.payment_id != payment_id:
                    before = True
                    break
        payment = replace(delivery.payment, renewal=before)
        return replace(delivery, payment=payment, renewal_proven=True)

    async def _paid_charges(self, subscription_id: str) -> AsyncIterator[Facts]:
        async for item in self.dodo.payments(subscription_id=subscription_id):
            listed = _facts(item)
            if not listed.paid or listed.payment_id is None:
                continue
            # The list does not say whether a payment only updated the card.
            facts = _facts(await self.dodo.payment(listed.payment_id))
            if facts.paid:
                yield facts

    async def _visitor_found(self, delivery: Delivery) -> Delivery:
        """Look in the ledger again, which may know more by now, then at Dodo's subscriptions."""
        if delivery.payment.datafast_visitor_id is not None or delivery.forgotten:
            return delivery
        payment_id, named = delivery.payment_id, delivery.subscription_id

        def ask_ledger(
            connection: Connection,
        ) -> tuple[tuple[str | None, str | None], tuple[str, ...]]:
            charged = sales.charged_subscriptions(connection, payment_id) if payment_id else ()
            names = tuple(dict.fromkeys((named, *charged) if named else charged))
            return sales.find_visitor(connection, payment_id, names), names

        (found, source), subscriptions = await self.ledger.read(ask_ledger)
        for subscription_id in subscriptions:
            if found is None and source != "forgotten":
                found, source = await self._subscriber(subscription_id)
        if found is None and source != "forgotten":
            return delivery
        payment = replace(delivery.payment, datafast_visitor_id=found)
        return replace(delivery, payment=payment, visitor_source=source or "ledger")

    async def _subscriber(self, subscription_id: str) -> tuple[str | None, str | None]:
        try:
            facts = _facts(await self.dodo.subscription(subscription_id))
        except DodoError as refusal:
            if refusal.retryable:
                raise
            return None, None
        # Dodo's metadata keeps the id for years, whoever asked to be forgotten.
        facts = await self.ledger.read(lambda c: sales.unless_forgotten(c, facts))
        return facts.visitor_id, "forgotten" if facts.forgotten else "dodo"

    async def resolve(self, event: Row) -> None:
        """
        Read the payment that a message waits for, and let the message be read again.

        Raises DodoError and TransportError while Dodo gives no answer.
        """
        webhook_id = event["webhook_id"]
        try:
            facts = _facts(await self.dodo.payment(event["payment_id"]))
        except DodoError as refusal:
            if refusal.status != 404:
                raise
            await self.ledger.write(lambda connection: _set_aside(connection, event))
            return

        def keep(connection: Connection) -> None:
            settle_waiting(connection, webhook_id, state="stored", looked_up=True, due_at_ms=None)
            sales.record_payment(connection, sales.unless_forgotten(connection, facts), None)

        await self.ledger.write(keep)


def _set_aside(connection: Connection, event: Row) -> None:
    """Give up a message whose payment Dodo does not know; to a person, if it was heard of here."""
    heard_of = sales.find_payment(connection, event["payment_id"]) is not None
    state = "parked" if heard_of else "skipped"
    settle_waiting(
        connection, event["webhook_id"], state=state, reason="not_at_dodo", due_at_ms=None
    )


def _facts(data: Mapping[str, Any]) -> Facts:
    # Dodo's own objects always say when they were created.
    return facts_of(data, datetime.fromtimestamp(0, UTC))
