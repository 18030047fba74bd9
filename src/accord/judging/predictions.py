"""Prediction files: CSV, JSON lines, and the course leaderboard's format."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from torch import Tensor

from accord.durable import write_whole
from accord.judging.leaderboard import write_cs224n
from accord.model.heads import decode, probabilities
from accord.tasks import Task

Format = Literal["csv", "jsonl", "cs224n"]


def predicted_values(logits: Tensor, task: Task) -> list[str] | list[float]:
    """Return label names, or values in the task's own units, from logits [n, outputs]."""
    values = decode(logits, task).tolist()
    if task.is_classification:
        return [task.labels[int(value)] for value in values]
    return [float(value) for value in values]


def predicted_records(logits: Tensor, task: Task, ids: Sequence[str]) -> list[dict[str, Any]]:
    """Return one record a row: id, prediction and, for classes, each label's probability."""
    values = predicted_values(logits, task)
    if not task.is_classification:
        return [{"id": i, "prediction": v} for i, v in zip(ids, values, strict=True)]
    shares = probabilities(logits, task).tolist()
    return [
        {"id": i, "prediction": v, "probabilities": dict(zip(task.labels, own, strict=True))}
        for i, v, own in zip(ids, values, shares, strict=True)
    ]


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
    records = predicted_records(logits, task, ids)
    if labels is not None:
        names = label_texts(labels, task)
        records = [
            {"id": own["id"], "label": name, **own}
            for own, name in zip(records, names, strict=True)
        ]
    write_whole(path, _jsonl(records) if form == "jsonl" else _csv(records, task))


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
    records = [
        {**own, **dict(zip(columns, values, strict=True))}
        for own, *values in zip(
            predicted_records(logits, task, ids), *columns.values(), strict=True
        )
    ]
    write_whole(path, _csv(records, task, tuple(more)))


def label_texts(labels: np.ndarray, task: Task) -> list[str] | list[float]:
    """Return label names, or values in the task's own units, [n]."""
    if task.is_classification:
        return [task.labels[int(label)] for label in labels]
    return [float(label) for label in labels]


def _jsonl(records: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


def _csv(records: list[dict[str, Any]], task: Task, more: Sequence[str] = ()) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    labels = task.labels if task.is_classification else ()
    labelled = bool(records) and "label" in records[0]
    columns = ["id", *["label"] * labelled, "prediction"]
    writer.writerow([*columns, *(f"p({label})" for label in labels), *more])
    for record in records:
        shares = (f"{record['probabilities'][label]:.6f}" for label in labels)
        writer.writerow([*(record[name] for name in columns), *shares, *map(record.get, more)])
    return text.getvalue()
