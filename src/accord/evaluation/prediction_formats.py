"""The formats of files of answers, each written a batch of rows at a time."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from types import SimpleNamespace
from typing import IO, TYPE_CHECKING, Any, Literal

from accord.data.labels import is_number
from accord.data.rows import Column
from accord.data.values import list_text

if TYPE_CHECKING:
    from pyarrow import DataType

Format = Literal["csv", "tsv", "json", "jsonl", "parquet", "cs224n"]
Record = Mapping[Column, Any]
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

_FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


class Share(float):
    """A probability: in a table of texts it has six decimals."""

    __slots__ = ()

    def __str__(self) -> str:
        return f"{float(self):.6f}"


@dataclass(frozen=True)
class Table:
    """What is written of rows that come in batches.

    Attributes:
        columns: in their order.
        types: of each, for Parquet.
        metadata: of the schema, likewise.
        safe_cells: put an apostrophe before a text that a spreadsheet would execute.
    """

    columns: Sequence[Column]
    types: Mapping[Column, DataType] = field(default_factory=dict)
    metadata: Mapping[bytes, bytes] = field(default_factory=dict)
    safe_cells: bool = False


def write_table(file: IO[bytes], form: Format, table: Table, batches: Batches) -> None:
    """Write rows.

    A cell is a text, a `Scalar`, a number, a boolean, None, or a list or object of these: JSON in a
    table of texts. A row may lack columns: they are empty, or no keys of a JSON object.

    Args:
        file: open for writing bytes; needs not be seekable.
        form: the format; not the course's, which has no columns of the input.
        table: what columns there are.
        batches: rows by column, taken one batch at a time.

    Raises:
        OSError: if the file can't be written.
    """
    _WRITERS[form](file, table, batches)


def delimited_lines(rows: Iterable[Sequence[str]], delimiter: str) -> str:
    """Return the lines of a table of texts."""
    lines: list[str] = []
    # A writer quotes no line ends but those that it writes itself, and a cell may hold either.
    writer = csv.writer(SimpleNamespace(write=lines.append), delimiter=delimiter)
    writer.writerows(rows)
    return "".join(line.removesuffix("\r\n") + "\n" for line in lines)


def _delimited(delimiter: str) -> Callable[[IO[bytes], Table, Batches], None]:
    def write(file: IO[bytes], table: Table, batches: Batches) -> None:
        head = [[_text(name, table.safe_cells) for name, _ in table.columns]]
        for batch in chain([head], ([*_texts(table, batch)] for batch in batches)):
            file.write(delimited_lines(batch, delimiter).encode())

    return write


def _texts(table: Table, batch: Sequence[Record]) -> Iterable[list[str]]:
    for row in batch:
        yield [_text(row.get(column), table.safe_cells) for column in table.columns]


def _text(value: Any, safe: bool) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        return str(value) if isinstance(value, float) else list_text(value)
    if safe and value.startswith(_FORMULAS) and not is_number(value):
        return f"'{value}"
    return value


def _write_jsonl(file: IO[bytes], table: Table, batches: Batches) -> None:
    for batch in batches:
        file.write("".join(_json(row, table) + "\n" for row in batch).encode())


def _write_json(file: IO[bytes], table: Table, batches: Batches) -> None:
    before = "[\n"
    for batch in batches:
        file.write((before + ",\n".join(_json(row, table) for row in batch)).encode())
        before = ",\n"
    file.write(b"\n]\n")


def _json(row: Record, table: Table) -> str:
    return list_text({column[0]: row[column] for column in table.columns if column in row})


def _write_parquet(file: IO[bytes], table: Table, batches: Batches) -> None:
    import pyarrow  # 25 MiB, which a service does without
    from pyarrow.parquet import ParquetWriter

    from accord.evaluation.carried import as_arrow

    fields = [(column[0], table.types[column]) for column in table.columns]
    schema = pyarrow.schema(fields, metadata=dict(table.metadata))
    with ParquetWriter(file, schema) as writer:
        for batch in batches:
            arrays = [
                as_arrow((row.get(column) for row in batch), table.types[column])
                for column in table.columns
            ]
            writer.write_table(pyarrow.Table.from_arrays(arrays, schema=schema))


_WRITERS: dict[Format, Callable[[IO[bytes], Table, Batches], None]] = {
    "csv": _delimited(","),
    "tsv": _delimited("\t"),
    "json": _write_json,
    "jsonl": _write_jsonl,
    "parquet": _write_parquet,
}
