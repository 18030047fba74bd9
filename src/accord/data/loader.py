"""From rows of the token stores to packed batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from accord.data.store import TokenStore
from accord.data.texts import TextStore
from accord.data.tokenizing import SpecialIds
from accord.encoders.packing import PackedBatch, TokenSequence, pack
from accord.kinds import Hiding, Layout, kind_of, labelled_kind
from accord.tasks import Task


@dataclass(frozen=True)
class TaskData:
    """The rows of one task's split.

    Attributes:
        task: whose.
        store: holds the file's tokens and labels, or texts without labels.
        rows: indices into the store.
    """

    task: Task
    store: TokenStore | TextStore
    rows: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def labels(self) -> np.ndarray:
        """Targets as the task's kind has them, [rows, ...]; zeros without labels."""
        labels: np.ndarray = self.store.labels[self.rows]
        return labels

    @property
    def strata(self) -> np.ndarray | None:
        """What splits and halves of the rows are balanced by (`Kind.strata`), [rows]."""
        return kind_of(self.task).strata(self.labels)

    @property
    def content(self) -> str:
        """What identifies these rows: a hash of the file's content, and how many of its rows."""
        return f"{self.store.fingerprint}:{len(self)}"

    def targets(self, index: np.ndarray) -> Tensor:
        """What the loss compares with, float32, for some of the rows; zeros without labels."""
        labels = torch.from_numpy(self.store.labels[self.rows[index]])
        if not self.task.labelled:
            return labels.float()
        return labelled_kind(self.task).targets(self.task, labels)


@dataclass(frozen=True)
class Assembler:
    """Makes the sequences that the encoder reads.

    Attributes:
        special: special tokens, and how they frame texts.
        max_length: tokens that a sequence may have, special tokens included.
        vocabulary: ids of words are below it; of no use without a masked language model.
    """

    special: SpecialIds
    max_length: int
    vocabulary: int = 0

    def sequences(self, data: TaskData, index: Sequence[int] | np.ndarray) -> list[TokenSequence]:
        """Return the sequences of some rows of a split, each row's next to each other."""
        texts, layout = range(data.task.texts), data.task.layout
        result = []
        for i in index:
            row = int(data.rows[i])
            result += self.laid_out([data.store.segment(row, which) for which in texts], layout)
        return result

    def laid_out(self, texts: Sequence[np.ndarray], layout: Layout) -> list[TokenSequence]:
        """Return the sequences of one row, given the token ids of its texts."""
        return [self.join([texts[which] for which in place]) for place in layout]

    def hiding(self, key: Sequence[int], first: int = 0) -> Hiding:
        """Return what a kind needs that hides words of its texts.

        Args:
            key: names the draws.
            first: place of the first of these texts.
        """
        return Hiding(self.special.mask, self.vocabulary, key, first)

    def join(self, segments: Sequence[np.ndarray]) -> TokenSequence:
        """Add special tokens to one text or a pair, and cut to the longest length allowed."""
        return self.special.framing.join(segments, self.max_length)

    def lengths(self, data: TaskData) -> np.ndarray:
        """Return the tokens of each row as the encoder will read it, int64 [rows]."""
        return np.asarray(self.sequence_lengths(data).sum(axis=1))

    def sequence_lengths(self, data: TaskData) -> np.ndarray:
        """Return the tokens of each of a row's sequences, int64 [rows, sequences]."""
        lengths = data.store.lengths[data.rows].astype(np.int64)
        uncut = self.special.framing.sequence_lengths(lengths, data.task.layout)
        return np.minimum(uncut, self.max_length)


@dataclass(frozen=True)
class MicroBatch:
    """One pass of a step: a share of the examples of each present task.

    Attributes:
        inputs: the packed sequences; or, with a frozen encoder, each task's pooled vectors.
        targets: float32 [n] for each present task.
    """

    inputs: PackedBatch | list[Tensor]
    targets: list[Tensor]


