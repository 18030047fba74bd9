"""The geometric mean of the losses in place of their sum."""

from __future__ import annotations

import torch
from torch import Tensor

from accord.balancing._registry import Signals, State, rule

_SMALLEST = 1e-12  # of a loss: one that is 0 has no logarithm


@rule(
    "geometric",
    paper="Chennupati et al. 2019, MultiNet++: Geometric Loss Strategy, section 3.2",
    use="Where losses have different scales and none goes to 0.",
    laws=("permutation", "starts_equal", "one_loss_scale", "loss_scale"),
    example=([1.0, 4.0], [1.0, 0.25]),
)
def geometric(signals: Signals, state: State, generator: torch.Generator) -> tuple[Tensor, State]:
    """Minimise (Π L_i)^(1/T): its gradient weighs task i by (Π L)^(1/T) / (T L_i).

    *Source:* Chennupati et al. 2019, section 3.2. A loss below 1e-12 counts as that.

    Args:
        signals: losses.
        state: empty.
        generator: not used.

    Example:
        >>> geometric(Signals.of(losses=[1.0, 4.0]), {}, torch.Generator())[0].tolist()
        [1.0, 0.25]
    """
    losses = signals.losses.clamp(min=_SMALLEST)
    mean = losses.log().mean().exp()
    return mean / (len(losses) * losses), state
