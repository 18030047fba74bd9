"""The paper's weights for batches in proportion to the data."""

from __future__ import annotations

import torch
from torch import Tensor

from accord.balancing._registry import Signals, State, rule


@rule(
    "inverse-share",
    paper="BERT Mastery: Explore Multitask Learning, section 3.5, equation 2",
    use="With batches in proportion to the data, so that small tasks aren't drowned.",
    laws=("permutation", "loss_scale", "starts_equal", "constant"),
    example=([1.0, 3.0, 2.0], [2.0, 2.0, 2.0]),
    needs=("shares",),
)
def inverse_share(
    signals: Signals, state: State, generator: torch.Generator
) -> tuple[Tensor, State]:
    """Weight task t by Σ_{s≠t} b_s / b_t, b the tasks' examples in a usual step of the epoch.

    *Source:* BERT Mastery, equation 2. With one task the sum is empty; the weight is then 1. A
    task that a step leaves out counts in the others' sums all the same.

    Args:
        signals: its shares are b.
        state: empty.
        generator: not used.

    Example:
        >>> shares = torch.tensor([8.0, 32.0])
        >>> signals = Signals.of(losses=[1.0, 1.0], shares=shares, others=shares.flip(0))
        >>> inverse_share(signals, {}, torch.Generator())[0].tolist()
        [4.0, 0.25]
    """
    weights = signals.others.double() / signals.shares.double()
    return torch.where(signals.others > 0, weights, 1.0), state
