"""How well the first ten candidates are ranked by their grades."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accord.metrics._metric import Metric

if TYPE_CHECKING:
    from accord.metrics._arrays import Array, Floats


def influence(predictions: Array, targets: Array) -> tuple[Floats, Floats]:
    """Return NDCG@10 and rows' influence; the jackknife's is that of the mean itself."""
    from accord.metrics._ranked import each_ndcg, mean_influence

    return mean_influence(each_ndcg(predictions, targets, 10))


def ndcg_at_10(predictions: Array, targets: Array) -> float:
    """Return `accord.metrics.ndcg` with ranks beyond the tenth counting nothing, as scikit-learn's
    `ndcg_score` with `k=10` has it; arguments as there.

    DCG@10 = Σ_{r ≤ 10} grade_r / log2(r + 1), over that of the best order.

    *Source:* Järvelin & Kekäläinen 2002, Cumulated gain-based evaluation of IR techniques.

    Example:
        >>> import numpy as np
        >>> scores, grades = np.arange(12.0)[None], np.eye(12)
        >>> [round(ndcg_at_10(scores, grades[i : i + 1]), 4) for i in (1, 2, 10, 11)]
        [0.0, 0.2891, 0.6309, 1.0]
    """
    return float(influence(predictions, targets)[0])


METRIC = Metric(
    ndcg_at_10,
    of="scores",
    meaning="NDCG of the first ten ranks",
    title="NDCG@10",
    influence=influence,
)
