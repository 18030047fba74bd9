"""PCGrad: project each task's gradient off those it conflicts with."""

from __future__ import annotations

import torch
from torch import Tensor

from accord.gradients._registry import Signals, State, method


@method(
    "pcgrad",
    paper="Yu et al. 2020, Gradient Surgery for Multi-Task Learning, Algorithm 1",
    use="Where gradients are known to conflict; it is cheap and has no knobs.",
    laws=("equal_without_conflict", "permutation", "scale", "no_conflict_of_two", "alone"),
    magnitude="sum",
    example=([[4.0, -2.0], [-2.0, 2.0]], [1.5, 2.0]),
    needs=("gramian", "draws"),
)
def pcgrad(signals: Signals, state: State, generator: torch.Generator) -> tuple[Tensor, State]:
    """Project conflicting gradients.

    Each g_i' starts as g_i and visits all j ≠ i in random order; where g_i'·g_j < 0 it
    becomes g_i' - (g_i'·g_j / ‖g_j‖²) g_j, with the original g_j. The result is Σ_i g_i'.
    With g_i' = Jᵀ c_i every product is an entry of G c_i, so no gradient is touched.

    *Source:* Yu et al. 2020, Algorithm 1.

    Args:
        signals: G = J Jᵀ, float64 [T, T].
        state: empty.
        generator: draws the visiting orders.

    Returns:
        Weights [T] = Σ_i c_i, and the empty state.

    Example:
        >>> signals = Signals.of([[1.0, -1.0], [-1.0, 4.0]])
        >>> pcgrad(signals, {}, torch.Generator())[0].tolist()
        [2.0, 1.25]
    """
    gramian = signals.gramian
    rows, squares = torch.arange(len(gramian)), gramian.diagonal()
    projected = torch.eye(len(gramian), dtype=torch.float64)
    for visited in visiting_orders(len(gramian), generator).t():  # all i at once
        product = (projected * gramian[visited]).sum(1)
        against = (product < 0) & (squares[visited] > 0)  # a tiny g_j's square may underflow
        step = torch.where(against, product / squares[visited].clamp(min=1e-300), 0.0)
        projected[rows, visited] -= step
    return projected.sum(0), state


def visiting_orders(tasks: int, generator: torch.Generator) -> Tensor:
    """Draw for each task the order in which it visits the others: int64 [T, T - 1]."""
    others = torch.stack([torch.randperm(tasks - 1, generator=generator) for _ in range(tasks)])
    return others + (others >= torch.arange(tasks)[:, None])
