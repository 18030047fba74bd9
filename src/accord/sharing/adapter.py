"""Bottleneck adapters after both halves of a layer, one a task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from accord.encoders.blocks import Block
from accord.encoders.encoder import EncoderConfig
from accord.sharing._registry import Part, Rows, scheme


class Bottleneck(nn.Module):
    """h + W_up gelu(W_down h + b_down) + b_up, W_up and b_up at first 0."""

    def __init__(self, hidden: int, size: int, std: float) -> None:
        super().__init__()
        self.down, self.up = nn.Linear(hidden, size), nn.Linear(size, hidden)
        nn.init.normal_(self.down.weight, std=std)
        for parameter in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(parameter)

    def forward(self, h: Tensor) -> Tensor:
        """[n, H] -> [n, H]."""
        change: Tensor = self.up(F.gelu(self.down(h)))
        return h + change.to(h.dtype)


class AdapterPart(Part):
    """Each task's two adapters of one layer."""

    def after(self, half: str, x: Tensor, rows: Rows) -> Tensor:
        """Apply the task's adapter."""
        return self.by_task(rows.here, x, lambda module, part: module[half](part))  # type: ignore[index]


@scheme(
    "adapter",
    paper="Houlsby et al. 2019, Parameter-Efficient Transfer Learning for NLP, section 2.1",
    use="For many tasks on one encoder, where LoRA's updates are too weak.",
    cost="four thin products per layer",
)
def adapter(
    layers: Sequence[Block],
    config: EncoderConfig,
    tasks: int,
    *,
    size: Annotated[int, Field(ge=1)] = 64,
) -> list[Part]:
    """Give each task h + W_up gelu(W_down h) after attention and after the feed-forward network.

    W_up starts at 0, so the output is unchanged to the bit.

    *Source:* Houlsby et al. 2019, section 2.1 and figure 2, who draw W_up nearly 0.

    Args:
        layers: of the encoder.
        config: its sizes.
        tasks: how many.
        size: of the bottleneck; no wider than the layer.
    """
    if size > config.hidden_size:
        raise ValueError(f"size {size} is wider than the encoder's {config.hidden_size}")
    halves = ("attention", "feed_forward")
    return [
        AdapterPart([
            nn.ModuleDict({
                half: Bottleneck(config.hidden_size, size, config.initializer_range)
                for half in halves
            })
            for _ in range(tasks)
        ])
        for _ in layers
    ]  # fmt: skip
