"""What a task is: its kind, its labels or range, and how its head is trained and judged."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from decimal import Decimal
from math import inf
from typing import Any, Literal, get_args

Kind = Literal["classification", "regression", "pair-classification", "pair-regression"]
AuxiliaryKind = Literal["masked-lm", "simcse"]
Loss = Literal["cross_entropy", "binary_cross_entropy", "mse"]
Metric = Literal["accuracy", "f1", "macro_f1", "pearson", "spearman"]
CLASS_METRICS: tuple[Metric, ...] = ("accuracy", "f1", "macro_f1")
VALUE_METRICS: tuple[Metric, ...] = ("pearson", "spearman")
Encoding = Literal["joint", "separate"]
HeadKind = Literal["linear", "cosine"]
Pooling = Literal["cls", "pooler", "mean"]
Targets = Literal["range", "popart"]
AUXILIARY: tuple[str, ...] = get_args(AuxiliaryKind)
"""Kinds of tasks without labels."""

_ALLOWED = {
    "kind": Kind, "loss": Loss, "metric": Metric, "encoding": Encoding, "head": HeadKind,
    "pooling": Pooling, "targets": Targets,
}  # fmt: skip


@dataclass(frozen=True)
class Task:
    """One task, fully specified: nothing here is left to be guessed from data.

    `labels` are the class names in the order of their indices (classification kinds), `positive`
    is the one whose F1 is meant, None where none is; `range` is (lowest, highest) in the task's
    own units (regression kinds).
    """

    name: str
    kind: Kind | AuxiliaryKind
    loss: Loss | Literal["masked_lm", "info_nce"]
    metric: Metric | Literal["likelihood"]
    labels: tuple[str, ...] = ()
    range: tuple[float, float] = (0.0, 1.0)
    encoding: Encoding = "joint"
    head: HeadKind = "linear"
    pooling: Pooling | Literal["masked"] = "mean"
    dropout: float = 0.1
    targets: Targets = "range"
    positive: str | None = None

    @property
    def positive_class(self) -> int | None:
        """Index of the class whose F1 is meant; None where there is none."""
        return None if self.positive is None else self.labels.index(self.positive)

    @property
    def metric_name(self) -> str:
        """The task's metric as results and tables call it."""
        return self.name_of(self.metric)

    def name_of(self, metric: str) -> str:
        """Return what a metric is called: of F1 it is said of which class.

        Example:
            >>> labels = {"labels": ("ok", "fraud"), "positive": "fraud"}
            >>> Task("t", "classification", "cross_entropy", "f1", **labels).metric_name
            "F1 of 'fraud'"
        """
        names = {"f1": f"F1 of '{self.positive}'", "macro_f1": "macro F1"}
        return names.get(metric, metric)

    @property
    def is_pair(self) -> bool:
        """Whether an example holds two texts."""
        return self.kind.startswith("pair-")

    @property
    def is_classification(self) -> bool:
        """Whether a label is one of a fixed set of names."""
        return self.kind.endswith("classification")

    @property
    def is_regression(self) -> bool:
        """Whether a label is a number."""
        return self.kind.endswith("regression")

    @property
    def texts(self) -> int:
        """Number of texts in an example: 1 or 2."""
        return 2 if self.is_pair else 1

    @property
    def sequences(self) -> int:
        """Number of sequences that the encoder sees for one example: 1 or 2."""
        if self.kind == "simcse":
            return 2  # a text, and the same again under another dropout mask
        return 2 if self.is_pair and self.encoding == "separate" else 1

    @property
    def outputs(self) -> int:
        """Width of the head: one per class under cross entropy, else 1."""
        return len(self.labels) if self.loss == "cross_entropy" else 1

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object from which `from_json` makes an equal task."""
        return asdict(self)

    @staticmethod
    def from_json(value: dict[str, Any]) -> Task:
        """Make a task from what `to_json` returned.

        Raises:
            ValueError: if it can be no task: it may come from a stranger.
            TypeError: if a key is missing or unknown.
        """
        task = Task(**{**value, "labels": tuple(value["labels"]), "range": tuple(value["range"])})
        for fault in _faults(task):
            raise ValueError(fault)
        return task


@dataclass(frozen=True)
class AuxiliaryTask(Task):
    """A task without labels, whose examples are single texts; no model folder holds its head.

    `mask_share` is the share of a text's tokens that a masked language model has to tell;
    `temperature` is what SimCSE divides cosines by.
    """

    mask_share: float = 0.15
    temperature: float = 0.05


def _faults(task: Task) -> Iterator[str]:
    """Yield what can't be about a task."""
    if not (isinstance(task.name, str) and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", task.name)):
        yield f"name is {task.name!r}"
    for name, allowed in _ALLOWED.items():
        if getattr(task, name) not in get_args(allowed):
            yield f"{name} is {getattr(task, name)!r}"
    if not all(isinstance(label, str) for label in task.labels):
        yield "labels are not all texts"
    if task.is_classification and len(set(task.labels)) < max(2, len(task.labels)):
        yield f"labels are {list(task.labels)[:5]}"
    if task.positive not in (None, *task.labels) or (task.metric == "f1" and not task.positive):
        yield f"metric is {task.metric!r}, the positive class {task.positive!r}"
    numbers = [*task.range, task.dropout]
    if not all(isinstance(own, int | float) for own in numbers) or not _in_order(task):
        yield f"range is {task.range!r}, dropout {task.dropout!r}"
    yield from _head_faults(task)


def _head_faults(task: Task) -> Iterator[str]:
    """Yield what doesn't fit together about a task's encoding, head and loss."""
    if task.encoding == "separate" and not task.is_pair:
        yield "encoding is 'separate' without pairs"
    if task.head == "cosine" and (task.sequences == 1 or task.outputs != 1):
        yield "head is 'cosine' without separate pairs"
    if task.loss == "cross_entropy" and not task.is_classification:
        yield f"loss is 'cross_entropy' for kind '{task.kind}'"
    plain = task.loss == "mse" and task.head == "linear" and not task.is_classification
    if task.targets == "popart" and not plain:
        yield "targets are 'popart' without a regression's linear head under MSE"


def canonical_label(text: str) -> str:
    """Return a label's canonical spelling, so that one value is one class in every file.

    Whole numbers lose their decimals, since a column that misses one has floats; a number with an
    exponent as Python writes large and small floats is written out; booleans are `true` and
    `false`. `007`, `1.50`, `1e3` and all else may be names, and stay as they are.

    Example:
        >>> canonical_label(" 1.0 "), canonical_label("1e+16"), canonical_label("TRUE")
        ('1', '10000000000000000', 'true')
        >>> canonical_label("positive"), canonical_label("007")
        ('positive', '007')
    """
    text = text.strip()
    if text.lower() in ("true", "false"):
        return text.lower()
    if re.fullmatch(r"-?[0-9]+(\.[0-9]+)?e[+-][0-9]{2,3}", text):
        number = float(text)
        if repr(number) == text:  # as a float is written, and no code such as 1e-01
            text = str(int(number)) if number.is_integer() else format(Decimal(text), "f")
    whole = re.fullmatch(r"(-?)(0|[1-9][0-9]*)(?:\.0*)?", text)
    if whole is None:
        return text
    sign, digits = whole.groups()
    return digits if digits == "0" else sign + digits


def _in_order(task: Task) -> bool:
    return (
        len(task.range) == 2
        and -inf < task.range[0] < task.range[1] < inf
        and 0 <= task.dropout < 1
    )
