"""The plain sum of the tasks' gradients: multitask training, and every method's baseline."""

from __future__ import annotations

import torch
from torch import Tensor

from accord.gradients._registry import Signals, State, method


@method(
    "sum",
    paper="Caruana 1997, Multitask Learning; as a baseline Kurin et al. 2022, Xin et al. 2022",
    use="First, and as every other method's baseline.",
    laws=("equal_without_conflict", "permutation", "scale", "alone"),
    magnitude="sum",
    example=([[4.0, -2.0], [-2.0, 1.0]], [1.0, 1.0]),
    needs=(),
    cost="none",
    granularities=("all",),
)
def sum_gradients(
    signals: Signals, state: State, generator: torch.Generator
) -> tuple[Tensor, State]:
    """Weight every task by 1.

    Args:
        signals: of a step.
        state: empty.
        generator: not used.

    Returns:
        Ones [T], and the empty state.
    """
    return torch.ones(len(signals.losses), dtype=torch.float64), state
