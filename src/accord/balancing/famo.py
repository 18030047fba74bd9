"""Weights that make all losses fall at the same relative rate."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from accord.balancing._learned import learned
from accord.balancing._registry import Signals, State, adam, rule

_SMALLEST = 1e-8  # of a loss less the least that it can be


def learn(
    before: Tensor,
    after: Tensor,
    state: State,
    *,
    lr: float = 0.025,
    decay: float = 0.001,
    least: float = 0.0,
) -> State:
    """Move the logits by how much each log loss fell: gradient J_softmaxᵀ (log L − log L').

    Args:
        before: losses of the step, [t].
        after: losses of the same examples after it, under the same dropout masks, [t].
        state: `logits`.
        lr: of the logits.
        decay: pulls the logits to 0.
        least: b, what no loss falls below.
    """
    fall = _above(before, least).log() - _above(after, least).log()
    z = torch.softmax(state["logits"], 0)
    gradient = z * (fall - (z * fall).sum())  # more weight to where it fell less
    return adam(state, "logits", gradient, lr, decay)


@rule(
    "famo",
    paper="Liu et al. 2023, FAMO: Fast Adaptive Multitask Optimization, section 3, algorithm 1",
    use="Where tasks learn at different speeds and gradients by task are not wanted.",
    laws=("permutation", "one_loss_scale", "starts_equal"),
    example=([1.0, 1.0], [0.5, 0.5]),
    needs=("losses", "losses_after", "state"),
    cost="a forward pass of the step's examples, about a third of a step",
    initial_state=lambda tasks: learned("logits", 0.0, tasks),
    learn=learn,
)
def famo(
    signals: Signals,
    state: State,
    generator: torch.Generator,
    *,
    lr: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.025,
    decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.001,
    least: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0,
) -> tuple[Tensor, State]:
    """Weight by c z_i / (L_i − b), z = softmax(logits), c = 1 / Σ_j z_j / (L_j − b).

    That is the gradient of c Σ z_i log(L_i − b), c held constant.

    *Source:* Liu et al. 2023, equations 8 to 10, algorithm 1.

    Args:
        signals: losses.
        state: `logits`, at first 0; `learn` moves them after the step.
        generator: not used.
        lr: of the logits.
        decay: pulls the logits to 0.
        least: b, what no loss falls below.
    """
    shares = torch.softmax(state["logits"], 0) / _above(signals.losses, least)
    return shares / shares.sum(), state


def _above(losses: Tensor, least: float) -> Tensor:
    return (losses - least).clamp(min=_SMALLEST)
