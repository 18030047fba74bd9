"""The records of a file of predictions, one per row."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from accord.data.loader import TaskData
from accord.data.store import TokenStore
from accord.durable import atomic_file
from accord.evaluation.prediction_formats import Format, Record, write_records
from accord.kinds import Answers, labelled_kind
from accord.tasks import Task

Columns = Mapping[str, Sequence[object]]

_PROBABILITIES = 2**14  # that are made into records at once


def predicted_values(logits: Tensor, task: Task) -> Answers:
    """Return what logits [n, ...] say: names of classes or lists of them, or values in the
    task's own units."""
    kind = labelled_kind(task)
    return kind.answers(task, kind.decode(task, logits).numpy())


def predicted_records(
    logits: Tensor,
    task: Task,
    before: Columns,
    after: Columns | None = None,
    moved: Tensor | None = None,
) -> list[Record]:
    """Return one record per row: `predicted_columns`, and what else stands behind them."""
    return records_of({
        **predicted_columns(logits, task, before, moved=moved), **(after or {})
    })  # fmt: skip


def predicted_columns(
    logits: Tensor,
    task: Task,
    before: Columns,
    texts: Sequence[str | Sequence[str]] | None = None,
    moved: Tensor | None = None,
) -> dict[str, Sequence[Any]]:
    """Return what is said of rows, by column: their predictions, what their kind says beside them
    and, for classes, each label's probability.

    Args:
        logits: [n, ...].
        task: whose.
        before: what else stands before the prediction, such as ids: n values under each name.
        texts: of each row; None where only their tokens are known.
        moved: the logits that predict, by thresholds that are not the task's; default: the same.
    """
    said = logits if moved is None else moved
    columns: dict[str, Sequence[Any]] = {**before, "prediction": predicted_values(said, task)}
    kind = labelled_kind(task)
    columns |= kind.details(task, said, texts)
    if kind.probability_names(task):
        columns["probabilities"] = predicted_probabilities(logits, task)
    return columns


def predicted_probabilities(logits: Tensor, task: Task) -> list[dict[str, float]]:
    """Return each class's probability for rows of a task with classes, by its name."""
    kind = labelled_kind(task)
    names, shares = kind.probability_names(task), kind.probabilities(task, logits)
    assert shares is not None
    return [dict(zip(names, row, strict=True)) for row in shares.tolist()]


def records_of(columns: Columns) -> list[Record]:
    """Return one record per row of some columns."""
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def row_keys(data: TaskData) -> Columns:
    """Return what identifies a split's rows in their file: `id`s or, if it has none, `line`s.

    In a Parquet file a row's number stands for its line.
    """
    store = data.store
    assert isinstance(store, TokenStore)  # texts without labels are not predicted
    if store.ids is None:
        return {"line": store.line_names(data.rows)}
    ids = store.ids.to_pylist()  # one by one they take ten times as long
    return {"id": [ids[row] for row in data.rows.tolist()]}


def has_ids(data: TaskData) -> bool:
    """Whether a split's rows have ids of their own, which the course's format can't do without."""
    return isinstance(data.store, TokenStore) and data.store.ids is not None


def write_split_predictions(
    path: Path,
    logits: Tensor,
    data: TaskData,
    labels: np.ndarray | None = None,
    after: Columns | None = None,
    form: Format = "csv",
    moved: Tensor | None = None,
) -> None:
    """Write predictions of a split's rows, the whole file or none.

    Args:
        path: the file; its folder must exist.
        logits: [n, ...].
        data: the rows.
        labels: the rows' targets, [n, ...]: written beside the predictions, to compare them with.
        after: further columns.
        form: the file's format.
        moved: as `predicted_records` takes them.

    Raises:
        OSError: if the file can't be written.
    """
    before = dict(row_keys(data))
    if labels is not None:
        before["label"] = labelled_kind(data.task).answers(data.task, labels)
    # Of thousands of classes, records take far more memory than logits do: a few rows at a time.
    rows = max(1, _PROBABILITIES // max(1, math.prod(logits.shape[1:])))
    parts = [slice(start, start + rows) for start in range(0, max(len(logits), 1), rows)]
    records = (
        predicted_records(
            logits[part],
            data.task,
            _part(before, part),
            _part(after, part),
            None if moved is None else moved[part],
        )
        for part in parts
    )
    with atomic_file(path) as file:
        write_records(file, form, records, data.task)


def _part(columns: Columns | None, part: slice) -> Columns:
    return {name: values[part] for name, values in (columns or {}).items()}
