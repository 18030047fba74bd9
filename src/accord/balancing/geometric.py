"""The geometric mean of the losses in place of their sum."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from accord.balancing._registry import Signals, State, rule

_SMALLEST = 1e-12  # of a loss, where all are 0


@rule(
    "geometric",
    paper="Chennupati et al. 2019, MultiNet++: Geometric Loss Strategy, section 3.2",
    use="Where losses have different scales and none goes to 0.",
    laws=("permutation", "starts_equal", "one_loss_scale", "loss_scale"),
    example=([1.0, 4.0], [1.0, 0.25]),
)
def geometric(
    signals: Signals,
    state: State,
    generator: torch.Generator,
    *,
    floor: Annotated[float, Field(gt=0, le=1)] = 1e-4,
) -> tuple[Tensor, State]:
    """Minimise (Π L_i)^(1/T): its gradient weighs task i by (Π L)^(1/T) / (T L_i).

    *Source:* Chennupati et al. 2019, section 3.2. The formula has no bound: as a loss goes to 0
    its weight goes to infinity, and all others' to 0. Here a loss counts as at least `floor` times
    the mean of all, so that no weight exceeds (1 + floor) / (T floor). By default that leaves the
    formula as it is until a loss is 1e-4 of the mean. Such a task is learned, and a gradient of
    squared errors, which falls as the loss's root, is a hundred times larger than it was by then.

    Args:
        signals: losses.
        state: empty.
        generator: not used.
        floor: least loss beside the mean of the step's losses; 1 weighs by that mean at most.

    Example:
        >>> geometric(Signals.of(losses=[1.0, 4.0]), {}, torch.Generator())[0].tolist()
        [1.0, 0.25]
    """
    least = floor * float(signals.losses.mean())
    losses = signals.losses.clamp(min=max(least, _SMALLEST))
    mean = losses.log().mean().exp()
    return mean / (len(losses) * losses), state
