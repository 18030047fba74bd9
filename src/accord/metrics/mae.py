"""The mean distance of ranks."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from accord.metrics._metric import Metric

if TYPE_CHECKING:
    from accord.metrics._arrays import Array, Floats


def influence(predictions: Array, targets: Array) -> tuple[Floats, Floats]:
    """Return minus the mean distances and rows' influence; the jackknife's is that of a mean."""
    import numpy as np

    each = -np.abs(predictions.astype(np.float64) - targets)
    value = each.mean(-1)
    return value, each - value[..., None]


def mae(predictions: Array, targets: Array) -> float:
    """Return −Σ|p − t| / n, p and t ranks.

    Example:
        >>> import numpy as np
        >>> mae(np.array([0, 2, 2]), np.array([0, 1, 2]))
        -0.3333333333333333
    """
    return float(influence(predictions, targets)[0])


def constant(targets: Array) -> Array:
    """Return the median rank, of two the lower."""
    import numpy as np

    return np.asarray(np.quantile(targets, 0.5, method="inverted_cdf"))


METRIC = Metric(
    mae,
    of="ranks",
    meaning="minus the mean absolute error, in ranks",
    title="MAE (negative)",
    lowest=-inf,
    best=0.0,
    influence=influence,
    constant=constant,
)
