"""CAGrad: near the mean gradient, the direction that serves the worst-off task best."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from accord.gradients._registry import Signals, State, method
from accord.gradients._solvers import Array, cosines, non_negative_of_unit

_RIDGE = 1e-10  # bounds the weights where some of the gradients cancel each other


@method(
    "cagrad",
    paper="Liu et al. 2021, Conflict-Averse Gradient Descent, section 3, Algorithm 1",
    use="Where the mean should still be minimised, with care for the task that it serves least.",
    laws=("permutation", "scale", "worst_not_worse", "alone"),
    magnitude="other",
    example=([[1.0, 0.0], [0.0, 4.0]], [0.5 + 0.2 * 5**0.5, 0.5]),
)
def cagrad(
    signals: Signals,
    state: State,
    generator: torch.Generator,
    *,
    c: Annotated[float, Field(ge=0, lt=1)] = 0.4,
    rescale: bool = False,
) -> tuple[Tensor, State]:
    """Maximise the least g_i·d over all d with ‖d − g0‖ ≤ c ‖g0‖, g0 the mean gradient.

    The solution is d = g0 + c ‖g0‖ g_w / ‖g_w‖, g_w = Σ w_i g_i with w on the simplex minimising
    g_w·g0 + c ‖g0‖ ‖g_w‖. We look for x = w c ‖g0‖ / ‖g_w‖ itself: for a given least product μ,

        x(μ) = argmin over x ≥ 0 of ½ xᵀGx + xᵀG1/T − μ Σ x,

    the nearest d that reaches it; ‖Jᵀx(μ)‖ rises with μ, and is to be c ‖g0‖. The result has the
    mean's size, give or take c times it.

    *Source:* Liu et al. 2021, section 3, Algorithm 1. The public code solves for w by a
    general optimiser and mostly divides the result by 1 + c², which the paper doesn't: `rescale`.
    On several identical gradients g the formula gives (1 + c) g, the longest d that it allows, and
    so do we. One task alone would get that too, though it has none to be averse to: its weight is 1
    here, with or without `rescale`.

    Args:
        signals: G = J Jᵀ, float64 [T, T].
        state: empty.
        generator: not used.
        c: how far from the mean; 0 is the mean.
        rescale: divide by 1 + c².

    Returns:
        Weights 1/T + x [T], and the empty state. Tasks whose gradient is zero don't count as
        worst off. Where a mixture of gradients vanishes (opposite ones), no direction serves all
        of them; a ridge of 1e-10 on their cosines then chooses.

    Example:
        >>> signals = Signals.of([[1.0, 0.0], [0.0, 1.0]])
        >>> [round(w, 6) for w in cagrad(signals, {}, torch.Generator(), c=0.5)[0].tolist()]
        [0.75, 0.75]
    """
    G = signals.gramian.numpy()
    if len(G) == 1:
        return torch.ones(1, dtype=torch.float64), state
    kept, norms, C = cosines(G)
    weights = np.full(len(G), 1 / len(G))
    if c > 0 and len(norms):
        weights[kept] += _departure(norms, C, norms / len(G), c) / norms
    return torch.from_numpy(weights / (1 + c**2 if rescale else 1)), state


def _departure(norms: Array, C: Array, mean: Array, c: float) -> Array:
    """Return x in units of the gradients' unit vectors, [k].

    Args:
        norms: of the gradients.
        C: their cosines.
        mean: of the gradients, in the same units as the result.
        c: of the method.
    """
    length = np.sqrt(max(0.0, float(mean @ C @ mean)))
    radius, share = c * length, norms.min() / norms
    if radius == 0:
        return np.zeros_like(norms)
    pull = C @ mean
    C = C + _RIDGE * np.eye(len(C))
    low, high = float((pull / share).min()), 1.01 * (1 + c) * length  # of μ / the least norm
    level, x, none = high, np.zeros_like(norms), np.zeros(0, dtype=bool)
    before = none  # those that were free when the level was solved for
    for _ in range(100):
        if high - low <= 1e-14 * max(abs(low), abs(high)):
            break
        x = non_negative_of_unit(C, level * share - pull)
        reached, free = np.sqrt(float(x @ C @ x)), x > 0
        if abs(reached - radius) < 1e-13 * radius or np.array_equal(free, before):
            break
        low, high = (level, high) if reached < radius else (low, level)
        level, before = _next_level(C[np.ix_(free, free)], share[free], pull[free], radius), free
        if not low < level < high:
            level, before = (low + high) / 2, none
    return x * radius / reached if x.any() else x


def _next_level(C: Array, share: Array, pull: Array, radius: float) -> float:
    """Return μ at which ‖Jᵀx(μ)‖ is the radius, should the free variables stay the same."""
    if not len(C):
        return np.inf
    x = np.linalg.solve(C, np.stack([share, -pull], 1))  # x(μ) = μ x_0 + x_1
    a, b, rest = float(x[:, 0] @ share), float(-x[:, 0] @ pull), float(-x[:, 1] @ pull)
    return float((-b + np.sqrt(max(0.0, b * b - a * (rest - radius**2)))) / a)
