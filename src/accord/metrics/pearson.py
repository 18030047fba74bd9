"""The linear correlation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accord.metrics._metric import Metric

if TYPE_CHECKING:
    from accord.metrics._arrays import Array, Floats


def influence(predictions: Array, targets: Array) -> tuple[Floats, Floats]:
    """Return Pearson's r and rows' influence, from each sum of products without one row.

    Without row i, S_xy is S_xy − n/(n − 1) (x_i − x̄)(y_i − ȳ).
    """
    import numpy as np

    from accord.metrics._correlation import either_constant, of_moments

    x, y = _centred(predictions), np.broadcast_to(_centred(targets), predictions.shape)
    n = x.shape[-1]
    factor = n / max(n - 1, 1)
    sums = [(a * b).sum(-1, keepdims=True) for a, b in ((x, y), (x, x), (y, y))]
    without = [factor * a * b for a, b in ((x, y), (x, x), (y, y))]
    return of_moments(sums, without, either_constant(predictions, targets))


def pearson(predictions: Array, targets: Array) -> float:
    """Return r = Σ(x−x̄)(y−ȳ) / √(Σ(x−x̄)² Σ(y−ȳ)²).

    Example:
        >>> import numpy as np
        >>> round(pearson(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 4.0])), 4)
        0.982
    """
    from scipy.stats import pearsonr

    from accord.metrics._correlation import correlation

    return correlation(pearsonr, predictions, targets)


def _centred(x: Array) -> Floats:
    x = x.astype(float)
    centred: Floats = x - x.mean(-1, keepdims=True)
    return centred


METRIC = Metric(
    pearson,
    of="values",
    meaning="the linear correlation",
    lowest=-1,
    scale_free=True,
    influence=influence,
)
