"""How well candidates are ranked by their grades."""

from __future__ import annotations

import numpy as np

from accord.metrics._metric import Array, Floats, Metric, quotient
from accord.metrics._ranked import by_rank, mean_influence


def each_ndcg(predictions: Array, targets: Array) -> Floats:
    """Return each row's NDCG, [..., n]."""
    return quotient(_dcg(predictions, targets), _dcg(targets, targets))


def ndcg(predictions: Array, targets: Array) -> float:
    """Return the mean over rows of DCG / DCG of the best order, DCG = Σ_r grade_r / log2(r + 1).

    r is the rank, counted from 1, over all candidates. Candidates of one score share the mean of
    what their ranks count, as scikit-learn's `ndcg_score` has it: the same as the mean over all
    orders of them. A row whose grades are all 0 counts 0.

    *Source:* Järvelin & Kekäläinen 2002, Cumulated gain-based evaluation of IR techniques, with
    grades as gains; McSherry & Najork 2008, Computing information retrieval performance measures
    efficiently in the presence of tied scores.

    Args:
        predictions: scores [n, most]; NaN or -inf behind a row's candidates.
        targets: grades from 0, [n, most]; NaN behind them.

    Example:
        >>> round(ndcg(np.array([[0.9, 0.1, 0.5]]), np.array([[0.0, 1.0, 2.0]])), 4)
        0.6697
    """
    return float(each_ndcg(predictions, targets).mean())


def _dcg(scores: Array, grades: Array) -> Floats:
    ranked, above, through = by_rank(scores, grades)
    discounts = np.concatenate([[0], np.cumsum(1 / np.log2(np.arange(scores.shape[-1]) + 2))])
    shared = discounts[through.astype(int)] - discounts[above.astype(int)]
    return np.asarray((ranked * shared / (through - above)).sum(-1))


METRIC = Metric(
    ndcg,
    of="scores",
    meaning="normalised discounted cumulative gain over all candidates, grades as gains",
    title="NDCG",
    influence=mean_influence(each_ndcg),
)
