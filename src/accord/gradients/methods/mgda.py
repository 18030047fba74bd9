"""MGDA: the shortest vector among the weighted means of the tasks' gradients."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from accord.gradients._registry import Signals, State, method
from accord.gradients._solvers import least_norm_point


@method(
    "mgda",
    paper="Désidéri 2012, Multiple-gradient descent algorithm; Sener & Koltun 2018, section 3",
    use="Where no task may lose anything, at the price of speed: the smallest gradient sets the"
    " pace, unless they are normalised.",
    laws=("permutation", "scale", "convex_hull", "no_conflict", "alone"),
    magnitude="mean",
    example=([[4.0, -2.0], [-2.0, 2.0]], [0.4, 0.6]),
    needs=("gramian", "losses"),
)
def mgda(
    signals: Signals,
    state: State,
    generator: torch.Generator,
    *,
    normalise: Literal["none", "l2", "loss", "loss+"] = "none",
) -> tuple[Tensor, State]:
    """Minimise ‖Σ α_i g_i / n_i‖² over α ≥ 0, Σ α = 1.

    The weights are α_i / n_i, scaled to a sum of 1. All tasks but those with α_i = 0 then gain
    alike, by n_i.

    *Source:* Désidéri 2012; normalisation by Sener & Koltun 2018, as in their code. That code
    computes α from g_i / n_i and applies it to g_i, which may oppose a task; we apply it to
    g_i / n_i. It solves by Frank-Wolfe steps, we by an active set, exactly.

    Args:
        signals: G = J Jᵀ, float64 [T, T], and losses [T].
        state: empty.
        generator: not used.
        normalise: n_i: 1, the norm ‖g_i‖, the loss L_i, or L_i ‖g_i‖.

    Returns:
        Weights [T], and the empty state. Where the gradients can't all be followed the result is
        zero: at a Pareto-stationary point, so also as soon as one task's gradient is zero.

    Example:
        >>> signals = Signals.of([[1.0, 0.0], [0.0, 4.0]])
        >>> [round(w, 6) for w in mgda(signals, {}, torch.Generator())[0].tolist()]
        [0.8, 0.2]
    """
    divisors = torch.ones_like(signals.losses)
    if normalise in ("loss", "loss+"):
        divisors = divisors * signals.losses.clamp(min=1e-8)
    if normalise in ("l2", "loss+"):
        norms = signals.gramian.diagonal().clamp(min=0).sqrt()
        divisors = divisors * torch.where(norms > 1e-150, norms, 1.0)
    n = divisors.numpy()
    weights = least_norm_point(signals.gramian.numpy() / n / n[:, None]) / n
    return torch.from_numpy(weights / np.sum(weights)), state
