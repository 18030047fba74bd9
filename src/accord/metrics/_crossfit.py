"""A metric of rows whose predictions come from two cross-fitting halves, and rows' influence on it.

Two epochs' values of a regression may differ in scale and offset, which a correlation over all rows
would take for error. A metric that is free of scale is computed within each half,

    m = Σ_h (n_h / Σ n_h) m_h, h the halves that have at least two rows,

and is 0 if there is none. Any other is computed over both halves at once.

*Source:* Stone 1974, Cross-validatory choice and assessment of statistical predictions, for
choosing and assessing on different rows; Chernozhukov et al. 2018, Double/debiased machine
learning, for the two folds that change places, and their name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from accord.errors import UsageError
from accord.metrics._metric import Metric
from accord.metrics._registry import get_metric

if TYPE_CHECKING:
    from accord.metrics._arrays import Array, Floats

LEAST_ROWS = 2
"""A cross-fitting half with fewer rows has no correlation, and no part in the metric."""


def crossfit_value(
    metric: str,
    labels: Array,
    predictions: Array,
    halves: Array | None = None,
    positive: int | None = None,
) -> float:
    """Return the metric of predictions whose halves come from two choices.

    Labelled test rows, which one model predicts, are one half.

    Args:
        metric: its name.
        labels: class indices or values [n], or label sets [n, labels].
        predictions: as the metric takes them, [n] or [n, classes].
        halves: 0 or 1 for each row [n]; None where all predictions are of one epoch.
        positive: the class that is meant; default 1.

    Raises:
        UsageError: an unknown metric, no rows, or arrays that do not fit.
        AccordError: a number that isn't finite.

    Example:
        >>> import numpy as np
        >>> labels, halves = np.array([1.0, 2.0, 1.0, 2.0]), np.array([0, 0, 1, 1], dtype=np.int8)
        >>> crossfit_value("pearson", labels, np.array([1.0, 2.0, 11.0, 12.0]), halves)
        1.0
    """
    entry = get_metric(metric)
    return sum(
        (
            weight * entry(predictions[rows], labels[rows], positive)
            for rows, weight in _parts(entry, labels, halves)
        ),
        start=0.0,
    )


def influence(
    metric: str,
    labels: Array,
    predictions: Array,
    halves: Array | None = None,
    positive: int | None = None,
) -> tuple[float, Floats]:
    """Return `crossfit_value`, and each row's influence on it.

    The influence of rows in a half that is left out of the average is 0.

    Returns:
        The value, and the influence values [n], whose mean is 0. Both are 0 where a side of a
        correlation is (nearly) constant.

    Example:
        >>> import numpy as np
        >>> value, each = influence("accuracy", np.array([0, 1, 1, 1]), np.array([0, 1, 1, 0]))
        >>> value, each.tolist()
        (0.75, [0.25, 0.25, 0.25, -0.75])
    """
    import numpy as np

    wanted, each = get_metric(metric), np.zeros(len(labels))
    value = crossfit_value(metric, labels, predictions, halves, positive)
    for rows, weight in _parts(wanted, labels, halves):
        values = wanted.influences(predictions[rows], labels[rows], positive)
        each[rows] = values * len(labels) * weight / len(values)
    return value, each


def _parts(
    metric: Metric, labels: Array, halves: Array | None
) -> Iterator[tuple[Array | slice, float]]:
    """Yield the rows that a metric is taken within, and what it weighs; the weights sum to 1."""
    import numpy as np

    if halves is None or not metric.scale_free:
        yield slice(None), 1.0
        return
    if halves.shape != labels.shape[:1]:
        raise UsageError(
            f"halves should be one number per row, [{len(labels)}], got {halves.shape}"
        )
    masks = [halves == half for half in np.unique(halves)]
    if len(masks) < 2:
        yield slice(None), 1.0
        return
    masks = [mask for mask in masks if mask.sum() >= LEAST_ROWS]
    total = sum(int(mask.sum()) for mask in masks)
    yield from ((mask, int(mask.sum()) / total) for mask in masks)
