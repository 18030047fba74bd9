"""Weights that bring all tasks' gradients to sizes that fit their speed."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from accord.balancing._learned import learned
from accord.balancing._registry import Signals, State, adam, rule

_SMALLEST = 1e-3  # of a weight: below 0 a task would be unlearned


@rule(
    "gradnorm",
    paper="Chen et al. 2018, GradNorm, section 3, algorithm 1",
    use="Where one task's gradients dwarf the others', or tasks learn at different speeds.",
    laws=("permutation", "sum_is_tasks", "starts_equal"),
    example=([1.0, 3.0], [1.0, 1.0]),
    needs=("losses", "last_layer", "state"),
    cost="the Gram matrix is taken layer by layer",
    initial_state=lambda tasks: {
        **learned("weight", 1.0, tasks), "first": torch.zeros(tasks, dtype=torch.float64)
    },
)  # fmt: skip
def gradnorm(
    signals: Signals,
    state: State,
    generator: torch.Generator,
    *,
    alpha: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.5,
    lr: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.025,
) -> tuple[Tensor, State]:
    """Move w_i so that w_i ‖g_i‖ nears mean_j(w_j ‖g_j‖) · r_i^α, and rescale to Σ w = T.

    g_i is the gradient on the last shared layer; r_i = (L_i/L_i(0)) / mean_j(L_j/L_j(0)) is the
    relative inverse training rate. The target is a constant: d|w_i ‖g_i‖ − target|/dw_i has
    ‖g_i‖'s size and the difference's sign.

    *Source:* Chen et al. 2018, equations 1 and 2, algorithm 1. A weight stays at 0.001 or above;
    where a task is absent from a step, the present ones keep the sum that they had.

    Args:
        signals: losses, and norms of the last shared layer's gradients.
        state: `weight` is w, `first` the losses of the first step, 0 before it.
        generator: not used.
        alpha: α, how strongly slow tasks are pulled along.
        lr: of w.
    """
    weights, norms = state["weight"], signals.last_norms
    first = torch.where(state["first"] > 0, state["first"], signals.losses)
    rates = signals.losses / first.clamp(min=1e-300)
    relative = rates / rates.mean().clamp(min=1e-300)
    sizes = weights * norms
    gradient = torch.sign(sizes - sizes.mean() * relative**alpha) * norms
    after = adam(state, "weight", gradient, lr)
    moved = after["weight"].clamp(min=_SMALLEST)
    return weights, {**after, "weight": moved * weights.sum() / moved.sum(), "first": first}
