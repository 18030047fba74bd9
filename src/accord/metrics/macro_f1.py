"""The mean of all classes' F1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accord.metrics import f1
from accord.metrics._metric import Metric

if TYPE_CHECKING:
    from accord.metrics._arrays import Array, Floats


def influence(predictions: Array, targets: Array) -> tuple[Floats, Floats]:
    """Return the mean F1 of the classes that occur and rows' influence, with the classes that occur
    as they are in all rows."""
    import numpy as np

    value, each = np.zeros(predictions.shape[:-1]), np.zeros(predictions.shape)
    occurring = np.zeros((*value.shape, 1))
    for c in np.union1d(targets, predictions):
        of_class, influences = f1.influence(predictions, targets, c)
        value, each = value + of_class, each + influences
        occurring = occurring + ((targets == c) | (predictions == c)).any(-1, keepdims=True)
    return value / occurring[..., 0], each / occurring


def macro_f1(predictions: Array, targets: Array) -> float:
    """Return the mean of the classes' F1, over those that stand in either array.

    Example:
        >>> import numpy as np
        >>> macro_f1(np.array([0, 0, 0, 0]), np.array([0, 0, 1, 2]))
        0.2222222222222222
    """
    from sklearn.metrics import f1_score

    return float(f1_score(targets, predictions, average="macro", zero_division=0))


# Of n rows a class with m of them has F1 = 2m / (n + m): the most frequent class is the best.
METRIC = Metric(
    macro_f1,
    of="classes",
    meaning="the mean F1 over all classes",
    title="macro F1",
    influence=influence,
)
