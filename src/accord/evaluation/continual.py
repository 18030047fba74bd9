"""How well a model learns task after task: what it knows in the end, and what it forgot.

R[s][j] is the metric of task j after stage s, on held-out rows. Stages may train several tasks, and
a task in several stages: it counts as finished after the last stage that trains it. A task that no
stage trains, as it was finished before the run, is in the average accuracy alone: what it was at
its best isn't known here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

Matrix = Sequence[Mapping[str, float]]
"""R: for each stage the metric of every task that was evaluated after it."""

Trained = Sequence[Sequence[str]]
"""For each stage the tasks that it trains."""


def average_accuracy(matrix: Matrix) -> float:
    """Return the mean over all tasks j of R[T][j], T the last stage.

    *Source:* Lopez-Paz & Ranzato 2017, Gradient Episodic Memory, equation 2.

    Example:
        >>> average_accuracy([{"a": 0.9}, {"a": 0.5, "b": 0.75}])
        0.625
    """
    return fmean(matrix[-1].values())


def forgetting(matrix: Matrix, trained: Trained) -> float | None:
    """Return the mean over finished tasks j of max over l < T of R[l][j] − R[T][j].

    *Source:* Chaudhry et al. 2018, Riemannian Walk for Incremental Learning, section 4, equation 3.
    There each stage trains one task.

    Returns:
        None where no task is finished before the last stage.

    Example:
        >>> forgetting([{"a": 0.75}, {"a": 0.5, "b": 0.75}], [["a"], ["b"]])
        0.25
    """
    lost = [
        max(row[name] for row in matrix[:-1] if name in row) - matrix[-1][name]
        for name in _last_stages(trained, matrix)
    ]
    return fmean(lost) if lost else None


def backward_transfer(matrix: Matrix, trained: Trained) -> float | None:
    """Return the mean over finished tasks j of R[T][j] − R[j][j], R[j][j] as j was finished.

    *Source:* Lopez-Paz & Ranzato 2017, Gradient Episodic Memory, equation 3. There the sum is over
    all tasks but the last, one per stage.

    Returns:
        None where no task is finished before the last stage.

    Example:
        >>> backward_transfer([{"a": 0.5}, {"a": 0.75, "b": 0.75}], [["a"], ["b"]])
        0.25
    """
    gained = [
        matrix[-1][name] - matrix[stage][name]
        for name, stage in _last_stages(trained, matrix).items()
    ]
    return fmean(gained) if gained else None


def _last_stages(trained: Trained, matrix: Matrix) -> dict[str, int]:
    """Return the last stage that trains each task, except those that the very last one trains."""
    last = {name: stage for stage, names in enumerate(trained) for name in names}
    return {
        name: stage for name, stage in last.items()
        if stage < len(trained) - 1 and name in matrix[-1]
    }  # fmt: skip
