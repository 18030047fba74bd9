"""Rows of a test file that a model may be evaluated by: with labels, and none that chose it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from accord.data.halves import row_contents
from accord.data.overlap import Rowset
from accord.data.store import TokenStore
from accord.data.test_labels import FileLabels


@dataclass(frozen=True)
class HeldOutTest:
    """A task's labelled test rows.

    Attributes:
        rows: which of the test split's rows are evaluated by, int64 [n]; empty where none can be.
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


def heldout_test(labels: FileLabels, test: Rowset, dev: Rowset, train: Rowset) -> HeldOutTest:
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
    in_dev, in_train = (_among(contents, set(_contents(own))) & labelled for own in (dev, train))
    rows = np.flatnonzero(labelled & ~in_dev)
    targets = labels.targets[~in_dev[labels.rows]]
    counts = int(in_dev.sum()), int(in_train.sum()), int((~labelled).sum())
    reason = ""
    if len(np.unique(targets, axis=0)) < 2:
        rest = ", and all others have one label" if len(rows) else ""
        reason = f"{counts[0]} of its {total} rows stand in the dev rows{rest}"
        rows, targets = none, targets[:0]
    return HeldOutTest(rows, targets, total, *counts, reason)


def _contents(own: Rowset) -> list[bytes]:
    assert isinstance(own.store, TokenStore)  # labelled tasks have files
    return row_contents(own.store, own.rows, own.store.lengths.shape[1])


def _among(contents: list[bytes], others: set[bytes]) -> npt.NDArray[np.bool_]:
    return np.array([content in others for content in contents], dtype=bool)
