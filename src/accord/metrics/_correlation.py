"""What correlations have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from accord.metrics._arrays import Array, Bools, Floats, quotient


def correlation(
    correlate: Callable[[Array, Array], Any], predictions: Array, targets: Array
) -> float:
    """Return what scipy's `correlate` gives.

    A side that is constant, up to rounding, gives 0.0, and so do fewer than two examples: the
    formula is 0/0 there, but a collapsed head tells nothing about its targets, and a NaN would
    spoil the sum of metrics by which the best epoch is chosen.
    """
    if either_constant(predictions, targets):
        return 0.0
    return float(correlate(predictions.astype(np.float64), targets.astype(np.float64)).statistic)


def of_moments(
    moments: list[Floats], without: list[Floats], constant: Bools
) -> tuple[Floats, Floats]:
    """Return C/√(AB), and (n − 1) times how far it is above that without each row, centred.

    Args:
        moments: C, A and B, [..., 1].
        without: what each of them loses without each row, [..., n].
        constant: where a side is, [...].
    """
    n = without[0].shape[-1]
    value = _ratio(*moments)
    each = (n - 1) * (value - _ratio(*(m - one for m, one in zip(moments, without, strict=True))))
    each -= each.mean(-1, keepdims=True)
    constant = np.broadcast_to(constant[..., None], value.shape)
    return np.where(constant, 0.0, value)[..., 0], np.where(constant, 0.0, each)


def either_constant(predictions: Array, targets: Array) -> Bools:
    """Return whether a side varies so little along its last axis that r would be mere rounding.

    Example:
        >>> bool(either_constant(np.array([1.0, 1.0 + 1e-13]), np.array([1.0, 2.0])))
        True
    """
    return np.asarray(_is_constant(predictions) | _is_constant(targets))


def _is_constant(x: Array) -> Bools:
    x = np.asarray(x, dtype=np.float64)
    return np.asarray(np.ptp(x, axis=-1) <= 1e-11 * np.abs(x).max(-1))


def _ratio(c: Floats, a: Floats, b: Floats) -> Floats:
    """C/√(AB), and 0 where a side does not vary, but for rounding."""
    scale = np.maximum(np.abs(a).max(-1, keepdims=True) * np.abs(b).max(-1, keepdims=True), 1e-300)
    spread = np.sqrt(np.clip(a, 0, None)) * np.sqrt(np.clip(b, 0, None))
    return np.clip(quotient(c, np.where(spread > 1e-12 * np.sqrt(scale), spread, 0.0)), -1, 1)
