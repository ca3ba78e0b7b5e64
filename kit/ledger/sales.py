"""Statements on what later messages need to know of earlier ones: payments and what they charge."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from decimal import Decimal

from sqlalchemy import Connection, and_, bindparam, func, or_, select, update

from kit.helpers.dodo_datafast import Original, exponent
from kit.ledger.checkouts import find_checkout
from kit.ledger.deliveries import find_delivery
from kit.ledger.facts import Facts
from kit.ledger.rows import Row, insert_or_ignore, upsert
from kit.ledger.schema import charges, deliveries, events, payments, recoveries, subscriptions
from kit.ledger.tombstones import is_forgotten

_FACTS = {column.name for column in payments.c} - {"order_ref"}

_PAYMENT = select(payments).where(payments.c.payment_id == bindparam("wanted"))
_READ_AGAIN = (
    update(events)
    .where(events.c.payment_id == bindparam("known"), events.c.state == "waiting")
    .values(state="stored", due_at_ms=None)
)
# A payment's own message waits for what it was settled in. Without that, two messages of one
# payment would have each other read again for ever.
_READ_OTHERS_AGAIN = _READ_AGAIN.where(events.c.type.not_like("payment.%"))
_RELEASE = update(deliveries).where(
    deliveries.c.depends_on.in_(bindparam("sales", expanding=True)),
    deliveries.c.reason.in_(("awaiting_sale", "original_not_reported")),
)


def record_payment(connection: Connection, facts: Facts, order_ref: str | None) -> None:
    """Keep a payment's facts, and let the messages that waited for them be read again."""
    values = {name: value for name, value in asdict(facts).items() if name in _FACTS}
    upsert(connection, payments, key="payment_id", values=values | {"order_ref": order_ref})
    for subscription_id in facts.subscription_ids:
        record_charge(connection, subscription_id, facts)
    settled = facts.settlement_minor is not None and facts.settlement_currency is not None
    again = _READ_AGAIN if settled else _READ_OTHERS_AGAIN
    connection.execute(again, {"known": facts.payment_id})


def record_charge(connection: Connection, subscription_id: str, facts: Facts) -> None:
    """Keep that a payment charges a subscription; once paid it stays so."""
    key = and_(
        charges.c.subscription_id == subscription_id, charges.c.payment_id == facts.payment_id
    )
    connection.execute(
        insert_or_ignore(connection, charges).values(
            subscription_id=subscription_id,
            payment_id=facts.payment_id,
            paid=facts.paid,
            created_at_ms=facts.created_at_ms,
        )
    )
    if facts.paid:
        connection.execute(update(charges).where(key).values(paid=True))


def record_subscription(connection: Connection, facts: Facts, order_ref: str | None) -> None:
    """Keep who a subscription belongs to, by its own metadata."""
    for subscription_id in facts.subscription_ids:
        values = {
            "subscription_id": subscription_id,
            "order_ref": order_ref,
            "visitor_id": facts.visitor_id,
            "forgotten": facts.forgotten,
        }
        upsert(connection, subscriptions, key="subscription_id", values=values)


def record_recovery(connection: Connection, facts: Facts) -> None:
    """Keep that one payment is another, abandoned one, paid after all."""
    connection.execute(
        insert_or_ignore(connection, recoveries).values(
            recovered_payment_id=facts.recovered_payment_id, payment_id=facts.payment_id
        )
    )


def find_payment(connection: Connection, payment_id: str | None) -> Row | None:
    """Return a payment's facts."""
    found = connection.execute(_PAYMENT, {"wanted": payment_id})
    return found.mappings().one_or_none()


def find_subscription(connection: Connection, subscription_id: str) -> Row | None:
    """Return whose a subscription is."""
    found = connection.execute(
        select(subscriptions).where(subscriptions.c.subscription_id == subscription_id)
    )
    return found.mappings().one_or_none()


def abandoned_payment(connection: Connection, payment_id: str | None) -> Row | None:
    """Return the abandoned payment that this one recovers."""
    found = connection.scalar(
        select(recoveries.c.payment_id).where(recoveries.c.recovered_payment_id == payment_id)
    )
    return find_payment(connection, found) if found is not None else None


def is_charged_before(
    connection: Connection,
    subscription_ids: tuple[str, ...],
    *,
    created_at_ms: int,
    payment_id: str | None,
) -> bool:
    """Tell whether a paid charge of one of the subscriptions came before this one."""
    if not subscription_ids:
        return False
    earlier = or_(
        charges.c.created_at_ms < created_at_ms,
        and_(charges.c.created_at_ms == created_at_ms, charges.c.payment_id < (payment_id or "")),
    )
    found = connection.scalar(
        select(func.count())
        .select_from(charges)
        .where(charges.c.subscription_id.in_(subscription_ids), charges.c.paid, earlier)
    )
    return bool(found)


def related(
    connection: Connection, payment_id: str | None, subscription_ids: tuple[str, ...]
) -> list[Row]:
    """Return what is known of a payment, its subscriptions and their other charges, in this order.

    Each row has a `visitor_id` and an `order_ref`, either of them possibly None.
    """
    charged = charged_subscriptions(connection, payment_id) if payment_id is not None else ()
    names = tuple(dict.fromkeys((*subscription_ids, *charged)))
    nearest = [find_payment(connection, payment_id)]
    nearest += [find_subscription(connection, name) for name in names]
    if not names:
        return [row for row in nearest if row is not None]
    others = connection.execute(
        select(payments)
        .join(charges, charges.c.payment_id == payments.c.payment_id)
        .where(charges.c.subscription_id.in_(names))
        .order_by(payments.c.created_at_ms, payments.c.payment_id)
    )
    return [row for row in nearest if row is not None] + list(others.mappings())


