"""Nash-MTL: the weights on which the tasks, as bargainers, would settle."""

from __future__ import annotations

import torch
from torch import Tensor

from accord.gradients._registry import Signals, State, method
from accord.gradients._solvers import power_stationary


@method(
    "nash-mtl",
    paper="Navon et al. 2022, Multi-Task Learning as a Bargaining Game, section 3, Algorithm 1",
    use="Where losses have unlike scales and every task should gain in proportion.",
    laws=("permutation", "scale_direction", "scale_of_one", "no_conflict"),
    magnitude="other",
    example=([[4.0, -1.0], [-1.0, 1.0]], [0.5**0.5, 2**0.5]),
)
def nash_mtl(signals: Signals, state: State, generator: torch.Generator) -> tuple[Tensor, State]:
    """Solve G α = 1/α, element by element, for α > 0.

    That is the stationary point of the convex ½ αᵀGα − Σ log α. The result d = Jᵀα has the products
    g_i·d = 1/α_i > 0, and the norm √T, whatever the gradients' size: identical gradients g give
    √T g/‖g‖.

    *Source:* Navon et al. 2022, Claim 3.1 and Algorithm 1. We solve by damped Newton steps, to a
    relative residual far below 1e-6; the public code iterates an approximation through a general
    convex solver, divides G by its norm first and clips the result to a norm of 1. Clipping is
    left to the training loop here, and α is solved for in every step.

    Args:
        signals: G = J Jᵀ, float64 [T, T].
        state: empty.
        generator: not used.

    Returns:
        α [T], and the empty state. Gradients that are zero get 0 and are left out. Where a mixture
        of gradients vanishes (g_2 = −g_1) there is no solution: the weights grow until a ridge of
        1e-10 on the gradients' cosines stops them. That ridge shows where gradients cancel to
        within 1e-5 of their size too, which float32 does not resolve: the residual is then larger.
        One task alone gets 1/‖g‖, as the equation has it: with the weight 1 such steps would be of
        another size than all others.

    Example:
        >>> signals = Signals.of([[1.0, 0.0], [0.0, 4.0]])
        >>> [round(w, 6) for w in nash_mtl(signals, {}, torch.Generator())[0].tolist()]
        [1.0, 0.5]
    """
    return torch.from_numpy(power_stationary(signals.gramian.numpy(), 1.0)), state
