"""From rows of the token stores to the sequences that the encoder reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from accord.data.store import TokenStore
from accord.data.template import Template
from accord.data.texts import TextStore
from accord.data.tokenizing import SpecialIds
from accord.encoders.packing import TokenSequence
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

    def texts(self, row: int) -> int:
        """Return how many texts a row of the store has."""
        return int(self.store.text_counts[row])

    def uncut_lengths(self, framing: Template) -> np.ndarray:
        """Return the tokens of each of a row's sequences before they are cut, int64 [rows,
        sequences]; 0 where a row has fewer."""
        lengths = self.store.lengths[self.rows].astype(np.int64)
        return uncut_lengths(self.task, framing, lengths, self.store.text_counts[self.rows])

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
        vocabulary: ids of words are below it; unused without a masked language model.
    """

    special: SpecialIds
    max_length: int
    vocabulary: int = 0

    def examples(
        self, data: TaskData, index: Sequence[int] | np.ndarray, words: bool | None = None
    ) -> list[list[TokenSequence]]:
        """Return the sequences of each of some rows of a split.

        Args:
            data: the split.
            index: of its rows.
            words: whether sequences know where their words are; default: as the task's kind asks.
        """
        kind = kind_of(data.task)
        words = kind.units == "words" if words is None else words
        rows = data.rows[np.asarray(index, dtype=np.int64)]
        counts = data.store.text_counts[rows].tolist()
        layouts = {count: kind.layout_of(data.task, count) for count in set(counts)}
        result = []
        for row, count in zip(rows.tolist(), counts, strict=True):
            texts = [data.store.segment(row, which) for which in range(count)]
            pieces = [data.store.word_pieces(row, 0)] if words else []  # type: ignore[union-attr]
            result.append(self.laid_out(texts, layouts[count], pieces))
        return result

    def sequences(self, data: TaskData, index: Sequence[int] | np.ndarray) -> list[TokenSequence]:
        """Return the sequences of some rows of a split, each row's next to each other."""
        return [sequence for example in self.examples(data, index) for sequence in example]

    def laid_out(
        self, texts: Sequence[np.ndarray], layout: Layout, pieces: Sequence[np.ndarray] = ()
    ) -> list[TokenSequence]:
        """Return the sequences of one row.

        Args:
            texts: the token ids of each of its texts.
            layout: which texts each sequence joins.
            pieces: of its first text, how many tokens each word has; nothing where words don't
                matter.
        """
        framing, most = self.special.framing, self.max_length
        return [framing.join([texts[which] for which in place], most, *pieces) for place in layout]

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
        """Return the tokens of each of a row's sequences, int64 [rows, sequences]; 0 behind rows
        that have fewer."""
        uncut = data.uncut_lengths(self.special.framing)
        return np.asarray(np.minimum(uncut, self.max_length))


def uncut_lengths(
    task: Task, framing: Template, lengths: np.ndarray, counts: np.ndarray
) -> np.ndarray:
    """Return the tokens of each of some rows' sequences before they are cut, int64 [rows,
    sequences]; 0 where a row has fewer.

    Args:
        task: whose rows.
        framing: the special tokens around texts.
        lengths: of each text without these, [rows, texts].
        counts: how many texts each row has, [rows].
    """
    kind = kind_of(task)
    if not kind.varying:
        return framing.sequence_lengths(lengths, task.layout)
    layouts = {count: kind.layout_of(task, count) for count in set(counts.tolist())}
    uncut = np.zeros((len(counts), max(map(len, layouts.values()), default=0)), dtype=np.int64)
    for count, layout in layouts.items():
        rows = np.flatnonzero(counts == count)
        uncut[rows, : len(layout)] = framing.sequence_lengths(lengths[rows], layout)
    return uncut
