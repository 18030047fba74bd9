"""How differences, numbers and lists read, wherever they are shown."""

from __future__ import annotations

from collections.abc import Sequence

from accord.statistics.crossed import Difference
from accord.statistics.planning import detectable, rows_needed, seeds_needed
from accord.statistics.verdict import Verdict

MARKS = {"better": " ▲", "worse": " ▼", "as good": " ≈", "learnt nothing": " ·"}
"""A sign after a figure for each kind of verdict that says something."""

_POINT = 0.01
_MOST_POINTS = 50  # a difference larger than any two useful models have


def interval_words(verdict: Verdict, form: str = "+z.3f") -> str:
    """Say the interval that a verdict goes by."""
    return f"{verdict.low:{form}} to {verdict.high:{form}}"


def interval_in_points(verdict: Verdict) -> str:
    """Say the interval that a verdict goes by, in hundredths of the metric."""
    return f"{points(verdict.low)} to {points(verdict.high)}"


def seeds_words(difference: Difference, level: float) -> str:
    """Say how many seeds per side would show a true difference of one point, 4 times in 5; where no
    number of them does, how many rows.

    Args:
        difference: whose variances count; where they are not known, '–' is said.
        level: of the interval.
    """
    if not difference.seeds_known or difference.degenerate:
        return "–"
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
    needed = seeds_words(difference, verdict.level)
    about = "" if needed.startswith("over") else "about "
    return f"{shown}; to show one of 1 point 4 times in 5 takes {about}{needed}."


def joined(names: Sequence[str]) -> str:
    """Return names as a sentence lists them.

    Example:
        >>> joined(["a"]), joined(["a", "b"]), joined(["a", "b", "c"])
        ('a', 'a and b', 'a, b and c')
    """
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def points(value: float, sign: bool = True) -> str:
    """Return a share of a metric in points, hundredths of it; below 0.1 with two places.

    Example:
        >>> points(0.012), points(-0.0004), points(0.01, sign=False)
        ('+1.2', '−0.04', '1.0')
    """
    number = 100 * value
    places = 1 if abs(number) >= 0.1 or number == 0 else 2
    text = f"{number:+z.{places}f}" if sign else f"{number:.{places}f}"
    return text.replace("-", "−")


def in_points(value: float) -> str:
    """Return a share of a metric with its unit.

    Example:
        >>> in_points(0.01), in_points(0.005)
        ('1.0 point', '0.5 points')
    """
    text = points(value, sign=False)
    return f"{text} point{'' if text == '1.0' else 's'}"


def percent(level: float) -> str:
    """Return a level as a percentage, with as many places as it has, at most two.

    Example:
        >>> percent(0.95), percent(1 - 0.05 / 3)
        ('95 %', '98.33 %')
    """
    return f"{100 * level:.2f}".rstrip("0").rstrip(".") + " %"


def probability(p: float | None) -> str:
    """Return a p value.

    Example:
        >>> probability(0.0312), probability(1e-6), probability(None)
        ('0.031', '< 0.001', '–')
    """
    if p is None:
        return "–"
    return "< 0.001" if p < 0.001 else f"{p:z.3f}"


def runs_of_each(runs: tuple[int, int]) -> str:
    """Return how many runs either side has.

    Example:
        >>> runs_of_each((5, 5)), runs_of_each((5, 3))
        ('5', '5 and 3')
    """
    one, other = runs
    return f"{one}" if one == other else f"{one} and {other}"
