"""What tasks read of some examples, packed: the host's share of their way through the encoder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from accord.encoders.packing import PackedBatch, pack
from accord.encoders.prepared import Prepared
from accord.evaluation.inputs import Examples, Inputs, Stream
from accord.evaluation.passes import passes, tokens_of_a_pass
from accord.kernels.matmul import DEFAULT, MatmulPolicy
from accord.kinds import kind_of
from accord.model.multitask import MultitaskModel


class Pass(NamedTuple):
    """A pass of the encoder.

    Attributes:
        group: of sequences that the same tasks read.
        members: which of the group's sequences, in the batch's order.
        batch: they, packed, on the host.
    """

    group: int
    members: list[int]
    batch: PackedBatch


@dataclass(frozen=True)
class Packed:
    """Examples of any number of tasks, ready for one way through the encoder.

    Attributes:
        groups: of examples that some tasks read, each example's sequences.
        readers: the numbers of the tasks that read each group.
        inputs: the distinct sequences.
        streams: where vectors go, for tasks that see the same.
        passes: each packed when it is asked for, once; or all of them, in a list.
    """

    groups: Sequence[Examples]
    readers: Sequence[Sequence[int]]
    inputs: Inputs
    streams: Sequence[Stream]
    passes: Iterable[Pass]

    def whole(self) -> Packed:
        """Return the same with all passes packed: in memory that a GPU reads by itself, where the
        vectors go to one."""
        every: Iterable[Pass] = self.passes
        if any(stream.device.type == "cuda" for stream in self.streams):
            every = (one._replace(batch=one.batch.mapped(Tensor.pin_memory)) for one in every)
        return replace(self, passes=[*every])


def packed_inputs(
    model: MultitaskModel,
    groups: Sequence[Examples],
    matmul: MatmulPolicy = DEFAULT,
    pass_tokens: int | None = None,
    tasks: Sequence[Sequence[int]] | None = None,
    prepared: Prepared | None = None,
) -> Packed:
    """Find the distinct sequences of examples, and pack them by length.

    Nothing is computed on the model's device, so a thread may do this while it computes.

    Args:
        model: its tasks say how each pools.
        groups: of examples that some tasks read, each example's sequences; may be empty.
        matmul: how this machine multiplies.
        pass_tokens: most tokens of one pass, fillers not counted, except for a single sequence that
            is longer; default: `tokens_of_a_pass`, which a thread is not to ask while another one
            computes: what is free then says nothing.
        tasks: the numbers of the tasks that read each group; default: the one of its place.
        prepared: the model's encoder, by the same `matmul`.
    """
    device, config = model.encoder.word_table.device, model.encoder.config
    readers = [(i,) for i in range(len(groups))] if tasks is None else tasks
    inputs = Inputs.of(groups, readers)
    limit = pass_tokens or tokens_of_a_pass(device, config)
    multiple = prepared.row_multiple if prepared else lambda tokens: matmul.row_multiple
    streams = _streams(model, inputs, readers, device)
    return Packed(groups, readers, inputs, streams, _passes(inputs, limit, multiple))


def _streams(
    model: MultitaskModel, inputs: Inputs, readers: Sequence[Sequence[int]], device: torch.device
) -> list[Stream]:
    together: dict[int, list[int]] = {}
    for task in (task for group in readers for task in group):
        together.setdefault(model.alike[task], []).append(task)
    hidden = model.encoder.config.hidden_size
    return [
        Stream(tuple(alike), kind_of(model.tasks[alike[0]]).units, inputs, hidden, device)
        for alike in together.values()
    ]


def _passes(inputs: Inputs, limit: int, multiple: Callable[[int], int]) -> Iterator[Pass]:
    for group, members in passes(inputs.sequences, limit):
        sequences = [inputs.sequences[group][i] for i in members]
        tokens = sum(len(sequence.input_ids) for sequence in sequences)
        yield Pass(group, members, pack([sequences], multiple(tokens)))
