"""Aligned-MTL: give the gradients' principal components the same length before the mean."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from accord.gradients._registry import Signals, State, method
from accord.gradients._solvers import ROUNDING, cosines


@method(
    "aligned-mtl",
    paper="Senushkin et al. 2023, Independent Component Alignment for Multi-Task Learning,"
    " Algorithm 1",
    use="Where one gradient, or what several have in common, drowns the rest.",
    laws=("permutation", "scale"),
    example=([[4.0, 0.0], [0.0, 1.0]], [0.25, 0.5]),
)
def aligned_mtl(
    signals: Signals,
    state: State,
    generator: torch.Generator,
    *,
    scale: Literal["min", "median", "rmse"] = "min",
) -> tuple[Tensor, State]:
    """Weigh by σ V Λ^(−½) Vᵀ 1/T, where G = V Λ Vᵀ, over the nonzero eigenvalues λ.

    J's nonzero singular values all become σ: of all matrices with that property the nearest to J
    takes its place, and the mean of its rows is the result.

    *Source:* Senushkin et al. 2023, Algorithm 1, with σ² the least λ. How many λ are nonzero is
    decided on the gradients' cosines, not on G, where a small gradient looks like rounding.

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
    G = signals.gramian.numpy()
    C = cosines(G)[2]
    mean = np.full(len(G), 1 / len(G))
    rank = int(np.count_nonzero(np.linalg.eigvalsh(C) > len(C) * ROUNDING)) if len(C) else 0
    if rank == 0:
        return torch.from_numpy(mean), state
    values, vectors = np.linalg.eigh(G / G.diagonal().max())
    values, vectors = values[-rank:], vectors[:, -rank:]
    sound = values > len(G) * np.finfo(np.float64).eps * values[-1]
    values, vectors = values[sound], vectors[:, sound]
    square = {"min": values[0], "median": values[(len(values) - 1) // 2], "rmse": values.mean()}
    weights = vectors @ (np.sqrt(square[scale] / values) * (mean @ vectors))
    return torch.from_numpy(weights), state
