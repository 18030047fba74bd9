"""Prediction files: CSV, JSON lines, and the course leaderboard's format."""

from __future__ import annotations

import codecs
import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from torch import Tensor

from accord.durable import whole_file
from accord.judging.leaderboard import write_cs224n
from accord.model.heads import decode, probabilities
from accord.tasks import Task

Format = Literal["csv", "jsonl", "cs224n"]

_ROWS = 64  # that are made into records at once


def predicted_values(logits: Tensor, task: Task) -> list[str] | list[float]:
    """Return label names, or values in the task's own units, from logits [n, outputs]."""
    values = decode(logits, task).tolist()
    if task.is_classification:
        return [task.labels[int(value)] for value in values]
    return [float(value) for value in values]


def predicted_records(logits: Tensor, task: Task, ids: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield one record a row: id, prediction and, for classes, each label's probability.

    Few of them are in memory at once: of thousands of classes they take far more than logits do.
    """
    for start in range(0, len(ids), _ROWS):
        part, own = logits[start : start + _ROWS], ids[start : start + _ROWS]
        shares = probabilities(part, task).tolist() if task.is_classification else None
        for i, value in enumerate(predicted_values(part, task)):
            record = {"id": own[i], "prediction": value}
            if shares is not None:
                record["probabilities"] = dict(zip(task.labels, shares[i], strict=True))
            yield record


def guess_format(path: Path) -> Format:
    """Return the format that a file's name asks for: JSON lines, or else CSV."""
    return "jsonl" if path.suffix in (".jsonl", ".ndjson", ".json") else "csv"


def write_predictions(
    path: Path,
    logits: Tensor,
    task: Task,
    ids: Sequence[str],
    form: Format,
    labels: np.ndarray | None = None,
) -> None:
    """Write a task's predictions, the whole file or none.

    Args:
        path: the file; its folder must exist.
        logits: [n, outputs].
        task: whose.
        ids: of the rows, in the order of the logits.
        form: the file's format.
        labels: class indices, or values in the task's units, [n]: written beside the predictions
            in CSV and JSON lines, to compare them with.

    Raises:
        UsageError: the course has no file for such a task.
        OSError: if the file can't be written.
    """
    if form == "cs224n":
        write_cs224n(path, task.kind, list(ids), predicted_values(logits, task))
        return
    more = {} if labels is None else {"label": label_texts(labels, task)}
    with whole_file(path) as file:
        records = _with_columns(predicted_records(logits, task, ids), more)
        if form == "jsonl":
            file.writelines(_json_line(record) for record in records)
        else:
            _write_csv(file, records, task, [*more])


def write_heldout(
    path: Path,
    logits: Tensor,
    task: Task,
    ids: Sequence[str],
    labels: np.ndarray,
    more: Mapping[str, Sequence[object]],
) -> None:
    """Write held-out predictions as CSV, with further columns.

    Args:
        path: the file; its folder must exist.
        logits: [n, outputs].
        task: whose.
        ids: of the rows.
        labels: of the rows.
        more: a value a row of each further column.
    """
    columns = {"label": label_texts(labels, task), **more}
    with whole_file(path) as file:
        records = _with_columns(predicted_records(logits, task, ids), columns)
        _write_csv(file, records, task, ["label"], [*more])


def _with_columns(
    records: Iterable[dict[str, Any]], columns: Mapping[str, Sequence[object]]
) -> Iterator[dict[str, Any]]:
    """Yield records with a value of each column behind the id."""
    for i, record in enumerate(records):
        yield {"id": record["id"], **{name: own[i] for name, own in columns.items()}, **record}


def label_texts(labels: np.ndarray, task: Task) -> list[str] | list[float]:
    """Return label names, or values in the task's own units, [n]."""
    if task.is_classification:
        return [task.labels[int(label)] for label in labels]
    return [float(label) for label in labels]


def _json_line(record: dict[str, Any]) -> bytes:
    return (json.dumps(record, ensure_ascii=False) + "\n").encode()


def _write_csv(
    file: IO[bytes],
    records: Iterable[dict[str, Any]],
    task: Task,
    before: Sequence[str] = (),
    after: Sequence[str] = (),
) -> None:
    """Write records with some of their columns before the prediction, others at the end."""
    writer = csv.writer(codecs.getwriter("utf-8")(file), lineterminator="\n")
    labels = task.labels if task.is_classification else ()
    columns = ["id", *before, "prediction"]
    writer.writerow([*columns, *(f"p({label})" for label in labels), *after])
    for record in records:
        shares = (f"{record['probabilities'][label]:.6f}" for label in labels)
        writer.writerow([*(record[name] for name in columns), *shares, *map(record.get, after)])
