"""Prove which marketing brought which payment: Dodo Payments checkouts, measured in DataFast."""

__version__ = "0.1.0"
