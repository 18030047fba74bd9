"""A number for each row, in the task's own units."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from math import inf
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from accord.config.tasks import LossKey, MetricKey, TaskConfig
from accord.data.labels import HIDDEN, LabelParser, NoLabelError, parse_number
from accord.errors import ConfigError
from accord.kinds._context import TrainingLabels
from accord.kinds._labelled import LabelledKind, Summary, shared_fields, spread
from accord.kinds._section_faults import foreign_faults, metric_faults, shape_faults
from accord.kinds._shares import share, share_logits
from accord.kinds._targets import TargetForm

if TYPE_CHECKING:
    from torch import Tensor, nn

    from accord.data.plan import TaskPlan
    from accord.kinds._targets import Array
    from accord.tasks import Task


class RegressionConfig(TaskConfig):
    """`[tasks.NAME]` with `kind = "regression"` or `"pair-regression"`."""

    kind: Literal["regression", "pair-regression"]
    loss: LossKey = None
    metric: MetricKey = None

    def faults(self) -> Iterator[str]:
        """Yield what is wrong with the shape, the loss, the metric and the range."""
        yield from shape_faults(self)
        if self.targets == "popart" and (self.loss not in (None, "mse") or self.head != "linear"):
            yield "targets: 'popart' takes loss = 'mse' and head = 'linear'"
        if self.loss == "cross_entropy":
            yield f"loss: 'cross_entropy' is for classification, but kind is '{self.kind}'"
        yield from metric_faults(self, KIND.metrics)
        yield from foreign_faults(self, "positive", "labels")
        # NaN is not below anything, so it fails here too.
        span = self.range
        if span is not None and (len(span) != 2 or not -inf < span[0] < span[1] < inf):
            yield f"range: takes [lowest, highest], got {span}"


class NumberParser(LabelParser):
    """Turns the texts of a label column into numbers."""

    def __init__(self, plan: TaskPlan, span: tuple[float, float]) -> None:
        super().__init__(plan, among_values=True)
        self._span, self._configured = span, plan.range is not None

    def target(self, label: str) -> float:
        lowest, highest = self._span
        if label in ("-", "?") or (not self._configured and label in HIDDEN and lowest >= 0):
            raise self.refused(label, "'range' has to include it if it is a target")
        try:
            number = parse_number(label)
        except ValueError as error:
            raise ValueError(f"{self.column}: {error}") from None
        # A range taken from the training file says nothing of what dev may hold.
        if self._configured and not lowest <= number <= highest:
            message = f"{self.column}: {number:g} is outside the range {lowest:g} to {highest:g}"
            raise NoLabelError(message, label) if label in HIDDEN else ValueError(message)
        return number


class Regression(LabelledKind["Task"]):
    """A number; the head learns it scaled to [0, 1] by its range, or by a moving spread."""

    name = "regression"
    section = RegressionConfig
    pairs = True
    losses = ("mse", "binary_cross_entropy")
    predicts = ("values",)
    default_metric = "pearson"
    reads_codes = True
    squared = True
    summary_head = "lowest, mean, highest"
    leaderboard: ClassVar = {2: "Predicted_Similiary"}  # the course's own spelling

    def resolve(self, name: str, plan: TaskPlan, training: TrainingLabels) -> Task:
        """Take a range that isn't configured from the training file: its lowest and highest.

        Where dev is a share of that file, its rows count as well: which rows can be used, and so
        which are dev, is known only once the range is. Two numbers of dev rows may so set the
        scale; a configured range, as a scale's ends mostly are known, has nothing of them.
        """
        return self.task_type(
            **shared_fields(name, plan),
            loss=plan.loss or self.losses[0],
            metric=plan.metric or self.default_metric,
            range=_range(name, plan, training),
        )

    def inferred_keys(self, plan: TaskPlan) -> list[str]:
        return ["range"] if plan.range is None else []

    def task_faults(self, task: Task) -> Iterator[str]:
        if task.positive not in (None, *task.labels):
            yield f"metric is {task.metric!r}, the positive class {task.positive!r}"
        if task.targets == "popart" and (task.loss != "mse" or task.head != "linear"):
            yield "targets are 'popart' without a regression's linear head under MSE"

    def parser(self, plan: TaskPlan, task: Task) -> NumberParser:
        return NumberParser(plan, task.range)

    def target_form(self, task: Task) -> TargetForm:
        return TargetForm("<f8")

    def summary(self, task: Task, targets: Array) -> Summary:
        return spread(targets)

    def described(self, task: Task, most: int) -> str:
        return f"range {task.range[0]:g} to {task.range[1]:g}"

    def outputs(self, task: Task) -> int:
        return 1

    def targets(self, task: Task, labels: Tensor) -> Tensor:
        """Return values scaled to [0, 1] by the task's range, float32 [n]."""
        low, high = task.range
        return ((labels - low) / (high - low)).float()

    def decoding(self, task: Task) -> Hashable:
        """Return the range of a value as the head gives it; of a sigmoid the last bit may depend on
        the row's place in its tensor."""
        return task.range if task.loss == "mse" else task.name

    def decode(self, task: Task, logits: Tensor) -> Tensor:
        """Return values in the task's units, which may lie slightly outside the range, as the
        linear layer gives them."""
        low, high = task.range
        return low + (high - low) * share(task, logits)

    def logits_of_mean(self, task: Task, members: Sequence[Tensor]) -> Tensor:
        """Return the logits of the members' mean values."""
        import torch

        return share_logits(task, torch.stack([share(task, member) for member in members]).mean(0))

    def answers(self, task: Task, values: Array) -> list[float]:
        """Return numbers in the task's units."""
        return [float(value) for value in values]

    def read_answers(self, task: Task, answers: Sequence[str]) -> Array:
        import numpy as np

        return np.array([float(answer) for answer in answers])

    def transformers_fault(self, task: Task) -> str:
        if task.loss == "mse":
            return ""
        return f"its values are no linear function under loss '{task.loss}'; loss = \"mse\" has one"

    def transformers_layer(self, task: Task, linear: nn.Linear) -> tuple[Tensor, Tensor]:
        """Make a layer whose outputs are values in the task's units."""
        low, high = task.range
        weight, bias = linear.weight.double(), linear.bias.double()
        return weight * (high - low), bias * (high - low) + low

    def transformers_config(self, task: Task) -> dict[str, Any]:
        return {
            "id2label": {0: task.name}, "label2id": {task.name: 0}, "problem_type": "regression",
        }  # fmt: skip

    def transformers_note(self, task: Task) -> str:
        low, high = task.range
        return f", whose logit is a value from {low:g} to {high:g}"


def _range(name: str, plan: TaskPlan, training: TrainingLabels) -> tuple[float, float]:
    if plan.range is not None:
        return plan.range
    training.require("range")
    lowest, highest, hidden = inf, -inf, set[float]()
    for label, number in _numbers(training):
        if label in HIDDEN:
            hidden.add(number)
        else:
            lowest, highest = min(lowest, number), max(highest, number)
    if lowest < 0:  # beside other negative numbers -1 is one of them
        lowest, highest = min(hidden | {lowest}), max(hidden | {highest})
    if not lowest < highest:
        raise ConfigError(
            f"tasks.{name}.label: column '{plan.label}' of {training} holds fewer than two "
            f"different numbers; name the lowest and highest in tasks.{name}.range"
        )
    return lowest, highest


def _numbers(training: TrainingLabels) -> Iterator[tuple[str, float]]:
    for label in training.labels():
        try:
            yield label, parse_number(label)
        except ValueError:
            continue  # the row is faulted, with its line, when the file is read in full


KIND = Regression()
