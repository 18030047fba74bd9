"""UPGrad: project every task's gradient to where it opposes no task, and take the mean."""

from __future__ import annotations

import torch
from torch import Tensor

from accord.gradients._registry import Signals, State, method
from accord.gradients._solvers import non_negative_qp


@method(
    "upgrad",
    paper="Quinton & Rey 2024, Jacobian Descent for Multi-Objective Optimization, section 3",
    use="Where no task may be made worse, and a large gradient should keep its larger say.",
    laws=("equal_without_conflict", "permutation", "scale", "no_conflict", "alone"),
    magnitude="mean",
    example=([[4.0, -2.0], [-2.0, 2.0]], [0.75, 1.0]),
)
def upgrad(signals: Signals, state: State, generator: torch.Generator) -> tuple[Tensor, State]:
    """Sum the weights v_i = argmin vᵀGv over v ≥ e_i/T, element by element, over all tasks i.

    Jᵀv_i is the vector nearest to g_i/T among those that oppose no g_j. With v_i = e_i/T + x it is
    x = argmin ½ xᵀGx + xᵀG e_i/T over x ≥ 0: T problems that share G.

    *Source:* Quinton & Rey 2024, section 3, proposition 1. Their code adds 1e-4 to the diagonal
    of G/tr(G), which lets small conflicts stand, and takes a G with a trace below 1e-4 for zero;
    we solve on the gradients' cosines with a ridge of 1e-13, at any scale.

    Args:
        signals: G = J Jᵀ, float64 [T, T].
        state: empty.
        generator: not used.

    Returns:
        Weights [T], at least 1/T each, and the empty state. There is always a solution: where the
        gradients can't all be followed (g_2 = −g_1) the projections are zero.

    Example:
        >>> signals = Signals.of([[1.0, -1.0], [-1.0, 4.0]])
        >>> [round(w, 6) for w in upgrad(signals, {}, torch.Generator())[0].tolist()]
        [1.0, 0.625]
    """
    G, tasks = signals.gramian.numpy(), len(signals.gramian)
    weights = 1 / tasks + non_negative_qp(G, -G / tasks).sum(0)
    return torch.from_numpy(weights), state
