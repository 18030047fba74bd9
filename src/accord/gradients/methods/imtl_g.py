"""IMTL-G: a weighted sum onto which all tasks' gradients have the same projection."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from accord.gradients._registry import Signals, State, method
from accord.gradients._solvers import cosines, pseudo_solution


@method(
    "imtl-g",
    paper="Liu et al. 2021, Towards Impartial Multi-Task Learning, section 3",
    use="Where no task should be favoured for the size of its gradient.",
    laws=(
        "permutation",
        "scale",
        "scale_of_one",
        "equal_projections",
        "no_conflict_of_two",
        "alone",
    ),
    magnitude="mean",
    example=([[4.0, 0.0], [0.0, 1.0]], [1 / 3, 2 / 3]),
)
def imtl_g(signals: Signals, state: State, generator: torch.Generator) -> tuple[Tensor, State]:
    """Weight by v / |Σ v|, v = D⁻¹ C⁺ 1, where G = D C D with the norms D and the cosines C.

    Then (Σ w_i g_i)·g_j / ‖g_j‖ is the same for all j, if the gradients are independent; if not,
    as nearly as can be.

    *Source:* Liu et al. 2021, section 3, in the form G⁺ √diag(G) that Quinton & Rey 2024 give for
    dependent gradients. With independent ones that is D⁻¹ C⁻¹ 1; the pseudo-inverse of C instead
    of G's keeps the result's direction free of the gradients' scales in every case. The paper's
    weights have the sum 1. Where Σ v is negative they would go uphill for all tasks, so we divide
    by |Σ v|; where it is near 0 they are large, and clipping the gradient sets their size.

    Args:
        signals: G = J Jᵀ, float64 [T, T].
        state: empty.
        generator: not used.

    Returns:
        Weights [T], which may be negative, and the empty state. Opposite gradients get 0, and so
        do those that are zero.

    Example:
        >>> signals = Signals.of([[1.0, 0.0], [0.0, 9.0]])
        >>> [round(w, 6) for w in imtl_g(signals, {}, torch.Generator())[0].tolist()]
        [0.75, 0.25]
    """
    G = signals.gramian.numpy()
    kept, norms, C = cosines(G)
    weights = np.zeros(len(G))
    if len(norms):
        y = pseudo_solution(C)
        v = y * (norms.min() / norms)
        total = abs(float(v.sum()))
        # Beside its own terms: where the shortest gradient's is 0, all others are small.
        if np.abs(y).max() > 1e-12 and total > 1e-12 * np.abs(v).max():
            weights[kept] = v / total
    return torch.from_numpy(weights), state
