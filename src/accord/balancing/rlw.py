"""Random weights, drawn anew each step."""

from __future__ import annotations

import torch
from torch import Tensor

from accord.balancing._registry import Signals, State, rule


@rule(
    "rlw",
    paper="Lin et al. 2022, Reasonable Effectiveness of Random Weighting, section 3",
    use="As a second baseline: a rule that doesn't beat it has learned nothing.",
    laws=("sum_is_tasks", "loss_scale"),
    example=([1.0], [1.0]),
    needs=("draws",),
)
def rlw(signals: Signals, state: State, generator: torch.Generator) -> tuple[Tensor, State]:
    """Weight by T · softmax(z), z standard normal.

    *Source:* Lin et al. 2022, section 3. Their weights sum to 1; ours to T, as those of `equal`.

    Args:
        signals: how many tasks there are.
        state: empty.
        generator: draws z.
    """
    tasks = len(signals.losses)
    draws = torch.randn(tasks, generator=generator, dtype=torch.float64)
    return tasks * torch.softmax(draws, 0), state
