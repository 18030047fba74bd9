"""What tasks read, each distinct sequence once, and the vectors that they see of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from accord.data.ragged import ranges
from accord.encoders.packing import TokenSequence, placing
from accord.encoders.units import Unit, Units, located, vector_counts

Examples = Sequence[Sequence[TokenSequence]]
"""The sequences of each of some examples."""


@dataclass
class _Distinct:
    """A sequence, and which groups of examples it stands in, ascending."""

    sequence: TokenSequence
    groups: list[int]


@dataclass(frozen=True)
class Inputs:
    """The distinct sequences that some tasks read.

    Attributes:
        sequences: of them, those together that the same tasks read.
        readers: these tasks' numbers.
        numbers: int64 for each task, which of all sequences, end to end, its examples' are.
    """

    sequences: list[list[TokenSequence]]
    readers: list[tuple[int, ...]]
    numbers: dict[int, np.ndarray]

    @classmethod
    def of(cls, groups: Sequence[Examples], readers: Sequence[Sequence[int]]) -> Inputs:
        """Find the distinct sequences of groups of examples.

        Those of a group are together whatever groups follow it, unless these have some of them.
        Two are the same whose tokens and token types are; and whose words, where both know them.

        Args:
            groups: of examples that some tasks read; may be empty.
            readers: the numbers of the tasks that read each group; no task reads two.
        """
        every: list[_Distinct] = []
        known: dict[tuple[bytes, int], list[int]] = {}
        of_groups = []
        for group, examples in enumerate(groups):
            of_group = []
            for sequence in (sequence for example in examples for sequence in example):
                alike = known.setdefault((sequence.input_ids.tobytes(), sequence.first), [])
                number = _same(every, alike, sequence)
                if number is None:
                    number = len(every)
                    every.append(_Distinct(sequence, [group]))
                    alike.append(number)
                elif every[number].groups[-1] != group:
                    every[number].groups.append(group)
                of_group.append(number)
            of_groups.append(np.array(of_group, dtype=np.int64))
        order: dict[tuple[int, ...], list[int]] = {}
        for number, one in enumerate(every):
            order.setdefault(tuple(one.groups), []).append(number)
        places = np.empty(len(every), dtype=np.int64)
        places[[number for members in order.values() for number in members]] = np.arange(len(every))
        return cls(
            [[every[number].sequence for number in members] for members in order.values()],
            [tuple(task for group in of for task in readers[group]) for of in order],
            {
                task: numbers
                for tasks, numbers in zip(readers, map(places.__getitem__, of_groups), strict=True)
                for task in tasks
            },
        )


def _same(every: Sequence[_Distinct], alike: Sequence[int], sequence: TokenSequence) -> int | None:
    """Return the number of the sequence of like tokens that is the same; None if there is none."""
    for number in alike:
        one = every[number]
        if sequence.spans is None:
            return number
        if one.sequence.spans is None or np.array_equal(one.sequence.spans, sequence.spans):
            one.sequence = sequence
            return number
    return None


@dataclass(frozen=True)
class Pooled:
    """What a task's head needs of some examples.

    Attributes:
        vectors: float32 [D, H], on the model's device, of distinct sequences or of their words;
            tasks that see the same have the same tensor.
        counts: int64 [n], how many vectors each example has.
        units: where they belong, for a kind with a varying number of them.
        which: int64 [V], which of `vectors` the examples' are; None: all, in order.
    """

    vectors: Tensor
    counts: np.ndarray
    units: Units | None = None
    which: Tensor | None = None

    def chosen(self, index: np.ndarray) -> Pooled:
        """Return what the head needs of some examples, in this order, of the same vectors."""
        place, counts = placing(self.vectors.device), self.counts[index]
        which = place(torch.from_numpy(ranges(self.counts, index)))
        units = None
        if self.units is not None:
            number, sizes = np.repeat(np.arange(len(counts)), counts), self.units.host_sizes[index]
            example = place(torch.from_numpy(number))
            units = Units(example, self.units.place[which], place(torch.from_numpy(sizes)), sizes)
        which = which if self.which is None else self.which[which]
        return Pooled(self.vectors, self.counts[index], units, which)

    def of_examples(self, values: Tensor) -> Tensor:
        """Return the examples' own of some values [D, ...] of the vectors, [V, ...]."""
        return values if self.which is None else values.index_select(0, self.which)

    def rows(self, index: np.ndarray) -> tuple[Tensor, Units | None]:
        """Return some examples' vectors, in this order, and where they belong."""
        chosen = self.chosen(index)
        return chosen.of_examples(chosen.vectors), chosen.units

    def part(self, index: np.ndarray) -> Pooled:
        """Return what the head needs of some examples, in this order, and no other vectors."""
        vectors, units = self.rows(index)
        return Pooled(vectors, self.counts[index], units)


@dataclass
class Stream:
    """The vectors that some tasks see alike, while passes give them.

    Args:
        tasks: the tasks' numbers.
        unit: what they have a vector for.
        inputs: what they read.
        hidden: H.
        device: of the vectors.
    """

    tasks: tuple[int, ...]
    unit: Unit
    inputs: Inputs
    hidden: int
    device: torch.device
    _starts: list[int] = field(init=False)
    _counts: np.ndarray = field(init=False)
    _pooled: dict[int, Pooled] = field(default_factory=dict)

    def __post_init__(self) -> None:
        sizes = [len(members) for members in self.inputs.sequences]
        self._starts = [sum(sizes[:group]) for group in range(len(sizes))]
        counts = [
            vector_counts(self.unit, [[sequence] for sequence in members])
            if self.reader(group) is not None
            else np.zeros(len(members), dtype=np.int64)
            for group, members in enumerate(self.inputs.sequences)
        ]
        self._counts = np.concatenate([*counts, np.empty(0, dtype=np.int64)])

    @cached_property
    def _vectors(self) -> Tensor:
        """Memory of the device, from the first pass on: not while all of this is still packed."""
        return torch.empty(int(self._counts.sum()), self.hidden, device=self.device)

    def reader(self, group: int) -> int | None:
        """Return the first of its tasks that reads a group of sequences; None if none does."""
        return next((task for task in self.tasks if task in self.inputs.readers[group]), None)

    def take(self, group: int, members: Sequence[int], vectors: Tensor) -> None:
        """Put the vectors of some of a group's sequences in their place."""
        numbers = np.asarray(members, dtype=np.int64) + self._starts[group]
        place = torch.from_numpy(ranges(self._counts, numbers))
        self._vectors.index_copy_(0, placing(vectors.device)(place), vectors.float())

    def pooled(self, task: int, examples: Examples) -> Pooled:
        """Return what one of the tasks sees of its examples: tasks of one group see the same."""
        group = id(self.inputs.numbers[task])
        if group not in self._pooled:
            self._pooled[group] = self._of_examples(task, examples)
        return self._pooled[group]

    def _of_examples(self, task: int, examples: Examples) -> Pooled:
        _, units = located(self.unit, examples)
        which = ranges(self._counts, self.inputs.numbers[task])
        every = len(which) == len(self._vectors) and bool((which == np.arange(len(which))).all())
        return Pooled(
            self._vectors,
            vector_counts(self.unit, examples),
            units and units.mapped(placing(self.device)),
            None if every else placing(self.device)(torch.from_numpy(which)),
        )
