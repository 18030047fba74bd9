"""What is said of rows, by column; and the files of predictions that a run leaves."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from accord.data.loader import TaskData
from accord.data.store import TokenStore
from accord.durable import atomic_file
from accord.evaluation.leaderboard import cs224n_lines
from accord.evaluation.prediction_formats import delimited_lines
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
    moved: Tensor | None = None,
) -> None:
    """Write predictions of a split's rows as CSV, the whole file or none.

    There is a column `p(LABEL)` for each label. What is said of several labels, words or candidates
    of a row is one text, as its kind has it, or JSON.

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
    before = dict(row_keys(data))
    if labels is not None:
        before["label"] = labelled_kind(data.task).answers(data.task, labels)
    # Of thousands of classes, texts take far more memory than logits do: a few rows at a time.
    rows = max(1, _PROBABILITIES // max(1, math.prod(logits.shape[1:])))
    with atomic_file(path) as file:
        for start in range(0, max(len(logits), 1), rows):
            part = slice(start, start + rows)
            columns = {
                **predicted_columns(logits[part], data.task, _part(before, part),
                                    moved=None if moved is None else moved[part]),
                **_part(after, part),
            }  # fmt: skip
            texts = _texts(columns, data.task)
            head = [] if start else [[*texts]]
            lines = delimited_lines([*head, *zip(*texts.values(), strict=True)], ",")
            file.write(lines.encode())


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


def _texts(columns: Columns, task: Task) -> dict[str, list[str]]:
    """Return columns as texts, one for each label's probability."""
    texts: dict[str, list[str]] = {}
    for name, values in columns.items():
        if name == "probabilities" and task.labels:
            texts |= {
                f"p({label})": [f"{of[label]:.6f}" for of in values]
                for label in labelled_kind(task).probability_names(task)
            }
        elif name in ("label", "prediction"):
            texts[name] = [labelled_kind(task).cell(task, value) for value in values]
        else:
            texts[name] = [*map(_text, values)]
    return texts


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list) else str(value)
