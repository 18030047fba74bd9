"""Completes a task's configuration from its training file: labels, range, loss and metric."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from accord.config.tasks import AnyTaskConfig, TaskConfig
from accord.data.examples import read_labels
from accord.data.files import DataFiles, files_of
from accord.data.reading import open_rows
from accord.errors import ConfigError
from accord.kinds import get_kind
from accord.spelling import canonical_label
from accord.tasks import Task


def resolve_task(name: str, config: AnyTaskConfig) -> Task:
    """Return the task with nothing left open, as its kind's `resolve` has it.

    Args:
        name: the task's name, as in `[tasks.NAME]`.
        config: its section.

    Raises:
        ConfigError: the labels, range, loss and metric don't go together, or can't be found.
        DataError: the training file can't be read.
    """
    task: Task = get_kind(config.kind).resolve(name, config, _TrainingFile(name, config))
    return task


@dataclass(frozen=True)
class _TrainingFile:
    """What a task's training file says of its labels; read as it is asked, and no sooner."""

    name: str
    config: AnyTaskConfig

    @cached_property
    def files(self) -> DataFiles | None:
        train = self.config.train
        return None if train is None else files_of(self.config, train)

    def require(self, key: str) -> None:
        if self.files is None:
            raise ConfigError(
                f"tasks.{self.name}.{key}: missing, and there is no training file to ask"
            )

    def labels(self) -> Iterator[str]:
        assert isinstance(self.config, TaskConfig)  # others have none
        return iter(()) if self.files is None else read_labels(self.files, self.config)

    def class_names(self) -> list[str]:
        assert isinstance(self.config, TaskConfig)
        names = () if self.files is None else open_rows(self.files).class_names(self.config.label)
        return [canonical_label(name) for name in names]

    def __str__(self) -> str:
        return str(self.files)
