"""ConFIG: a direction at the same angle to every task's gradient, as long as their projections."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from accord.gradients._registry import Signals, State, method
from accord.gradients._solvers import cosines, pseudo_solution


@method(
    "con-fig",
    paper="Liu et al. 2024, ConFIG: Towards Conflict-free Training of Physics Informed Neural"
    " Networks, equation 2",
    use="Where losses of unlike scales conflict, and steps should shrink as the conflict grows.",
    laws=(
        "permutation",
        "scale",
        "scale_of_one",
        "equal_projections",
        "no_conflict_of_two",
        "alone",
    ),
    magnitude="sum",
    example=([[4.0, 0.0], [0.0, 1.0]], [0.75, 1.5]),
)
def con_fig(signals: Signals, state: State, generator: torch.Generator) -> tuple[Tensor, State]:
    """Return the weights of (Σ_i g_i·û) û, û the direction of U⁺1, U the gradients' unit vectors.

    With y = C⁺ 1, C the cosines, û is along Σ y_i g_i / ‖g_i‖, whose square is yᵀCy. Independent
    gradients all have the cosine 1/√Σy with it. IMTL-G takes the same direction; this
    one also has a size of its own, which is 0 where gradients are opposite.

    *Source:* Liu et al. 2024, equation 2, with equal wishes for all tasks.

    Args:
        signals: G = J Jᵀ, float64 [T, T].
        state: empty.
        generator: not used.

    Returns:
        Weights [T], which may be negative, and the empty state. Opposite gradients get 0, and so
        do those that are zero.

    Example:
        >>> signals = Signals.of([[1.0, 0.0], [0.0, 9.0]])
        >>> [round(w, 6) for w in con_fig(signals, {}, torch.Generator())[0].tolist()]
        [2.0, 0.666667]
    """
    G = signals.gramian.numpy()
    kept, norms, C = cosines(G)
    weights = np.zeros(len(G))
    if len(norms):
        y = pseudo_solution(C)
        products = C @ y  # of each unit vector with Σ y_i g_i / ‖g_i‖
        square = float(y @ products)
        if square > 1e-12:
            weights[kept] = float(norms @ products) / square * (y / norms)
    return torch.from_numpy(weights), state
