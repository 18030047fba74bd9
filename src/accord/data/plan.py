"""What of a run's files is read, and how: the part of a plan that data takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from accord.data.textfiles import DelimiterName, QuotingName


@dataclass(frozen=True)
class TaskPlan:
    """What is known of a task before its files are read: where they are, how they are read, and
    what its kind is told.

    Attributes:
        kind: as the config spells it.
        train, dev, test: paths, patterns or folders; None where no file is named.
        text: columns of a row's texts.
        label: column of its label, as messages name it.
        label_columns: all that a target is read from; none without labels.
        id: column of its id.
        group: column whose rows of one value are all dev or all not.
        missing: what the label's column holds where there is none, canonically spelt.
        delimiter, quoting, file_encoding: of text files; None: as the files show.
        limit: rows of each split that are used.
        on_bad_row: what a row does that can't be used.
        labels: names of classes, canonically spelt; None: those of the training file.
        range: of targets; None: that of the training file.
        loss, metric: None: the kind's first.
        positive: the class whose F1 is meant, canonically spelt; None: by the labels.
        class_weights: 'balanced', or by class, canonically spelt; None: all alike.
        label_smoothing: ε, of the training loss.
        draw: whether classes come equally often.
        encoding, head, pooling, dropout, targets: of the head, as `accord.tasks.Task` has them.
        options: what its kind alone is told.
    """

    kind: str
    text: tuple[str, ...]
    train: tuple[str, ...] | None = None
    dev: tuple[str, ...] | None = None
    test: tuple[str, ...] | None = None
    label: str = ""
    label_columns: tuple[str, ...] = ()
    id: str | None = None
    group: str | None = None
    missing: frozenset[str] = frozenset()
    delimiter: DelimiterName | None = None
    quoting: QuotingName | None = None
    file_encoding: str | None = None
    limit: int | None = None
    on_bad_row: Literal["stop", "skip"] = "stop"
    labels: tuple[str, ...] | None = None
    range: tuple[float, float] | None = None
    loss: str | None = None
    metric: str | None = None
    positive: str | None = None
    class_weights: Literal["balanced"] | Mapping[str, float] | None = None
    label_smoothing: float = 0.0
    draw: Literal["shuffled", "balanced"] = "shuffled"
    encoding: str = "joint"
    head: str = "linear"
    pooling: str = "cls"
    dropout: float = 0.0
    targets: str = "range"
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def labelled(self) -> bool:
        """Whether rows have labels."""
        return bool(self.label_columns)

    @property
    def draws_dev(self) -> bool:
        """Whether its dev rows are drawn from its training file."""
        return self.dev is None and self.train is not None


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
        tasks: each task's, in order.
        texts: those of labelled tasks that are not trained: only their texts are read.
        texts_from: whose texts each task without labels learns from; none where it has a file.
        shared: names of tasks that read the same rows, which are tokenised and packed once for all
            of them; two or more each.
        dev_share: of a training file that serves as dev where no dev file is named.
        max_length: tokens that a sequence may have; None: all that the encoder can hold.
        seed: of the rows that a memory keeps.
        memory: of finished tasks.
    """

    tasks: Mapping[str, TaskPlan]
    texts: Mapping[str, TaskPlan] = field(default_factory=dict)
    texts_from: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    shared: tuple[tuple[str, ...], ...] = ()
    dev_share: float = 0.1
    max_length: int | None = None
    seed: int = 0
    memory: MemoryPlan = MemoryPlan()

    @property
    def finished(self) -> tuple[str, ...]:
        """The tasks that are remembered and not trained."""
        return self.memory.finished

    @property
    def sources(self) -> tuple[tuple[str, ...], ...]:
        """The tasks' names, those that share their rows together, in order."""
        first = {names[0]: names for names in self.shared}
        rest = {name for names in self.shared for name in names[1:]}
        return tuple(first.get(name, (name,)) for name in self.tasks if name not in rest)

    @property
    def labelled(self) -> dict[str, TaskPlan]:
        """The tasks that have labels."""
        return {name: task for name, task in self.tasks.items() if task.labelled}
