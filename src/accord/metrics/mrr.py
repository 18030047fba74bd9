"""How high the first relevant candidate is ranked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accord.metrics._metric import Metric

if TYPE_CHECKING:
    from accord.metrics._arrays import Array, Floats


def influence(predictions: Array, targets: Array) -> tuple[Floats, Floats]:
    """Return MRR and rows' influence; the jackknife's is that of the mean itself."""
    from accord.metrics._ranked import each_reciprocal_rank, mean_influence

    return mean_influence(each_reciprocal_rank(predictions, targets))


def mrr(predictions: Array, targets: Array) -> float:
    """Return the mean over rows of 1 / r, r the rank of the first candidate whose grade is above 0.

    Candidates of one score have the mean over all orders of them. A row without such a candidate
    counts 0.

    *Source:* Voorhees 1999, The TREC-8 question answering track report.

    Args:
        predictions: scores [n, most]; NaN or -inf after a row's candidates.
        targets: grades [n, most]; NaN after them.

    Example:
        >>> import numpy as np
        >>> scores = np.array([[0.9, 0.1, 0.5], [2.0, 1.0, np.nan]])
        >>> mrr(scores, np.array([[0, 1, 2], [1, 0, np.nan]]))
        0.75
    """
    return float(influence(predictions, targets)[0])


METRIC = Metric(
    mrr,
    of="scores",
    meaning="the mean of 1 / rank of the first candidate whose grade is above 0",
    title="MRR",
    influence=influence,
)
