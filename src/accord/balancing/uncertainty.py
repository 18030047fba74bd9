"""Weights by a learned noise of each task."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from accord.balancing._learned import bounded, learned
from accord.balancing._registry import Signals, State, adam, rule


@rule(
    "uncertainty",
    paper="Kendall et al. 2018, Multi-Task Learning Using Uncertainty to Weigh Losses",
    use="Where losses have different units, as regressions beside classifications.",
    laws=(
        "permutation",
        "separable",
    ),
    example=([1.0, 3.0], [1.0, 1.0]),
    needs=("losses", "state"),
    initial_state=lambda tasks: learned("log_variance", 0.0, tasks),
)
def uncertainty(
    signals: Signals,
    state: State,
    generator: torch.Generator,
    *,
    lr: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.01,
    largest: Annotated[float, Field(gt=1, le=1e12)] = 1e4,
) -> tuple[Tensor, State]:
    """Weight a classification by e^(−s), a regression by ½ e^(−s); s = log σ² is learned.

    The losses that s minimises are e^(−s) L + ½ s and ½ e^(−s) L + ½ s. Their derivatives need no
    backward pass: −e^(−s) L + ½ and −½ e^(−s) L + ½.

    *Source:* Kendall et al. 2018, equations 7 (regression) and 10 (classification). We differ in
    giving s an Adam of its own, so that its rate is not the encoder's.

    Args:
        signals: losses, and which tasks are regressions.
        state: `log_variance` is s, at first 0.
        generator: not used.
        lr: of s.
        largest: e^(−s) stays between 1/`largest` and this. The paper has no bound: near a loss of 0
            s would go on by `lr` per step, and the weight grow without end.

    Example:
        >>> signals = Signals.of(losses=[1.0, 1.0], regression=torch.tensor([False, True]))
        >>> uncertainty(signals, learned("log_variance", 0.0, 2), torch.Generator())[0].tolist()
        [1.0, 0.5]
    """
    weights = torch.where(signals.regression, 0.5, 1.0) * torch.exp(-state["log_variance"])
    after = adam(state, "log_variance", 0.5 - weights * signals.losses, lr)
    return weights, bounded(after, "log_variance", largest)