def find_visitor(
    connection: Connection,
    payment_id: str | None,
    subscription_ids: tuple[str, ...],
    checkout: Row | None = None,
) -> tuple[str | None, str | None]:
    """
    Return the visitor of a payment or of what follows it, and where the id came from.

    By payment (its metadata, then its own report), subscription, checkout, abandoned payment. The
    source is "forgotten" where the nearest of them had a visitor who asked to be forgotten.
    """
    near = related(connection, payment_id, subscription_ids)
    abandoned = abandoned_payment(connection, payment_id)
    refs = [row["order_ref"] for row in (*near, abandoned) if row is not None and row["order_ref"]]
    if checkout is None and refs:
        checkout = find_checkout(connection, refs[0])
    sale = find_delivery(connection, payment_id) if payment_id is not None else None
    for row in (*near[:1], sale, *near[1:], checkout, abandoned):
        if row is None:
            continue
        if row["visitor_id"] is not None:
            return row["visitor_id"], row["visitor_source"] if row is sale else "ledger"
        if _is_forgotten(row):
            return None, "forgotten"
    return None, None


def _is_forgotten(row: Row) -> bool:
    """Tell by a row of any table whether its visitor asked to be forgotten."""
    marks = (row.get("visitor_source"), row.get("capture_reason"))
    return bool(row.get("forgotten")) or "forgotten" in marks


def unless_forgotten(connection: Connection, facts: Facts) -> Facts:
    """Return facts as they may be kept: without the person, if the visitor was forgotten."""
    if not is_forgotten(connection, facts.visitor_id):
        return facts
    return replace(facts, visitor_id=None, customer_id=None, forgotten=True)


def charged_subscriptions(connection: Connection, payment_id: str) -> tuple[str, ...]:
    """Return the subscriptions that a payment charges."""
    query = select(charges.c.subscription_id).where(charges.c.payment_id == payment_id)
    return tuple(connection.scalars(query.order_by(charges.c.subscription_id)))


def original_of(
    connection: Connection, payment_id: str | None, *, besides: str | None
) -> Original | None:
    """Return a sale and what was taken back of it, not counting the reversal `besides`."""
    payment = find_payment(connection, payment_id)
    if payment is None or payment["total_minor"] is None or payment["currency"] is None:
        return None
    reversals = connection.execute(
        select(deliveries.c.kind, deliveries.c.amount_minor).where(
            deliveries.c.payment_id == payment_id,
            deliveries.c.kind.in_(("refund", "dispute")),
            deliveries.c.transaction_id != besides,
        )
    ).all()
    original = Original(
        total_minor=payment["total_minor"],
        currency=payment["currency"],
        tax_minor=payment["tax_minor"],
        settlement_minor=payment["settlement_minor"],
        settlement_tax_minor=payment["settlement_tax_minor"],
        settlement_currency=payment["settlement_currency"],
        reversed_minor=sum(amount_minor for _, amount_minor in reversals),
        refunded=any(kind == "refund" for kind, _ in reversals),
        disputed=any(kind == "dispute" for kind, _ in reversals),
    )
    sale = find_delivery(connection, payment_id) if payment_id is not None else None
    return original if sale is None else counted_as(original, sale)


def counted_as(original: Original, sale: Row) -> Original:
    """Return a sale in the figure that it was reported in; a later message may name another."""
    counted_minor = int(Decimal(sale["amount"]).scaleb(exponent(sale["currency"])))
    if sale["basis"] == "settlement":
        return original._replace(
            settlement_minor=counted_minor,
            settlement_tax_minor=0,
            settlement_currency=sale["currency"],
        )
    total_minor = sale["amount_minor"]
    return original._replace(
        total_minor=total_minor, tax_minor=total_minor - counted_minor, currency=sale["currency"]
    )


def is_sale_skipped(connection: Connection, payment_id: str) -> bool:
    """Tell whether a payment was read and found not to count, or cannot count."""
    payment = find_payment(connection, payment_id)
    if payment is not None and (payment["total_minor"] == 0 or payment["is_update_payment_method"]):
        return True
    if (sale := find_delivery(connection, payment_id)) is not None:
        # Another message of it did count, unless DataFast was asked to delete the report.
        return bool(sale["delete_only"])
    found = connection.scalar(
        select(func.count())
        .select_from(events)
        .where(
            events.c.payment_id == payment_id,
            events.c.type == "payment.succeeded",
            events.c.state == "skipped",
        )
    )
    return bool(found)


def is_older_than_ledger(connection: Connection, payment_id: str) -> bool:
    """Tell whether a payment was made before this ledger received its first message."""
    payment = find_payment(connection, payment_id)
    born_ms = connection.scalar(select(func.min(events.c.received_at_ms)))
    return payment is not None and born_ms is not None and payment["created_at_ms"] < born_ms


def drop_dependents(connection: Connection, payment_id: str) -> None:
    """Let the reversals of a sale that does not count be counted neither."""
    if find_delivery(connection, payment_id) is not None:
        return  # another message of it did count
    connection.execute(
        update(deliveries)
        .where(deliveries.c.depends_on == payment_id, deliveries.c.first_sent_at_ms.is_(None))
        .values(state="done", reason="original_not_counted", due_at_ms=None)
    )


def release_dependents(connection: Connection, sales: Sequence[str], now_ms: int) -> None:
    """Let the reversals of sales go, now that these are reported."""
    connection.execute(
        _RELEASE, {"sales": sales, "state": "ready", "reason": "queued", "due_at_ms": now_ms}
    )
