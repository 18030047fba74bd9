"""GradDrop: for each parameter, keep the gradients of one sign, drawn by how far they agree."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from accord.gradients._registry import State, method


@method(
    "graddrop",
    paper="Chen et al. 2020, Just Pick a Sign: Gradient Sign Dropout, section 3, Algorithm 1",
    use="As a regulariser: it adds noise wherever tasks disagree, and leaves their agreement be.",
    laws=("permutation", "scale", "alone"),
    magnitude="sum",
    example=([[2.0, -1.0, 0.0], [1.0, -3.0, 0.0]], [3.0, -4.0, 0.0]),
    needs=("jacobian", "draws"),
    cost="a few passes over all tasks' gradients, and a draw for every shared parameter",
    granularities=("all",),
)
def graddrop(
    columns: Tensor,
    state: State,
    generator: torch.Generator,
    *,
    leak: Annotated[float, Field(ge=0, le=1)] = 0.0,
) -> tuple[Tensor, State]:
    """Sum the positive entries of each column, or the negative ones.

    The purity P = ½ (1 + Σ_i g_i / Σ_i |g_i|) of a column is the chance that the positive ones are
    kept: if P > U, U uniform on [0, 1). What is dropped still counts `leak` times. The expected
    result is the sum.

    *Source:* Chen et al. 2020, Algorithm 1, lines 10 to 15, with f the identity and one leak for
    all tasks. The paper masks the gradients of an activation, with signs summed over the batch;
    here it is those of the shared parameters, as in other comparisons of methods. What a task's
    gradient becomes depends on all others' entries, so no single weight per task expresses it: this
    needs J.

    Args:
        columns: of J, [T, n], any float dtype; all, or some at a time with the same generator.
        state: empty.
        generator: of the host; draws U.
        leak: share of the dropped entries that is kept; 1 is the sum.

    Returns:
        The combined columns [n], and the empty state. A column of zeros gives 0.

    Example:
        >>> J = torch.tensor([[2.0, -1.0, 3.0], [1.0, -3.0, -3.0]])
        >>> combined, _ = graddrop(J, {}, torch.Generator().manual_seed(0))
        >>> combined.tolist()  # the last is drawn
        [3.0, -4.0, 3.0]
    """
    total, size = columns.sum(0), columns.abs().sum(0)
    purity = (1 + total / size.clamp(min=torch.finfo(size.dtype).tiny)) / 2
    drawn = torch.rand(len(total), generator=generator).to(purity.device)
    one_sign = torch.where(purity > drawn, total + size, total - size) / 2
    return torch.lerp(one_sign, total, leak), state
