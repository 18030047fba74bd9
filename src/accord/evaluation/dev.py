"""How good a model is on all dev splits at once."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from accord.data.loader import TaskData
from accord.evaluation.thresholds import evaluate_dev
from accord.kinds import kind_of
from accord.metrics import Score, overall_score
from accord.tasks import Task


@dataclass(frozen=True)
class DevResult:
    """A model on every task's dev split.

    Attributes:
        logits: of each task, float32 [rows, ...].
        metrics: each task's own, by name; those of tasks without labels only where there are no
            others, as they say nothing of these.
        figures: all that fit each task's kind, by name.
        score: overall, as the config asks for.
        sum: of the metrics of the tasks that are trained, by which the paper chooses its best
            model.
    """

    logits: Sequence[Tensor]
    metrics: dict[str, float]
    figures: dict[str, dict[str, float]]
    score: float
    sum: float

    def record(self) -> dict[str, Any]:
        """Return its entry in the results."""
        return {
            "metrics": self.metrics, "sum": self.sum, "score": self.score, "figures": self.figures,
        }  # fmt: skip


def evaluate_all(
    data: Sequence[TaskData], logits: Sequence[Tensor], kind: Score, finished: Collection[str] = ()
) -> DevResult:
    """Compare each task's logits with its dev split's labels.

    Args:
        data: the dev split of each task.
        logits: of its rows.
        kind: of the overall score.
        finished: tasks that no model is chosen by.
    """
    evaluated = {
        split.task.name: evaluate_dev(split, part) for split, part in zip(data, logits, strict=True)
    }
    names = {task.name: task.metric for task in counted([split.task for split in data])}
    metrics = {name: evaluated[name].metric for name in names}
    figures = {name: evaluation.figures for name, evaluation in evaluated.items()}
    trained = counted([split.task for split in data if split.task.name not in finished])
    total = sum(evaluated[task.name].metric for task in trained)
    return DevResult(logits, metrics, figures, overall_score(kind, metrics, names), total)


def counted(tasks: Sequence[Task]) -> list[Task]:
    """Return the tasks by which a model is evaluated: those with labels, or all if none has any."""
    labelled = [task for task in tasks if task.labelled]
    return labelled or list(tasks)


def are_finite(data: Sequence[TaskData], logits: Sequence[Tensor]) -> bool:
    """Whether a model gives numbers for the rows of each task's split."""
    return not any(
        bool(kind_of(split.task).failed(part).any())
        for split, part in zip(data, logits, strict=True)
    )
