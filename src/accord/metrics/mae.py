"""The mean distance of ranks."""

from __future__ import annotations

import numpy as np

from accord.metrics._metric import Array, Floats, Metric


def influence(predictions: Array, targets: Array) -> tuple[Floats, Floats]:
    """Return minus the mean distances and rows' influence; the jackknife's is that of a mean."""
    each = -np.abs(predictions.astype(np.float64) - targets)
    value = each.mean(-1)
    return value, each - value[..., None]


def mae(predictions: Array, targets: Array) -> float:
    """Return −Σ|p − t| / n, p and t ranks.

    Example:
        >>> mae(np.array([0, 2, 2]), np.array([0, 1, 2]))
        -0.3333333333333333
    """
    return float(influence(predictions, targets)[0])


METRIC = Metric(
    mae,
    of="ranks",
    meaning="minus the mean absolute error, in ranks",
    title="MAE (negative)",
    lowest=-np.inf,
    best=0.0,
    influence=influence,
    constant=lambda targets: np.quantile(targets, 0.5, method="inverted_cdf"),
)
