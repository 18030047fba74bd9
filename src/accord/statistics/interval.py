"""The interval of one run's metric, over the rows that it was evaluated by."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from accord.metrics import get_metric, influence
from accord.statistics.quantile import half_width

LEVEL = 0.95


def rows_interval(
    metric: str,
    labels: npt.NDArray[Any],
    predictions: npt.NDArray[Any],
    halves: npt.NDArray[Any] | None = None,
    positive: int | None = None,
    level: float = LEVEL,
) -> tuple[float, float] | None:
    """Return the interval of a metric over rows alone: other seeds are no part of it.

        θ ± t(1 − level; n − 1) √(var(ψ) / n),

    ψ each row's influence (`accord.metrics.influence`), cut to the metric's range. Of accuracy it
    is the t interval of a mean.

    Args:
        metric: its name.
        labels: class indices or values, [n], and so on, as the metric takes them.
        predictions: likewise.
        halves: the cross-fitting half of each row, [n]; None where there are none.
        positive: the class whose F1 is meant; default 1.
        level: of the interval.

    Returns:
        Its ends; None where rows don't vary, so that nothing is known of other rows.

    Raises:
        UsageError: an unknown metric, or arrays that do not fit.

    Example:
        >>> import numpy as np
        >>> labels = np.array([0, 1] * 50)
        >>> low, high = rows_interval("accuracy", labels, np.zeros(100, dtype=int)) or (0, 0)
        >>> round(low, 3), round(high, 3)
        (0.4, 0.6)
    """
    entry = get_metric(metric)
    value, rows = influence(metric, labels, predictions, halves, positive)
    variance = float(rows.var(ddof=1)) / len(rows) if len(rows) > 1 else 0.0
    if variance <= 0:
        return None
    margin = float(half_width(1 - level, 0.0, 1.0, variance, len(rows) - 1))
    return max(value - margin, entry.lowest), min(value + margin, entry.best)
