"""Packed batches: every sequence of a step end to end, ordered by task, without padding."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby, pairwise

import numpy as np
import torch
from torch import Tensor

from accord.kernels.attention import AttentionPlan, plan_attention
from accord.pertask.bounds import TaskBounds


@dataclass(frozen=True)
class MaskedWords:
    """The words of one sequence that a model is to tell.

    Attributes:
        positions: int64 [m], in the sequence.
        ids: int64 [m], what stood there.
        weight: of each of them in the sequence's loss.
    """

    positions: np.ndarray
    ids: np.ndarray
    weight: float = 1.0


@dataclass(frozen=True)
class PackedWords:
    """The masked words of one task's sequences in a batch.

    Attributes:
        rows: int64 [m], of the batch's tokens.
        ids: int64 [m], what stood there.
        sequences: int64 [m], in which of the task's sequences.
        weights: float32 [m], in their sequence's loss.
        jacobian_row: the row of J that the task's gradients go to.
    """

    rows: Tensor
    ids: Tensor
    sequences: Tensor
    weights: Tensor
    jacobian_row: int

    @property
    def bounds(self) -> TaskBounds:
        """The words' task bounds: whose rows are whose."""
        return TaskBounds((self.jacobian_row,), (len(self.ids),))

    def mapped(self, move: Callable[[Tensor], Tensor]) -> PackedWords:
        """Return the same with each tensor moved."""
        tensors = (self.rows, self.ids, self.sequences, self.weights)
        rows, ids, sequences, weights = map(move, tensors)
        return PackedWords(rows, ids, sequences, weights, self.jacobian_row)


@dataclass(frozen=True)
class PackedBatch:
    """B sequences of N tokens in all, of one or more tasks.

    Attributes:
        input_ids: int64 [N].
        position_ids: int64 [N], counted from 0 in each sequence; 0 in fillers.
        token_type_ids: int64 [N].
        lengths: the tokens of each sequence, on the host.
        task_sequences: for each task its (start, stop) among the sequences. Between a task's
            stop and the next one's start there may be a filler, which nobody pools.
        jacobian_rows: the row of J that each task's gradients go to.
        words: by its place among the tasks, the masked words of a task that has any.
        spans: by its place among the tasks, the words of one whose sequences know them: int64
            [words, 2], each word's first token among all, and its last one's successor.
    """

    input_ids: Tensor
    position_ids: Tensor
    token_type_ids: Tensor
    lengths: tuple[int, ...]
    task_sequences: tuple[tuple[int, int], ...]
    jacobian_rows: tuple[int, ...]
    words: Mapping[int, PackedWords] = field(default_factory=dict)
    spans: Mapping[int, Tensor] = field(default_factory=dict)

    @cached_property
    def cu_seqlens(self) -> tuple[int, ...]:
        """Where each sequence starts among the tokens; B + 1 numbers."""
        return (0, *np.cumsum(self.lengths).tolist())

    @cached_property
    def task_rows(self) -> tuple[tuple[int, int], ...]:
        """For each task its (start, stop) among the sequences, with its filler."""
        starts = [start for start, _ in self.task_sequences]
        return tuple(pairwise([*starts, len(self.lengths)]))

    @cached_property
    def runs(self) -> list[tuple[int, int]]:
        """How many sequences in a row have the same length, and that length."""
        return [(len(list(same)), length) for length, same in groupby(self.lengths)]

    @cached_property
    def task_tokens(self) -> tuple[tuple[int, int], ...]:
        """For each task its (start, stop) among the tokens, with its filler's."""
        bounds = self.cu_seqlens
        return tuple((bounds[start], bounds[stop]) for start, stop in self.task_rows)

    @cached_property
    def token_bounds(self) -> TaskBounds:
        """Whose the tokens are."""
        return TaskBounds(self.jacobian_rows, tuple(stop for _, stop in self.task_tokens))

    @cached_property
    def sequence_bounds(self) -> TaskBounds:
        """Whose the sequences are."""
        return TaskBounds(self.jacobian_rows, tuple(stop for _, stop in self.task_rows))

    def bounds_of(self, task: int, rows: int) -> TaskBounds:
        """Return the bounds of an activation that has rows of one of the tasks alone."""
        return TaskBounds((self.jacobian_rows[task],), (rows,))

    @property
    def ids(self) -> tuple[Tensor, Tensor, Tensor]:
        """Token, position and type ids, int64 [N] each."""
        return self.input_ids, self.position_ids, self.token_type_ids

    @cached_property
    def cls_rows(self) -> Tensor:
        """The row of each sequence's first token: int64 [B]."""
        return placing(self.input_ids.device)(torch.tensor(self.cu_seqlens[:-1]))

    @cached_property
    def plan(self) -> AttentionPlan:
        """How attention runs over these sequences, every token a query."""
        return plan_attention(self.lengths, self.input_ids.device)

    @cached_property
    def cls_plan(self) -> AttentionPlan:
        """How attention runs where only the first token of each sequence is a query."""
        return plan_attention(self.lengths, self.input_ids.device, cls_queries=True)

    def means(self, hidden: Tensor) -> Tensor:
        """Average each sequence's tokens, [N, H] -> [B, H]."""
        lengths = placing(hidden.device)(torch.tensor(self.lengths))
        numbers = torch.arange(len(lengths), device=hidden.device)
        sequence = torch.repeat_interleave(numbers, lengths, output_size=len(hidden))
        sums = hidden.new_zeros(len(lengths), hidden.shape[1]).index_add_(0, sequence, hidden)
        return sums / lengths[:, None]

    def to(self, device: torch.device) -> PackedBatch:
        """Return the batch with its tensors on a device."""
        return self if device == self.input_ids.device else self.mapped(placing(device))

    def mapped(self, move: Callable[[Tensor], Tensor]) -> PackedBatch:
        """Return the batch with each of its tensors moved."""
        return replace(
            self,
            input_ids=move(self.input_ids),
            position_ids=move(self.position_ids),
            token_type_ids=move(self.token_type_ids),
            words={place: words.mapped(move) for place, words in self.words.items()},
            spans={place: move(spans) for place, spans in self.spans.items()},
        )


