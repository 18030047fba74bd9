"""What a report on sharing is made of: plain figures, whoever computed them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Choice = Literal["epoch", "soup", "nothing"]
"""What was chosen by dev rows: each run's best epoch, its soup of epochs, or nothing."""


@dataclass(frozen=True)
class Exposure:
    """What a model was shown of a task: means over its runs.

    Attributes:
        examples: seen in training, each as often as it came.
        rows: of the training split.
        steps: in which the task had examples.
        tokens: that the encoder read for them.
    """

    examples: float
    rows: float
    steps: float
    tokens: float


@dataclass(frozen=True)
class Side:
    """A task's models that were trained alone, or the shared models.

    Attributes:
        mean: of the metric over the runs, in its units.
        sd: standard deviation over the runs; None for one run.
        exposure: what they were shown.
        selection_gap: by how much the figure of the chosen epoch is too good on the rows that
            chose it, in the metric's units.
    """

    mean: float
    sd: float | None
    exposure: Exposure
    selection_gap: float


@dataclass(frozen=True)
class TaskComparison:
    """A task in a model of its own against the same task in a shared model.

    Attributes:
        task: its name.
        metric: by which it is evaluated.
        model: the shared model's name.
        alone: the models of this task alone.
        together: the shared models.
        evaluated_on: 'test', or 'dev, cross-fitted': the rows that the figures are of.
        rows: how many these are.
        runs: how many alone, and how many together.
        difference: together minus alone, in the metric's units.
        low: of the interval that is shown.
        high: likewise.
        level: of that interval.
        kind: of the verdict: a key of `accord.report.figures.differences.MARKS`.
        verdict: as it is shown.
        adjusted_p: corrected for the number of comparisons; None where there is none.
        baseline: what the best constant prediction reaches.
        baseline_name: which constant that is.
        detectable: the smallest difference that as many runs would probably show, in the metric's
            units; None where it is not known.
        seeds_needed: what it would take to show a true difference of one point, in words.
    """

    task: str
    metric: str
    model: str
    alone: Side
    together: Side
    evaluated_on: str
    rows: int
    runs: tuple[int, int]
    difference: float
    low: float
    high: float
    level: float
    kind: str
    verdict: str
    baseline: float
    baseline_name: str
    adjusted_p: float | None = None
    detectable: float | None = None
    seeds_needed: str | None = None


@dataclass(frozen=True)
class Cost:
    """What it takes to answer all tasks one way.

    Attributes:
        models: how many.
        parameters: of all of them.
        model_bytes: on disk.
        encoder_passes: over a text that all tasks evaluate.
        train_seconds: of all of them.
    """

    models: int
    parameters: int
    model_bytes: int
    encoder_passes: int
    train_seconds: float


@dataclass(frozen=True)
class SharedModel:
    """What a shared model costs, and what a model for each of its tasks does.

    Attributes:
        name: as `TaskComparison.model` says it.
        alone: of a model for each task.
        together: of the shared model.
        uncompared: its tasks that no verdict is of; `alone` is without them.
    """

    name: str
    alone: Cost
    together: Cost
    uncompared: tuple[str, ...] = ()


@dataclass(frozen=True)
class SharingResult:
    """All that a report on sharing says.

    Attributes:
        tasks: every task of every shared model.
        models: the shared models.
        correction: the method that corrects for several comparisons, such as 'Holm'; empty where
            nothing is corrected.
        comparisons: how many were corrected for.
        margin: differences within ±margin count as none, in the metrics' units; None where no
            margin was set.
        choice: what was chosen by dev rows.
        notes: what else a reader has to know, a paragraph each.
    """

    tasks: tuple[TaskComparison, ...]
    models: tuple[SharedModel, ...]
    correction: str = ""
    comparisons: int = 1
    margin: float | None = None
    choice: Choice = "epoch"
    notes: tuple[str, ...] = ()

    def of(self, model: str) -> list[TaskComparison]:
        """The comparisons of one shared model."""
        return [own for own in self.tasks if own.model == model]
