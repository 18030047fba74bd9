"""Packed batches of few shapes: where sequences and tasks end is data on the device, not shape.

What is recorded once and run again, as a GPU's step is, takes the shapes of the batch that it was
recorded with. So tokens, words and the longest length are rounded up to few sizes, and fillers that
nobody pools take the room that is left.

Fillers stand as sequences of their own: one behind each task's tokens, up to a multiple of 32 (what
grouped products want), and some behind the last task's, up to the size. They may be empty.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor

from accord.encoders.packing import PackedBatch, TokenSequence
from accord.kernels.attention.segments import SegmentPlan
from accord.pertask.bounds import DeviceBounds, TaskBounds

_MULTIPLE = 32  # of each task's tokens
_STEP = 256  # the least step from one size to the next
_SIZES = 16  # steps between one power of two and the next: at most a sixteenth is fillers
_SHORTEST = 32  # of the longest length's sizes


def size_of(count: int) -> int:
    """Return the size that a count is rounded up to.

    Example:
        >>> [size_of(count) for count in (1, 256, 257, 9000, 40000)]
        [256, 256, 512, 9216, 40960]
    """
    step = max(_STEP, (1 << max(count - 1, 1).bit_length()) // (2 * _SIZES))
    return -(-count // step) * step


@dataclass(frozen=True, kw_only=True)
class StaticBatch(PackedBatch):
    """A packed batch whose shapes are those of its size.

    `lengths` is empty: the host doesn't need them, as all that follows from them is data.

    Attributes:
        starts: int32 [B + 1], where each sequence starts, and N.
        token_ends: int32 [T], where each task's tokens end.
        sequence_ends: int32 [T], where each task's sequences end.
        table_ids: int64 [U], the distinct ids of the tokens, and others up to the size.
        longest: no sequence has more tokens.
    """

    starts: Tensor
    token_ends: Tensor
    sequence_ends: Tensor
    table_ids: Tensor
    longest: int

    @property
    def size(self) -> tuple[object, ...]:
        """What batches have in common that one recording may run."""
        shapes = tuple(tuple(tensor.shape) for tensor in self.tensors.values())
        return shapes, self.longest, self.task_sequences, self.jacobian_rows

    @property
    def described(self) -> str:
        """Its size in words."""
        return (
            f"{len(self.input_ids):,} tokens, fillers counted, in {self.sequences:,} sequences"
            f" of at most {self.longest:,}"
        )

    @property
    def tensors(self) -> dict[str, Tensor]:
        """All of its data, by name."""
        return {name: getattr(self, name) for name in _TENSORS}

    @property
    def sequences(self) -> int:
        """B, fillers counted."""
        return len(self.starts) - 1

    @cached_property
    def task_rows(self) -> tuple[tuple[int, int], ...]:
        """For each task its (start, stop) among the sequences, with its fillers."""
        stops = [start for start, _ in self.task_sequences[1:]]
        starts = [start for start, _ in self.task_sequences]
        return tuple(zip(starts, [*stops, self.sequences], strict=True))

    @cached_property
    def token_bounds(self) -> TaskBounds:
        """Whose the tokens are."""
        size = len(self.input_ids)
        return DeviceBounds.of_ends(self.jacobian_rows, self.token_ends, size, _MULTIPLE)

    @cached_property
    def sequence_bounds(self) -> TaskBounds:
        """Whose the sequences are."""
        return DeviceBounds.of_ends(self.jacobian_rows, self.sequence_ends, self.sequences)

    def bounds_of(self, task: int, rows: int) -> TaskBounds:
        """Return the bounds of an activation that has rows of one of the tasks alone."""
        return DeviceBounds.of_one(self.jacobian_rows[task], rows, self.starts.device)

    @cached_property
    def cls_rows(self) -> Tensor:
        """The row of each sequence's first token, int64 [B]; an empty one's is any."""
        return self.starts[:-1].clamp(max=len(self.input_ids) - 1).long()

    @cached_property
    def plan(self) -> SegmentPlan:
        """How attention runs over these sequences, every token a query."""
        return SegmentPlan.of(self.starts, self.longest, len(self.input_ids))

    @cached_property
    def cls_plan(self) -> SegmentPlan:
        """How attention runs where only the first token of each sequence is a query."""
        return replace(self.plan, cls_queries=True)

    def means(self, hidden: Tensor) -> Tensor:
        """Average each sequence's tokens, [N, H] -> [B, H]; of an empty one 0."""
        counts = self.starts.diff().clamp(min=1)
        sums = torch.segment_reduce(hidden, "sum", offsets=self.starts.long(), axis=0, unsafe=True)
        return sums / counts[:, None]

    def mapped(self, move: Callable[[Tensor], Tensor]) -> StaticBatch:
        """Return the batch with each of its tensors moved."""
        return self.holding({name: move(each) for name, each in self.tensors.items()})

    def holding(self, tensors: Mapping[str, Tensor]) -> StaticBatch:
        """Return a batch of the same shapes that has other tensors, named as in `tensors`."""
        held: dict[str, Any] = {name: tensors[name] for name in _TENSORS}
        return replace(self, **held)

    def _on_the_device_alone(self) -> NoReturn:
        raise RuntimeError("where sequences end is known on the device alone")

    @property
    def cu_seqlens(self) -> tuple[int, ...]:
        """Not known to the host."""
        self._on_the_device_alone()

    @property
    def runs(self) -> list[tuple[int, int]]:
        """Not known to the host."""
        self._on_the_device_alone()

    @property
    def task_tokens(self) -> tuple[tuple[int, int], ...]:
        """Not known to the host."""
        self._on_the_device_alone()


