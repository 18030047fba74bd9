"""How well candidates are ranked by their grades."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accord.metrics._metric import Metric

if TYPE_CHECKING:
    from accord.metrics._arrays import Array, Floats


def influence(predictions: Array, targets: Array) -> tuple[Floats, Floats]:
    """Return NDCG and rows' influence; the jackknife's is that of the mean itself."""
    from accord.metrics._ranked import each_ndcg, mean_influence

    return mean_influence(each_ndcg(predictions, targets))


def ndcg(predictions: Array, targets: Array) -> float:
    """Return the mean over rows of DCG / DCG of the best order, DCG = Σ_r grade_r / log2(r + 1).

    r is the rank, counted from 1, over all candidates. Candidates of one score share the mean of
    what their ranks count, as scikit-learn's `ndcg_score` has it: the same as the mean over all
    orders of them. A row whose grades are all 0 counts 0.

    *Source:* Järvelin & Kekäläinen 2002, Cumulated gain-based evaluation of IR techniques, with
    grades as gains; McSherry & Najork 2008, Computing information retrieval performance measures
    efficiently in the presence of tied scores.

    Args:
        predictions: scores [n, most]; NaN or -inf after a row's candidates.
        targets: grades from 0, [n, most]; NaN after them.

    Example:
        >>> import numpy as np
        >>> round(ndcg(np.array([[0.9, 0.1, 0.5]]), np.array([[0.0, 1.0, 2.0]])), 4)
        0.6697
    """
    return float(influence(predictions, targets)[0])


METRIC = Metric(
    ndcg,
    of="scores",
    meaning="normalised discounted cumulative gain over all candidates, grades as gains",
    title="NDCG",
    influence=influence,
)
