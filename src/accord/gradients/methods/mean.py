"""The mean of the tasks' gradients: the sum, at a size that doesn't grow with the tasks."""

from __future__ import annotations

import torch
from torch import Tensor

from accord.gradients._registry import Signals, State, method


@method(
    "mean",
    paper="Caruana 1997, Multitask Learning; as a baseline Kurin et al. 2022, Xin et al. 2022",
    use="As `sum`, where the gradient's size should not depend on how many tasks a step holds.",
    laws=(
        "equal_without_conflict",
        "permutation",
        "scale",
        "convex_hull",
        "worst_not_worse",
        "alone",
    ),
    magnitude="mean",
    example=([[4.0, -2.0], [-2.0, 1.0]], [0.5, 0.5]),
    needs=(),
    cost="none",
    granularities=("all",),
)
def mean_gradients(
    signals: Signals, state: State, generator: torch.Generator
) -> tuple[Tensor, State]:
    """Weight each of T tasks by 1/T.

    AdamW divides by the gradient's own size, so that beside `sum` only clipping, and steps in
    which tasks are absent, tell the two apart.

    *Source:* Caruana 1997, as a mean.

    Args:
        signals: of a step.
        state: empty.
        generator: not used.

    Returns:
        Weights [T], and the empty state.

    Example:
        >>> mean_gradients(Signals.of([[1.0, 0.0], [0.0, 9.0]]), {}, torch.Generator())[0].tolist()
        [0.5, 0.5]
    """
    tasks = len(signals.losses)
    return torch.full((tasks,), 1 / tasks, dtype=torch.float64), state
