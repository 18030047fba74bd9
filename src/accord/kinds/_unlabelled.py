"""What kinds of task have in common that learn from texts alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from accord.kinds._context import Evaluation
from accord.kinds._kind import Kind, Layout
from accord.metrics import get_metric

if TYPE_CHECKING:
    from torch import Tensor

    from accord.kinds._targets import Array
    from accord.tasks import Task

T = TypeVar("T", bound="Task")


class UnlabelledKind(Kind[T]):
    """A kind of task without labels, whose examples are single texts and whose head no model folder
    holds. What stands for logits in an evaluation are its texts' losses, [rows, 1]."""

    labelled = False
    predicts = ("losses",)
    default_metric = "likelihood"
    metric_format = ".3g"  # of a vocabulary's words the right one is unlikely

    def layout(self, task: T) -> Layout:
        return ((0,),)

    def outputs(self, task: T) -> int:
        return 1

    def evaluate(
        self, task: T, labels: Array, logits: Tensor, moved: Tensor | None = None
    ) -> Evaluation:
        losses = logits.double().squeeze(1).numpy()
        figures = {name: get_metric(name)(losses, losses) for name in self.metrics_of(task)}
        figures["loss"] = float(logits.double().mean())
        return Evaluation(figures[task.metric], figures, logits)
