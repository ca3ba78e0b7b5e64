"""The ledger's tables. Moments are UTC milliseconds since 1970; amounts are minor units."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    text,
)

metadata = MetaData()

meta = Table(
    "meta",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

visits = Table(
    "visits",
    metadata,
    Column("visitor_id", Text, primary_key=True),
    Column("first_seen_at_ms", BigInteger, nullable=False, index=True),
    Column("last_pageview_at_ms", BigInteger),
    Column("landing_path", Text),
    Column("referrer_host", Text),
    *(
        Column(name, Text)
        for name in ("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content")
    ),
    *(Column(name, Text) for name in ("ref", "source", "via")),
)

checkouts = Table(
    "checkouts",
    metadata,
    Column("order_ref", Text, primary_key=True),
    # The form's one-time token and a count; null once it no longer leads to this checkout.
    Column("attempt_key", Text, unique=True),
    Column("created_at_ms", BigInteger, nullable=False, index=True),
    Column("product", Text, nullable=False),
    Column("visitor_id", Text, index=True),
    Column("session_id", Text),
    Column("capture_reason", Text, nullable=False),
    Column("capture_source", Text, nullable=False),
    # given, refused, not_asked; null in rows older than the question.
    Column("consent", Text),
    Column("state", Text, nullable=False),  # opening, open, failed
    Column("dodo_session_id", Text, index=True),
    Column("checkout_url", Text),
    Column("returned_at_ms", BigInteger),
    Column("return_visitor_id", Text),
    Column("return_reason", Text),
    # What the return URL claimed; never a link between a payment and an order.
    Column("claimed_payment_id", Text),
    Column("claimed_status", Text),
    Column("payment_id", Text),
    Column("payment_status", Text),
    Column("asked_dodo_at_ms", BigInteger),
)
Index("checkouts_by_payment", checkouts.c.payment_status, checkouts.c.created_at_ms)
Index(
    "checkouts_uncaptured",
    checkouts.c.capture_reason,
    checkouts.c.created_at_ms,
    sqlite_where=checkouts.c.capture_reason != "captured",
    postgresql_where=checkouts.c.capture_reason != "captured",
)
Index(
    "checkouts_failed",
    checkouts.c.created_at_ms,
    sqlite_where=checkouts.c.state == "failed",
    postgresql_where=checkouts.c.state == "failed",
)

events = Table(
    "events",
    metadata,
    Column("webhook_id", Text, primary_key=True),
    Column("source", Text, nullable=False),  # webhook, api
    Column("sent_at_ms", BigInteger, nullable=False),
    Column("received_at_ms", BigInteger, nullable=False),
    Column("body", LargeBinary),
    Column("body_sha256", LargeBinary, nullable=False),
    Column("times_received", Integer, nullable=False),
    Column("bodies_differ", Boolean, nullable=False),
    # stored, waiting (for its payment), mapped, skipped, parked, unreadable
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("due_at_ms", BigInteger),
    Column("attempts", Integer, nullable=False),
    Column("looked_up", Boolean, nullable=False),
    Column("type", Text),
    Column("payment_id", Text),
    Column("order_ref", Text),
    Column("transaction_id", Text),
)
# Partial: a message names neither when it arrives, and the intake should pay for no index.
Index(
    "events_payment",
    events.c.payment_id,
    sqlite_where=events.c.payment_id.is_not(None),
    postgresql_where=events.c.payment_id.is_not(None),
)
Index(
    "events_order",
    events.c.order_ref,
    sqlite_where=events.c.order_ref.is_not(None),
    postgresql_where=events.c.order_ref.is_not(None),
)
Index(
    "events_stored",
    events.c.received_at_ms,
    sqlite_where=events.c.state == "stored",
    postgresql_where=events.c.state == "stored",
)
Index(
    "events_due",
    events.c.due_at_ms,
    sqlite_where=events.c.due_at_ms.is_not(None),
    postgresql_where=events.c.due_at_ms.is_not(None),
)
# What retention may drop: the bodies of what is settled. One text for index and query, since a
# database uses such an index only where it can prove that the one implies the other.
SETTLED_WITH_BODY = text("body IS NOT NULL AND state IN ('mapped', 'skipped', 'unreadable')")
Index(
    "events_with_body",
    events.c.received_at_ms,
    sqlite_where=SETTLED_WITH_BODY,
    postgresql_where=SETTLED_WITH_BODY,
)
# The same of messages; the intake pays for no index. One text for index and query, as above.
READ = text("state <> 'stored'")
Index(
    "events_told",
    *(events.c[name] for name in ("state", "type", "reason")),
    sqlite_where=READ,
    postgresql_where=READ,
)
Index(
    "events_without_order",
    events.c.received_at_ms,
    sqlite_where=events.c.order_ref.is_(None),
    postgresql_where=events.c.order_ref.is_(None),
)
# What became of messages that are no report, and which message became a report.
WITHOUT_REPORT = text("state IN ('parked', 'unreadable', 'skipped')")
Index(
    "events_without_report",
    events.c.state,
    events.c.reason,
    events.c.received_at_ms,
    sqlite_where=WITHOUT_REPORT,
    postgresql_where=WITHOUT_REPORT,
)
Index(
    "events_transaction",
    events.c.transaction_id,
    sqlite_where=events.c.transaction_id.is_not(None),
    postgresql_where=events.c.transaction_id.is_not(None),
)

payments = Table(
    "payments",
    metadata,
    Column("payment_id", Text, primary_key=True),
    Column("order_ref", Text),
    Column("checkout_session_id", Text),
    Column("customer_id", Text),
    Column("brand_id", Text),
    Column("visitor_id", Text),
    Column("status", Text),
    Column("charge_type", Text),
    Column("total_minor", BigInteger),
    Column("tax_minor", BigInteger),
    Column("currency", Text),
    Column("settlement_minor", BigInteger),
    Column("settlement_tax_minor", BigInteger),
    Column("settlement_currency", Text),
    Column("is_update_payment_method", Boolean, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    # True once its visitor asked to be forgotten, so that what follows it names nobody either.
    Column("forgotten", Boolean),
)

# One payment may charge several subscriptions.
charges = Table(
    "charges",
    metadata,
    Column("subscription_id", Text, primary_key=True),
    Column("payment_id", Text, primary_key=True),
    Column("paid", Boolean, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
)

subscriptions = Table(
    "subscriptions",
    metadata,
    Column("subscription_id", Text, primary_key=True),
    Column("order_ref", Text),
    Column("visitor_id", Text),
    Column("forgotten", Boolean),
)

# An abandoned checkout that was paid after all, by another payment.
recoveries = Table(
    "recoveries",
    metadata,
    Column("recovered_payment_id", Text, primary_key=True),
    Column("payment_id", Text, nullable=False),
)

# Event types and payment fields that this version of the kit does not know.
drift = Table(
    "drift",
    metadata,
    Column("kind", Text, primary_key=True),  # type, field
    Column("name", Text, primary_key=True),
    Column("first_seen_at_ms", BigInteger, nullable=False),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("transaction_id", Text, primary_key=True),
    Column("kind", Text, nullable=False),  # sale, refund, dispute, trial
    Column("payment_id", Text, index=True),
    Column("subscription_id", Text),
    Column("order_ref", Text, index=True),
    Column("depends_on", Text, index=True),
    # The report, as it will be sent; frozen at the first send but for the visitor.
    Column("amount", Text, nullable=False),
    Column("currency", Text, nullable=False),
    # What the report takes of its payment, in that payment's currency and minor units.
    Column("amount_minor", BigInteger, nullable=False),
    Column("visitor_id", Text),
    Column("visitor_source", Text, nullable=False),
    Column("visitor_dropped", Boolean, nullable=False),
    Column("customer_id", Text),
    Column("email", Text),
    Column("name", Text),
    Column("renewal", Boolean, nullable=False),
    Column("renewal_proven", Boolean, nullable=False),
    Column("refunded", Boolean, nullable=False),
    Column("is_free_trial", Boolean, nullable=False),
    Column("occurred_at_ms", BigInteger, nullable=False),
    Column("basis", Text, nullable=False),
    Column("exponent_unverified", Boolean, nullable=False),
    Column("drift", Text),
    # Where it stands: held, ready, sending, done, parked. Due means claimable; null means never.
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("verdict", Text),
    Column("message", Text),
    Column("confirmed", Boolean, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("due_at_ms", BigInteger),
    # When a person last had it sent again; the horizon is counted from there.
    Column("replayed_at_ms", BigInteger),
    Column("owner", Text),
    Column("attempts", Integer, nullable=False),
    Column("delete_first", Boolean, nullable=False),
    # Nothing is posted after the delete: the buyer asked to be forgotten there too.
    Column("delete_only", Boolean, nullable=False, server_default=text("false")),
    Column("first_sent_at_ms", BigInteger),
    Column("answered_at_ms", BigInteger),
)
Index(
    "deliveries_due",
    deliveries.c.due_at_ms,
    sqlite_where=deliveries.c.due_at_ms.is_not(None),
    postgresql_where=deliveries.c.due_at_ms.is_not(None),
)
# In brackets, since a text stands as it is between the other conditions.
WITH_PERSON = text("(email IS NOT NULL OR name IS NOT NULL)")
Index(
    "deliveries_with_person",
    deliveries.c.created_at_ms,
    sqlite_where=WITH_PERSON,
    postgresql_where=WITH_PERSON,
)
# The piles that the inspector counts and leafs through, each newest first.
Index(
    "deliveries_piles",
    *(deliveries.c[name] for name in ("state", "verdict", "reason", "currency", "occurred_at_ms")),
)
Index("deliveries_occurred", deliveries.c.occurred_at_ms)
Index(
    "deliveries_drift",
    deliveries.c.created_at_ms,
    sqlite_where=deliveries.c.drift.is_not(None),
    postgresql_where=deliveries.c.drift.is_not(None),
)
DROPPED = text("visitor_dropped")
Index(
    "deliveries_dropped",
    deliveries.c.occurred_at_ms,
    sqlite_where=DROPPED,
    postgresql_where=DROPPED,
)
Index(
    "deliveries_visitor",
    deliveries.c.visitor_id,
    sqlite_where=deliveries.c.visitor_id.is_not(None),
    postgresql_where=deliveries.c.visitor_id.is_not(None),
)

# What metrics and totals count is read from this alone, without the rows.
Index(
    "deliveries_told",
    *(deliveries.c[name] for name in ("kind", "state", "verdict", "reason", "created_at_ms")),
)

lanes = Table(
    "lanes",
    metadata,
    Column("lane", Text, primary_key=True),
    Column("tokens", Float, nullable=False),
    Column("refilled_at_ms", BigInteger, nullable=False),
    Column("not_before_ms", BigInteger, nullable=False),
    Column("paused_reason", Text),
)

refusals = Table(
    "refusals",
    metadata,
    Column("reason", Text, primary_key=True),
    Column("count", Integer, nullable=False),
    Column("last_at_ms", BigInteger, nullable=False),
)

# Visitors who asked to be forgotten, by a keyed hash; asked before every send.
tombstones = Table(
    "tombstones",
    metadata,
    Column("visitor_hash", Text, primary_key=True),
    Column("forgotten_at_ms", BigInteger, nullable=False),
)

# What a person did by hand: one row for each action, without personal data.
interventions = Table(
    "interventions",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("at_ms", BigInteger, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("changed", Integer, nullable=False),
)