_TENSORS = (
    "input_ids", "position_ids", "token_type_ids", "starts", "token_ends", "sequence_ends",
    "table_ids",
)  # fmt: skip


def pack_static(
    tasks: Sequence[Sequence[TokenSequence]], vocabulary: int, rows: Sequence[int] | None = None
) -> StaticBatch:
    """Lay sequences end to end, with fillers up to a size.

    Args:
        tasks: for each task its sequences, one at least.
        vocabulary: how many words the encoder knows.
        rows: the row of J that each task's gradients go to; None is its place.

    Raises:
        ValueError: if a task has no sequence, or one is empty.
    """
    lengths = [[len(sequence.input_ids) for sequence in sequences] for sequences in tasks]
    if not lengths or not all(lengths) or min(map(min, lengths)) == 0:
        raise ValueError("a static batch takes a sequence of each task, and none that is empty")
    size = size_of(sum(-(-sum(of) // _MULTIPLE) * _MULTIPLE for of in lengths))
    longest = max(_SHORTEST, 1 << (max(map(max, lengths)) - 1).bit_length())
    # How many fillers there is room for is a matter of the size alone.
    spare = -(-max(size_of(size + 1) - size, _STEP) // longest)
    every: list[int] = []  # the sequences' lengths
    bounds, token_ends, sequence_ends = [], [], []
    used = 0
    for number, of in enumerate(lengths):
        bounds.append((len(every), len(every) + len(of)))
        used += sum(of)
        missing = -used % _MULTIPLE
        every += [*of, missing]
        used += missing
        if number + 1 == len(lengths):
            left = size - used
            fillers = [min(longest, max(0, left - i * longest)) for i in range(spare)]
            every += fillers
            used += sum(fillers)
        token_ends.append(used)
        sequence_ends.append(len(every))
    assert used == size, f"fillers of {size} tokens reach {used}"
    ids, positions, types = _laid_out(tasks, bounds, every)
    return StaticBatch(
        input_ids=torch.from_numpy(ids),
        position_ids=torch.from_numpy(positions),
        token_type_ids=torch.from_numpy(types),
        lengths=(),
        task_sequences=tuple(bounds),
        jacobian_rows=tuple(range(len(tasks)) if rows is None else rows),
        starts=torch.from_numpy(np.cumsum([0, *every], dtype=np.int32)),
        token_ends=torch.tensor(token_ends, dtype=torch.int32),
        sequence_ends=torch.tensor(sequence_ends, dtype=torch.int32),
        table_ids=torch.from_numpy(_filled_up(np.unique(ids), vocabulary)),
        longest=longest,
    )


def _laid_out(
    tasks: Sequence[Sequence[TokenSequence]], bounds: Sequence[tuple[int, int]],
    lengths: Sequence[int],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """Return token, position and type ids, int64 [N] each; a filler's are 0."""
    total = sum(lengths)
    ids, positions, types = (np.zeros(total, dtype=np.int64) for _ in range(3))
    offsets = np.cumsum([0, *lengths])
    for sequences, (start, _) in zip(tasks, bounds, strict=True):
        for number, sequence in enumerate(sequences, start):
            place = slice(offsets[number], offsets[number + 1])
            ids[place] = sequence.input_ids
            positions[place] = np.arange(len(sequence.input_ids))
            types[place] = positions[place] >= sequence.first
    return ids, positions, types


def _filled_up(ids: np.ndarray, vocabulary: int) -> np.ndarray:
    """Return distinct ids with others behind them, up to a size, or all that there are."""
    size = min(size_of(len(ids)), vocabulary)
    # As many candidates as there is room for, and as may be taken already.
    others = np.setdiff1d(np.arange(min(vocabulary, size + len(ids))), ids, assume_unique=True)
    return np.concatenate([ids, others[: size - len(ids)]])
