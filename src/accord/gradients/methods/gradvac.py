"""GradVac: turn each task's gradient until it is as close to the others as it usually is."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from accord.gradients._registry import Signals, State, method
from accord.gradients.methods.pcgrad import visiting_orders

_HIGHEST = 1 - 1e-6  # a cosine to aim at: 1 itself would take an infinite step
_VANISHED = 1e-6  # a norm beside the original's: less is rounding, and has no cosine


@method(
    "gradvac",
    paper="Wang et al. 2021, Gradient Vaccine, section 3, Algorithm 1",
    use="Where tasks are known to be related, so that orthogonal gradients are already too far"
    " apart; the authors set it for each layer by itself.",
    laws=("permutation", "scale", "alone"),
    magnitude="sum",
    example=([[4.0, -2.0], [-2.0, 2.0]], [1.5, 2.0]),
    needs=("gramian", "state", "draws"),
    initial_state=lambda tasks: {"phi": torch.zeros(tasks, tasks, dtype=torch.float64)},
)
def gradvac(
    signals: Signals,
    state: State,
    generator: torch.Generator,
    *,
    beta: Annotated[float, Field(ge=0, lt=1)] = 0.01,
) -> tuple[Tensor, State]:
    """Raise cosines to their moving average.

    Each g_i' starts as g_i and visits all j ≠ i in random order, with φ = cos(g_i', g_j). Where
    φ is below its average φ̂_ij, g_i' moves along g_j until it is φ̂_ij:

        g_i' += g_j · ‖g_i'‖ (φ̂ √(1 − φ²) − φ √(1 − φ̂²)) / (‖g_j‖ √(1 − φ̂²)).

    Then, whether it moved or not, φ̂_ij ← (1 − β) φ̂_ij + β φ. The result is Σ_i g_i'. As all φ̂
    begin at 0, the first step is PCGrad's.

    *Source:* Wang et al. 2021, section 3, Algorithm 1. Two things that it leaves open: no
    φ̂ above 1 − 10⁻⁶ is aimed at, and where g_i' or g_j is zero nothing moves, φ̂ included.

    Args:
        signals: G = J Jᵀ, float64 [T, T].
        state: `phi`, φ̂ [T, T]; its diagonal stays 0.
        generator: draws the visiting orders.
        beta: β, how fast the averages follow; 0 is PCGrad for ever.

    Returns:
        Weights [T], and the averages after the step.

    Example:
        >>> signals = Signals.of([[1.0, -1.0], [-1.0, 4.0]])
        >>> start = {"phi": torch.zeros(2, 2, dtype=torch.float64)}
        >>> weights, after = gradvac(signals, start, torch.Generator())
        >>> weights.tolist(), after["phi"].tolist()
        ([2.0, 1.25], [[0.0, -0.005], [-0.005, 0.0]])
    """
    norms = signals.gramian.diagonal().clamp(min=0).sqrt()
    divisors = norms.clamp(min=1e-150)  # below it squares are 0
    cosines = (signals.gramian / divisors / divisors[:, None]).clamp(-1, 1)
    rows, phi = torch.arange(len(norms)), state["phi"].clone()
    made = torch.eye(len(norms), dtype=torch.float64)  # g_i' / ‖g_i‖ by the others' unit vectors
    for visited in visiting_orders(len(norms), generator).t():  # all i at once
        size = ((made @ cosines) * made).sum(1).clamp(min=0).sqrt()
        known = (size > _VANISHED) & (norms[visited] > 1e-150)
        cosine = ((made * cosines[visited]).sum(1) / size.clamp(min=_VANISHED)).clamp(-1, 1)
        average = phi[rows, visited]
        aim = average.clamp(-_HIGHEST, _HIGHEST)
        step = size * (aim * (1 - cosine**2).sqrt() / (1 - aim**2).sqrt() - cosine)
        made[rows, visited] += torch.where(known & (cosine < aim), step, 0.0)
        phi[rows, visited] = torch.where(known, (1 - beta) * average + beta * cosine, average)
    return (made * norms[:, None] / divisors).sum(0), {"phi": phi}
