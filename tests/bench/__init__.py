"""Benchmarks: each runs both sides in one go and prints their ratios."""
