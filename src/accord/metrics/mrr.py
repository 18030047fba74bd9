"""How far down the first candidate stands that is right."""

from __future__ import annotations

import numpy as np

from accord.metrics._metric import Array, Floats, Metric
from accord.metrics._ranked import by_rank, mean_influence


def each_mrr(predictions: Array, targets: Array) -> Floats:
    """Return each row's reciprocal rank, [..., n]."""
    ranked, above, through = by_rank(predictions, targets > 0)
    before = np.cumsum(ranked, -1)
    first = ((before >= 1) & (ranked > 0)).argmax(-1)[..., None]
    start, stop = (np.take_along_axis(part, first, -1)[..., 0] for part in (above, through))
    inside = np.take_along_axis(before, stop[..., None].astype(int) - 1, -1)[..., 0]
    # In a random order of `size` tied candidates, `inside` of them right, the first that is right
    # stands at j with the probability that the j - 1 before it are not, times that it is.
    size, reciprocal, none_yet = stop - start, np.zeros(first.shape[:-1]), np.ones(start.shape)
    for j in range(1, int(size.max()) + 1):
        left = np.maximum(size - j + 1, 1)
        share = np.minimum(inside / left, 1.0)
        reciprocal += none_yet * share / (start + j)
        none_yet = none_yet * (1 - share)
    return np.where(inside > 0, reciprocal, 0.0)


def mrr(predictions: Array, targets: Array) -> float:
    """Return the mean over rows of 1 / r, r the rank of the first candidate whose grade is above 0.

    Candidates of one score have the mean over all orders of them. A row without such a candidate
    counts 0.

    *Source:* Voorhees 1999, The TREC-8 question answering track report.

    Args:
        predictions: scores [n, most]; NaN or -inf behind a row's candidates.
        targets: grades [n, most]; NaN behind them.

    Example:
        >>> mrr(np.array([[0.9, 0.1, 0.5], [2.0, 1.0, np.nan]]), np.array([[0, 1, 2], [1, 0, np.nan]]))
        0.75
    """
    return float(each_mrr(predictions, targets).mean())


METRIC = Metric(
    mrr,
    of="scores",
    meaning="the mean of 1 / rank of the first candidate whose grade is above 0",
    title="MRR",
    influence=mean_influence(each_mrr),
)
