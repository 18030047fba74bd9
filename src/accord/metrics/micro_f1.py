"""F1 of all labels' predictions together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accord.metrics import f1
from accord.metrics._metric import Metric

if TYPE_CHECKING:
    from accord.metrics._arrays import Array, Floats


def influence(predictions: Array, targets: Array) -> tuple[Floats, Floats]:
    """Return F1 over all pairs of row and label, and rows' influence."""
    import numpy as np

    hit = (predictions.astype(bool) & targets.astype(bool)).sum(-1, dtype=np.float64)
    return f1.of_counts(hit, predictions.sum(-1, dtype=np.float64) + targets.sum(-1))


def micro_f1(predictions: Array, targets: Array) -> float:
    """Return F1 = 2PR / (P + R), P and R over all pairs of row and label; 0 where there are none.

    Example:
        >>> import numpy as np
        >>> micro_f1(np.array([[1, 1], [0, 0]]), np.array([[1, 0], [1, 0]]))
        0.5
    """
    return float(influence(predictions, targets)[0])


def constant(targets: Array) -> Array:
    """Return the k labels that occur most, with the k at which they are the best constant."""
    import numpy as np

    counts = targets.sum(0, dtype=np.int64)
    order = np.argsort(-counts, kind="stable")
    k = np.arange(1, len(counts) + 1)
    value = 2 * counts[order].cumsum() / (len(targets) * k + counts.sum())
    return np.isin(np.arange(len(counts)), order[: value.argmax() + 1])


METRIC = Metric(
    micro_f1,
    of="label_sets",
    meaning="F1 over all pairs of row and label",
    title="micro F1",
    influence=influence,
    constant=constant,
)
