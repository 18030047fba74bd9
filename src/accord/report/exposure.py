"""How much of a task two groups of runs were shown, and whether that is alike."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from accord.report.record import RunRecord

TOLERANCE = 0.005
"""By what share of the larger of two exposures the other may be smaller, and still be alike."""

EXPOSURE_KEYS = ("training.batching", "training.examples", "training.steps_per_epoch")
"""Keys of a config that matter to a task alone by how much of it they show, and no further."""


class Runs(Protocol):
    """Runs that differ in their seed alone, as `accord.comparison.group.Group`."""

    @property
    def name(self) -> str:
        """As it is shown."""

    @property
    def runs(self) -> Sequence[RunRecord]:
        """By seed."""


class Compared(Protocol):
    """A task alone and in a shared model, as `accord.comparison.sharing.SharingVerdict`."""

    @property
    def task(self) -> str:
        """Its name."""

    @property
    def alone(self) -> Runs:
        """Runs of it alone."""

    @property
    def together(self) -> Runs:
        """Runs of the shared model."""


@dataclass(frozen=True)
class Exposure:
    """What a group's runs were shown of a task, means over the runs.

    Attributes:
        examples: each as often as it came.
        tokens: that the encoder read for them; a frozen encoder reads each row once.
        steps: in which the task had examples.
    """

    examples: float
    tokens: float
    steps: float


def exposure_of(group: Runs, task: str) -> Exposure:
    """Return what a group's runs were shown of a task."""
    seen = [run.results["exposure"][task] for run in group.runs]
    return Exposure(
        *(statistics.fmean(float(entry[key]) for entry in seen) for key in ("examples", "tokens",
                                                                        "steps"))
    )  # fmt: skip


def alike(n: float, m: float) -> bool:
    """Return whether two numbers of examples are alike: |n - m| <= `TOLERANCE` max(n, m).

    Example:
        >>> alike(1000, 1005), alike(1000, 1006), alike(0, 1)
        (True, False, False)
    """
    return abs(n - m) <= TOLERANCE * max(n, m)


def exposure_distance(one: Runs, other: Runs, task: str) -> float:
    """Return |log(n / m)| of the examples of a task that two groups were shown; 0 if alike."""
    n, m = (exposure_of(side, task).examples for side in (one, other))
    if alike(n, m):
        return 0.0
    return abs(math.log(n / m)) if min(n, m) > 0 else math.inf


def exposure_notes(verdicts: Iterable[Compared]) -> list[str]:
    """Return a line for each task whose exposure alone is not that in the shared model."""
    return list(dict.fromkeys(
        _note(verdict) for verdict in verdicts
        if exposure_distance(verdict.alone, verdict.together, verdict.task) > 0
    ))  # fmt: skip


def _note(compared: Compared) -> str:
    alone, together = (
        exposure_of(group, compared.task).examples for group in (compared.alone, compared.together)
    )
    return (
        f"NOT LIKE FOR LIKE: {compared.task} had {alone:,.0f} examples alone and {together:,.0f} in"
        f" {compared.together.name} ({_ratio(together, alone)}); the difference may come from"
        " exposure, not from sharing."
    )


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
