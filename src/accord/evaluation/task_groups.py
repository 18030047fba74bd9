"""Tasks that are answered as one: a hundred heads of one width cost little more than three."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from accord.data.examples import Given
from accord.errors import ModelError
from accord.evaluation.inference import whole_logits
from accord.evaluation.predictions import probabilities_by_name, records_of
from accord.kinds import Answers, kind_of, labelled_kind
from accord.model.head_blocks import HeadBlocks
from accord.model.heads import Head
from accord.model.multitask import MultitaskModel
from accord.tasks import Task


class Answered(NamedTuple):
    """What a model says of some rows.

    Attributes:
        logits: float32 [n, ...].
        cut: how many rows are longer than the model reads.
        unseen: how many words have no vector: they are cut off, or no token is left of them.
        texts: the rows.
    """

    logits: Tensor
    cut: int
    unseen: int
    texts: Sequence[Given]


@dataclass(frozen=True)
class TaskGroup:
    """Tasks that read the same sequences, see the same vectors and are decoded by one rule.

    Attributes:
        tasks: one or more.
    """

    tasks: tuple[Task, ...]

    @property
    def kind(self) -> str:
        """Their kind."""
        return self.tasks[0].kind

    def mean(self, members: Sequence[Answered]) -> Answered:
        """Return what an ensemble says, given what its members say of the tasks' rows."""
        if len(members) == 1:
            return members[0]
        by_member = [self.by_task(one.logits) for one in members]
        logits = torch.cat([  # task by task, so that no task's last bits depend on another's place
            labelled_kind(task).mean_logits(task, parts)
            for task, *parts in zip(self.tasks, *by_member, strict=True)
        ])  # fmt: skip
        cut, unseen = max(one.cut for one in members), max(one.unseen for one in members)
        return Answered(logits, cut, unseen, members[0].texts)

    def whole(self, parts: Sequence[Answered], rows: Sequence[Given]) -> Answered:
        """Return what is said of all rows, given what is said of some after the others."""
        if len(parts) == 1:
            return parts[0]
        by_part = [self.by_task(part.logits) for part in parts]
        logits = [
            whole_logits(task, [every[i] for every in by_part]) for i, task in enumerate(self.tasks)
        ]
        cut, unseen = sum(part.cut for part in parts), sum(part.unseen for part in parts)
        return Answered(logits[0] if len(logits) == 1 else torch.cat(logits), cut, unseen, rows)

    def by_task(self, rows: Tensor) -> Sequence[Tensor]:
        """Return what belongs to each task, [n, ...], of what all have, [tasks · n, ...]."""
        tasks = len(self.tasks)
        if tasks == 1:
            return (rows,)
        return rows.reshape(tasks, len(rows) // tasks, *rows.shape[1:]).unbind()

    def said(self, answered: Answered, probabilities: bool) -> Iterator[tuple[str, Sequence[Any]]]:
        """Yield each task's name and what is said of each row: its prediction, or each class's
        probability where these are wanted and there are any."""
        first, kind = self.tasks[0], labelled_kind(self.tasks[0])
        if probabilities and kind.probability_names(first):
            shares = kind.probabilities(first, answered.logits)
            assert shares is not None
            for task, values in zip(self.tasks, self.by_task(shares), strict=True):
                yield task.name, probabilities_by_name(task, values)
            return
        for task, answers in self._decoded(answered):
            yield task.name, answers

    def records(
        self, answered: Answered, probabilities: bool
    ) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        """Yield each task's name and all that is said of each row: `answer`, what its kind says
        beside it, and `probabilities` where these are wanted and there are any."""
        kind = labelled_kind(self.tasks[0])
        shares: Sequence[Tensor | None] = [None] * len(self.tasks)
        if probabilities and kind.probability_names(self.tasks[0]):
            every = kind.probabilities(self.tasks[0], answered.logits)
            assert every is not None
            shares = self.by_task(every)
        logits = self.by_task(answered.logits)
        for (task, answers), part, share in zip(
            self._decoded(answered), logits, shares, strict=True
        ):
            columns: dict[str, Sequence[Any]] = {"answer": answers}
            columns |= kind.details(task, part, answered.texts)
            if share is not None:
                columns["probabilities"] = probabilities_by_name(task, share)
            yield task.name, records_of(columns)

    def _decoded(self, answered: Answered) -> Iterator[tuple[Task, Answers]]:
        """Yield each task with its answers to all rows."""
        kind = labelled_kind(self.tasks[0])
        every = kind.decode(self.tasks[0], answered.logits).numpy()
        n = len(every) // len(self.tasks)
        for i, task in enumerate(self.tasks):
            yield task, kind.answers(task, every[i * n : (i + 1) * n])


def grouped(tasks: Sequence[Task], alike: Sequence[Hashable]) -> list[TaskGroup]:
    """Return tasks in groups.

    Args:
        tasks: any.
        alike: of each, what tasks of a group have in common.
    """
    groups: dict[Hashable, list[Task]] = {}
    for task, common in zip(tasks, alike, strict=True):
        groups.setdefault(common, []).append(task)
    return [TaskGroup(tuple(members)) for members in groups.values()]


def likeness(model: MultitaskModel, blocks: HeadBlocks, number: int, reading: Hashable) -> Hashable:
    """Return what a task, by its number, has in common with those that are answered with it.

    Args:
        model: has the task.
        blocks: the model's heads side by side.
        number: the task's.
        reading: what it has in common with tasks that read the same sequences.
    """
    task, head = model.tasks[number], model.head(model.tasks[number].name)
    plain = type(head) is Head and head.scale is None and number in blocks
    if not plain or kind_of(task).units != "rows" or kind_of(task).varying:
        return task.name
    return reading, model.alike[number], task.kind, task.outputs, labelled_kind(task).decoding(task)


def check_finite(groups: Sequence[TaskGroup], logits: Sequence[Tensor], folder: Path) -> None:
    """Check that a saved model gives numbers: of others the first class would be the largest.

    Args:
        groups: of the model's tasks.
        logits: of each group, [tasks · n, ...].
        folder: the model's.

    Raises:
        ModelError: if not.
    """
    if math.isfinite(sum(float(each.sum()) for each in logits)):
        return  # as all are then; a sum that isn't says nothing yet
    for group, every in zip(groups, logits, strict=True):
        for task, each in zip(group.tasks, group.by_task(every), strict=True):
            bad = int(kind_of(task).failed(each).sum())
            if bad:
                raise ModelError(
                    f"{folder}: the model's outputs for task '{task.name}' aren't finite for"
                    f" {bad} of {len(each)} rows: its weights overflow"
                )
