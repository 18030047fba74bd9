"""What a task is: its kind, its labels or range, and how its head is trained and evaluated."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from math import inf
from typing import Any, get_args

from accord.config.tasks import Encoding, HeadKind, Targets
from accord.kinds import Layout, get_kind, is_kind, kind_of, texts_of
from accord.kinds._classes import task_weight_faults
from accord.metrics import get_metric

_ALLOWED = {"encoding": Encoding, "head": HeadKind, "targets": Targets}


@dataclass(frozen=True)
class Task:
    """One task, fully specified: nothing here is left to be guessed from data.

    What a kind makes of these is said in its file in `accord.kinds`. `labels` are the class names
    in the order of their indices, `positive` is the one whose F1 is meant, None where none is;
    `range` is (lowest, highest) in the task's own units. `class_weights` are one for each label,
    or none, and act on the training loss alone, as `label_smoothing` does. `thresholds` are the
    probabilities from which on each label is predicted, where a model's dev rows have chosen them
    (`Kind.tuned`); none are 0.5. A task is the same with others.
    """

    name: str
    kind: str
    loss: str
    metric: str
    labels: tuple[str, ...] = ()
    range: tuple[float, float] = (0.0, 1.0)
    encoding: Encoding = "joint"
    head: HeadKind = "linear"
    pooling: str = "mean"
    dropout: float = 0.1
    targets: Targets = "range"
    positive: str | None = None
    class_weights: tuple[float, ...] = ()
    label_smoothing: float = 0.0
    thresholds: tuple[float, ...] = field(default=(), compare=False)

    @property
    def as_used(self) -> Task:
        """The task without what only its training goes by, which a trained head doesn't show, and
        without what its model's dev rows chose."""
        return replace(
            self, dropout=0.0, targets="range", class_weights=(), label_smoothing=0.0, thresholds=()
        )

    @property
    def options(self) -> dict[str, Any]:
        """What tasks of its kind alone have."""
        common = {each.name for each in fields(Task)}
        return {name: value for name, value in asdict(self).items() if name not in common}

    @property
    def positive_class(self) -> int | None:
        """Index of the class whose F1 is meant; None where there is none."""
        return None if self.positive is None else self.labels.index(self.positive)

    @property
    def metric_name(self) -> str:
        """The task's metric as results and tables call it."""
        return self.name_of(self.metric)

    def name_of(self, metric: str) -> str:
        """Return a metric's name, of F1 with its class.

        Example:
            >>> labels = {"labels": ("ok", "fraud"), "positive": "fraud"}
            >>> Task("t", "classification", "cross_entropy", "f1", **labels).metric_name
            "F1 of 'fraud'"
        """
        return get_metric(metric).called(self.positive)

    @property
    def labelled(self) -> bool:
        """Whether its rows have labels, and its head predicts something."""
        return kind_of(self).labelled

    @property
    def sees_cls_only(self) -> bool:
        """Whether its head sees each sequence's first token alone."""
        return kind_of(self).units != "words" and self.pooling in ("cls", "pooler")

    @property
    def texts(self) -> int:
        """Number of texts in an example: 1, or 2 of a pair."""
        return texts_of(self.kind)

    @property
    def layout(self) -> Layout:
        """The sequences that the encoder reads for one example: which texts each is made of."""
        return kind_of(self).layout(self)

    @property
    def joins_texts(self) -> bool:
        """Whether a sequence holds two texts, which takes two token types."""
        return any(len(texts) > 1 for texts in self.layout)

    @property
    def sequences(self) -> int:
        """Number of sequences that the encoder reads for one example."""
        return len(self.layout)

    @property
    def outputs(self) -> int:
        """Width of the head."""
        return kind_of(self).outputs(self)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object from which `from_json` makes an equal task."""
        return asdict(self)

    @staticmethod
    def from_json(value: dict[str, Any]) -> Task:
        """Make a task with labels from what `to_json` returned.

        Raises:
            ValueError: if it can be no task: it may come from a stranger.
            TypeError: if a key is missing or unknown.
        """
        kind = value.get("kind") if isinstance(value, dict) else None
        if not is_kind(kind) or not get_kind(kind).labelled:
            raise ValueError(f"kind is {kind!r}")
        lists: dict[str, Any] = {
            key: tuple(items) for key, items in value.items() if isinstance(items, list)
        }
        made = {
            **value, **lists, "labels": tuple(value["labels"]), "range": tuple(value["range"]),
            "class_weights": tuple(value.get("class_weights", ())),
        }  # fmt: skip
        task: Task = get_kind(kind).task_type(**made)
        for fault in faults_of(task):
            raise ValueError(fault)
        return task


def faults_of(task: Task) -> Iterator[str]:
    """Yield what can't be about a task: a model folder that describes it so is refused."""
    if not (isinstance(task.name, str) and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", task.name)):
        yield f"name is {task.name!r}"
    kind = kind_of(task)
    for name, known in (
        ("loss", kind.losses), ("metric", kind.metrics), ("pooling", kind.poolings),
        *((key, get_args(allowed)) for key, allowed in _ALLOWED.items()),
    ):  # fmt: skip
        if getattr(task, name) not in known:
            yield f"{name} is {getattr(task, name)!r}"
    if not all(isinstance(label, str) for label in task.labels):
        yield "labels are not all texts"
    numbers = [*task.range, task.dropout, task.label_smoothing]
    if not all(isinstance(number, int | float) for number in numbers) or not _in_order(task):
        yield (
            f"range is {task.range!r}, dropout {task.dropout!r}, label_smoothing"
            f" {task.label_smoothing!r}"
        )
    if task.label_smoothing and task.loss != "cross_entropy":
        yield f"label_smoothing is {task.label_smoothing!r} under loss {task.loss!r}"
    yield from task_weight_faults(task)
    if task.thresholds and not kind.tunes(task):
        yield f"thresholds are {task.thresholds!r:.80}"
    if task.encoding == "separate" and task.texts == 1:
        yield "encoding is 'separate' without pairs"
    if task.head == "cosine" and (task.sequences == 1 or task.outputs != 1):
        yield "head is 'cosine' without separate pairs"
    yield from kind.task_faults(task)


def _in_order(task: Task) -> bool:
    return (
        len(task.range) == 2
        and -inf < task.range[0] < task.range[1] < inf
        and 0 <= task.dropout < 1
        and 0 <= task.label_smoothing < 1
    )
