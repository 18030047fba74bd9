"""The best that a prediction can be that never looks at the text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from accord.errors import UsageError, nearest
from accord.evaluation.metrics import CORRELATIONS, METRICS, metric_value


@dataclass(frozen=True)
class Constant:
    """A constant prediction.

    Attributes:
        value: its metric.
        label: the class index; None for a regression, where any constant is as good.
    """

    value: float
    label: int | None

    def name(self, labels: Sequence[str]) -> str:
        """Return what a table calls it: which of the labels it always says."""
        return "a constant" if self.label is None else f"always '{labels[self.label]}'"

    def remark(self, metric: str, value: float, labels: Sequence[str]) -> str:
        """Return what has to be said of a figure that is no better; nothing where it is.

        Example:
            >>> Constant(0.75, 1).remark("accuracy", 0.75, ["fraud", "ok"])
            "accuracy 0.7500 is no better than always saying 'ok'"
        """
        if value > self.value:
            return ""
        said = "any constant" if self.label is None else f"always saying '{labels[self.label]}'"
        return f"{metric} {value:.4f} is no better than {said}"


def best_constant(metric: str, labels: npt.NDArray[Any], positive: int | None = None) -> Constant:
    """Return the best constant prediction on labels.

    It is the class that occurs most, of several the first; F1's is the class that it is of. A
    correlation with a constant counts as 0.

    Args:
        metric: its name in `accord.evaluation.metrics.METRICS`.
        labels: class indices or values, [n].
        positive: the class whose F1 is meant; default 1.

    Raises:
        UsageError: an unknown metric, or no labels.

    Example:
        >>> best_constant("accuracy", np.array([0, 1, 1, 1]))
        Constant(value=0.75, label=1)
    """
    if metric not in METRICS:
        raise UsageError(f"unknown metric '{metric}'{nearest(metric, METRICS)}")
    if labels.size == 0:
        raise UsageError("there are no labels to take a constant prediction from")
    if metric in CORRELATIONS:
        return Constant(0.0, None)
    classes = labels.astype(np.int64)
    # Of n rows a class with m of them has F1 = 2m / (n + m): macro F1 is highest for the majority.
    label = int(np.bincount(classes).argmax())
    if metric == "f1":
        label = 1 if positive is None else positive
    return Constant(metric_value(metric, np.full(labels.shape, label), classes, positive), label)
