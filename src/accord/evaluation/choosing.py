"""By which rows a model is chosen: all of dev, or one half of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from torch import Tensor

from accord.data.loader import TaskData
from accord.evaluation.dev import counted
from accord.evaluation.inference import task_metric
from accord.evaluation.thresholds import Halves, moved_by


@dataclass(frozen=True)
class HalfResult:
    """A model as one half of dev evaluates it.

    Attributes:
        logits: of all dev rows of each task, float32 [rows, outputs].
        sum: of the metrics of the tasks that count, on the half's rows.
    """

    logits: Sequence[Tensor]
    sum: float


def half_result(
    data: Sequence[TaskData],
    logits: Sequence[Tensor],
    halves: Sequence[Halves],
    half: int,
    finished: Collection[str] = (),
) -> HalfResult:
    """Evaluate a model as `accord.evaluation.dev.evaluate_all` does, on one half of the rows.

    A task without rows in that half doesn't count. Thresholds are those that the half chooses.

    Args:
        data: the dev split of each task.
        logits: of all its rows.
        halves: of its rows.
        half: 0 or 1.
        finished: tasks that no model is chosen by.
    """
    names = {
        task.name
        for task in counted([split.task for split in data if split.task.name not in finished])
    }
    total = 0.0
    for split, part, which in zip(data, logits, halves, strict=True):
        rows = which == half
        if split.task.name in names and rows.any():
            moved = moved_by(split, part, rows)
            total += task_metric(split.task, split.labels[rows], moved[rows])
    return HalfResult(logits, total)


def first_best(sums: Sequence[float]) -> int:
    """Return the index of the largest sum, of equals the first: the paper's rule for epochs.

    *Source:* Xiao & Lin, BERT Mastery: Explore Multitask Learning, section 4: the model with the
    best sum of dev metrics.

    Example:
        >>> first_best([0.5, 0.75, 0.75])
        1
    """
    return max(range(len(sums)), key=lambda i: sums[i])
