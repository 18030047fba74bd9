"""F1 of one class."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accord.metrics._metric import Metric

if TYPE_CHECKING:
    from accord.metrics._arrays import Array, Floats


def influence(predictions: Array, targets: Array, positive: int) -> tuple[Floats, Floats]:
    """Return a class's F1 and rows' influence."""
    is_target, is_prediction = targets == positive, predictions == positive
    return of_counts(
        (is_target & is_prediction).astype(float), is_target.astype(float) + is_prediction
    )


def of_counts(hit: Floats, either: Floats) -> tuple[Floats, Floats]:
    """Return F1 and rows' influence from each row's hits h, and predictions plus targets e.

    F1 = 2 Σh / Σe, and ψ_i = (n − 1) 2 (h_i Σe − e_i Σh) / (Σe (Σe − e_i)).
    """
    from accord.metrics._arrays import quotient

    n = hit.shape[-1]
    hits, sums = hit.sum(-1, keepdims=True), either.sum(-1, keepdims=True)
    # Where one row is all that a class has, the numerator is 0 as well.
    each = 2 * (n - 1) * quotient(hit * sums - either * hits, sums * (sums - either))
    return quotient(2 * hits, sums)[..., 0], each - each.mean(-1, keepdims=True)


def f1(predictions: Array, targets: Array, positive: int) -> float:
    """Return F1 = 2PR / (P + R) of one class, P its precision, R its recall; 0 where both are.

    Example:
        >>> import numpy as np
        >>> f1(np.array([1, 1, 0, 0]), np.array([1, 0, 1, 0]), 1)
        0.5
    """
    is_target, is_prediction = targets == positive, predictions == positive
    either = is_target.sum() + is_prediction.sum()
    return float(2 * (is_target & is_prediction).sum() / either) if either else 0.0


METRIC = Metric(
    f1,
    of="classes",
    meaning="F1 of the class `positive`",
    title="F1",
    one_class=True,
    influence=influence,
    constant=lambda targets, positive: positive,
)
