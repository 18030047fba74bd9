"""More weight to tasks whose loss falls slowly."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from accord.balancing._registry import Signals, State, rule

_KEPT = ("total", "count", "last", "before", "window")


@rule(
    "dwa",
    paper="Liu et al. 2019, End-to-End Multi-Task Learning with Attention, section 3.3, equation 7",
    use="Where tasks learn at different speeds; it needs no gradients.",
    laws=("permutation", "sum_is_tasks", "loss_scale", "starts_equal"),
    example=([1.0, 3.0], [1.0, 1.0]),
    needs=("losses", "state"),
    initial_state=lambda tasks: {name: torch.zeros(tasks, dtype=torch.float64) for name in _KEPT},
    waits=lambda options, epoch: 2 * (options["window"] or epoch),
)
def dwa(
    signals: Signals,
    state: State,
    generator: torch.Generator,
    *,
    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 2.0,
    window: Annotated[int, Field(ge=1)] | None = None,
) -> tuple[Tensor, State]:
    """Weight by T · softmax(r/τ), r_i = L_i(k−1) / L_i(k−2), mean losses of the last two windows.

    *Source:* Liu et al. 2019, equation 7. Until two windows are full r is 1, as there.

    Args:
        signals: losses, and how many steps an epoch has.
        state: of the `window` that is filling its `total` and `count`; the means of the `last`
            one that the task was in and of the one `before` it, 0 where there is none yet.
        generator: not used.
        temperature: τ; large values make the weights alike.
        window: steps of a window; None is an epoch.
    """
    number = float(signals.step // (window or signals.steps_per_epoch))
    full = (state["window"] < number) & (state["count"] > 0)
    mean = state["total"] / state["count"].clamp(min=1)
    last = torch.where(full, mean, state["last"])
    before = torch.where(full, state["last"], state["before"])
    both = (last > 0) & (before > 0)
    ratio = torch.where(both, last / before.clamp(min=1e-300), 1.0)
    weights = len(ratio) * torch.softmax(ratio / temperature, 0)
    return weights, {
        "total": torch.where(full, 0.0, state["total"]) + signals.losses,
        "count": torch.where(full, 0.0, state["count"]) + 1,
        "last": last,
        "before": before,
        "window": torch.full_like(last, number),
    }
