"""Comparing two sets of runs on the same rows: estimate, interval, verdict (docs/statistics.md)."""
