"""What of a run's files is read, and how: the part of a plan that data takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from accord.config.tasks import AnyTaskConfig, TaskConfig


@dataclass(frozen=True)
class MemoryPlan:
    """Which rows of finished tasks are kept.

    Attributes:
        finished: names of the tasks that are remembered and not trained.
        method: what a step does with the rows; None keeps none.
        size: rows of each task.
        choice: which ones.
    """

    finished: tuple[str, ...] = ()
    method: str | None = None
    size: int = 0
    choice: Literal["random", "balanced"] = "random"


@dataclass(frozen=True)
class DataPlan:
    """The files of a run's tasks.

    Attributes:
        tasks: each task's section, in order.
        texts: those of labelled tasks that are not trained: only their texts are read.
        sources: whose texts each task without labels learns from; none where it has a file.
        dev_share: of a training file that serves as dev where no dev file is named.
        max_length: tokens a sequence may have; None: all that the encoder can hold.
        seed: of the rows that a memory keeps.
        memory: of finished tasks.
    """

    tasks: Mapping[str, AnyTaskConfig]
    texts: Mapping[str, TaskConfig] = field(default_factory=dict)
    sources: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    dev_share: float = 0.1
    max_length: int | None = None
    seed: int = 0
    memory: MemoryPlan = MemoryPlan()

    @property
    def finished(self) -> tuple[str, ...]:
        """The tasks that are remembered and not trained."""
        return self.memory.finished

    @property
    def labelled(self) -> dict[str, TaskConfig]:
        """The tasks that have labels."""
        return {name: own for name, own in self.tasks.items() if isinstance(own, TaskConfig)}
