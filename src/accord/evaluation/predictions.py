"""What is said of rows, by column; and the files of predictions that a run leaves."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from accord.data.examples import Given
from accord.data.loader import TaskData
from accord.data.rows import Column
from accord.data.store import TokenStore
from accord.durable import atomic_file
from accord.evaluation.leaderboard import cs224n_lines
from accord.evaluation.prediction_formats import Share, Table, write_table
from accord.kinds import Answers, labelled_kind
from accord.tasks import Task

Columns = Mapping[str, Sequence[Any]]
Record = dict[str, Any]

_PROBABILITIES = 2**14  # that are made into records at once


def predicted_values(logits: Tensor, task: Task) -> Answers:
    """Return what logits [n, ...] say: names of classes or lists of them, or values in the
    task's own units."""
    kind = labelled_kind(task)
    return kind.answers(task, kind.decode(task, logits).numpy())


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
    shares = labelled_kind(task).probabilities(task, logits)
    assert shares is not None
    return probabilities_by_name(task, shares)


def probabilities_by_name(task: Task, shares: Tensor) -> list[dict[str, float]]:
    """Return each row's probabilities [n, classes] by the names of the classes."""
    names = labelled_kind(task).probability_names(task)
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
    moved: Tensor | None = None,
) -> None:
    """Write predictions of a split's rows as CSV, the whole file or none.

    There is a column `p(LABEL)` for each label, and, where answers quote texts, one of these.
    Labels and predictions of a row with several labels, words or candidates are one text, as its
    kind has it; choices are named by their places, whatever labels are.

    Args:
        path: the file; its folder must exist.
        logits: [n, ...].
        data: the rows.
        labels: the rows' targets, [n, ...]: written beside the predictions, to compare them with.
        after: further columns.
        moved: as `predicted_columns` takes them.

    Raises:
        OSError: if the file can't be written.
    """
    kind, task, said = labelled_kind(data.task), data.task, logits if moved is None else moved

    def columns(part: slice) -> Columns:
        ours = replace(data, rows=data.rows[part])
        texts = _given(ours)
        before = {**row_keys(ours), **({} if texts is None else {"text": texts})}
        if labels is not None:
            before["label"] = kind.answers(task, labels[part])
        answers = predicted_columns(logits[part], task, before, texts, said[part])
        answers["prediction"] = predicted_values(said[part], task)
        return {**_in_a_table(answers, task), **_part(after, part)}

    def batches() -> Iterator[list[Mapping[Column, Any]]]:
        # Of thousands of classes, texts take far more memory than logits do: a few rows at a time.
        rows = max(1, _PROBABILITIES // max(1, math.prod(logits.shape[1:])))
        for start in range(0, len(logits), rows):
            records = records_of(columns(slice(start, start + rows)))
            yield [{(name, 0): value for name, value in record.items()} for record in records]

    with atomic_file(path) as file:
        write_table(file, "csv", Table([(name, 0) for name in columns(slice(0))]), batches())


def write_leaderboard(path: Path, logits: Tensor, data: TaskData) -> None:
    """Write predictions of a split's rows, which have ids, in the course's format.

    Raises:
        UsageError: the course has no file for such a task.
        OSError: if the file can't be written.
    """
    values = predicted_values(logits, data.task)
    lines = cs224n_lines(data.task.kind, row_keys(data)["id"], values)  # type: ignore[arg-type]
    with atomic_file(path) as file:
        file.write("".join(lines).encode())


def _part(columns: Columns | None, part: slice) -> Columns:
    return {name: values[part] for name, values in (columns or {}).items()}


def _given(data: TaskData) -> list[Given] | None:
    """Return a split's rows as their file has them; None where answers quote no texts."""
    if not labelled_kind(data.task).quotes_texts:
        return None
    assert isinstance(data.store, TokenStore)
    return data.store.given(data.rows)


def _in_a_table(columns: Columns, task: Task) -> dict[str, Sequence[Any]]:
    """Return columns with one for each label's probability, and answers as texts."""
    kind = labelled_kind(task)
    cells: dict[str, Sequence[Any]] = {}
    for name, values in columns.items():
        if name == "probabilities" and task.labels:
            for label in kind.probability_names(task):
                cells[f"p({label})"] = [Share(of[label]) for of in values]
        else:
            answers = name in ("label", "prediction")
            cells[name] = [kind.cell(task, value) for value in values] if answers else values
    return cells
