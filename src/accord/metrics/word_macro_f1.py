"""The mean of all tags' F1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accord.metrics import f1
from accord.metrics._metric import Metric

if TYPE_CHECKING:
    from accord.metrics._arrays import Array, Floats


def influence(predictions: Array, targets: Array) -> tuple[Floats, Floats]:
    """Return the mean F1 of the tags that occur and rows' influence, with the tags that occur as
    they are in all rows."""
    import numpy as np

    is_word = targets >= 0
    value, each = np.zeros(targets.shape[:-2]), np.zeros(targets.shape[:-1])
    occurring = np.zeros((*value.shape, 1))
    for tag in np.union1d(targets[is_word], predictions[is_word]):
        predicted, wanted = is_word & (predictions == tag), targets == tag
        hit = (predicted & wanted).sum(-1, dtype=np.float64)
        either = predicted.sum(-1, dtype=np.float64) + wanted.sum(-1)
        of_tag, influences = f1.of_counts(hit, either)
        value, each = value + of_tag, each + influences
        occurring = occurring + (either > 0).any(-1, keepdims=True)
    occurring = np.maximum(occurring, 1)
    return value / occurring[..., 0], each / occurring


def word_macro_f1(predictions: Array, targets: Array) -> float:
    """Return the mean of the tags' F1, over those that stand in either array.

    Args:
        predictions: indices of tags, [n, words].
        targets: likewise; -1 behind a row's words.

    Example:
        >>> import numpy as np
        >>> word_macro_f1(np.array([[1, 0, 0]]), np.array([[1, 1, -1]]))
        0.3333333333333333
    """
    return float(influence(predictions, targets)[0])


METRIC = Metric(
    word_macro_f1,
    of="tags",
    meaning="the mean F1 over all tags of words",
    title="macro F1 of words",
    influence=influence,
)
