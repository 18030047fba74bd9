"""Held-out predictions and figures of a run: of rows that no choice of the model has seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from accord.data.halves import few_rows_note
from accord.data.loader import TaskData
from accord.evaluation.choosing import HalfResult, first_best, half_result
from accord.evaluation.heldout import ON_DEV, ON_TEST
from accord.evaluation.inference import task_metric
from accord.evaluation.predictions import write_split_predictions
from accord.evaluation.scores import TaskScores, crossfitted, write_scores
from accord.evaluation.thresholds import (
    Halves,
    crossfit_moved,
    dev_halves,
    moved_by,
    tuned_task,
)
from accord.kinds import labelled_kind, moved
from accord.metrics import ByClass, Constant
from accord.runs.folder import RunFolder
from accord.runs.progress import Console
from accord.tasks import Task
from accord.training.checkpoint import RunState
from accord.training.epoch_soup import soup_of_epochs
from accord.training.kept_epochs import kept_scores
from accord.training.setup import Setup

Table = dict[str, Any]
Epochs = tuple[int, ...]
"""Numbers, from 1, of what a model is made of: one epoch, or those in a soup."""


@dataclass(frozen=True)
class Choice:
    """What was chosen on one half of dev.

    Attributes:
        epochs: one, or those in a soup.
        logits: of all dev rows of each task.
    """

    epochs: Epochs
    logits: Sequence[Tensor]


@dataclass(frozen=True)
class Saved:
    """The model that the run leaves, chosen on all of dev.

    Attributes:
        epochs: one, or those in a soup.
        dev: its logits of all dev rows of each task; none where it is the best epoch's.
        test: its logits of the test rows that have labels, by task.
    """

    epochs: Epochs
    dev: Sequence[Tensor]
    test: Mapping[str, Tensor]


@dataclass(frozen=True)
class HeldOutRows:
    """A task's held-out predictions.

    Attributes:
        data: the rows.
        labels: the rows' targets, [rows, ...].
        logits: float32 [rows, ...].
        moved: the same, by the thresholds that were chosen with the models.
        halves: int8 [rows].
        predicted_by: the epochs that predict the rows of half 0, and those of half 1.
    """

    data: TaskData
    labels: np.ndarray
    logits: Tensor
    moved: Tensor
    halves: Halves
    predicted_by: tuple[Epochs, Epochs]

    @property
    def value(self) -> float:
        """The task's metric (`accord.metrics.crossfit_value`)."""
        task = self.data.task
        return task_metric(task, self.labels, self.moved, self.halves)

    @property
    def by_class(self) -> ByClass | None:
        """The figures of each class; None without classes."""
        kind, task = labelled_kind(self.data.task), self.data.task
        return kind.by_class(task, self.labels, kind.decode(task, self.moved).numpy())

    @property
    def constant(self) -> Constant:
        """The best constant prediction on the same rows."""
        return labelled_kind(self.data.task).constant(self.data.task, self.labels)


