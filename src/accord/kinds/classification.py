"""One class of several for each row, named in the label's column."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from accord.config.tasks import (
    ClassWeightsKey,
    DrawKey,
    LabelSmoothingKey,
    LossKey,
    MetricKey,
    TaskConfig,
)
from accord.data.labels import (
    HIDDEN,
    LabelParser,
    NoLabelError,
    are_values,
    quoted,
    sort_labels,
    without_label,
)
from accord.errors import ConfigError, nearest
from accord.kinds._class_names import numbered, refuse_too_many, some_of
from accord.kinds._classes import weight_faults, weights_of
from accord.kinds._context import TrainingLabels
from accord.kinds._labelled import LabelledKind, Summary, shared_fields
from accord.kinds._section_faults import class_faults, metric_faults, shape_faults
from accord.kinds._shares import mean_log, share, share_logits
from accord.kinds._targets import TargetForm
from accord.metrics import Form, get_metric
from accord.spelling import canonical_label

if TYPE_CHECKING:
    from torch import Tensor, nn

    from accord.data.plan import TaskPlan
    from accord.kinds._targets import Array
    from accord.tasks import Task


class ClassificationConfig(TaskConfig):
    """`[tasks.NAME]` with `kind = "classification"` or `"pair-classification"`."""

    kind: Literal["classification", "pair-classification"]
    loss: LossKey = None
    metric: MetricKey = None
    class_weights: ClassWeightsKey = None
    label_smoothing: LabelSmoothingKey = 0.0
    draw: DrawKey = "shuffled"

    def faults(self) -> Iterator[str]:
        """Yield what is wrong with the shape, the metric, and the classes' names and weights."""
        yield from shape_faults(self)
        yield from metric_faults(self, KIND.metrics)
        yield from class_faults(self, least=2)
        yield from weight_faults(self.class_weights)
        if self.label_smoothing and (loss := _loss(self.loss, self.head)) != "cross_entropy":
            yield f"label_smoothing: is for loss 'cross_entropy', but loss is '{loss}'"


class ClassParser(LabelParser):
    """Turns the texts of a label column into class indices."""

    def __init__(self, plan: TaskPlan, labels: Sequence[str]) -> None:
        super().__init__(plan, among_values=are_values(labels))
        self._labels = labels
        self._indices = {canonical_label(label): i for i, label in enumerate(labels)}
        self._hidden = without_label({*labels, *HIDDEN})

    def names(self, label: str) -> bool:
        return label in self._indices

    def target(self, label: str) -> int:
        if label in self._indices:
            return self._indices[label]
        if label in self._hidden:
            raise self.refused(label, _AS_CLASS)
        raise ValueError(
            f"{self.column}: unknown label {quoted(label)}{nearest(label, self._labels)}"
        )

    def blank(self, label: str) -> NoLabelError:
        what = f"is '{label}': no label; {_AS_CLASS}" if label else "is empty: no label"
        return NoLabelError(f"'{self.column}' {what}", "")


_AS_CLASS = "'labels' has to name it if it is a class"


