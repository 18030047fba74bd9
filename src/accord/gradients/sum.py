"""The plain sum of the tasks' gradients: joint training, and every method's baseline."""

from __future__ import annotations

import torch
from torch import Tensor

from accord.gradients._registry import State, method


@method(
    "sum",
    paper="Caruana 1997; as a baseline Kurin et al. 2022, Xin et al. 2022",
    laws=("sum_without_conflict", "permutation", "scale"),
    example=([[4.0, -2.0], [-2.0, 1.0]], [1.0, 1.0]),
)
def sum_gradients(
    gramian: Tensor, state: State, generator: torch.Generator
) -> tuple[Tensor, State]:
    """Weigh every task by 1.

    Args:
        gramian: [T, T].
        state: empty.
        generator: not used.

    Returns:
        Ones [T], and the empty state.
    """
    return torch.ones(len(gramian), dtype=torch.float64), state
