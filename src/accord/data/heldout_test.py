"""Rows of a test file that a model may be evaluated on: with labels, and none that chose it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from accord.data.examples import NO_LABEL, Example, read_examples, task_rows
from accord.data.files import DataFiles
from accord.data.halves import row_contents
from accord.data.labels import NoLabelError, missing_key
from accord.data.loader import TaskData
from accord.data.plan import TaskPlan
from accord.data.reading import FilesReader
from accord.data.rows import Row
from accord.data.store import TokenStore
from accord.kinds import labelled_kind
from accord.tasks import Task


@dataclass(frozen=True)
class FileLabels:
    """The labels of a test file's rows, where it has any.

    Attributes:
        rows: those that have a label, int64 [n]: all but those that `missing` leaves out.
        targets: of these, as the task's kind has them, [n, ...]; None where the rows have no
            labels, or none that can be used.
        reason: why those that are there are not used; empty where there are none, or they are.
        left_out: what the other rows have, for which they are left out.
    """

    rows: npt.NDArray[np.int64] = field(default_factory=lambda: np.array([], dtype=np.int64))
    targets: npt.NDArray[Any] | None = None
    reason: str = ""
    left_out: str = NO_LABEL


def read_test_labels(files: DataFiles, plan: TaskPlan, task: Task) -> FileLabels:
    """Read the labels of a test split's rows.

    They are used where every row has one that the task allows, except those that `missing`
    leaves out, and at least two differ. A file without labels may have a column all the same that
    is empty, or holds what stands for a hidden label, such as -1.

    Args:
        files: the test split's.
        plan: the task's columns.
        task: the resolved task.

    Raises:
        DataError: if the file can't be used at all.
    """
    reader = FilesReader(files)
    columns = plan.label_columns
    if not set(columns) <= set(reader.columns):
        return FileLabels()
    for column in columns:
        if reader.columns.count(column) > 1:
            return FileLabels(reason=f"column '{column}' stands in the header more than once")
    # Side by side, as a row is told by its order alone: an array of JSON may stand in one line.
    use = list(dict.fromkeys((*plan.text, *columns)))
    read = task_rows(reader, use, [plan], [task], labelled=False)
    both = zip(read_examples(files, plan, task, labelled=False), read, strict=True)
    rows = [
        (example, row if row.values else replace(row, values=dict.fromkeys(use, "")))
        for example, row in both
        if isinstance(example, Example)
    ]
    return _parsed(files, rows[: plan.limit], plan, task)


def _parsed(
    files: DataFiles, read: Sequence[tuple[Example, Row]], plan: TaskPlan, task: Task
) -> FileLabels:
    kind = labelled_kind(task)
    parser = kind.parser(plan, task)
    rows, targets = [], []
    blank, faults, left_out = [], list[str](), NO_LABEL
    for number, (example, row) in enumerate(read):
        assert row.values is not None
        where = _where(files, example)
        if parser.leaves_out(row.values, row.lists):
            continue
        try:
            target = parser.of_row(row.values, row.lists)
        except NoLabelError as error:
            blank.append((where, error.label))
        except ValueError as error:
            faults.append(f"{where}: {error}")
        else:
            if why := parser.left_out(target):
                left_out = why
            else:
                targets.append(target)
                rows.append(number)
    if faults:
        return FileLabels(reason=faults[0])
    if not rows:
        return FileLabels()
    if blank:
        where, none = blank[0]
        return FileLabels(
            reason=f"{len(blank)} of {len(read)} rows have no label, the first in {where}"
            f" ({missing_key([none])} would leave such rows out)"
        )
    return _differing(read, rows, targets, plan, task, left_out)


def _where(files: DataFiles, example: Example) -> str:
    if len(files.paths) > 1:
        return f"{files.paths[example.file]}:{example.line}"
    return f"line {example.line}"


def _differing(
    read: Sequence[tuple[Example, Row]], rows: list[int], targets: list[Any], plan: TaskPlan,
    task: Task, left_out: str,
) -> FileLabels:  # fmt: skip
    """Return the labels of some rows, if they are not all alike."""
    form = labelled_kind(task).target_form(task)
    every = form.array(targets)
    if not form.differ(every):
        values = read[rows[0]][1].values or {}
        shown = ", ".join(values[name].strip() for name in plan.label_columns)
        why_equal = (
            "all labels of every row are alike, as in" if form.ragged else "every row's label is"
        )
        return FileLabels(reason=f"{why_equal} '{shown}'")
    return FileLabels(np.array(rows), every, left_out=left_out)


@dataclass(frozen=True)
class HeldOutTest:
    """A task's labelled test rows.

    Attributes:
        rows: which of the test split's rows are for evaluation, int64 [n]; may be empty.
        labels: of these, as the task's kind has them, [n, ...].
        total: rows of the test split.
        in_dev: those whose texts stand in the task's dev rows, which choose the model: left out.
        in_train: those whose texts stand in its training rows: they stay.
        unlabelled: those that the task's `missing` leaves out; they are in neither of these.
        reason: why the file's labels are not used; empty where it has none, or they are.
    """

    rows: npt.NDArray[np.int64]
    labels: npt.NDArray[Any]
    total: int
    in_dev: int = 0
    in_train: int = 0
    unlabelled: int = 0
    reason: str = ""


def heldout_test(labels: FileLabels, test: TaskData, dev: TaskData, train: TaskData) -> HeldOutTest:
    """Return which rows of a test file are held out; texts are compared by their token ids.

    Only the task's dev rows are looked at, and not other tasks': a task alone and in a shared run
    is to be evaluated on the same rows.

    Args:
        labels: of all the test rows.
        test: the rows of the test file.
        dev: the task's dev rows.
        train: its training rows, all of them.
    """
    total, none = len(test.rows), np.array([], dtype=np.int64)
    if labels.targets is None:
        return HeldOutTest(none, none, total, reason=labels.reason)
    contents = _contents(test)
    labelled = np.zeros(total, dtype=bool)
    labelled[labels.rows] = True
    in_dev, in_train = (
        _among(contents, set(_contents(split))) & labelled for split in (dev, train)
    )
    rows = np.flatnonzero(labelled & ~in_dev)
    targets = labels.targets[~in_dev[labels.rows]]
    counts = int(in_dev.sum()), int(in_train.sum()), int((~labelled).sum())
    reason = ""
    if not labelled_kind(test.task).target_form(test.task).differ(targets):
        rest = ", and all others have one label" if len(rows) else ""
        reason = f"{counts[0]} of its {total} rows stand in the dev rows{rest}"
        rows, targets = none, targets[:0]
    return HeldOutTest(rows, targets, total, *counts, reason)


def _contents(split: TaskData) -> list[bytes]:
    assert isinstance(split.store, TokenStore)  # labelled tasks have files
    return row_contents(split.store, split.rows)


def _among(contents: list[bytes], others: set[bytes]) -> npt.NDArray[np.bool_]:
    return np.array([content in others for content in contents], dtype=bool)
