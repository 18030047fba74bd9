"""How much of a task two groups of runs have seen, and whether the amounts are equal."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from accord.comparison.group import Group

if TYPE_CHECKING:
    from accord.comparison.sharing import SharingPair

TOLERANCE = 0.005
"""The relative difference up to which two exposures count as equal."""

EXPOSURE_KEYS = ("training.batching", "training.examples", "training.steps_per_epoch")
"""Config keys that affect a single-task run only through its exposure."""


def within_tolerance(n: float, m: float) -> bool:
    """Return whether two numbers of examples count as equal: |n - m| <= `TOLERANCE` max(n, m).

    Example:
        >>> within_tolerance(1000, 1005), within_tolerance(1000, 1006), within_tolerance(0, 1)
        (True, False, False)
    """
    return abs(n - m) <= TOLERANCE * max(n, m)


def exposure_distance(one: Group, other: Group, task: str) -> float:
    """Return |log(n / m)| of the examples of a task that two groups were shown; 0 if alike."""
    n, m = one.exposure(task), other.exposure(task)
    if within_tolerance(n, m):
        return 0.0
    return abs(math.log(n / m)) if min(n, m) > 0 else math.inf


def exposure_words(pair: SharingPair) -> str | None:
    """Say how many examples a task saw alone and in the shared model; None where both are equal."""
    alone, together = (group.exposure(pair.task) for group in (pair.alone, pair.together))
    if within_tolerance(alone, together):
        return None
    return (
        f"{pair.task} had {alone:,.0f} examples alone and {together:,.0f} in {pair.model}"
        f" ({_ratio(together, alone)})"
    )


def exposure_notes(pairs: Iterable[SharingPair]) -> list[str]:
    """Return a line for each task that saw other amounts alone than in the shared model."""
    unlike = dict.fromkeys(filter(None, map(exposure_words, pairs)))
    return [
        f"NOT LIKE FOR LIKE: {words}; the difference may come from exposure, not from sharing."
        for words in unlike
    ]


def stopped_exposure_notes(groups: Iterable[Group], baseline: Group) -> list[str]:
    """Return a line for each group that early stopping let see another amount than a baseline of
    the same tasks."""
    notes = []
    for group in groups:
        amounts = {task: (group.exposure(task), baseline.exposure(task)) for task in group.tasks}
        unlike = {task: pair for task, pair in amounts.items() if not within_tolerance(*pair)}
        if unlike and any(run.stopped_early for run in (*group.runs, *baseline.runs)):
            amounts_text = ", ".join(
                f"{task} {n:,.0f} and {m:,.0f} examples" for task, (n, m) in unlike.items()
            )
            notes.append(
                f"NOT LIKE FOR LIKE: runs stopped early, {group.name} and {baseline.name} had"
                f" {amounts_text}; the difference may come from exposure."
            )
    return notes


def _ratio(together: float, alone: float) -> str:
    """Say how many of one there are by the other.

    Example:
        >>> _ratio(7856, 2000), _ratio(2020, 2000), _ratio(500, 2000)
        ('3.9 times as many', '1.0 % more', '75.0 % fewer')
    """
    if alone == 0 or together >= 1.5 * alone:
        return f"{together / alone if alone else math.inf:.1f} times as many"
    change = 100 * (together / alone - 1)
    return f"{abs(change):.1f} % {'more' if change > 0 else 'fewer'}"
