"""The mean of all classes' F1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accord.metrics import f1
from accord.metrics._constant import usual_constant
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


def set_influence(predictions: Array, targets: Array) -> tuple[Floats, Floats]:
    """Return the mean F1 of all labels and rows' influence."""
    import numpy as np

    value, each = f1.influence(np.moveaxis(predictions, -1, 0), np.moveaxis(targets, -1, 0), 1)
    return value.mean(0), each.mean(0)


def macro_f1(predictions: Array, targets: Array) -> float:
    """Return the mean of the classes' F1, over those that stand in either array.

    Of label sets it is over all labels: one that stands in neither array counts 0.

    Example:
        >>> import numpy as np
        >>> macro_f1(np.array([0, 0, 0, 0]), np.array([0, 0, 1, 2]))
        0.2222222222222222
    """
    if targets.ndim > 1:
        return float(set_influence(predictions, targets)[0])
    import numpy as np

    both, places = np.unique(np.stack([predictions, targets]), return_inverse=True)
    predicted, right = places.reshape(2, -1)
    hits = np.bincount(predicted[predicted == right], minlength=len(both))
    return float((2 * hits / np.bincount(places.ravel())).mean())


def constant(targets: Array) -> Array:
    """Return the class that occurs most; of label sets, all labels that occur.

    Of n rows a class with m of them has F1 = 2m / (n + m).
    """
    import numpy as np

    return np.any(targets, axis=0) if targets.ndim > 1 else usual_constant("classes", targets)


METRIC = Metric(
    macro_f1,
    of="classes",
    meaning="the mean F1 over all classes",
    title="macro F1",
    influence=influence,
    set_influence=set_influence,
    constant=constant,
)
