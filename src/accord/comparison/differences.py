"""The difference of two groups of runs on one task, on rows that no choice has seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from accord.comparison.group import Group
from accord.errors import RunFolderError
from accord.kinds import labelled_kind
from accord.report.record import HeldOut, RunRecord
from accord.statistics.crossed import Difference, Side, against_constant, difference

LEVEL = 0.95
"""One-sided, of the interval by which a side has to be above the best constant prediction."""


class RowsDiffer(RunFolderError):  # noqa: N818 (what is the matter, as Stopped)
    """Figures of a task that can't be compared: they are of different rows, of different classes,
    or by different metrics."""


@dataclass(frozen=True)
class TaskDifference:
    """Two groups on one task.

    Attributes:
        task: its name.
        metric: by which it is evaluated.
        evaluated_on: which rows: 'test', or 'dev, cross-fitted'.
        difference: the one minus the other.
        constant: what the best constant prediction gets on the same rows.
        constant_name: which one that is, as tables show it.
        learnt: whether either group beats it.
    """

    task: str
    metric: str
    evaluated_on: str
    difference: Difference
    constant: float
    constant_name: str
    learnt: bool


def task_difference(task: str, ours: Group, theirs: Group) -> TaskDifference:
    """Compare two groups on a task by all their runs; runs of one seed are pairs.

    Raises:
        RowsDiffer: if they were evaluated on different rows, or by different metrics.
    """
    sides = [[run.heldout(task) for run in group.runs] for group in (ours, theirs)]
    first = sides[0][0]
    _check_rows([*ours.runs, *theirs.runs], [*sides[0], *sides[1]], task)
    metric, about = first.task.metric, first.task
    one, other = (
        _side(group, evaluated) for group, evaluated in zip((ours, theirs), sides, strict=True)
    )
    constant = labelled_kind(about).constant(about, first.labels)
    learnt = any(
        against_constant(metric, first.labels, side, about.positive_class).lower(LEVEL) > 0
        for side in (one, other)
    )
    return TaskDifference(
        task, about.metric_name, first.on,
        difference(metric, first.labels, one, other, about.positive_class),
        constant.value, constant.name(about.labels), learnt,
    )  # fmt: skip


def _side(group: Group, evaluated: list[HeldOut]) -> Side:
    predictions = np.stack([each.evaluated for each in evaluated])
    return Side(group.seeds, predictions, np.stack([each.halves for each in evaluated]))


def _check_rows(runs: list[RunRecord], evaluated: list[HeldOut], task: str) -> None:
    first = evaluated[0]
    for run, each in zip(runs, evaluated, strict=True):
        names, others = f"{runs[0].name}, {run.name}: ", (first.task, each.task)
        if others[0].metric_name != others[1].metric_name:
            metrics = ", ".join(other.metric_name for other in others)
            raise RowsDiffer(f"{names}evaluated by different metrics of '{task}' ({metrics})")
        if others[0].labels != others[1].labels:
            classes = " / ".join(", ".join(other.labels) for other in others)
            raise RowsDiffer(f"{names}have different classes of '{task}' ({classes})")
        same = each.ids == first.ids and np.array_equal(
            each.labels,
            first.labels,
            equal_nan=True,  # ragged rows are padded with NaN
        )
        if not same or each.on != first.on:
            raise RowsDiffer(
                f"{names}evaluated on different rows of '{task}'"
                f" ({first.on}, {len(first.ids)} rows; {each.on}, {len(each.ids)} rows)"
            )
