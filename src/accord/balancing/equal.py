"""Every task counts alike."""

from __future__ import annotations

import torch
from torch import Tensor

from accord.balancing._registry import Signals, State, rule


@rule(
    "equal",
    paper="Caruana 1997, Multitask Learning; as a baseline Xin et al. 2022",
    use="The default, and every other rule's baseline.",
    laws=("permutation", "sum_is_tasks", "loss_scale", "starts_equal", "constant"),
    example=([1.0, 3.0], [1.0, 1.0]),
    needs=(),
)
def equal(signals: Signals, state: State, generator: torch.Generator) -> tuple[Tensor, State]:
    """Weight every task by 1.

    Args:
        signals: of a step.
        state: empty.
        generator: not used.
    """
    return torch.ones_like(signals.losses), state
