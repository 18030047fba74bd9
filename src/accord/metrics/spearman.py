"""The correlation of ranks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accord.metrics._metric import Metric

if TYPE_CHECKING:
    from accord.metrics._arrays import Array, Floats


def influence(predictions: Array, targets: Array) -> tuple[Floats, Floats]:
    """Return Spearman's ρ and rows' influence, which counts that a row moves the others' ranks.

    ρ = C/√(AB), and to O(1/n²) the C without row i is C − ψ_C(i)/(n − 1), likewise A and B, with
    the influence functions of `rank_moments`.
    """
    from accord.metrics._correlation import either_constant, of_moments
    from accord.metrics._ranks import rank_moments

    moments, each = rank_moments(predictions, targets)
    without = [values / max(predictions.shape[-1] - 1, 1) for values in each]
    return of_moments(moments, without, either_constant(predictions, targets))


def spearman(predictions: Array, targets: Array) -> float:
    """Return Pearson's r of the ranks, ties sharing their mean rank.

    Example:
        >>> import numpy as np
        >>> spearman(np.array([1.0, 2.0, 30.0]), np.array([1.0, 2.0, 4.0]))
        1.0
    """
    from scipy.stats import spearmanr

    from accord.metrics._correlation import correlation

    return correlation(spearmanr, predictions, targets)


METRIC = Metric(
    spearman,
    of="values",
    meaning="the correlation of ranks",
    lowest=-1,
    scale_free=True,
    influence=influence,
)
