"""Sources: the rows of one file, and the tasks that label them.

Tasks that read the same texts share a source: a step draws its rows, packs them and passes over
them once, and J has one row for all of its tasks, since one backward pass can't tell apart what
they ask of activations that they share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from accord.data.loader import Assembler, TaskData
from accord.data.store import TokenStore
from accord.encoders.packing import TokenSequence
from accord.kinds import kind_of


@dataclass(frozen=True)
class Source:
    """The rows of one store that a step may draw, and what each task has of them.

    Attributes:
        tasks: the tasks' numbers in the run.
        parts: each task's rows, all of the same store.
        weights: what each task's loss counts in the source's.
        rows: of the store, int64 [n], ascending where there are several tasks; each has a label of
            at least one of them whose weight isn't 0.
        places: for each task int64 [n]: each row's place in the task's part; -1 where it has no
            label of the task, or the task's weight is 0. Where all weights are 0 none counts as 0:
            what the whole source counts is a balancing rule's to say.
    """

    tasks: tuple[int, ...]
    parts: tuple[TaskData, ...]
    weights: tuple[float, ...]
    rows: np.ndarray
    places: tuple[np.ndarray, ...]

    @classmethod
    def of(
        cls, tasks: Sequence[int], parts: Sequence[TaskData], weights: Sequence[float] | None = None
    ) -> Source:
        """Join tasks' rows of one store; those of a single task stay in their order.

        Args:
            tasks: the tasks' numbers.
            parts: each task's rows.
            weights: of the tasks' losses; None: 1 each.
        """
        if len(parts) == 1:
            every = np.arange(len(parts[0]))
            return cls(tuple(tasks), tuple(parts), (1.0,), parts[0].rows, (every,))
        weights = tuple(weights or [1.0] * len(parts))
        counted = [part.rows if weight or not any(weights) else part.rows[:0]
                   for part, weight in zip(parts, weights, strict=True)]  # fmt: skip
        rows = np.unique(np.concatenate(counted))
        places = tuple(_places(rows, labelled) for labelled in counted)
        return cls(tuple(tasks), tuple(parts), weights, rows, places)

    def __len__(self) -> int:
        return len(self.rows)

    def labelled(self, task: int, rows: np.ndarray) -> np.ndarray:
        """Return which rows of a task's part some of the source's rows are, without those that
        have no label of it."""
        places = self.places[self.tasks.index(task)][rows]
        return np.asarray(places[places >= 0])

    def examples(self, assembler: Assembler, index: np.ndarray) -> list[list[TokenSequence]]:
        """Return the sequences of each of some rows, which know their words where a task labels
        these."""
        first = self.parts[0]
        words = any(kind_of(part.task).units == "words" for part in self.parts)
        return assembler.examples(replace(first, rows=self.rows), index, words)

    def lengths(self, assembler: Assembler) -> np.ndarray:
        """Return the tokens of each row as the encoder will read it, int64 [rows]."""
        return assembler.lengths(replace(self.parts[0], rows=self.rows))

    @property
    def name(self) -> str:
        """Its tasks' names, joined by `+`."""
        return "+".join(part.task.name for part in self.parts)


def _places(rows: np.ndarray, labelled: np.ndarray) -> np.ndarray:
    """Return where each of some rows, ascending, stands among the labelled ones; else -1."""
    places = np.full(len(rows), -1, dtype=np.int64)
    places[np.searchsorted(rows, labelled)] = np.arange(len(labelled))
    return places


def each_alone(data: Sequence[TaskData]) -> list[Source]:
    """Return a source for each task."""
    return [Source.of((number,), (part,)) for number, part in enumerate(data)]


def shared_rows(data: Sequence[TaskData]) -> list[list[int]]:
    """Return the numbers of the tasks, those together that label the rows of one file; one that has
    none of them here is alone."""
    groups: dict[object, list[int]] = {}
    for number, part in enumerate(data):
        key: object = number
        if isinstance(part.store, TokenStore) and len(part):
            key = (part.store.key, part.task.layout)
        groups.setdefault(key, []).append(number)
    return list(groups.values())


def sources_of(
    data: Sequence[TaskData],
    groups: Sequence[Sequence[int]],
    weights: Sequence[float] | None = None,
) -> list[Source]:
    """Return the sources that tasks are grouped into.

    Args:
        data: a split of each task.
        groups: the numbers of each source's tasks; every task is in one.
        weights: of each task's loss in its source; None: 1 each.
    """
    given = [1.0] * len(data) if weights is None else weights
    return [
        Source.of(group, [data[i] for i in group], [given[i] for i in group]) for group in groups
    ]
