"""One class of several in order, as of a scale: the next class is less wrong than a far one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from accord.config.tasks import ClassWeightsKey, MetricKey, TaskConfig
from accord.data.labels import MOST_SLIPS, is_number
from accord.errors import ConfigError
from accord.kinds._classes import weight_faults, weights_of
from accord.kinds._context import TrainingLabels
from accord.kinds._labelled import shared_fields
from accord.kinds._section_faults import (
    class_faults,
    foreign_faults,
    metric_faults,
    only_faults,
    shape_faults,
)
from accord.kinds._shares import mean_logit
from accord.kinds.classification import Classification, class_labels
from accord.metrics import get_metric

if TYPE_CHECKING:
    from torch import Tensor, nn

    from accord.data.plan import TaskPlan
    from accord.encoders.encoder import EncoderConfig
    from accord.model.heads import TaskHead
    from accord.tasks import Task


class OrdinalConfig(TaskConfig):
    """`[tasks.NAME]` with `kind = "ordinal"` or `"pair-ordinal"`."""

    kind: Literal["ordinal", "pair-ordinal"]
    loss: Literal["coral"] | None = None
    metric: MetricKey = None
    class_weights: ClassWeightsKey = None

    def faults(self) -> Iterator[str]:
        """Yield what is wrong with the shape, the metric, and the classes' names and weights."""
        yield from shape_faults(self)
        yield from metric_faults(self, KIND.metrics)
        yield from class_faults(self, least=2)
        yield from weight_faults(self.class_weights)
        yield from only_faults(self, head="linear")
        yield from foreign_faults(self, "positive")


class Ordinal(Classification):
    """A class of several in order, the lowest first.

    Labels, rows and predictions are those of a classification. The head has a logit for each step
    from a class to the next, in place of one for each class (`accord.model.ordinal.OrdinalHead`);
    its loss is the sum of these steps' binary cross entropies. Predicted is the class that as many
    steps lead to as have a probability of at least a half: the median. Quadratic kappa is the
    default metric: it counts how far off a prediction is, which accuracy doesn't, and what chance
    would give, which an error doesn't.
    """

    name = "ordinal"
    section = OrdinalConfig
    losses = ("coral",)
    predicts = ("classes", "ranks", "probabilities")
    default_metric = "quadratic_kappa"
    leaderboard: ClassVar = {}

    @property
    def metrics(self) -> tuple[str, ...]:
        return tuple(name for name in super().metrics if not get_metric(name).one_class)

    def resolve(self, name: str, plan: TaskPlan, training: TrainingLabels) -> Task:
        """Take numbers that aren't configured from the training file, the lowest first; a few names
        among them are slips, whose rows are refused.

        Raises:
            ConfigError: if classes are names: only a person knows their order.
        """
        labels = class_labels(name, plan, training)
        if plan.labels is None:
            labels = _numbers(labels, training)
        if plan.labels is None and not all(map(is_number, labels)):
            shown = ", ".join(f"'{label}'" for label in labels[:5]) + ", …" * (len(labels) > 5)
            raise ConfigError(
                f"tasks.{name}.labels: is missing: {shown} have no order of their own; name them in"
                " theirs, the lowest first"
            )
        return self.task_type(
            **shared_fields(name, plan),
            loss=self.losses[0],
            metric=plan.metric or self.default_metric,
            labels=labels,
            class_weights=weights_of(name, plan.class_weights, labels),
        )

    def task_faults(self, task: Task) -> Iterator[str]:
        yield from super().task_faults(task)
        if task.head != "linear":
            yield f"head is {task.head!r}"

    def described(self, task: Task, most: int) -> str:
        return super().described(task, most).replace(", ", " < ")

    def outputs(self, task: Task) -> int:
        """Return a logit for each step from a class to the next."""
        return len(task.labels) - 1

    def new_head(self, task: Task, encoder: EncoderConfig) -> TaskHead:
        from accord.model.ordinal import OrdinalHead

        return OrdinalHead(task, encoder.hidden_size, encoder.initializer_range)

    def decode(self, task: Task, logits: Tensor) -> Tensor:
        """Return how many steps are passed with a probability of at least a half."""
        return (_above(logits) >= 0.5).sum(1).double()

    def probabilities(self, task: Task, logits: Tensor) -> Tensor:
        """Return by how much the probabilities of the classes above fall at each class."""
        from torch.nn import functional

        return -functional.pad(functional.pad(_above(logits), (1, 0), value=1.0), (0, 1)).diff()

    def logits_of_mean(self, task: Task, members: Sequence[Tensor]) -> Tensor:
        """Return the logits of the members' mean probabilities."""
        return mean_logit([_above(member) for member in members])

    def transformers_fault(self, task: Task) -> str:
        return "it counts the steps that are passed between ordered classes"

    def transformers_layer(self, task: Task, linear: nn.Linear) -> tuple[Tensor, Tensor]:
        raise NotImplementedError

    def transformers_config(self, task: Task) -> dict[str, Any]:
        raise NotImplementedError


def _above(logits: Tensor) -> Tensor:
    """Return the probability of a class above each but the last, float64 [n, K − 1].

    Our head's fall with the classes; those of any others are made to.
    """
    import torch

    steps = logits.double().sigmoid().unbind(1)
    return torch.stack([*accumulate(steps, torch.minimum)], 1)  # ONNX has no cumulative minimum


def _numbers(labels: tuple[str, ...], training: TrainingLabels) -> tuple[str, ...]:
    """Return the labels that are numbers, where nearly all rows have one of several; else all."""
    numbers = tuple(filter(is_number, labels))
    if len(numbers) in (0, 1, len(labels)):
        return labels
    rows = Counter(training.labels())
    among = sum(rows[label] for label in labels)
    of_numbers = sum(rows[label] for label in numbers)
    return numbers if of_numbers >= (1 - MOST_SLIPS) * among else labels


KIND = Ordinal()
