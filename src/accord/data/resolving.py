"""Completes a task's configuration from its training file: labels, range, loss and metric."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from accord.data.examples import read_labels
from accord.data.files import DataFiles, files_of
from accord.data.plan import TaskPlan
from accord.data.reading import FilesReader
from accord.errors import ConfigError
from accord.kinds import get_kind, takers_of_lists
from accord.spelling import canonical_label
from accord.tasks import Task, faults_of


def resolve_task(name: str, plan: TaskPlan) -> Task:
    """Return the task with nothing left open, as its kind's `resolve` has it.

    Args:
        name: the task's name, as in `[tasks.NAME]`.
        plan: what is known of it.

    Raises:
        ConfigError: the labels, range, loss and metric don't go together, or can't be found.
        DataError: the training file can't be read.
    """
    task: Task = get_kind(plan.kind).resolve(name, plan, _TrainingFile(name, plan))
    for fault in faults_of(task):  # of a model trained on it the folder would be refused
        raise ConfigError(f"tasks.{name}: {fault}")
    return task


@dataclass(frozen=True)
class _TrainingFile:
    """The labels of a task's training file; it is read only when they are asked for."""

    name: str
    plan: TaskPlan

    @cached_property
    def files(self) -> DataFiles | None:
        return None if self.plan.train is None else files_of(self.plan, self.plan.train)

    def require(self, key: str) -> None:
        if self.files is None:
            raise ConfigError(
                f"tasks.{self.name}.{key}: missing, and there is no training file to ask"
            )

    def labels(self) -> Iterator[str]:
        plain, listed = False, False
        for label in self.cells():
            if isinstance(label, str):
                plain = True
                yield label
            listed = listed or not isinstance(label, str)
        if listed and not plain:
            raise ConfigError(
                f"tasks.{self.name}.label: column '{self.plan.label}' of {self.files} holds lists;"
                f" {takers_of_lists(self.plan.kind)}"
            )

    def cells(self) -> Iterator[str | list[Any]]:
        return iter(()) if self.files is None else read_labels(self.files, self.plan)

    def class_names(self) -> list[str]:
        names = () if self.files is None else FilesReader(self.files).class_names(self.plan.label)
        return [canonical_label(name) for name in names]

    def __str__(self) -> str:
        return str(self.files)
