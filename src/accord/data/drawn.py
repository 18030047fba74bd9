"""Dev splits that are drawn from training files, and the texts that no task may then train on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from accord.config.tasks import AnyTaskConfig
from accord.data.datafiles import shown
from accord.data.overlap import Rowset, among, example_hashes
from accord.data.splits import FEW, Groups, dev_split, first_rows
from accord.data.store import TokenStore
from accord.errors import DataError
from accord.kinds import kind_of, labelled_kind
from accord.tasks import Task

_SHOWN = 5


def is_drawn(config: AnyTaskConfig) -> bool:
    """Return whether a task's dev rows are drawn from its training file."""
    return config.dev is None and config.train is not None


def draw_dev(
    store: TokenStore, task: Task, config: AnyTaskConfig, share: float
) -> tuple[Rowset, Rowset]:
    """Return the training and the dev rows of a training file, as `dev_split` has them.

    Args:
        store: of the file.
        task: whose labels it holds.
        config: its section, for `limit` and the names of files and columns.
        share: of dev.

    Raises:
        DataError: there are not two groups of rows.
    """
    rows = first_rows(len(store), config.limit)
    kind = kind_of(task)
    strata = kind.strata(store.labels[rows]) if task.labelled else None
    try:
        train, dev = dev_split(
            row_groups(Rowset(store, rows)), strata, share, classes=kind.discrete
        )
    except DataError:
        assert config.train is not None  # as dev is drawn from it
        count = f"{len(rows)} usable rows" if len(rows) > 1 else "1 usable row"
        one = f"one text or one '{config.group}'" if config.group else "one text"
        raise DataError(
            f"{shown(config.train)} (task '{task.name}'): {count} with {one} can't be split into"
            " training and dev rows; add rows, or name a dev file"
        ) from None
    return Rowset(store, rows[train]), Rowset(store, rows[dev])


def row_groups(part: Rowset) -> Groups:
    """Return what tells each row's group from others: its `group` column, or else its texts."""
    groups = part.store.groups[part.rows]
    return np.where(groups > 0, groups, _texts(part))


def few_of_class_note(train: Rowset, dev: Rowset, task: Task) -> str:
    """Say which classes have hardly a dev row; empty where all have some."""
    if not task.labels:
        return ""
    in_train, in_dev = (_class_counts(part, task) for part in (train, dev))
    few = np.flatnonzero((in_dev < FEW) & (in_train + in_dev > 0)).tolist()
    shown = [f"'{task.labels[i]}' ({in_dev[i]} of {in_dev[i] + in_train[i]})" for i in few[:_SHOWN]]
    rest = [f"{len(few) - _SHOWN} more"] if len(few) > _SHOWN else []
    which = "class " if len(few) == 1 else "classes "
    return f"fewer than {FEW} dev rows of {which}{', '.join([*shown, *rest])}" if few else ""


def _class_counts(part: Rowset, task: Task) -> npt.NDArray[np.int64]:
    rows = labelled_kind(task).rows_of_classes(task, part.store.labels[part.rows])
    return np.array([len(own) for own in rows])


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
        """What is said of it; empty where all rows stay."""
        if not self.tasks:
            return ""
        return (
            f"{self.left_out} of {len(self.rows)} training rows are left out: they hold dev texts"
            f" of {', '.join(self.tasks)}"
        )


Splits = Mapping[str, tuple[Rowset, Rowset]]


def without_dev_texts(splits: Splits, sections: Mapping[str, AnyTaskConfig]) -> dict[str, Kept]:
    """Return which training rows of each task hold no text that another task's dev drew.

    Tasks draw the same texts but for a few (`dev_split`). Those few are dev rows of the task that
    drew them alone, and no other is trained on them: a task is evaluated on the same rows whatever
    others it is trained with. Tasks that name the same group column are compared by it.

    Args:
        splits: each task's training and dev rows.
        sections: its section of the config.

    Raises:
        DataError: a task has no training row left.
    """
    return {name: _kept(name, splits, sections) for name in splits}


def _kept(name: str, splits: Splits, sections: Mapping[str, AnyTaskConfig]) -> Kept:
    train, _ = splits[name]
    kept, tasks = np.ones(len(train.rows), dtype=bool), []
    for other, (_, dev) in splits.items():
        if other == name or not is_drawn(sections[other]):
            continue
        column = sections[name].group
        told_by = row_groups if column and column == sections[other].group else _texts
        shared = among(told_by(train), told_by(dev))
        if shared.any():
            kept &= ~shared
            tasks.append(other)
    if not kept.any():
        raise DataError(
            f"task '{name}': all {len(kept)} training rows hold dev texts of {', '.join(tasks)};"
            " name a dev file there"
        )
    return Kept(kept, tuple(tasks))


def _texts(part: Rowset) -> Groups:
    return example_hashes(part.store.normalised_hashes[part.rows])
