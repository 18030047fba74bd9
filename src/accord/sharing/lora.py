"""Low-rank updates of the shared linear layers, one per task."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from accord.encoders.blocks import Block
from accord.encoders.encoder import EncoderConfig
from accord.sharing._registry import Part, Rows, scheme

Dense = Literal["query", "key_value", "attention_output", "intermediate", "output"]


class Lora(nn.Module):
    """A task's update of one linear layer: (α/r) x Aᵀ Bᵀ, A [r, k], B [m, r], B at first 0.

    Args:
        weight: of the layer that is updated, [m, k].
        rank: r.
        alpha: α.
    """

    def __init__(self, weight: Tensor, rank: int, alpha: float) -> None:
        super().__init__()
        outputs, inputs = weight.shape
        if rank > min(outputs, inputs):
            raise ValueError(f"rank {rank} is larger than a layer of {outputs} x {inputs}")
        self.down = nn.Parameter(torch.empty(rank, inputs))
        self.up = nn.Parameter(torch.zeros(outputs, rank))
        self.scale = alpha / rank
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def forward(self, x: Tensor) -> Tensor:
        """[n, k] -> [n, m]."""
        return self.scale * nn.functional.linear(nn.functional.linear(x, self.down), self.up)

    def merged(self, weight: Tensor) -> Tensor:
        """Return W + (α/r) B A."""
        return weight + (self.scale * self.up.double() @ self.down.double()).to(weight)


class LoraPart(Part):
    """Each task's updates of some dense layers of one layer."""

    def dense(self, name: str, x: Tensor, y: Tensor, rows: Rows) -> Tensor:
        """Add the task's update."""
        if name not in self.per_task[rows.here[0][0]]:  # type: ignore[operator]
            return y
        return y + self.by_task(rows.here, x, lambda module, part: module[name](part)).to(y.dtype)  # type: ignore[index]

    @torch.no_grad()
    def merge(self, task: int, layer: Block) -> None:
        """Add the task's updates to the weights."""
        for name, lora in self.per_task[task].items():  # type: ignore[operator]
            weight = layer.dense_layers()[name].weight
            weight.copy_(lora.merged(weight))


@scheme(
    "lora",
    paper="Hu et al. 2022, LoRA: Low-Rank Adaptation of Large Language Models, section 4.1",
    use="For many tasks on one encoder: small updates that can be merged into plain BERTs.",
    cost="two thin products for each updated layer",
)
def lora(
    layers: Sequence[Block],
    config: EncoderConfig,
    tasks: int,
    *,
    rank: Annotated[int, Field(ge=1)] = 8,
    alpha: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 16.0,
    dense: Annotated[
        Annotated[list[Dense], Field(min_length=1)] | None,
        Field(description="default: query and key_value"),
    ] = None,
) -> list[Part]:
    """Give each task y = x Wᵀ + b + (α/r) x Aᵀ Bᵀ with A and B of its own, W shared.

    B starts at 0, so the output is unchanged to the bit. Keys and values are one dense layer here.

    *Source:* Hu et al. 2022, section 4.1; queries and values there, keys besides here.

    Args:
        layers: of the encoder.
        config: its sizes.
        tasks: how many.
        rank: r; no larger than the layer.
        alpha: α; the update is scaled by α/r.
        dense: the dense layers that are updated; None is query and key_value.

    Raises:
        ValueError: if one is named twice, or the rank is larger than a layer.
    """
    names = dense or ["query", "key_value"]
    if len(set(names)) < len(names):
        raise ValueError(f"dense: names one twice: {', '.join(names)}")
    return [
        LoraPart([
            nn.ModuleDict({name: Lora(dense_layers[name].weight, rank, alpha) for name in names})
            for _ in range(tasks)
        ])
        for dense_layers in (block.dense_layers() for block in layers)
    ]  # fmt: skip
