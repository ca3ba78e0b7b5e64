"""Local stand-ins for Dodo Payments and DataFast that judge the kit.

They speak HTTP and share nothing with the rest of the package: their own signer, tables and
currency list, so that a mistake in the kit cannot hide behind the same mistake here.
"""
