"""The half-width of an interval whose variance has a part over seeds and one over rows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

LEAST_P = 1e-100


def half_width(
    p: float, seed_variance: Any, seed_freedom: Any, row_variance: Any, row_freedom: Any
) -> Array:
    """Return half the width of the interval of level 1 − p.

        [V_S t(p; ν_S) + V_R t(p; ν_R)] / √(V_S + V_R),

    t(p; ν) being exceeded in absolute value with probability p: the standard error times the
    mean of both parts' quantiles, weighted by the variances. Where one part is 0 it is a plain
    t interval.

    *Source:* Cochran & Cox 1957, Experimental Designs, section 4.14; Cochran 1964, Biometrics 20,
    191–195. Why not one t with Satterthwaite's degrees of freedom: docs/statistics.md.

    Args:
        p: in (0, 1].
        seed_variance: V_S, and the others, numbers or arrays that fit each other.
        seed_freedom: ν_S.
        row_variance: V_R.
        row_freedom: ν_R.

    Example:
        >>> float(half_width(0.05, 1.0, 4, 0.0, 99).round(3))
        2.776
    """
    from scipy.special import stdtrit

    v_s, v_r = np.asarray(seed_variance, float), np.asarray(row_variance, float)
    total = np.sqrt(v_s + v_r)
    weighted = -v_s * stdtrit(seed_freedom, p / 2) - v_r * stdtrit(row_freedom, p / 2)
    return np.asarray(np.divide(weighted, total, out=np.zeros(total.shape), where=total > 0))


def p_value(
    value: float, seed_variance: float, seed_freedom: float, row_variance: float,
    row_freedom: float,
) -> float:  # fmt: skip
    """Return the two-sided p: 1 minus the level at which the interval first reaches 0.

    So decision and interval agree at every level. 0.0 stands for less than 1e-100.

    Example:
        >>> round(p_value(2.776, 1.0, 4, 0.0, 99), 4)
        0.05
    """
    from scipy.optimize import brentq

    if value == 0:
        return 1.0
    if seed_variance + row_variance == 0:
        return 0.0

    def excess(log_p: float) -> float:
        width = half_width(math.exp(log_p), seed_variance, seed_freedom, row_variance, row_freedom)
        return float(width) - abs(value)

    least = math.log(LEAST_P)
    if excess(least) <= 0:
        return 0.0
    return math.exp(brentq(excess, least, 0.0, xtol=1e-13, rtol=1e-13))
