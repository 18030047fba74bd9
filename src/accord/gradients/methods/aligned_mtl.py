"""Aligned-MTL: give the gradients' principal components the same length before the mean."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from accord.gradients._inverse_root import inverse_root_product
from accord.gradients._registry import Signals, State, method
from accord.gradients._solvers import cosines


@method(
    "aligned-mtl",
    paper="Senushkin et al. 2023, Independent Component Alignment for Multi-Task Learning,"
    " Algorithm 1",
    use="Where one gradient, or what several have in common, drowns the rest.",
    laws=("permutation", "scale", "alone"),
    magnitude="mean",
    example=([[4.0, 0.0], [0.0, 1.0]], [0.25, 0.5]),
)
def aligned_mtl(
    signals: Signals,
    state: State,
    generator: torch.Generator,
    *,
    scale: Literal["min", "median", "rmse"] = "min",
) -> tuple[Tensor, State]:
    """Weight by σ V Λ^(−½) Vᵀ 1/T, where G = V Λ Vᵀ, over the nonzero eigenvalues λ.

    J's nonzero singular values all become σ: of all matrices with that property the nearest to J
    takes its place, and the mean of its rows is the result.

    *Source:* Senushkin et al. 2023, Algorithm 1, with σ² the least λ. They come from a factor
    of the gradients' cosines, scaled by their norms: in G as it is, the eigenvalue of a gradient
    1e8 times shorter than another is lost in rounding. Which gradients depend on others is decided
    on their cosines too. Where a gradient is zero its weight is 0.

    Args:
        signals: G = J Jᵀ, float64 [T, T].
        state: empty.
        generator: not used.
        scale: σ² as the least λ, their median (the lower of two) or, as in the authors' code,
            their mean.

    Returns:
        Weights [T], which may be negative, and the empty state; 1/T each if all gradients are zero.

    Example:
        >>> signals = Signals.of([[9.0, 0.0], [0.0, 1.0]])
        >>> [round(w, 6) for w in aligned_mtl(signals, {}, torch.Generator())[0].tolist()]
        [0.166667, 0.5]
    """
    kept, norms, C = cosines(signals.gramian.numpy())
    mean = np.full(len(kept), 1 / len(kept))
    if not len(norms):
        return torch.from_numpy(mean), state
    product, values = inverse_root_product(C, norms / norms.max(), mean[kept])
    sigma = {
        "min": values[-1], "median": values[len(values) // 2], "rmse": np.sqrt(np.mean(values**2))
    }  # fmt: skip
    weights = np.zeros(len(kept))
    weights[kept] = sigma[scale] * product
    return torch.from_numpy(weights), state
