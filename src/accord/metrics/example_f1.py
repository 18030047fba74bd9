"""The mean of rows' F1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accord.metrics._metric import Metric

if TYPE_CHECKING:
    from accord.metrics._arrays import Array, Floats


def influence(predictions: Array, targets: Array) -> tuple[Floats, Floats]:
    """Return means of rows' F1, and rows' influence; the jackknife's is that of the mean itself."""
    import numpy as np

    from accord.metrics._arrays import quotient

    hit = (predictions.astype(bool) & targets.astype(bool)).sum(-1, dtype=np.float64)
    each = quotient(2 * hit, predictions.sum(-1, dtype=np.float64) + targets.sum(-1))
    value = each.mean(-1)
    return value, each - value[..., None]


def example_f1(predictions: Array, targets: Array) -> float:
    """Return Σ_i 2|P_i ∩ T_i| / (|P_i| + |T_i|) / n, P_i and T_i a row's labels.

    A row without a label that is given none counts 0, as scikit-learn has it by default
    (`average="samples"`); so data with such rows have a best below 1.

    Example:
        >>> import numpy as np
        >>> example_f1(np.array([[1, 1], [0, 0]]), np.array([[1, 0], [1, 0]]))
        0.3333333333333333
    """
    return float(influence(predictions, targets)[0])


def constant(targets: Array) -> Array:
    """Return the best set of labels for all rows.

    Of k labels it has those with the largest Σ_i T_il / (k + |T_i|), for the best of all k.
    """
    import numpy as np

    labels, sizes = targets.shape[1], targets.sum(1, dtype=np.int64)
    of_size = np.stack([targets[sizes == size].sum(0) for size in range(labels + 1)])
    best, value = np.zeros(labels, bool), -1.0
    for k in range(1, labels + 1):
        gains = (1 / (k + np.arange(labels + 1))) @ of_size
        chosen = np.argsort(-gains, kind="stable")[:k]
        if gains[chosen].sum() > value:
            best, value = np.isin(np.arange(labels), chosen), gains[chosen].sum()
    return best


METRIC = Metric(
    example_f1,
    of="label_sets",
    meaning="the mean of rows' F1",
    title="example F1",
    influence=influence,
    constant=constant,
)
