"""
Compare Dodo's books with the ledger, and take in what never came.

DataFast has no way to list payments, so the ledger's verdicts stand for what it has.
"""