class Classification(LabelledKind["Task"]):
    """A class of several; two of them may have one logit, under another loss."""

    name = "classification"
    section: ClassVar[type[TaskConfig]] = ClassificationConfig
    pairs = True
    losses: ClassVar[tuple[str, ...]] = ("cross_entropy", "binary_cross_entropy", "mse")
    predicts: ClassVar[tuple[Form, ...]] = ("classes", "probabilities")
    default_metric = "accuracy"
    discrete = True
    answer_is_text = True
    summary_head = "labels"
    leaderboard: ClassVar = {1: "Predicted_Sentiment", 2: "Predicted_Is_Paraphrase"}

    def resolve(self, name: str, plan: TaskPlan, training: TrainingLabels) -> Task:
        """Take labels that aren't configured from the training file: in numerical order if all are
        numbers, else sorted; the rows of dev count as well where it is a share of that file."""
        labels = class_labels(name, plan, training)
        loss = _loss(plan.loss, plan.head)
        if loss != "cross_entropy" and len(labels) != 2:
            raise ConfigError(
                f"tasks.{name}.loss: '{loss}' takes exactly two labels, but there are"
                f" {len(labels)}: {', '.join(labels)}"
            )
        return self.task_type(
            **shared_fields(name, plan),
            loss=loss,
            metric=plan.metric or self.default_metric,
            labels=labels,
            positive=_positive(name, plan, labels, training),
            class_weights=weights_of(name, plan.class_weights, labels),
            label_smoothing=plan.label_smoothing,
        )

    def inferred_keys(self, plan: TaskPlan) -> list[str]:
        return ["labels"] if plan.labels is None else []

    def task_faults(self, task: Task) -> Iterator[str]:
        if len(set(task.labels)) < max(2, len(task.labels)):
            yield f"labels are {list(task.labels)[:5]}"
        positive = task.positive
        if positive not in (None, *task.labels) or (
            get_metric(task.metric).one_class and not positive
        ):
            yield f"metric is {task.metric!r}, the positive class {positive!r}"
        if task.targets == "popart":
            yield "targets are 'popart' without a regression's linear head under MSE"

    def parser(self, plan: TaskPlan, task: Task) -> ClassParser:
        return ClassParser(plan, task.labels)

    def target_form(self, task: Task) -> TargetForm:
        return TargetForm("<i8")

    def rows_of_classes(self, task: Task, targets: Array) -> list[Array]:
        import numpy as np

        order = np.argsort(targets, kind="stable")
        ends = np.cumsum(np.bincount(targets, minlength=len(task.labels)))
        return np.split(order, ends[:-1])

    def summary(self, task: Task, targets: Array) -> Summary:
        rows = self.rows_of_classes(task, targets)
        return {"labels": {label: len(of) for label, of in zip(task.labels, rows, strict=True)}}

    def described(self, task: Task, most: int) -> str:
        return f"labels {some_of(task.labels, most)}"

    def outputs(self, task: Task) -> int:
        """Return a logit for each class under cross entropy, else one."""
        return len(task.labels) if task.loss == "cross_entropy" else 1

    def targets(self, task: Task, labels: Tensor) -> Tensor:
        """Return class indices, float32 [n]."""
        return labels.float()

    def decoding(self, task: Task) -> Hashable:
        """Return the same for all softmaxes; of a sigmoid the last bit may depend on the row's
        place in its tensor."""
        return "softmax" if task.loss == "cross_entropy" else task.name

    def decode(self, task: Task, logits: Tensor) -> Tensor:
        """Return class indices; of one logit 1 at 0.5 and above, of its sigmoid but under MSE."""
        if task.loss == "cross_entropy":
            return logits.argmax(dim=1).double()
        return (share(task, logits) >= 0.5).double()

    def probabilities(self, task: Task, logits: Tensor) -> Tensor:
        """Return each class's probability; an MSE head's value is clamped."""
        import torch

        if task.loss == "cross_entropy":
            return logits.double().softmax(1)
        second = share(task, logits).clamp(0, 1)
        return torch.stack([1 - second, second], dim=1)

    def likelihoods(self, labels: Array, shares: Array) -> Array:
        import numpy as np

        return np.asarray(shares[np.arange(len(shares)), labels.astype(int)])

    def logits_of_mean(self, task: Task, members: Sequence[Tensor]) -> Tensor:
        """Return the logits of the members' mean probabilities.

        Example:
            >>> import torch
            >>> from accord.tasks import Task
            >>> task = Task("t", "classification", "cross_entropy", "accuracy", labels=("a", "b"))
            >>> members = [torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[0.9, 0.1]]).log()]
            >>> KIND.probabilities(task, KIND.mean_logits(task, members))
            tensor([[0.7000, 0.3000]], dtype=torch.float64)
        """
        import torch

        if task.loss == "cross_entropy":
            return mean_log([self.probabilities(task, member) for member in members])
        shares = torch.stack([share(task, member) for member in members])
        return share_logits(task, shares.clamp(0, 1).mean(0))

    def answers(self, task: Task, values: Array) -> list[str]:
        """Return names of classes."""
        return [task.labels[int(value)] for value in values]

    def read_answers(self, task: Task, answers: Sequence[str]) -> Array:
        index = {name: i for i, name in enumerate(task.labels)}
        import numpy as np

        return np.array([index[answer] for answer in answers], dtype=np.float64)

    def shown(self, task: Task, value: float) -> str:
        return task.labels[int(value)]

    def transformers_fault(self, task: Task) -> str:
        if task.loss != "mse":
            return ""
        return "its probabilities are no softmax under loss 'mse'; loss = \"cross_entropy\" has one"

    def transformers_layer(self, task: Task, linear: nn.Linear) -> tuple[Tensor, Tensor]:
        """Make of one logit z of two classes (0, z), whose softmax is the same probabilities."""
        import torch

        weight, bias = linear.weight.double(), linear.bias.double()
        if task.outputs == 1:
            weight, bias = (
                torch.cat([torch.zeros_like(tensor), tensor]) for tensor in (weight, bias)
            )
        return weight, bias

    def transformers_config(self, task: Task) -> dict[str, Any]:
        return {
            **numbered(task.labels),
            "problem_type": "single_label_classification",
        }


