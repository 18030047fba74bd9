"""Low-rank updates of the shared linear layers, one a task."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from accord.bert import Layer, Linear

DENSE = ("query", "key_value", "attention_output", "intermediate", "output")


class Lora(nn.Module):
    """A task's update of one linear layer: y + (α/r) x Aᵀ Bᵀ, A [r, k], B [m, r].

    B starts at 0, so the output is unchanged to the bit.

    *Source:* Hu et al. 2022, LoRA, section 4.1: A is drawn as a linear layer's weights are.

    Args:
        shared: the layer that is updated.
        rank: r; must not be larger than the layer.
        alpha: α.
    """

    def __init__(self, shared: Linear, rank: int, alpha: float) -> None:
        super().__init__()
        outputs, inputs = shared.weight.shape
        if rank > min(outputs, inputs):
            raise ValueError(f"rank {rank} is larger than a layer of {outputs} x {inputs}")
        self.down = nn.Parameter(torch.empty(rank, inputs))
        self.up = nn.Parameter(torch.zeros(outputs, rank))
        self.scale = alpha / rank
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def forward(self, x: Tensor) -> Tensor:
        """[n, k] -> [n, m]."""
        return self.scale * (x @ self.down.t().to(x.dtype)) @ self.up.t().to(x.dtype)

    def merged(self, weight: Tensor) -> Tensor:
        """Return W + (α/r) B A."""
        return weight + (self.scale * self.up.double() @ self.down.double()).to(weight)


def layer_loras(layer: Layer, rank: int, alpha: float, names: tuple[str, ...]) -> nn.ModuleDict:
    """Return a task's updates of some linear layers of a transformer layer."""
    return nn.ModuleDict({name: Lora(getattr(layer, name), rank, alpha) for name in names})
