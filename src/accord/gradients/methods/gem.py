"""GEM: the vector nearest to the current tasks' gradient that makes no memory's loss rise."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from accord.gradients._registry import Signals, State, method
from accord.gradients._solvers import non_negative_qp


@method(
    "gem",
    paper="Lopez-Paz & Ranzato 2017, Gradient Episodic Memory for Continual Learning, equation 11",
    use="For tasks that come one after another, where no finished one may be made worse;"
    " memory.method = 'gem' chooses it.",
    laws=("scale", "sum_without_conflict", "memory_kept", "memories_kept", "alone"),
    magnitude="sum",
    example=([[1.0, -1.0], [-1.0, 2.0]], [1.0, 0.5]),
    needs=("gramian", "memories"),
)
def gem(
    signals: Signals,
    state: State,
    generator: torch.Generator,
    *,
    margin: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0,
) -> tuple[Tensor, State]:
    """Follow g, the sum of the current tasks' gradients, if it opposes no memory; else project it.

    With M the memories' gradients as rows, the vector nearest to g among those z with M z ≥ 0 is
    z = g + Mᵀv, v = argmin ½ vᵀMMᵀv + gᵀMᵀv over v ≥ 0. MMᵀ and Mg are parts of G.

    *Source:* Lopez-Paz & Ranzato 2017, equation 11. The paper adds its margin γ to the v that comes
    out, which may let one memory's gradient oppose another's; with v ≥ γ as the bound, as here,
    M z ≥ 0 holds for any γ.

    Args:
        signals: G = J Jᵀ, float64 [T, T]; which rows are memories.
        state: empty.
        generator: not used.
        margin: γ, at least 0: the least weight of every memory where the sum opposes any of them;
            0.5 in the paper's experiments.

    Returns:
        Weights [T], 1 for current tasks and v for memories, and the empty state. There is always a
        solution: where the memories can't all be kept it may be zero.

    Example:
        >>> signals = Signals.of([[1.0, -1.0], [-1.0, 4.0]], memories=torch.tensor([False, True]))
        >>> [round(w, 6) for w in gem(signals, {}, torch.Generator())[0].tolist()]
        [1.0, 0.25]
    """
    memory = signals.memories
    weights = (~memory).double()
    products = signals.gramian[memory] @ weights  # M g
    if bool((products < 0).any()):
        square = signals.gramian[memory][:, memory].numpy()
        least = margin * torch.ones(len(square), dtype=torch.float64).numpy()
        above = non_negative_qp(square, -products.numpy() - square @ least)
        weights[memory] = torch.from_numpy(least + above)
    return weights, state
