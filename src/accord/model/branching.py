"""One batch through the encoder for many tasks: shared layers once, and then each way apart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from torch import Tensor

from accord.data.batches import View
from accord.encoders.packing import PackedBatch
from accord.encoders.prepared import Prepared
from accord.kernels.matmul import DEFAULT, MatmulPolicy, computing
from accord.model.multitask import MultitaskModel, Way


def pooled_by_task(
    model: MultitaskModel,
    batch: PackedBatch,
    tasks: Iterable[int],
    matmul: MatmulPolicy = DEFAULT,
    prepared: Prepared | None = None,
) -> dict[int, Tensor]:
    """Encode a batch of one group of sequences, and pool it for each of some tasks that read it.

    Every layer is computed once for all tasks whose ways are the same up to it. From there on
    each way goes on in products of its own, so that what tasks say is the same to the bit whatever
    other tasks there are.

    Args:
        model: in evaluation, without dropout.
        batch: of one group.
        tasks: their numbers.
        matmul: in what precision, and how this machine multiplies.
        prepared: the model's encoder by the same `matmul`, for layers in which these tasks have no
            parts.

    Returns:
        For each task its pooled vectors (`MultitaskModel.pooled`).
    """
    pooled: dict[int, Tensor] = {}
    ways = {task: model.way(task) for task in tasks}
    for alike, hidden in _encoded(model, batch, ways, matmul, prepared):
        views = [View(task, 0) for task in alike]
        cls_only = model.sees_cls_only(alike)
        with computing(matmul), matmul.autocast(hidden.device):  # a pooler multiplies too
            pooled |= zip(alike, model.viewed(hidden, batch, views, cls_only), strict=True)
    return pooled


def _encoded(
    model: MultitaskModel, batch: PackedBatch, ways: Mapping[int, Way], matmul: MatmulPolicy,
    prepared: Prepared | None,
) -> Iterator[tuple[list[int], Tensor]]:  # fmt: skip
    """Yield tasks whose ways are the same, and the encoder's output for them."""
    encoder = model.encoder
    layers = len(encoder.layers)

    def place(depth: int, task: int, x: Tensor | None, cls_only: bool) -> Tensor:
        """Apply the embeddings, or a layer."""
        parts = ways[task][depth]
        plain = not (parts[0] if depth == layers else parts)
        if prepared is None or not plain:
            hooks = model.hooks(batch, [task])
            with computing(matmul), matmul.autocast(encoder.word_table.device):
                if x is None:
                    return encoder.embed(batch, None, hooks)
                return encoder.layer(depth - 1, x, batch, None, cls_only, hooks)
        # Outside of `computing`: torch's attention takes six times as long under its setting.
        if x is None:
            return prepared.embed(batch)
        if cls_only and depth == layers:
            return prepared.last(x, batch)
        return prepared.block(depth - 1, x, batch)

    def go_on(
        tasks: Sequence[int], depth: int, x: Tensor | None
    ) -> Iterator[tuple[list[int], Tensor]]:
        together: dict[object, list[int]] = {}
        for task in tasks:
            together.setdefault(ways[task][depth], []).append(task)
        for group in together.values():
            cls_only = model.sees_cls_only(group)
            y = place(depth, group[0], x, cls_only)
            if depth < layers:
                yield from go_on(group, depth + 1, y)
            else:
                yield group, encoder.finish(y, batch, cls_only)

    return go_on(list(ways), 0, None)