@dataclass(frozen=True)
class StepBatch:
    """All of a step's examples, in groups that have a row of J each.

    Attributes:
        present: index of each group's task, of those that have examples in this step.
        rows: the rows drawn of each group, for messages.
        passes: the examples, in one pass or several.
        tokens: of all examples; 0 where the encoder is frozen.
        token_ids: all of them, on the host, for the embedding's gradient.
    """

    present: tuple[int, ...]
    rows: tuple[np.ndarray, ...]
    passes: list[MicroBatch]
    tokens: int
    token_ids: Tensor

    @property
    def targets(self) -> list[Tensor]:
        """What all examples of each present task are compared with, [n] each."""
        parts = zip(*(micro.targets for micro in self.passes), strict=True)
        return [torch.cat(part) for part in parts]


def step_batch(
    drawn: Sequence[np.ndarray],
    data: Sequence[TaskData],
    assembler: Assembler,
    device: torch.device,
    micro_batch_tokens: int | None = None,
    multiple: int = 1,
    key: tuple[int, int] = (0, 0),
    tasks: Sequence[int] | None = None,
) -> StepBatch:
    """Pack a step's examples.

    Args:
        drawn: for every group the rows of its task's split in this step; may be empty.
        data: of every group's task.
        assembler: makes sequences.
        device: where the tensors go.
        micro_batch_tokens: most tokens of one pass, fillers not counted, but for a single example
            that is longer.
        multiple: of which each task's tokens in a pass are to be (`packing.pack`).
        key: (seed, step), which names the words that are hidden.
        tasks: index of each group's task; None is a group for each task, in order.
    """
    groups = tuple(i for i, rows in enumerate(drawn) if len(rows))
    rows = tuple(drawn[i] for i in groups)
    parts = [data[i] for i in groups]
    sequences = [_sequences(assembler, data[i], drawn[i], (*key, i)) for i in groups]
    targets = [part.targets(index) for part, index in zip(parts, rows, strict=True)]
    passes, ids = [], []
    for shares in _passes(parts, sequences, micro_batch_tokens):
        batch = pack(
            [
                sequence[start * part.task.sequences : stop * part.task.sequences]
                for part, sequence, (start, stop) in zip(parts, sequences, shares, strict=True)
            ],
            multiple,
            range(len(groups)),
        )
        wanted = [
            target[start:stop].to(device)
            for target, (start, stop) in zip(targets, shares, strict=True)
        ]
        ids.append(batch.input_ids)
        passes.append(MicroBatch(batch.to(device), wanted))
    return StepBatch(
        present=groups if tasks is None else tuple(tasks[i] for i in groups),
        rows=rows,
        passes=passes,
        tokens=sum(len(one.input_ids) for sequence in sequences for one in sequence),
        token_ids=torch.cat(ids),
    )


def _sequences(
    assembler: Assembler, data: TaskData, rows: np.ndarray, key: tuple[int, int, int]
) -> list[TokenSequence]:
    """Return the sequences of a task's rows in a step; words are hidden over all its passes."""
    sequences = assembler.sequences(data, rows)
    return kind_of(data.task).step_sequences(data.task, sequences, assembler.hiding(key))


def _passes(
    parts: Sequence[TaskData], sequences: Sequence[list[TokenSequence]], limit: int | None
) -> Iterator[list[tuple[int, int]]]:
    """Yield for each pass every task's (start, stop) among its examples."""
    ends = [
        len(sequence) // part.task.sequences
        for part, sequence in zip(parts, sequences, strict=True)
    ]
    shares = [(0, 0) for _ in ends]
    tokens = 0
    for i, part in enumerate(parts):
        width = part.task.sequences
        for example in range(ends[i]):
            passed = sequences[i][example * width : (example + 1) * width]
            size = sum(len(sequence.input_ids) for sequence in passed)
            if limit is not None and tokens and tokens + size > limit:
                yield shares
                shares = [(stop, stop) for _, stop in shares]
                tokens = 0
            tokens += size
            shares = [
                (start, example + 1 if t == i else stop) for t, (start, stop) in enumerate(shares)
            ]
    yield shares
