"""PCGrad: project each task's gradient off those it conflicts with."""

from __future__ import annotations

import torch
from torch import Tensor

from accord.gradients._registry import State, method


@method(
    "pcgrad",
    paper="Yu et al. 2020, Gradient Surgery for Multi-Task Learning, Algorithm 1",
    laws=("sum_without_conflict", "permutation", "scale", "no_conflict_of_two"),
    example=([[4.0, -2.0], [-2.0, 2.0]], [1.5, 2.0]),
)
def pcgrad(gramian: Tensor, state: State, generator: torch.Generator) -> tuple[Tensor, State]:
    """Project conflicting gradients.

    Each g_i' starts as g_i and visits all j ≠ i in random order; where g_i'·g_j < 0 it
    becomes g_i' - (g_i'·g_j / ‖g_j‖²) g_j, with the original g_j. The result is Σ_i g_i'.
    With g_i' = Jᵀ c_i every product is an entry of G c_i, so no gradient is touched.

    *Source:* Yu et al. 2020, Algorithm 1.

    Args:
        gramian: G = J Jᵀ, float64 [T, T].
        state: empty.
        generator: draws the visiting orders.

    Returns:
        Weights [T] = Σ_i c_i, and the empty state.

    Example:
        >>> G = torch.tensor([[1.0, -1.0], [-1.0, 4.0]], dtype=torch.float64)
        >>> pcgrad(G, {}, torch.Generator())[0].tolist()
        [2.0, 1.25]
    """
    tasks = len(gramian)
    projected = torch.eye(tasks, dtype=torch.float64)
    for i, order in enumerate(visiting_orders(tasks, generator)):
        for j in order:
            product = torch.dot(projected[i], gramian[:, j])
            if product < 0 < gramian[j, j]:  # a tiny g_j's square may have underflowed
                projected[i, j] -= product / gramian[j, j]
    return projected.sum(0), state


def visiting_orders(tasks: int, generator: torch.Generator) -> list[list[int]]:
    """Draw for each task the order in which it visits the others."""
    orders = []
    for i in range(tasks):
        others = torch.randperm(tasks - 1, generator=generator).tolist()
        orders.append([j + (j >= i) for j in others])
    return orders
