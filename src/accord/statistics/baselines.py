"""The best that a prediction can be that never looks at the text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from accord.errors import UsageError, nearest
from accord.judging.metrics import CORRELATIONS, METRICS, f1


@dataclass(frozen=True)
class Constant:
    """A constant prediction.

    Attributes:
        value: its metric.
        name: for a table: 'majority class', 'always one class' or 'a constant'.
        label: the class index; None for a regression, where any constant is as good.
    """

    value: float
    name: str
    label: int | None


def best_constant(metric: str, labels: npt.NDArray[Any], classes: int | None = None) -> Constant:
    """Return the best constant prediction on labels.

    Accuracy's is the class that occurs most; F1's is whichever class gives the highest, by the
    same F1; a correlation with a constant counts as 0. Of equally good classes the first is taken.

    Args:
        metric: its name in `accord.judging.metrics.METRICS`.
        labels: class indices or values, [n].
        classes: how many the task has.

    Raises:
        UsageError: an unknown metric, or no labels.

    Example:
        >>> best_constant("accuracy", np.array([0, 1, 1, 1]))
        Constant(value=0.75, name='majority class', label=1)
    """
    if metric not in METRICS:
        raise UsageError(f"unknown metric '{metric}'{nearest(metric, METRICS)}")
    if labels.size == 0:
        raise UsageError("there are no labels to take a constant prediction from")
    if metric in CORRELATIONS:
        return Constant(0.0, "a constant", None)
    if metric == "accuracy":
        counts = np.bincount(labels.astype(np.int64))
        label = int(counts.argmax())
        return Constant(float(counts[label] / len(labels)), "majority class", label)
    count = max(int(classes or labels.max() + 1), 2)
    values = [f1(np.full(labels.shape, c), labels.astype(np.int64), count) for c in range(count)]
    label = int(np.argmax(values))
    return Constant(values[label], "always one class", label)
