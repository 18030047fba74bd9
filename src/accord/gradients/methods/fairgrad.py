"""FairGrad: weights that share a step's gain among the tasks α-fairly."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from accord.gradients._registry import Signals, State, method
from accord.gradients._solvers import power_stationary


@method(
    "fairgrad",
    paper="Ban & Ji 2024, Fair Resource Allocation in Multi-Task Learning, equation 4, Algorithm 1",
    use="Where Nash-MTL is near what is wanted, and the worst-off task should count for more.",
    laws=("permutation", "scale_direction", "no_conflict"),
    magnitude="other",
    example=([[8.0, 0.0], [0.0, 1.0]], [0.25, 1.0]),
)
def fairgrad(
    signals: Signals,
    state: State,
    generator: torch.Generator,
    *,
    alpha: Annotated[float, Field(ge=0.1, le=10)] = 2.0,
) -> tuple[Tensor, State]:
    """Solve G w = w^(−1/α), element by element, for w > 0.

    The result d = Jᵀw maximises Σ (g_i·d)^(1−α) / (1 − α) among the directions of its norm: α = 1
    is Nash-MTL, a large α looks to the worst-off task, a small one to the sum. T
    identical gradients g give w = (T‖g‖²)^(−α/(α + 1)) each.

    *Source:* Ban & Ji 2024, equation 4 and Algorithm 1. We solve by damped Newton steps, the public
    code by bounded least squares, whose tolerance shows where the gradients' sizes are unlike.

    Args:
        signals: G = J Jᵀ, float64 [T, T].
        state: empty.
        generator: not used.
        alpha: α. Its limits are ours: beyond them the power leaves no digits of the answer.

    Returns:
        w [T], and the empty state. Gradients that are zero get 0 and are left out. Where a mixture
        of gradients vanishes (g_2 = −g_1) there is no solution: the weights grow until a ridge of
        1e-10 on the gradients' cosines stops them. One task alone gets ‖g‖^(−2α/(α + 1)), as the
        equation has it: with the weight 1 such steps would be of another size than all others.

    Example:
        >>> signals = Signals.of([[1.0, 0.0], [0.0, 8.0]])
        >>> [round(w, 6) for w in fairgrad(signals, {}, torch.Generator())[0].tolist()]
        [1.0, 0.25]
    """
    return torch.from_numpy(power_stationary(signals.gramian.numpy(), 1 / alpha)), state
