"""Numbers in their order, with those that are equal; moments of ranks, and influence on them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from accord.metrics._arrays import Array, Floats

Places = npt.NDArray[np.intp]


def tied_places(x: Floats) -> tuple[Places, Places, Places]:
    """Return the order of numbers along the last axis, and the places of each one's ties.

    Args:
        x: [..., n], without NaN.

    Returns:
        The places of `x` in rising order, [..., n]; and of each number in that order, how many are
        below it, and how many are not above it.

    Example:
        >>> [each.tolist() for each in tied_places(np.array([3.0, 1.0, 3.0]))]
        [[1, 0, 2], [0, 1, 1], [1, 3, 3]]
    """
    n = x.shape[-1]
    order = np.argsort(x, axis=-1, kind="stable")
    rising = np.take_along_axis(x, order, -1)
    first = np.ones(x.shape, bool)
    first[..., 1:] = rising[..., 1:] > rising[..., :-1]
    last = np.ones(x.shape, bool)
    last[..., :-1] = first[..., 1:]
    places = np.arange(n)
    below = np.maximum.accumulate(np.where(first, places, 0), -1)
    through = np.minimum.accumulate(np.where(last, places + 1, n)[..., ::-1], -1)[..., ::-1]
    return order, below, through


def rank_moments(predictions: Array, targets: Array) -> tuple[list[Floats], list[Floats]]:
    """Return the covariance C of the sides' ranks, their variances A and B, and rows' influence.

    With mid-distribution functions U = F(x), V = G(y), C = E[(U−½)(V−½)] has the influence function

        (U_i−½)(V_i−½) − C  +  E_j[w(x_i, x_j)(V_j−½)] − C  +  E_j[w(y_i, y_j)(U_j−½)] − C,

    w(a, b) = 1 where a < b, ½ where they are equal; A has the same with V = U, B with U = V.
    Sorting and cumulative sums give all of it in O(n log n).

    *Source:* Croux & Dehon 2010, Influence functions of the Spearman and Kendall correlation
    measures, section 2; with ties by mid-ranks.

    Returns:
        C, A, B, each [..., 1], and their influence functions, each [..., n].
    """
    shape = predictions.shape
    x, y = predictions.astype(np.float64), np.broadcast_to(targets, shape).astype(np.float64)
    (u, of_u), (v, of_v) = _mid_distribution(x), _mid_distribution(y)
    moments, influences = [], []
    for a, of_a, b, of_b in ((u, of_u, v, of_v), (u, of_u, u, of_u), (v, of_v, v, of_v)):
        moment = (a * b).mean(-1, keepdims=True)
        moments.append(moment)
        influences.append(a * b + _mean_above(b, *of_a) + _mean_above(a, *of_b) - 3 * moment)
    return moments, influences


def _mid_distribution(x: Floats) -> tuple[Floats, tuple[Places, Places, Places]]:
    """Return F(x) − ½ with ties in the middle, the sort order, and each row's ties in it.

    Returns:
        [..., n]; the order, and how many rows are below, and not above, each one in sorted order.
    """
    order, below, through = tied_places(x)
    middle: Floats = np.empty(x.shape)
    np.put_along_axis(middle, order, (below + through) / (2 * x.shape[-1]) - 0.5, -1)
    return middle, (order, below, through)


def _mean_above(values: Floats, order: Places, below: Places, through: Places) -> Floats:
    """Return E_j[w(x_i, x_j) values_j] of values whose mean is 0, by x's order."""
    n = values.shape[-1]
    sums = np.zeros((*values.shape[:-1], n + 1))
    np.cumsum(np.take_along_axis(values, order, -1), -1, out=sums[..., 1:])
    # What is above is what is not below, as all sum to 0; ties count half.
    above = -(np.take_along_axis(sums, below, -1) + np.take_along_axis(sums, through, -1)) / 2
    result: Floats = np.empty(values.shape)
    np.put_along_axis(result, order, above / n, -1)
    return result