def evaluate_heldout(
    setup: Setup, run: RunFolder, progress: RunState, console: Console, saved: Saved
) -> dict[str, Table]:
    """Write `scores.safetensors` and the held-out predictions; return their entries in the results.

    Nothing of it is in a checkpoint: a run that is killed meanwhile does the same again.
    """
    halves = [dev_halves(split) for split in setup.data.dev]
    scores = kept_scores(run, progress)
    choices = _choices(setup, run, progress, console, scores, halves)
    assert progress.best is not None
    all_dev = saved.dev or [scores[split.task.name][progress.best] for split in setup.data.dev]
    by_thresholds = [
        (
            *(moved_by(split, choices[half].logits[i], halves[i] == half) for half in (0, 1)),
            crossfit_moved(split, all_dev[i]),
        )
        for i, split in enumerate(setup.data.dev)
    ]
    write_scores(run.path, {
        split.task.name: TaskScores(
            epochs=scores[split.task.name],
            chosen=torch.stack(by_thresholds[i]),
            labels=torch.from_numpy(split.labels),
            halves=torch.from_numpy(halves[i]),
        )
        for i, split in enumerate(setup.data.dev)
    })  # fmt: skip
    figures = {}
    for i, split in enumerate(setup.data.dev):
        if not split.task.labelled:
            continue
        on_0, on_1 = choices
        logits = crossfitted(on_0.logits[i], on_1.logits[i], halves[i])
        thresholded = crossfitted(by_thresholds[i][0], by_thresholds[i][1], halves[i])
        by = (on_1.epochs, on_0.epochs)
        dev = HeldOutRows(split, split.labels, logits, thresholded, halves[i], by)
        test = _test_rows(setup, tuned_task(split, all_dev[i]), saved)
        _write(run, test or dev)
        chosen = [saved.epochs] if test else [on_0.epochs, on_1.epochs]
        soup = setup.plan.averaging.method == "soup"
        # By the same rule as the cross-fitted figure: within halves, where it is a correlation.
        same = replace(dev, moved=by_thresholds[i][2])
        crossfit, same_rows = dev.value, same.value
        value, constant = test.value if test else crossfit, (test or dev).constant
        figures[split.task.name] = {
            "metric": split.task.metric_name,
            "value": value,
            "on": ON_TEST if test else ON_DEV,
            "rows": len((test or dev).labels),
            "constant": constant.value,
            "epochs": [list(epochs) if soup else epochs[0] for epochs in chosen],
            "crossfit": crossfit,
            "dev": same_rows,
            "gap": same_rows - crossfit,
        }
        if remark := constant.remark(split.task.metric_name, value, split.task.labels):
            figures[split.task.name]["remark"] = remark
        if not test and (note := few_rows_note(halves[i])):
            figures[split.task.name]["note"] = note
        figures[split.task.name] |= _by_class({"dev": same, "crossfit": dev, "test": test})
    return figures


def _by_class(rows: Mapping[str, HeldOutRows | None]) -> Table:
    """Return the figures of each class on some rows, by name; nothing without classes."""
    known = {name: part.by_class for name, part in rows.items() if part is not None}
    tables = {name: each.to_json() for name, each in known.items() if each is not None}
    return {"by_class": tables} if tables else {}


def _choices(
    setup: Setup,
    run: RunFolder,
    progress: RunState,
    console: Console,
    scores: Mapping[str, Tensor],
    halves: Sequence[Halves],
) -> tuple[Choice, Choice]:
    """Choose, by the rule that chose the saved model, on either half of dev."""
    numbers = [record["epoch"] for record in progress.evaluations]
    logits = [
        [scores[split.task.name][epoch] for split in setup.data.dev]
        for epoch in range(len(numbers))
    ]
    soup = setup.plan.averaging.method == "soup"
    if soup:
        console.say("making a soup by each half of the dev rows")

    def choose(half: int) -> Choice:
        def evaluate(logits: Sequence[Tensor]) -> HalfResult:
            return half_result(setup.data.dev, logits, halves, half, setup.plan.finished)

        alone = [evaluate(logit) for logit in logits]
        if not soup:
            best = first_best([result.sum for result in alone])
            return Choice((numbers[best],), logits[best])
        made = soup_of_epochs(setup, run, progress, alone, evaluate)
        return Choice(tuple(numbers[i] for i in made.members), made.evaluated.logits)

    return choose(0), choose(1)


def _test_rows(setup: Setup, task: Task, saved: Saved) -> HeldOutRows | None:
    """Return the held-out test rows of a task as the saved model predicts them, if it has any."""
    name = task.name
    if name not in saved.test:
        return None
    data = next(split for split in setup.data.test if split.task.name == name)
    rows = setup.data.heldout_test[name]
    all_dev = np.zeros(len(rows.rows), dtype=np.int8)
    logits = saved.test[name][torch.from_numpy(rows.rows)]
    part = replace(data, rows=data.rows[rows.rows])
    thresholded, epochs = moved(logits, task.thresholds), (saved.epochs, saved.epochs)
    return HeldOutRows(part, rows.labels, logits, thresholded, all_dev, epochs)


def _write(run: RunFolder, rows: HeldOutRows) -> None:
    data = rows.data
    epochs = ["+".join(map(str, rows.predicted_by[half])) for half in rows.halves]
    write_split_predictions(
        run.predictions / f"{data.task.name}-heldout.csv", rows.logits, data, rows.labels,
        {"half": rows.halves.tolist(), "epoch": epochs}, moved=rows.moved,
    )  # fmt: skip
