"""Bottleneck adapters after both halves of a layer, one a task."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class Bottleneck(nn.Module):
    """A task's adapter: h + W_up gelu(W_down h + b_down) + b_up, of `size` in the middle.

    W_up and b_up start at 0, so h is unchanged to the bit.

    *Source:* Houlsby et al. 2019, Parameter-Efficient Transfer Learning, section 2.1, figure 2; we
    start W_up at exactly 0, where they draw nearly 0.

    Args:
        hidden: width of h.
        size: of the bottleneck.
        std: of the first weights of W_down.
    """

    def __init__(self, hidden: int, size: int, std: float) -> None:
        super().__init__()
        if size > hidden:
            raise ValueError(f"a bottleneck of {size} is wider than the layer of {hidden}")
        self.down = nn.Linear(hidden, size)
        self.up = nn.Linear(size, hidden)
        nn.init.normal_(self.down.weight, std=std)
        for parameter in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(parameter)

    def forward(self, h: Tensor) -> Tensor:
        """[n, H] -> [n, H]."""
        change: Tensor = self.up(F.gelu(self.down(h)))
        return h + change.to(h.dtype)
