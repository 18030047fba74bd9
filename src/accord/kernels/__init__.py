"""Numerical operations, each beside its reference: products, dropout, attention."""
