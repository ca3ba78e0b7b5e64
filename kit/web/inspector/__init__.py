"""The inspector: every visit, checkout, event and delivery as one timeline of hops."""
