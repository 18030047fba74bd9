"""Figures of rows whose candidates are ranked by scores, NaN or -inf after a row's candidates."""

from __future__ import annotations

import numpy as np

from accord.metrics._arrays import Array, Floats, quotient
from accord.metrics._ranks import tied_places


def each_ndcg(scores: Array, grades: Array, cut: float = np.inf) -> Floats:
    """Return each row's NDCG, [..., n], as `accord.metrics.ndcg` has it, over the first `cut`
    ranks."""
    return quotient(_dcg(scores, grades, cut), _dcg(grades, grades, cut))


def _dcg(scores: Array, grades: Array, cut: float) -> Floats:
    ranked, above, through = _by_rank(scores, grades)
    places = np.arange(scores.shape[-1])
    discounts = np.concatenate([[0], np.cumsum((places < cut) / np.log2(places + 2))])
    shared = (discounts[through] - discounts[above]) / (through - above)
    return np.asarray((ranked * shared).sum(-1))


def each_reciprocal_rank(scores: Array, grades: Array) -> Floats:
    """Return each row's reciprocal rank, [..., n], as `accord.metrics.mrr` has it.

    Of `size` candidates of one score, of which some are right, the first that is right stands at j
    in a random order if the j - 1 before it are not and it is: the mean over all orders.
    """
    right, above, through = _by_rank(scores, grades > 0)
    first = right.argmax(-1)[..., None]
    start, stop = (np.take_along_axis(part, first, -1)[..., 0] for part in (above, through))
    inside = np.take_along_axis(np.cumsum(right, -1), stop[..., None] - 1, -1)[..., 0]
    reciprocal, none_yet = np.zeros(start.shape), np.ones(start.shape)
    for j in range(1, int((stop - start).max()) + 1):
        share = np.minimum(inside / np.maximum(stop - start - j + 1, 1), 1.0)
        reciprocal += none_yet * share / (start + j)
        none_yet *= 1 - share
    return reciprocal


def _by_rank(scores: Array, values: Array) -> tuple[Floats, Array, Array]:
    """Return candidates' values in falling order of their scores, and where their ties stand.

    Returns:
        Values, 0 after the candidates; and of each of them how many candidates have a higher
        score, and how many no lower one; [..., n, most] each.
    """
    falling = np.where(np.isnan(scores), np.inf, -scores.astype(np.float64))
    order, above, through = tied_places(falling)
    known = np.nan_to_num(values.astype(np.float64))
    return np.take_along_axis(known, order, -1), above, through


def mean_influence(each: Floats) -> tuple[Floats, Floats]:
    """Return the mean of rows' figures [..., n], and each row's influence on it."""
    mean = each.mean(-1)
    return mean, each - mean[..., None]
