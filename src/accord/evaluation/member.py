"""Models as they answer: rows are read and packed on the host, and then what was packed is said."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from accord.data.examples import Given
from accord.encoders.prepared import Prepared
from accord.evaluation.inference import fetched, group_outputs
from accord.evaluation.packed import Packed, packed_inputs
from accord.evaluation.passes import CHUNK_ROWS, tokens_of_a_pass
from accord.evaluation.pooling import encoded
from accord.evaluation.task_groups import (
    Answered,
    TaskGroup,
    check_finite,
    grouped,
    likeness,
)
from accord.evaluation.texts import Read, TextReader
from accord.kernels.matmul import MatmulPolicy
from accord.model.head_blocks import HeadBlocks
from accord.model.multitask import MultitaskModel
from accord.tasks import Task


class ReadRows(NamedTuple):
    """Rows that a model has read, and not yet answered.

    Attributes:
        rows: as each kind of task takes them.
        read: they, as tasks read them that read alike.
        packed: all that the encoder reads.
    """

    rows: Mapping[str, Sequence[Given]]
    read: Mapping[Hashable, Read]
    packed: Packed


class Computes(Protocol):
    """What reads rows, and says something of them."""

    def likeness(self, task: str) -> Hashable:
        """Return what a task, by its name, has in common with those that are answered with it."""

    def pass_tokens(self) -> int:
        """Return the most tokens of a pass, by the memory that is free now."""

    def read(
        self, groups: Sequence[TaskGroup], rows: Mapping[str, Sequence[Given]], pass_tokens: int,
        whole: bool,
    ) -> Any:  # fmt: skip
        """Return rows as all of some groups read them, for `said` (`Member.read`)."""

    def said(self, groups: Sequence[TaskGroup], rows: Any) -> list[Answered]:
        """Return what is said of rows, for each group."""


@dataclass
class Member:
    """A model with what it reads by; alone, or one of an ensemble's.

    Attributes:
        model: encoder and heads.
        reader: makes sequences of texts.
        matmul: in what precision, and how this machine multiplies.
        folder: the model's, for messages.
    """

    model: MultitaskModel
    reader: TextReader
    matmul: MatmulPolicy
    folder: Path
    _prepared: Prepared = field(init=False)
    _blocks: HeadBlocks = field(init=False)
    _reading: list[Hashable] = field(init=False)
    _numbers: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        self._prepared = Prepared(self.model.encoder, self.matmul)
        self._blocks = HeadBlocks(self.model)
        self._reading = [self.reader.reading(task) for task in self.model.tasks]
        self._numbers = {task.name: number for number, task in enumerate(self.model.tasks)}

    def likeness(self, task: str) -> Hashable:
        """Return what a task, by its name, has in common with those that are answered with it."""
        number = self._numbers[task]
        return likeness(self.model, self._blocks, number, self._reading[number])

    def pass_tokens(self) -> int:
        """Return the most tokens of a pass, by the memory that is free now."""
        return tokens_of_a_pass(self._prepared.device, self.model.encoder.config)

    def read(
        self, groups: Sequence[TaskGroup], rows: Mapping[str, Sequence[Given]], pass_tokens: int,
        whole: bool,
    ) -> ReadRows:  # fmt: skip
        """Read rows as all of some groups do, and pack them: nothing is computed on the device.

        Args:
            groups: of tasks.
            rows: the same, as each kind of task takes them.
            pass_tokens: most tokens of a pass.
            whole: pack every pass now, rather than when it is due.
        """
        alike: dict[Hashable, list[TaskGroup]] = {}
        for group in groups:
            alike.setdefault(self._reading[self._first(group)], []).append(group)
        read = {
            reading: self.reader.read(self.model.tasks[self._first(first)], rows[first.kind])
            for reading, (first, *_) in alike.items()
        }
        packed = packed_inputs(
            self.model, [each.examples for each in read.values()], self.matmul, pass_tokens,
            [[self._first(group) for group in readers] for readers in alike.values()],
            self._prepared,
        )  # fmt: skip
        return ReadRows(rows, read, packed.whole() if whole else packed)

    def said(self, groups: Sequence[TaskGroup], rows: ReadRows) -> list[Answered]:
        """Return what is said of rows, in one pass of the encoder over all that the groups read.

        A GPU is waited for once.

        Args:
            groups: those that read the rows.
            rows: as read for them.
        """
        pooled = encoded(self.model, rows.packed, self.matmul, self._prepared)
        outputs = [
            group_outputs(self.model, numbers, pooled[numbers[0]], self._blocks)
            for group in groups
            for numbers in [tuple(self._numbers[task.name] for task in group.tasks)]
        ]
        logits = fetched(outputs)
        check_finite(groups, logits, self.folder)
        return [
            Answered(each, reads.cut, reads.unseen, rows.rows[group.kind])
            for group, each in zip(groups, logits, strict=True)
            for reads in [rows.read[self._reading[self._first(group)]]]
        ]

    def _first(self, group: TaskGroup) -> int:
        """Return the number that the first of a group's tasks has in this model: an ensemble's may
        have them in other orders, and encode pairs in other ways."""
        return self._numbers[group.tasks[0].name]


class ReadTexts(NamedTuple):
    """Texts that models have read, and not yet answered.

    Attributes:
        groups: of the tasks asked.
        rows: the texts as each kind of task takes them.
        chunks: some rows after the others, as each model reads them.
    """

    groups: Sequence[TaskGroup]
    rows: Mapping[str, Sequence[Given]]
    chunks: Sequence[Sequence[Any]]


@dataclass(frozen=True)
class Members:
    """Models that answer together.

    Attributes:
        every: one, or an ensemble's, with the same tasks.
    """

    every: tuple[Computes, ...]

    def pass_tokens(self) -> tuple[int, ...]:
        """Return the most tokens of each one's pass, by the memory that is free now."""
        return tuple(member.pass_tokens() for member in self.every)

    def grouped(self, tasks: Sequence[Task]) -> list[TaskGroup]:
        """Return tasks in groups that all models answer together."""
        alike = [tuple(member.likeness(task.name) for member in self.every) for task in tasks]
        return grouped(tasks, alike)

    def read(
        self, groups: Sequence[TaskGroup], rows: Mapping[str, Sequence[Given]], count: int,
        pass_tokens: Sequence[int], whole: bool,
    ) -> Iterator[Sequence[Any]]:  # fmt: skip
        """Yield some rows after the others, as each model reads them (`Member.read`)."""
        for start in range(0, count, CHUNK_ROWS):
            chunk = {kind: every[start : start + CHUNK_ROWS] for kind, every in rows.items()}
            yield [
                member.read(groups, chunk, tokens, whole)
                for member, tokens in zip(self.every, pass_tokens, strict=True)
            ]

    def said(
        self, groups: Sequence[TaskGroup], rows: Mapping[str, Sequence[Given]],
        chunks: Iterable[Sequence[Any]],
    ) -> list[tuple[TaskGroup, Answered]]:  # fmt: skip
        """Return each group with what is said of all rows, given chunk by chunk."""
        parts: list[list[Answered]] = [[] for _ in groups]
        for chunk in chunks:
            said = [
                member.said(groups, read) for member, read in zip(self.every, chunk, strict=True)
            ]
            for part, group, members in zip(parts, groups, zip(*said, strict=True), strict=True):
                part.append(group.mean(members))
        return [
            (group, group.whole(part, rows[group.kind]))
            for group, part in zip(groups, parts, strict=True)
        ]


def by_task(made: Sequence[tuple[TaskGroup, Answered]]) -> dict[str, Answered]:
    """Return what groups say, task by task."""
    return {
        task.name: one._replace(logits=logits)
        for group, one in made
        for task, logits in zip(group.tasks, group.by_task(one.logits), strict=True)
    }
