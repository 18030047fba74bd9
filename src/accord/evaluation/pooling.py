"""Sequences of any number of tasks: packed by length, encoded, pooled, put back in order."""

from __future__ import annotations

import torch

from accord.encoders.prepared import Prepared
from accord.evaluation.inputs import Pooled
from accord.evaluation.packed import Packed
from accord.kernels.matmul import DEFAULT, MatmulPolicy
from accord.model.branching import pooled_by_task
from accord.model.multitask import MultitaskModel


@torch.inference_mode()
def encoded(
    model: MultitaskModel,
    packed: Packed,
    matmul: MatmulPolicy = DEFAULT,
    prepared: Prepared | None = None,
) -> dict[int, Pooled]:
    """Encode and pool what was packed for a model. A GPU has not finished when this returns.

    Where tasks have parts of the encoder of their own, layers from the first of these on are
    computed once for each of them (`accord.model.branching`).

    Args:
        model: its encoder is used; its tasks say how each pools.
        packed: of its tasks; is used up.
        matmul: in what precision, and how this machine multiplies.
        prepared: the model's encoder, by the same `matmul`.

    Returns:
        For each task, by its number, its vectors, in the order of its group's examples.
    """
    evaluating(model)
    device = model.encoder.word_table.device
    for group, members, batch in packed.passes:
        reading = {first: stream for stream in packed.streams
                   if (first := stream.reader(group)) is not None}  # fmt: skip
        pooled = pooled_by_task(model, batch.to(device), reading, matmul, prepared)
        for task, vectors in pooled.items():
            reading[task].take(group, members, vectors)
    by_task = {task: stream for stream in packed.streams for task in stream.tasks}
    return {
        task: by_task[task].pooled(task, examples)
        for examples, of_group in zip(packed.groups, packed.readers, strict=True)
        for task in of_group
    }


def evaluating(model: MultitaskModel) -> None:
    """Put a model into evaluation mode; to do so again takes milliseconds."""
    if model.training:
        model.eval()
