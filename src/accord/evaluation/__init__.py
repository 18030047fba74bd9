"""Predictions, metrics, and verdicts over runs."""
