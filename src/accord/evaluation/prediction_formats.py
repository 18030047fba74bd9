"""The formats of files of predictions, each written a batch of rows at a time."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import chain
from types import SimpleNamespace
from typing import IO, Any, Literal

from accord.evaluation.leaderboard import cs224n_lines
from accord.kinds import labelled_kind
from accord.tasks import Task

Format = Literal["csv", "tsv", "json", "jsonl", "parquet", "cs224n"]
Record = dict[str, Any]
Batches = Iterable[Sequence[Record]]

ENDINGS: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}
"""Which format a file's name asks for; all but Parquet may be followed by `.gz`."""


_ANSWERS = ("label", "prediction")
"""Columns of what a task's kind says."""


def write_records(file: IO[bytes], form: Format, batches: Batches, task: Task) -> None:
    """Write records of predictions.

    Tables (CSV, tab separated, Parquet) have a column `p(LABEL)` for each label; JSON has an
    object of `probabilities`. Several labels of a row are a list, or one text in CSV, and so is
    what is said of each of its candidates: JSON there.

    Args:
        file: open for writing bytes; needs not be seekable.
        form: the format.
        batches: records, all of which have the same keys; taken one batch at a time.
        task: whose predictions they are.

    Raises:
        UsageError: the course has no file for such a task.
        OSError: if the file can't be written.
    """
    _WRITERS[form](file, batches, task)


def _write_delimited(file: IO[bytes], batches: Batches, task: Task, delimiter: str) -> None:
    kind = labelled_kind(task)

    def text(name: str, value: Any) -> str:
        if value is None:
            return ""
        if name in _ANSWERS:
            return kind.cell(task, value)
        return json.dumps(value, ensure_ascii=False) if isinstance(value, list) else str(value)

    for number, batch in enumerate(batches):
        rows = [_flat(record, task, "{:.6f}".format) for record in batch]
        head = [list(rows[0])] if number == 0 else []
        texts = ([text(*item) for item in row.items()] for row in rows)
        file.write(_lines([*head, *texts], delimiter).encode())


def _lines(rows: Iterable[Sequence[str]], delimiter: str) -> str:
    lines: list[str] = []
    # A writer quotes no line ends but those that it writes itself, and an id may hold either.
    writer = csv.writer(SimpleNamespace(write=lines.append), delimiter=delimiter)
    writer.writerows(rows)
    return "".join(line.removesuffix("\r\n") + "\n" for line in lines)


def _write_jsonl(file: IO[bytes], batches: Batches, task: Task) -> None:
    for batch in batches:
        file.write("".join(_json(record) + "\n" for record in batch).encode())


def _write_json(file: IO[bytes], batches: Batches, task: Task) -> None:
    before = "[\n"
    for batch in batches:
        file.write((before + ",\n".join(map(_json, batch))).encode())
        before = ",\n"
    file.write(b"\n]\n")


def _json(record: Record) -> str:
    return json.dumps(record, ensure_ascii=False, allow_nan=False)


def _write_parquet(file: IO[bytes], batches: Batches, task: Task) -> None:
    import pyarrow
    from pyarrow.parquet import ParquetWriter

    asked = labelled_kind(task)
    answer = pyarrow.string() if asked.answer_is_text else pyarrow.float64()
    answer = pyarrow.list_(answer) if asked.answer_is_list else answer

    def kind(name: str) -> pyarrow.DataType:
        lists = {
            "probabilities": pyarrow.float64(), "order": pyarrow.int64(),
            "entities": pyarrow.struct({
                "start": pyarrow.int64(), "end": pyarrow.int64(), "text": pyarrow.string(),
                "label": pyarrow.string(), "probability": pyarrow.float64(),
            }),
        }  # fmt: skip
        if name in lists:
            return pyarrow.list_(lists[name])
        if name == "prediction":
            return answer
        return pyarrow.float64() if name.startswith("p(") else pyarrow.string()

    tables = ([_flat(record, task, float) for record in batch] for batch in batches)
    first = next(tables)
    schema = pyarrow.schema([(name, kind(name)) for name in first[0]])
    with ParquetWriter(file, schema) as writer:
        for rows in chain([first], tables):
            writer.write_table(pyarrow.Table.from_pylist(rows, schema))


def _write_cs224n(file: IO[bytes], batches: Batches, task: Task) -> None:
    for number, batch in enumerate(batches):
        ids, values = zip(*((row["id"], row["prediction"]) for row in batch), strict=True)
        lines = cs224n_lines(task.kind, ids, values)
        file.write("".join(lines[number > 0 :]).encode())


def _flat(record: Record, task: Task, share: Callable[[float], object]) -> Record:
    """Return a record as a table's row, with a column for each label's probability."""
    row: Record = {}
    for name, value in record.items():
        if name == "probabilities" and task.labels:
            row |= {
                f"p({label})": None if value is None else share(value[label])
                for label in labelled_kind(task).probability_names(task)
            }
        else:
            row[name] = value
    return row


_WRITERS: dict[Format, Callable[[IO[bytes], Batches, Task], None]] = {
    "csv": partial(_write_delimited, delimiter=","),
    "tsv": partial(_write_delimited, delimiter="\t"),
    "json": _write_json,
    "jsonl": _write_jsonl,
    "parquet": _write_parquet,
    "cs224n": _write_cs224n,
}
