"""DualProj: the vector nearest to the mean gradient that opposes no task."""

from __future__ import annotations

import torch
from torch import Tensor

from accord.gradients._registry import Signals, State, method
from accord.gradients._solvers import non_negative_qp


@method(
    "dualproj",
    paper="Lopez-Paz & Ranzato 2017, Gradient Episodic Memory, equation 11, with the mean as the"
    " gradient to project; named by Quinton & Rey 2024",
    use="Where the mean should be followed, and corrected only if it would make a task worse.",
    laws=(
        "equal_without_conflict",
        "permutation",
        "scale",
        "no_conflict",
        "worst_not_worse",
        "alone",
    ),
    magnitude="mean",
    example=([[9.0, -3.0], [-3.0, 2.0]], [0.5, 0.75]),
)
def dualproj(signals: Signals, state: State, generator: torch.Generator) -> tuple[Tensor, State]:
    """Weight by argmin vᵀGv over v ≥ 1/T, element by element.

    Jᵀv is the vector nearest to the mean among those with g_i·d ≥ 0 for all i. With v = 1/T + x it
    is x = argmin ½ xᵀGx + xᵀG1/T over x ≥ 0.

    *Source:* Lopez-Paz & Ranzato 2017, equation 11, without its margin γ.

    Args:
        signals: G = J Jᵀ, float64 [T, T].
        state: empty.
        generator: not used.

    Returns:
        Weights [T], at least 1/T each, and the empty state. There is always a solution: where the
        gradients can't all be followed (g_2 = −g_1) the result may be zero.

    Example:
        >>> signals = Signals.of([[1.0, -1.0], [-1.0, 4.0]])
        >>> [round(w, 6) for w in dualproj(signals, {}, torch.Generator())[0].tolist()]
        [0.5, 0.5]
    """
    G = signals.gramian.numpy()
    return torch.from_numpy(1 / len(G) + non_negative_qp(G, -G.mean(1))), state
