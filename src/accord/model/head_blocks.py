"""The heads' linear layers side by side: many small products as few, and none changes another's."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from accord.kernels.matmul import DEFAULT, computing
from accord.model.heads import Head
from accord.model.multitask import MultitaskModel

WIDTH = 256
"""Outputs of a block."""


class HeadBlocks:
    """The linear layers of a model's heads, as blocks of equal shape.

    A block is one product, [V, H] x [H, 256]. Heads stand in it in the order of tasks, with zeros
    behind the last: a head that is added changes no shape, and so no bit of what the others say.
    One that is wider has blocks to itself.

    Args:
        model: whose heads; those that don't begin with a linear layer are left out.
    """

    @torch.no_grad()
    def __init__(self, model: MultitaskModel) -> None:
        layers: dict[int, nn.Linear] = {}
        for number, task in enumerate(model.tasks):
            head = model.heads[task.name]
            if isinstance(head, Head) and head.layer is not None:
                layers[number] = head.layer
        blocks = list(_blocks({number: layer.out_features for number, layer in layers.items()}))
        self._blocks = [_side_by_side([layers[number] for number in block]) for block in blocks]
        self._places = {
            number: (block, place)
            for block, numbers in enumerate(blocks)
            for place, number in enumerate(numbers)
        }
        self._columns = lru_cache(maxsize=64)(self._columns_of)  # for each set of tasks asked

    def __contains__(self, task: int) -> bool:
        """Whether a task's head, by its number, is here."""
        return task in self._places

    def outputs(self, vectors: Tensor, tasks: Collection[int]) -> dict[int, Tensor]:
        """Return the outputs of some tasks' linear layers, [V, outputs] each.

        Args:
            vectors: float32 [V, H], which all of them see.
            tasks: their numbers.
        """
        made = {
            block: self._product(block, vectors).split_with_sizes(self._blocks[block][2], 1)
            for block in sorted({self._places[task][0] for task in tasks})
        }
        places = ((task, *self._places[task]) for task in tasks)
        return {task: made[block][place] for task, block, place in places}

    def stacked(self, vectors: Tensor, tasks: tuple[int, ...]) -> Tensor:
        """Return `outputs` of tasks that have as many, to the bit, float32 [tasks, V, outputs]."""
        blocks, columns = self._columns(tasks)
        every = torch.cat([self._product(block, vectors) for block in blocks], 1)
        outputs = every.index_select(1, columns.flatten())
        return outputs.view(len(vectors), *columns.shape).transpose(0, 1)

    def _product(self, block: int, vectors: Tensor) -> Tensor:
        weight, bias, _ = self._blocks[block]
        # In float32 in full, in whatever precision the encoder runs.
        with computing(DEFAULT), torch.autocast(vectors.device.type, enabled=False):
            return F.linear(vectors, weight, bias)

    def _columns_of(self, tasks: tuple[int, ...]) -> tuple[list[int], Tensor]:
        """Return the blocks in which some tasks stand, and where in these, laid side by side, each
        one's outputs are, int64 [tasks, outputs]."""
        blocks = sorted({self._places[task][0] for task in tasks})
        columns: dict[tuple[int, int], range] = {}
        start = 0
        for block in blocks:
            for place, width in enumerate(self._blocks[block][2]):
                columns[block, place] = range(start, start + width)
                start += width
        device = self._blocks[0][0].device
        return blocks, torch.tensor([columns[self._places[task]] for task in tasks], device=device)


def _blocks(outputs: Mapping[int, int]) -> Iterator[list[int]]:
    """Yield the numbers of the heads in each block, given how many outputs each head has."""
    block: list[int] = []
    room = WIDTH
    for number, width in outputs.items():
        if width > WIDTH:
            yield [number]
            continue
        if width > room:
            yield block
            block, room = [], WIDTH
        block.append(number)
        room -= width
    if block:
        yield block


def _side_by_side(layers: Sequence[nn.Linear]) -> tuple[Tensor, Tensor, list[int]]:
    """Return weights and biases of some layers as those of one, [256 n, H] and [256 n], and how
    many outputs each has, with those of no layer last."""
    weight = torch.cat([layer.weight.float() for layer in layers])
    bias = torch.cat([
        layer.weight.new_zeros(layer.out_features) if layer.bias is None else layer.bias.float()
        for layer in layers
    ])  # fmt: skip
    more = -len(weight) % WIDTH
    widths = [*(layer.out_features for layer in layers), more]
    return F.pad(weight, (0, 0, 0, more)), F.pad(bias, (0, more)), widths
