"""Agreement of ranks beyond chance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accord.metrics._metric import Metric

if TYPE_CHECKING:
    from accord.metrics._arrays import Array, Floats


def influence(predictions: Array, targets: Array) -> tuple[Floats, Floats]:
    """Return kappas and rows' influence, from each sum without one row."""
    import numpy as np

    p, t = np.broadcast_arrays(predictions.astype(np.float64), targets.astype(np.float64))
    n = p.shape[-1]
    each = [(p - t) ** 2, p**2 + t**2, p, t]
    sums = [part.sum(-1, keepdims=True) for part in each]
    value = _kappa(n, *sums)
    without = _kappa(n - 1, *(total - part for total, part in zip(sums, each, strict=True)))
    influences = (n - 1) * (value - without)
    return value[..., 0], influences - influences.mean(-1, keepdims=True)


def quadratic_kappa(predictions: Array, targets: Array) -> float:
    """Return κ = 1 − Σ(p_i − t_i)² / (Σ_ij (p_i − t_j)² / n), p and t ranks.

    What is below is the square expected of predictions that look at no text. It is 0 where all
    predictions and targets are one rank: κ is 0/0 there.

    *Source:* Cohen 1968, Weighted kappa, with squares of the distance as weights. Classes that
    stand in neither array keep their rank: scikit-learn's `cohen_kappa_score` is the same where its
    `labels` name all of them.

    Example:
        >>> import numpy as np
        >>> quadratic_kappa(np.array([0, 1, 2, 2]), np.array([0, 1, 2, 1]))
        0.8
    """
    return float(influence(predictions, targets)[0])


def _kappa(n: int, squares: Floats, both: Floats, p: Floats, t: Floats) -> Floats:
    import numpy as np

    from accord.metrics._arrays import quotient

    expected = n * both - 2 * p * t
    return np.where(expected != 0, 1 - quotient(n * squares, expected), 0.0)


METRIC = Metric(
    quadratic_kappa,
    of="ranks",
    meaning="Cohen's kappa with the squares of ranks' distances as weights",
    title="quadratic kappa",
    lowest=-1,
    influence=influence,
)
