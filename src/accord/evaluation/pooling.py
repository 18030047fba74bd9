"""Sequences of any number of tasks: packed by length, encoded, pooled, put back in order."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from accord.encoders.packing import pack
from accord.encoders.prepared import Prepared
from accord.evaluation.inputs import Examples, Inputs, Pooled, Stream
from accord.evaluation.passes import passes, tokens_of_a_pass
from accord.kernels.matmul import DEFAULT, MatmulPolicy
from accord.kinds import kind_of
from accord.model.branching import pooled_by_task
from accord.model.multitask import MultitaskModel


@torch.inference_mode()
def pooled_vectors(
    model: MultitaskModel,
    groups: Sequence[Examples],
    matmul: MatmulPolicy = DEFAULT,
    pass_tokens: int | None = None,
    tasks: Sequence[Sequence[int]] | None = None,
    prepared: Prepared | None = None,
) -> dict[int, Pooled]:
    """Encode and pool the examples of any number of tasks, each distinct sequence once.

    Where tasks have parts of the encoder of their own, layers from the first of these on are
    computed once for each of them (`accord.model.branching`).

    Args:
        model: its encoder is used; its tasks say how each pools.
        groups: of examples that some tasks read, each example's sequences; may be empty.
        matmul: in what precision, and how this machine multiplies.
        pass_tokens: most tokens of one pass, fillers not counted, except for a single sequence that
            is longer; default: `tokens_of_a_pass`.
        tasks: the numbers of the tasks that read each group; default: the one of its place.
        prepared: the model's encoder, by the same `matmul`.

    Returns:
        For each task, by its number, its vectors, in the order of its group's examples.
    """
    evaluating(model)
    device, hidden = model.encoder.word_table.device, model.encoder.config.hidden_size
    readers = [(i,) for i in range(len(groups))] if tasks is None else tasks
    inputs = Inputs.of(groups, readers)
    together: dict[int, list[int]] = {}
    for task in (task for group in readers for task in group):
        together.setdefault(model.alike[task], []).append(task)
    streams = [
        Stream(tuple(alike), kind_of(model.tasks[alike[0]]).units, inputs, hidden, device)
        for alike in together.values()
    ]
    limit = pass_tokens or tokens_of_a_pass(device, model.encoder.config)
    for group, members in passes(inputs.sequences, limit):
        sequences = [inputs.sequences[group][i] for i in members]
        tokens = sum(len(sequence.input_ids) for sequence in sequences)
        multiple = matmul.row_multiple if prepared is None else prepared.row_multiple(tokens)
        batch = pack([sequences], multiple).to(device)
        reading = {first: stream for stream in streams
                   if (first := stream.reader(group)) is not None}  # fmt: skip
        pooled = pooled_by_task(model, batch, reading, matmul, prepared)
        for task, vectors in pooled.items():
            reading[task].take(group, members, vectors)
    by_task = {task: stream for stream in streams for task in stream.tasks}
    return {
        task: by_task[task].pooled(task, examples)
        for examples, of_group in zip(groups, readers, strict=True) for task in of_group
    }  # fmt: skip


def evaluating(model: MultitaskModel) -> None:
    """Put a model into evaluation mode; to do so again takes milliseconds."""
    if model.training:
        model.eval()
