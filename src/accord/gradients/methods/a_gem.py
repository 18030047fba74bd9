"""A-GEM: the current tasks' gradient, projected off the memories' together where it opposes it."""

from __future__ import annotations

import torch
from torch import Tensor

from accord.gradients._registry import Signals, State, method
from accord.gradients._solvers import ROUNDING


@method(
    "a-gem",
    paper="Chaudhry et al. 2019, Efficient Lifelong Learning with A-GEM, equation 11",
    use="As gem, where it is enough that finished tasks are no worse off on average;"
    " memory.method = 'a-gem' chooses it.",
    laws=("scale", "sum_without_conflict", "memory_kept", "alone"),
    magnitude="sum",
    example=([[1.0, -1.0], [-1.0, 2.0]], [1.0, 0.5]),
    needs=("gramian", "memories"),
)
def a_gem(signals: Signals, state: State, generator: torch.Generator) -> tuple[Tensor, State]:
    """Follow g, the sum of the current tasks' gradients, if g·r ≥ 0; else g − (g·r / r·r) r.

    r is the mean of the memories' gradients; as only its direction matters, we take their sum.

    *Source:* Chaudhry et al. 2019, equation 11. There a step's memory batch is drawn from all
    finished tasks together; here each has one of its own, and counts as much as any other.

    Args:
        signals: G = J Jᵀ, float64 [T, T]; which rows are memories.
        state: empty.
        generator: not used.

    Returns:
        Weights [T], 1 for current tasks and one value for all memories, and the empty state. Where
        the memories' gradients cancel each other, as far as float32 can tell, g stays as it is.

    Example:
        >>> signals = Signals.of([[1.0, -1.0], [-1.0, 4.0]], memories=torch.tensor([False, True]))
        >>> a_gem(signals, {}, torch.Generator())[0].tolist()
        [1.0, 0.25]
    """
    memory = signals.memories.double()
    weights = 1 - memory
    product = float(weights @ signals.gramian @ memory)
    square = float(memory @ signals.gramian @ memory)
    rounding = ROUNDING * float(signals.gramian.diagonal() @ memory)
    if product < 0 and square > max(rounding, 1e-300):
        weights = weights - product / square * memory
    return weights, state
