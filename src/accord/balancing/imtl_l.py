"""Learned weights that bring all losses to the same scale."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from accord.balancing._learned import bounded, learned
from accord.balancing._registry import Signals, State, adam, rule


@rule(
    "imtl-l",
    paper="Liu et al. 2021, Towards Impartial Multi-task Learning, section 3.2",
    use="Where losses have different scales, and each should count as one.",
    laws=("permutation", "separable", "starts_equal"),
    example=([1.0, 3.0], [1.0, 1.0]),
    needs=("losses", "state"),
    initial_state=lambda tasks: learned("log_scale", 0.0, tasks),
)
def imtl_l(
    signals: Signals,
    state: State,
    generator: torch.Generator,
    *,
    lr: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.01,
    largest: Annotated[float, Field(gt=1, le=1e12)] = 1e4,
) -> tuple[Tensor, State]:
    """Weight by e^s, where s minimises e^s L − s: it is at rest where e^s L = 1.

    *Source:* Liu et al. 2021, section 3.2, with base e. We give s an Adam of its own.

    Args:
        signals: losses.
        state: `log_scale` is s, at first 0.
        generator: not used.
        lr: of s.
        largest: e^s stays between 1/`largest` and this. The paper has no bound: near a loss of 0 s
            would go on by `lr` per step, and the weight grow without end.

    Example:
        >>> state = learned("log_scale", 0.0, 1)
        >>> for _ in range(2000):
        ...     weights, state = imtl_l(Signals.of(losses=[4.0]), state, torch.Generator())
        >>> round(float(weights), 3)
        0.25
    """
    weights = torch.exp(state["log_scale"])
    after = adam(state, "log_scale", weights * signals.losses - 1, lr)
    return weights, bounded(after, "log_scale", largest)
