-- The tables of schema 1, as the kit that wrote it made them.

CREATE TABLE charges (
	subscription_id TEXT NOT NULL,
	payment_id TEXT NOT NULL,
	paid BOOLEAN NOT NULL,
	created_at_ms BIGINT NOT NULL,
	PRIMARY KEY (subscription_id, payment_id)
);

CREATE TABLE checkouts (
	order_ref TEXT NOT NULL,
	attempt_key TEXT,
	created_at_ms BIGINT NOT NULL,
	product TEXT NOT NULL,
	visitor_id TEXT,
	session_id TEXT,
	capture_reason TEXT NOT NULL,
	capture_source TEXT NOT NULL,
	state TEXT NOT NULL,
	dodo_session_id TEXT,
	checkout_url TEXT,
	returned_at_ms BIGINT,
	return_visitor_id TEXT,
	return_reason TEXT,
	claimed_payment_id TEXT,
	claimed_status TEXT,
	payment_id TEXT,
	payment_status TEXT,
	asked_dodo_at_ms BIGINT,
	PRIMARY KEY (order_ref),
	UNIQUE (attempt_key)
);

CREATE INDEX ix_checkouts_created_at_ms ON checkouts (created_at_ms);

CREATE INDEX ix_checkouts_dodo_session_id ON checkouts (dodo_session_id);

CREATE INDEX ix_checkouts_visitor_id ON checkouts (visitor_id);

CREATE TABLE deliveries (
	transaction_id TEXT NOT NULL,
	kind TEXT NOT NULL,
	payment_id TEXT,
	subscription_id TEXT,
	order_ref TEXT,
	depends_on TEXT,
	amount TEXT NOT NULL,
	currency TEXT NOT NULL,
	amount_minor BIGINT NOT NULL,
	visitor_id TEXT,
	visitor_source TEXT NOT NULL,
	visitor_dropped BOOLEAN NOT NULL,
	customer_id TEXT,
	email TEXT,
	name TEXT,
	renewal BOOLEAN NOT NULL,
	renewal_proven BOOLEAN NOT NULL,
	refunded BOOLEAN NOT NULL,
	is_free_trial BOOLEAN NOT NULL,
	occurred_at_ms BIGINT NOT NULL,
	basis TEXT NOT NULL,
	exponent_unverified BOOLEAN NOT NULL,
	drift TEXT,
	state TEXT NOT NULL,
	reason TEXT NOT NULL,
	verdict TEXT,
	message TEXT,
	confirmed BOOLEAN NOT NULL,
	created_at_ms BIGINT NOT NULL,
	due_at_ms BIGINT,
	owner TEXT,
	attempts INTEGER NOT NULL,
	delete_first BOOLEAN NOT NULL,
	first_sent_at_ms BIGINT,
	answered_at_ms BIGINT,
	PRIMARY KEY (transaction_id)
);

CREATE INDEX deliveries_due ON deliveries (due_at_ms) WHERE due_at_ms IS NOT NULL;

CREATE INDEX ix_deliveries_depends_on ON deliveries (depends_on);

CREATE INDEX ix_deliveries_order_ref ON deliveries (order_ref);

CREATE INDEX ix_deliveries_payment_id ON deliveries (payment_id);

CREATE TABLE drift (
	kind TEXT NOT NULL,
	name TEXT NOT NULL,
	first_seen_at_ms BIGINT NOT NULL,
	PRIMARY KEY (kind, name)
);

CREATE TABLE events (
	webhook_id TEXT NOT NULL,
	source TEXT NOT NULL,
	sent_at_ms BIGINT NOT NULL,
	received_at_ms BIGINT NOT NULL,
	body BYTEA,
	body_sha256 BYTEA NOT NULL,
	times_received INTEGER NOT NULL,
	bodies_differ BOOLEAN NOT NULL,
	state TEXT NOT NULL,
	reason TEXT NOT NULL,
	due_at_ms BIGINT,
	attempts INTEGER NOT NULL,
	looked_up BOOLEAN NOT NULL,
	type TEXT,
	payment_id TEXT,
	order_ref TEXT,
	transaction_id TEXT,
	PRIMARY KEY (webhook_id)
);

CREATE INDEX events_due ON events (due_at_ms) WHERE due_at_ms IS NOT NULL;

CREATE INDEX events_stored ON events (received_at_ms) WHERE state = 'stored';

CREATE INDEX events_without_order ON events (received_at_ms) WHERE order_ref IS NULL;

CREATE INDEX ix_events_order_ref ON events (order_ref);

CREATE INDEX ix_events_payment_id ON events (payment_id);

CREATE TABLE lanes (
	lane TEXT NOT NULL,
	tokens FLOAT NOT NULL,
	refilled_at_ms BIGINT NOT NULL,
	not_before_ms BIGINT NOT NULL,
	paused_reason TEXT,
	PRIMARY KEY (lane)
);

CREATE TABLE meta (
	name TEXT NOT NULL,
	value TEXT NOT NULL,
	PRIMARY KEY (name)
);

CREATE TABLE payments (
	payment_id TEXT NOT NULL,
	order_ref TEXT,
	checkout_session_id TEXT,
	customer_id TEXT,
	brand_id TEXT,
	visitor_id TEXT,
	status TEXT,
	charge_type TEXT,
	total_minor BIGINT,
	tax_minor BIGINT,
	currency TEXT,
	settlement_minor BIGINT,
	settlement_tax_minor BIGINT,
	settlement_currency TEXT,
	is_update_payment_method BOOLEAN NOT NULL,
	created_at_ms BIGINT NOT NULL,
	PRIMARY KEY (payment_id)
);

CREATE TABLE recoveries (
	recovered_payment_id TEXT NOT NULL,
	payment_id TEXT NOT NULL,
	PRIMARY KEY (recovered_payment_id)
);

CREATE TABLE refusals (
	reason TEXT NOT NULL,
	count INTEGER NOT NULL,
	last_at_ms BIGINT NOT NULL,
	PRIMARY KEY (reason)
);

CREATE TABLE subscriptions (
	subscription_id TEXT NOT NULL,
	order_ref TEXT,
	visitor_id TEXT,
	PRIMARY KEY (subscription_id)
);

CREATE TABLE visits (
	visitor_id TEXT NOT NULL,
	first_seen_at_ms BIGINT NOT NULL,
	last_pageview_at_ms BIGINT,
	landing_path TEXT,
	referrer_host TEXT,
	utm_source TEXT,
	utm_medium TEXT,
	utm_campaign TEXT,
	utm_term TEXT,
	utm_content TEXT,
	ref TEXT,
	source TEXT,
	via TEXT,
	PRIMARY KEY (visitor_id)
);

CREATE INDEX ix_visits_first_seen_at_ms ON visits (first_seen_at_ms);