def placing(device: torch.device) -> Callable[[Tensor], Tensor]:
    """Return what copies a tensor to a device without waiting for it.

    From pinned memory a GPU reads by itself; other memory the driver copies aside first. Either way
    the GPU does what it was told in order, so whatever it computes next sees what was copied.
    """
    return lambda tensor: tensor.to(device, non_blocking=True)


@dataclass(frozen=True)
class TokenSequence:
    """One sequence as the encoder reads it.

    Attributes:
        input_ids: int [L], special tokens included.
        first: how many of them are of token type 0; the rest are of type 1.
        words: the masked ones, where the task is to predict them.
        spans: int64 [words, 2], where each word of the text begins and ends among the tokens, for a
            task that labels words; of a word that is cut off, or has no token, both are the same.
    """

    input_ids: np.ndarray
    first: int
    words: MaskedWords | None = None
    spans: np.ndarray | None = None


def pack(
    tasks: Sequence[Sequence[TokenSequence]], multiple: int = 1, rows: Sequence[int] | None = None
) -> PackedBatch:
    """Lay sequences end to end.

    Args:
        tasks: for each task its sequences; a task may have none.
        multiple: of which each task's tokens are to be; a filler sequence adds what is missing.
            Nobody pools it, so its gradients are zero.
        rows: the row of J that each task's gradients go to; None is its place.

    Raises:
        ValueError: if there is no sequence, or an empty one.
    """
    flat: list[TokenSequence] = []
    bounds, steps = [], []  # a filler's tokens all stand at position 0: it may be of any length
    for sequences in tasks:
        bounds.append((len(flat), len(flat) + len(sequences)))
        flat += sequences
        steps += [1] * len(sequences)
        missing = -sum(len(sequence.input_ids) for sequence in sequences) % multiple
        if missing:
            flat.append(TokenSequence(np.zeros(missing, dtype=np.int64), first=missing))
            steps.append(0)
    rows = tuple(range(len(tasks)) if rows is None else rows)
    lengths = tuple(len(sequence.input_ids) for sequence in flat)
    if not lengths or min(lengths) == 0:
        raise ValueError("a packed batch takes at least one sequence, and none that is empty")
    positions = np.concatenate([
        np.arange(length) * step for length, step in zip(lengths, steps, strict=True)
    ])  # fmt: skip
    firsts = np.repeat([sequence.first for sequence in flat], lengths)
    return PackedBatch(
        input_ids=torch.from_numpy(
            np.concatenate([sequence.input_ids for sequence in flat]).astype(np.int64)
        ),
        position_ids=torch.from_numpy(positions),
        token_type_ids=torch.from_numpy((positions >= firsts).astype(np.int64)),
        lengths=lengths,
        task_sequences=tuple(bounds),
        jacobian_rows=rows,
        words={
            place: _words(flat, lengths, start, stop, row)
            for place, (row, (start, stop)) in enumerate(zip(rows, bounds, strict=True))
            if start < stop and flat[start].words is not None
        },
        spans={
            place: _spans(flat[start:stop], sum(lengths[:start]))
            for place, (start, stop) in enumerate(bounds)
            if start < stop and flat[start].spans is not None
        },
    )  # fmt: skip


def _spans(sequences: Sequence[TokenSequence], offset: int) -> Tensor:
    """Return where the words of some sequences are that follow each other from an offset on."""
    spans = []
    for sequence in sequences:
        assert sequence.spans is not None  # all sequences of a task know their words, or none
        spans.append(sequence.spans[sequence.spans[:, 0] < sequence.spans[:, 1]] + offset)
        offset += len(sequence.input_ids)
    return torch.from_numpy(np.concatenate(spans))


def _words(
    flat: Sequence[TokenSequence], lengths: Sequence[int], start: int, stop: int, row: int
) -> PackedWords:
    """Return the masked words of the sequences from `start` to `stop`."""
    offsets = sum(lengths[:start]) + np.cumsum([0, *lengths[start:stop]])
    words = [sequence.words for sequence in flat[start:stop] if sequence.words is not None]
    counts = [len(word.ids) for word in words]
    rows = [offset + word.positions for offset, word in zip(offsets, words, strict=False)]
    return PackedWords(
        rows=torch.from_numpy(np.concatenate(rows)),
        ids=torch.from_numpy(np.concatenate([word.ids for word in words]).astype(np.int64)),
        sequences=torch.from_numpy(np.repeat(np.arange(len(words)), counts)),
        weights=torch.tensor(
            np.repeat([word.weight for word in words], counts), dtype=torch.float32
        ),
        jacobian_row=row,
    )
