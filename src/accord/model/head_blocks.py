"""The heads' linear layers side by side: many small products as few, and none changes another's."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor
from torch.nn import functional as F

from accord.model.heads import Head
from accord.model.multitask import MultitaskModel

WIDTH = 64
"""Outputs of a block."""


class HeadBlocks:
    """The linear layers of a model's heads, as blocks of equal shape.

    A block is one product, [V, H] x [H, 64]. Heads stand in it in the order of tasks, with zeros
    behind the last: a head that is added changes no shape, and so no bit of what the others say.
    One that is wider has blocks to itself.

    Args:
        model: whose heads; those that don't begin with a linear layer are left out.
    """

    @torch.no_grad()
    def __init__(self, model: MultitaskModel) -> None:
        self._places: dict[int, tuple[int, int, int]] = {}  # block, first column, columns
        self._blocks: list[tuple[Tensor, Tensor]] = []
        open_block, column = -1, WIDTH
        for task in model.labelled:
            head = model.head(task.name)
            layer = head.layer if isinstance(head, Head) else None
            if layer is None:
                continue
            outputs = len(layer.weight)
            if outputs > WIDTH:
                block, start = self._add(outputs, layer.weight), 0
            else:
                if column + outputs > WIDTH:
                    open_block, column = self._add(WIDTH, layer.weight), 0
                block, start = open_block, column
                column += outputs
            weight, bias = self._blocks[block]
            weight[start : start + outputs] = layer.weight
            if layer.bias is not None:
                bias[start : start + outputs] = layer.bias
            self._places[model.tasks.index(task)] = (block, start, outputs)

    def _add(self, outputs: int, like: Tensor) -> int:
        """Add a block for so many outputs, and return its number."""
        width = -(-outputs // WIDTH) * WIDTH
        hidden = like.shape[1]
        self._blocks.append(
            (
                like.new_zeros(width, hidden, dtype=torch.float32),
                like.new_zeros(width, dtype=torch.float32),
            )
        )
        return len(self._blocks) - 1

    def __contains__(self, task: int) -> bool:
        """Whether a task's head, by its number, is here."""
        return task in self._places

    def outputs(self, vectors: Tensor, tasks: Collection[int]) -> dict[int, Tensor]:
        """Return the outputs of some tasks' linear layers, [V, outputs] each.

        Args:
            vectors: float32 [V, H], which all of them see.
            tasks: their numbers.
        """
        wanted = sorted({self._places[task][0] for task in tasks})
        with torch.autocast(vectors.device.type, enabled=False):
            made = {block: F.linear(vectors, *self._blocks[block]) for block in wanted}
        result = {}
        for task in tasks:
            block, start, outputs = self._places[task]
            result[task] = made[block][:, start : start + outputs]
        return result
