"""One batch through the encoder for many tasks: shared layers once, and then each way apart."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence

from torch import Tensor

from accord.data.batches import View
from accord.encoders.packing import PackedBatch
from accord.model.multitask import MultitaskModel

Way = Sequence[Hashable]
"""What identifies a task's way through the embeddings, and then through each layer."""


def way_of(model: MultitaskModel, task: int) -> Way:
    """Return a task's way through the encoder.

    Of the last layer it says too whether first tokens alone are wanted, as they are computed in
    products of their own.
    """
    layers = len(model.encoder.layers)
    parts = [()] * (layers + 1) if model.parts is None else model.parts.path(task)
    return (*parts[:-1], (parts[-1], model.sees_cls_only([task])))


def pooled_by_task(
    model: MultitaskModel, batch: PackedBatch, ways: Mapping[int, Way]
) -> dict[int, Tensor]:
    """Encode a batch of one group of sequences, and pool it for each of some tasks that read it.

    Every layer is computed once for all tasks whose ways are the same up to it. From there on
    each path goes on in products of its own, so that what tasks say is the same to the bit whatever
    other tasks there are.

    Args:
        model: in evaluation, without dropout.
        batch: of one group.
        ways: of these tasks, by their numbers.

    Returns:
        For each task its pooled vectors (`MultitaskModel.pooled`).
    """
    pooled: dict[int, Tensor] = {}
    for tasks, hidden in _encoded(model, batch, ways):
        views = [View(task, 0) for task in tasks]
        cls_only = model.sees_cls_only(tasks)
        pooled |= zip(tasks, model.viewed(hidden, batch, views, cls_only), strict=True)
    return pooled


def _encoded(
    model: MultitaskModel, batch: PackedBatch, ways: Mapping[int, Way]
) -> Iterator[tuple[list[int], Tensor]]:
    """Yield tasks whose ways are the same, and the encoder's output for them."""
    encoder = model.encoder

    def go_on(
        tasks: Sequence[int], depth: int, x: Tensor | None
    ) -> Iterator[tuple[list[int], Tensor]]:
        together: dict[Hashable, list[int]] = {}
        for task in tasks:
            together.setdefault(ways[task][depth], []).append(task)
        for group in together.values():
            hooks, cls_only = model.hooks(batch, group[:1]), model.sees_cls_only(group)
            y = (
                encoder.embed(batch, None, hooks)
                if x is None
                else encoder.layer(depth - 1, x, batch, None, cls_only, hooks)
            )
            if depth < len(encoder.layers):
                yield from go_on(group, depth + 1, y)
            else:
                yield group, encoder.finish(y, batch, cls_only)

    return go_on(list(ways), 0, None)