def _loss(given: str | None, head: str) -> str:
    return given or ("mse" if head == "cosine" else Classification.losses[0])


def class_labels(name: str, plan: TaskPlan, training: TrainingLabels) -> tuple[str, ...]:
    """Return the config's classes, else the training file's, two or more.

    Raises:
        ConfigError: if there are none, or too many.
    """
    if plan.labels is not None:
        return plan.labels
    training.require("labels")
    names = training.class_names()
    if len(names) > 1:
        return tuple(label for label in names if label not in plan.missing)
    seen: set[str] = set()
    for label in training.labels():
        seen.add(label)
        refuse_too_many(name, plan, training, len(seen))
    hidden = without_label(seen)
    labels = sort_labels(seen - hidden)
    if len(labels) < 2:
        existing = f"the one label '{labels[0]}'" if labels else "no label"
        placeholders = ", ".join(f"'{label}'" for label in sort_labels(hidden))
        raise ConfigError(
            f"tasks.{name}.label: column '{plan.label}' of {training} holds {existing}"
            + f" beside {placeholders}, which in many data sets means none" * bool(hidden)
            + f"; a classification needs two or more (tasks.{name}.labels)"
        )
    return tuple(labels)


def _positive(
    name: str, plan: TaskPlan, labels: tuple[str, ...], training: TrainingLabels
) -> str | None:
    """Return the class that a metric of one class means: the config's, or of two what says yes.

    Where the task's metric is such a one and neither says yes it is the rarer one of the training
    file, as what is looked for mostly is.
    """
    if plan.positive is not None:
        if plan.positive not in labels:
            hint = nearest(plan.positive, labels)
            raise ConfigError(f"tasks.{name}.positive: no label is '{plan.positive}'{hint}")
        return plan.positive
    yes = [label for label in labels if _NO_OF.get(label.casefold())]
    if len(labels) == 2 and len(yes) == 1:
        other = next(label for label in labels if label != yes[0])
        if other.casefold() in _NO_OF[yes[0].casefold()]:
            return yes[0]
    metric = plan.metric or Classification.default_metric
    return _rarer(name, metric, labels, training) if get_metric(metric).one_class else None


_NO_OF = {
    "1": ("0", "-1"), "yes": ("no",), "y": ("n",), "true": ("false",), "t": ("f",),
    "positive": ("negative",), "pos": ("neg",),
}  # fmt: skip
"""What says yes, and what says no where it does."""


def _rarer(name: str, metric: str, labels: tuple[str, ...], training: TrainingLabels) -> str:
    counts = Counter[str]()
    if len(labels) == 2:
        counts.update(label for label in training.labels() if label in labels)
    rarer, other = sorted(labels, key=lambda label: counts[label])[:2]
    if counts[rarer] == counts[other]:
        raise ConfigError(
            f"tasks.{name}.metric: '{metric}' is of one class: name it in tasks.{name}.positive, or"
            f' take metric = "macro_f1"; the labels are {", ".join(labels)}'
        )
    return rarer


KIND = Classification()
