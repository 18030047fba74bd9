"""Dev splits that are drawn from training files, and the texts that no task may then train on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from accord.data.datafiles import shown
from accord.data.loader import TaskData
from accord.data.overlap import among, example_hashes
from accord.data.plan import TaskPlan
from accord.data.splits import FEW, Groups, dev_split
from accord.errors import DataError
from accord.kinds import kind_of, labelled_kind

_SHOWN = 5


def draw_dev(undivided: TaskData, plan: TaskPlan, share: float) -> tuple[TaskData, TaskData]:
    """Return the training and the dev rows of a training file, as `dev_split` has them.

    Args:
        undivided: its rows that are used.
        plan: of the task, for the names of files and columns.
        share: of dev.

    Raises:
        DataError: there are not two groups of rows.
    """
    task, rows = undivided.task, undivided.rows
    strata = undivided.strata if task.labelled else None
    try:
        train, dev = dev_split(row_groups(undivided), strata, share, classes=kind_of(task).discrete)
    except DataError:
        assert plan.train is not None  # as dev is drawn from it
        count = f"{len(rows)} usable rows" if len(rows) > 1 else "1 usable row"
        one = f"one text or one '{plan.group}'" if plan.group else "one text"
        raise DataError(
            f"{shown(plan.train)} (task '{task.name}'): {count} with {one} can't be split into"
            " training and dev rows; add rows, or name a dev file"
        ) from None
    return replace(undivided, rows=rows[train]), replace(undivided, rows=rows[dev])


def row_groups(part: TaskData) -> Groups:
    """Return a number for each row's group: by its `group` column, or else its texts."""
    groups = part.store.groups[part.rows]
    return np.where(groups > 0, groups, _texts(part))


def few_of_class_note(train: TaskData, dev: TaskData) -> str:
    """Say which classes have hardly a dev row; empty where all have some."""
    task = dev.task
    if not task.labels:
        return ""
    in_train, in_dev = (_class_counts(part) for part in (train, dev))
    few = np.flatnonzero((in_dev < FEW) & (in_train + in_dev > 0)).tolist()
    shown = [f"'{task.labels[i]}' ({in_dev[i]} of {in_dev[i] + in_train[i]})" for i in few[:_SHOWN]]
    rest = [f"{len(few) - _SHOWN} more"] if len(few) > _SHOWN else []
    which = "class " if len(few) == 1 else "classes "
    return f"fewer than {FEW} dev rows of {which}{', '.join([*shown, *rest])}" if few else ""


def _class_counts(part: TaskData) -> npt.NDArray[np.int64]:
    rows = labelled_kind(part.task).rows_of_classes(part.task, part.labels)
    return np.array([len(row) for row in rows])


@dataclass(frozen=True)
class Kept:
    """Which training rows stay, bool [rows], and whose dev texts the others hold."""

    rows: npt.NDArray[np.bool_]
    tasks: tuple[str, ...] = ()

    @property
    def left_out(self) -> int:
        """How many rows don't stay."""
        return int((~self.rows).sum())

    @property
    def note(self) -> str:
        """The note on it; empty where all rows stay."""
        if not self.tasks:
            return ""
        return (
            f"{self.left_out} of {len(self.rows)} training rows are left out: they hold dev texts"
            f" of {', '.join(self.tasks)}"
        )


Splits = Mapping[str, tuple[TaskData, TaskData]]


def without_dev_texts(splits: Splits, plans: Mapping[str, TaskPlan]) -> dict[str, Kept]:
    """Return which training rows of each task hold no text that another task's dev drew.

    Tasks draw the same texts except for a few (`dev_split`). Those few are dev rows of the task
    that drew them alone, and no other is trained on them: a task is evaluated on the same rows
    whatever others it is trained with. Tasks that name the same group column are compared by it.

    Args:
        splits: each task's training and dev rows.
        plans: its plan.

    Raises:
        DataError: a task has no training row left.
    """
    return {name: _kept(name, splits, plans) for name in splits}


def _kept(name: str, splits: Splits, plans: Mapping[str, TaskPlan]) -> Kept:
    train, _ = splits[name]
    kept, tasks = np.ones(len(train.rows), dtype=bool), []
    for other, (_, dev) in splits.items():
        if other == name or not plans[other].draws_dev:
            continue
        column = plans[name].group
        groups_of = row_groups if column and column == plans[other].group else _texts
        shared = among(groups_of(train), groups_of(dev))
        if shared.any():
            kept &= ~shared
            tasks.append(other)
    if not kept.any():
        raise DataError(
            f"task '{name}': all {len(kept)} training rows hold dev texts of {', '.join(tasks)};"
            " name a dev file there"
        )
    return Kept(kept, tuple(tasks))


def _texts(part: TaskData) -> Groups:
    return example_hashes(part.store.normalised_hashes[part.rows])
