"""How differences, intervals and what another verdict would take read, wherever they are shown."""

from __future__ import annotations

from accord.statistics.crossed import Difference
from accord.statistics.planning import detectable, rows_needed, seeds_needed
from accord.statistics.verdict import Verdict

MARKS = {"better": " ▲", "worse": " ▼", "as good": " ≈", "learnt nothing": " ·"}
"""A sign behind a figure for each kind of verdict that says something."""

_POINT = 0.01
_MOST_POINTS = 50  # a difference that no two models of use have


def interval_words(verdict: Verdict, form: str = "+z.3f") -> str:
    """Say the interval that a verdict goes by."""
    return f"{verdict.low:{form}} to {verdict.high:{form}}"


def seeds_words(difference: Difference, level: float) -> str:
    """Say how many seeds a side would show a true difference of one point, 4 times in 5; where no
    number of them does, how many rows.

    Args:
        difference: whose variances count.
        level: of the interval.
    """
    seeds = seeds_needed(difference, level, _POINT)
    if seeds is not None:
        return f"{seeds} seeds"
    rows = rows_needed(difference, level, _POINT)
    return "over 100 seeds and more rows" if rows is None else f"{rows:,} rows"


def explanation(difference: Difference, verdict: Verdict) -> str | None:
    """Say what a verdict that leaves a question open rests on, and what would close it.

    Returns:
        None for a verdict whose interval says all.
    """
    if verdict.kind in ("identical", "learnt nothing") or difference.degenerate:
        return f"{verdict.word}: {verdict.explanation}."
    if verdict.kind != "no difference shown":
        return None
    least = 100 * detectable(difference, verdict.level)
    shown = f"a true difference of {least:.1f} points would have been shown 4 times in 5"
    if least > _MOST_POINTS:
        shown = "so few runs and rows could hardly have shown any difference"
    return (
        f"{shown}; to show one of 1 point 4 times in 5 takes about"
        f" {seeds_words(difference, verdict.level)}."
    )
