"""How much each row weighs in a metric: what turns any metric into a mean over rows.

With ψ_i the influence of row i, a metric behaves like value + mean(ψ), and var(ψ) / n is its
variance over rows. ψ_i = (n − 1)(θ − θ₋ᵢ), centred, with θ₋ᵢ the metric without row i: the
jackknife's pseudo-values, whose variance is not too small at a few dozen rows, where that of the
influence function itself is (docs/statistics.md has both).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from accord.errors import UsageError, nearest
from accord.evaluation.half_metrics import weighted_halves
from accord.evaluation.metrics import CORRELATIONS, METRICS, is_constant, metric_value

Array = npt.NDArray[np.float64]
Places = npt.NDArray[np.intp]


def influence(
    metric: str, labels: npt.NDArray[Any], predictions: npt.NDArray[Any],
    halves: npt.NDArray[Any] | None = None, positive: int | None = None,
) -> tuple[float, Array]:  # fmt: skip
    """Return a metric, as `accord.evaluation.metrics` computes it, and each row's influence on it.

    Predictions of two cross-fitting halves come from two epochs, whose scales and places may
    differ. A correlation is then that within each half, averaged as in
    `accord.evaluation.heldout.crossfit_value`; accuracy and F1 are of all rows together. The
    influence of rows in a half that is left out of the average is 0; without any other half the value is 0.

    *Source:* Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapter 11 (jackknife).

    Args:
        metric: its name in `accord.evaluation.metrics.METRICS`.
        labels: class indices or values, [n].
        predictions: likewise, [n].
        halves: 0 or 1 for each row, [n]; None where all predictions are of one epoch.
        positive: the class whose F1 is meant; default 1.

    Returns:
        The value, and the influence values [n], whose mean is 0. Both are 0 where a side of a
        correlation is (nearly) constant.

    Raises:
        UsageError: an unknown metric, no rows, or arrays that do not fit.
        AccordError: a number that isn't finite, where the metric is a correlation.

    Example:
        >>> value, each = influence("accuracy", np.array([0, 1, 1, 1]), np.array([0, 1, 1, 0]))
        >>> value, each.tolist()
        (0.75, [0.25, 0.25, 0.25, -0.75])
    """
    if metric not in METRICS:
        raise UsageError(f"unknown metric '{metric}'{nearest(metric, METRICS)}")
    if halves is None or metric not in CORRELATIONS:
        return _whole(metric, labels, predictions, positive)
    if halves.shape != labels.shape:
        raise UsageError(f"halves should be one number a row, [{len(labels)}], got {halves.shape}")
    return _by_half(metric, labels, predictions, halves)


def _whole(
    metric: str, labels: npt.NDArray[Any], predictions: npt.NDArray[Any], positive: int | None
) -> tuple[float, Array]:
    value = metric_value(metric, predictions, labels, positive)
    if metric == "f1" and positive is not None:
        return value, f1_values(labels, predictions, positive)[1]
    return value, VALUES[metric](labels, predictions)[1]


def _by_half(
    metric: str, labels: npt.NDArray[Any], predictions: npt.NDArray[Any], halves: npt.NDArray[Any]
) -> tuple[float, Array]:
    value, each = 0.0, np.zeros(len(labels))
    for rows, weight in weighted_halves(halves):
        part, values = _whole(metric, labels[rows], predictions[rows], None)
        value += weight * part
        each[rows] = values * len(labels) * weight / len(values)
    return value, each


def accuracy_values(labels: npt.NDArray[Any], predictions: npt.NDArray[Any]) -> tuple[Array, Array]:
    """Return accuracies and rows' influence; the jackknife's is that of the mean itself.

    Args:
        labels: [..., n], or what broadcasts to the predictions' shape.
        predictions: [..., n].

    Returns:
        [...] and [..., n]; likewise the functions below.
    """
    hits = (predictions == labels).astype(np.float64)
    value = hits.mean(-1)
    return value, hits - value[..., None]


def f1_values(
    labels: npt.NDArray[Any], predictions: npt.NDArray[Any], positive: int = 1
) -> tuple[Array, Array]:
    """Return a class's F1 and rows' influence.

    With h hits and e predictions plus labels of the class, F1 = 2 Σh / Σe, and
    ψ_i = (n − 1) 2 (h_i Σe − e_i Σh) / (Σe (Σe − e_i)).
    """
    n = predictions.shape[-1]
    is_label, is_prediction = labels == positive, predictions == positive
    hit = (is_label & is_prediction).astype(np.float64)
    either = is_label.astype(np.float64) + is_prediction
    hits, sums = hit.sum(-1, keepdims=True), either.sum(-1, keepdims=True)
    # Where one row is all that a class has, the numerator is 0 as well.
    each = 2 * (n - 1) * _quotient(hit * sums - either * hits, sums * (sums - either))
    return _quotient(2 * hits, sums)[..., 0], each - each.mean(-1, keepdims=True)


def macro_f1_values(labels: npt.NDArray[Any], predictions: npt.NDArray[Any]) -> tuple[Array, Array]:
    """Return the mean F1 of the classes that occur and rows' influence, with the classes that occur
    as they are in all rows."""
    value, each = np.zeros(predictions.shape[:-1]), np.zeros(predictions.shape)
    occurring = np.zeros((*value.shape, 1))
    for c in np.union1d(labels, predictions):
        own, influences = f1_values(labels, predictions, c)
        value, each = value + own, each + influences
        occurring = occurring + ((labels == c) | (predictions == c)).any(-1, keepdims=True)
    return value / occurring[..., 0], each / occurring


def pearson_values(labels: npt.NDArray[Any], predictions: npt.NDArray[Any]) -> tuple[Array, Array]:
    """Return Pearson's r and rows' influence, from each sum of products without one row.

    Without row i, S_xy is S_xy − n/(n − 1) (x_i − x̄)(y_i − ȳ).
    """
    x, y = _centred(predictions), np.broadcast_to(_centred(labels), predictions.shape)
    n = x.shape[-1]
    factor = n / max(n - 1, 1)
    sums = [(a * b).sum(-1, keepdims=True) for a, b in ((x, y), (x, x), (y, y))]
    without = [factor * a * b for a, b in ((x, y), (x, x), (y, y))]
    return _correlation(sums, without, _either_constant(labels, predictions))


def spearman_values(labels: npt.NDArray[Any], predictions: npt.NDArray[Any]) -> tuple[Array, Array]:
    """Return Spearman's ρ and rows' influence, which counts that a row moves the others' ranks.

    ρ = C/√(AB), and to O(1/n²) the C without row i is C − ψ_C(i)/(n − 1), likewise A and B, with
    the influence functions of `rank_moments`.
    """
    moments, each = rank_moments(labels, predictions)
    without = [values / max(predictions.shape[-1] - 1, 1) for values in each]
    return _correlation(moments, without, _either_constant(labels, predictions))


def rank_moments(
    labels: npt.NDArray[Any], predictions: npt.NDArray[Any]
) -> tuple[list[Array], list[Array]]:
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
    x, y = predictions.astype(np.float64), np.broadcast_to(labels, shape).astype(np.float64)
    (u, of_u), (v, of_v) = _mid_distribution(x), _mid_distribution(y)
    moments, influences = [], []
    for a, of_a, b, of_b in ((u, of_u, v, of_v), (u, of_u, u, of_u), (v, of_v, v, of_v)):
        moment = (a * b).mean(-1, keepdims=True)
        moments.append(moment)
        influences.append(a * b + _mean_above(b, *of_a) + _mean_above(a, *of_b) - 3 * moment)
    return moments, influences


VALUES = {
    "accuracy": accuracy_values, "f1": f1_values, "macro_f1": macro_f1_values,
    "pearson": pearson_values, "spearman": spearman_values,
}  # fmt: skip


def _correlation(
    moments: list[Array], without: list[Array], constant: npt.NDArray[np.bool_]
) -> tuple[Array, Array]:
    """Return C/√(AB), and (n − 1) times how far it is above that without each row, centred."""
    n = without[0].shape[-1]
    value = _ratio(*moments)
    each = (n - 1) * (value - _ratio(*(m - one for m, one in zip(moments, without, strict=True))))
    each -= each.mean(-1, keepdims=True)
    constant = np.broadcast_to(constant[..., None], value.shape)
    return np.where(constant, 0.0, value)[..., 0], np.where(constant, 0.0, each)


def _ratio(c: Array, a: Array, b: Array) -> Array:
    """C/√(AB), and 0 where a side does not vary, but for rounding."""
    scale = np.maximum(np.abs(a).max(-1, keepdims=True) * np.abs(b).max(-1, keepdims=True), 1e-300)
    spread = np.sqrt(np.clip(a, 0, None)) * np.sqrt(np.clip(b, 0, None))
    return np.clip(_quotient(c, np.where(spread > 1e-12 * np.sqrt(scale), spread, 0.0)), -1, 1)


def _mid_distribution(x: Array) -> tuple[Array, tuple[Places, Places, Places]]:
    """Return F(x) − ½ with ties in the middle, the sort order, and each row's ties in it.

    Returns:
        [..., n]; the order, and how many rows are below, and not above, each one in sorted order.
    """
    n = x.shape[-1]
    order = np.argsort(x, axis=-1)
    rising = np.take_along_axis(x, order, -1)
    first = np.ones(x.shape, bool)
    first[..., 1:] = rising[..., 1:] > rising[..., :-1]
    last = np.ones(x.shape, bool)
    last[..., :-1] = first[..., 1:]
    places = np.arange(n)
    below = np.maximum.accumulate(np.where(first, places, 0), -1)
    through = np.minimum.accumulate(np.where(last, places + 1, n)[..., ::-1], -1)[..., ::-1]
    middle: Array = np.empty(x.shape)
    np.put_along_axis(middle, order, (below + through) / (2 * n) - 0.5, -1)
    return middle, (order, below, through)


def _mean_above(values: Array, order: Places, below: Places, through: Places) -> Array:
    """Return E_j[w(x_i, x_j) values_j] of values whose mean is 0, by x's order."""
    n = values.shape[-1]
    sums = np.zeros((*values.shape[:-1], n + 1))
    np.cumsum(np.take_along_axis(values, order, -1), -1, out=sums[..., 1:])
    # What is above is what is not below, as all sum to 0; ties count half.
    above = -(np.take_along_axis(sums, below, -1) + np.take_along_axis(sums, through, -1)) / 2
    result: Array = np.empty(values.shape)
    np.put_along_axis(result, order, above / n, -1)
    return result


def _centred(x: npt.NDArray[Any]) -> Array:
    x = x.astype(np.float64)
    return np.asarray(x - x.mean(-1, keepdims=True))


def _either_constant(labels: npt.NDArray[Any], x: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    return np.asarray(is_constant(labels) | is_constant(x))


def _quotient(over: Array, under: Array) -> Array:
    """over / under, and 0 where under is 0."""
    over, under = np.broadcast_arrays(over, under)
    return np.divide(over, under, out=np.zeros(over.shape), where=under != 0)
