"""Thresholds that dev rows choose beside a model: by all of them, and by one half for the other.

Of tasks whose kind tunes none, logits stay as they are.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from torch import Tensor

from accord.data.halves import content_halves, row_contents
from accord.data.loader import TaskData
from accord.evaluation.scores import crossfitted
from accord.kinds import Evaluation, kind_of, moved
from accord.tasks import Task

Halves = npt.NDArray[np.int8]


def dev_halves(data: TaskData) -> Halves:
    """Return the half of each of a dev split's rows, int8 [rows]."""
    contents = row_contents(data.store, data.rows)
    return content_halves(contents, data.strata)


def tuned_task(data: TaskData, logits: Tensor) -> Task:
    """Return a split's task with the thresholds that all its rows choose, by logits of these."""
    kind = kind_of(data.task)
    if not kind.tunes(data.task):
        return data.task
    return replace(data.task, thresholds=kind.tuned(data.task, data.labels, logits))


def moved_by(data: TaskData, logits: Tensor, rows: npt.NDArray[np.bool_]) -> Tensor:
    """Return logits of a split, moved by the thresholds that some of its rows choose.

    A task without thresholds decodes them as one with these decodes the logits.
    """
    kind = kind_of(data.task)
    if not kind.tunes(data.task):
        return logits
    return moved(logits, kind.tuned(data.task, data.labels[rows], logits[rows]))


def crossfit_moved(data: TaskData, logits: Tensor) -> Tensor:
    """Return logits of a split, each half's moved by the thresholds that the other half chooses."""
    if not kind_of(data.task).tunes(data.task):
        return logits
    halves = dev_halves(data)
    on_0, on_1 = (moved_by(data, logits, halves == half) for half in (0, 1))
    return crossfitted(on_0, on_1, halves)


def evaluate_dev(data: TaskData, logits: Tensor) -> Evaluation:
    """Compare a dev split's logits [rows, outputs] with its labels.

    No row is predicted by a threshold that it has a part in.
    """
    plain = replace(data.task, thresholds=())
    return kind_of(plain).evaluate(plain, data.labels, logits, crossfit_moved(data, logits))
