"""Rows in memory, as the bytes of a data file: mappings as JSON lines, frames as Parquet.

So that they are read as files are: by the same readers, with the same faults, cached by content.
The libraries that frames are of are imported nowhere here; pyarrow is what makes Parquet of them.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from accord.data.rows import encodable
from accord.data.values import list_cell, list_text
from accord.errors import DataError

if TYPE_CHECKING:
    from pyarrow import Table


class ArrowStream(Protocol):
    """What has Arrow's C stream: a frame of pandas or polars, a table of pyarrow or DuckDB."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Return the stream."""


class Formatted(Protocol):
    """What `datasets.Dataset` has of use here."""

    @property
    def features(self) -> Any:
        """Its columns and their types; of coded classes their names."""

    def with_format(self, type: str) -> Any:  # noqa: A002 - its own name
        """Return it with rows in another form."""


Rows = Sequence[Mapping[str, Any]] | ArrowStream | Formatted

TAKES = (
    "takes rows (a list of mappings, a frame of pandas or polars, a pyarrow Table, a Dataset of"
    " datasets, or what else has Arrow's C stream) or names of files"
)
_MARK = b"\xef\xbb\xbf"  # beats the file_encoding of a task that has files too
_NAME_DIGITS = 32
_as_it_is = json.JSONEncoder(ensure_ascii=False).encode


@dataclass(frozen=True)
class RowsFile:
    """Rows as a file.

    Attributes:
        suffix: by which its format is known.
        content: its bytes; the same for the same rows.
    """

    suffix: str
    content: bytes

    @property
    def name(self) -> str:
        """Its name, which tells its content."""
        return hashlib.sha256(self.content).hexdigest()[:_NAME_DIGITS] + self.suffix


def is_rows(value: object) -> bool:
    """Return whether a value is rows, or wrongly meant as such, rather than files' names.

    Example:
        >>> is_rows([{"text": "a"}]), is_rows("a.csv"), is_rows(["a.csv", "b.csv"]), is_rows(None)
        (True, False, False, False)
    """
    if value is None or isinstance(value, str | bytes | int | float | PathLike):
        return False
    if isinstance(value, list | tuple) and value:
        return not all(isinstance(each, str | PathLike) for each in value)
    return True


def has_columns(values: object) -> bool:
    """Return whether values are rows with named columns, rather than a column of texts.

    Example:
        >>> has_columns([{"text": "a"}]), has_columns(["a"]), has_columns([("a", "b")])
        (True, False, False)
    """
    if isinstance(values, list | tuple):
        return bool(values) and isinstance(values[0], Mapping)
    return isinstance(values, Mapping) or _is_dataset(values) or (
        any(hasattr(values, name) for name in ("__arrow_c_stream__", "__arrow_c_array__", "iloc"))
        and any(hasattr(values, name) for name in ("columns", "schema"))
    )  # fmt: skip


def rows_file(rows: Rows, key: str) -> RowsFile:
    """Return rows as a file.

    Args:
        rows: mappings, or a frame.
        key: names them in messages.

    Raises:
        DataError: they are none, or there are none; a row or a column can't be used.
    """
    table = _table(rows, key)
    content = _mappings(rows, key) if table is None else _parquet(table, key)
    return RowsFile(".jsonl" if table is None else ".parquet", content)


def _table(rows: Any, key: str) -> Table | None:
    """Return a frame as Arrow has it; None of what is rows one by one."""
    if _is_dataset(rows):
        metadata = rows.features.arrow_schema.metadata  # with the names of classes
        table: Table = rows.with_format("arrow")[:]  # in the order of its indices
        return table.replace_schema_metadata(metadata)
    if _is_pandas(rows):
        return _of_pandas(rows, key)
    if hasattr(rows, "__arrow_c_stream__") or hasattr(rows, "__arrow_c_array__"):
        from pyarrow import ArrowException
        from pyarrow import table as arrow_table

        try:
            table = arrow_table(rows)
        except (ArrowException, TypeError, ValueError):
            raise DataError(f"{key}: {_article(rows)} is one column, not rows; {TAKES}") from None
        names = (table.schema.metadata or {}).keys() & {b"huggingface"}
        return table.replace_schema_metadata({name: table.schema.metadata[name] for name in names})
    return None


def _is_dataset(rows: object) -> bool:
    return all(hasattr(rows, name) for name in ("features", "with_format", "__len__"))


def _is_pandas(rows: object) -> bool:
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(rows, pandas.DataFrame)


def _of_pandas(frame: Any, key: str) -> Table | None:
    """Return a frame of pandas as Arrow's, without its index; None if its columns hold values of
    several types, so that it has to be read row by row."""
    from pyarrow import ArrowException, Table

    if frame.columns.nlevels > 1:
        raise DataError(f"{key}: columns have names of {frame.columns.nlevels} levels; takes one")
    for name in frame.columns:
        if not isinstance(name, str):
            raise DataError(f"{key}: a column's name should be a text, got {name!r}")
    _check_columns(list(frame.columns), key)
    try:
        table = Table.from_pandas(frame, preserve_index=False)
    except (ArrowException, TypeError, ValueError, OverflowError):
        return None
    return table.replace_schema_metadata(None)  # it names pandas' version


def _check_columns(names: Sequence[str], key: str) -> None:
    for name in names:
        if names.count(name) > 1:
            raise DataError(f"{key}: two columns are named '{name}'")


def _parquet(table: Table, key: str) -> bytes:
    from pyarrow import ArrowException, BufferOutputStream
    from pyarrow.parquet import write_table

    _check_columns(table.column_names, key)
    if table.num_rows == 0:
        raise DataError(f"{key}: has no rows")
    sink = BufferOutputStream()
    try:
        write_table(table.combine_chunks(), sink)
    except (ArrowException, TypeError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise DataError(f"{key}: can't be used as a Parquet file: {reason}") from None
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _mappings(rows: Any, key: str) -> bytes:
    lines = [_line(row, f"row {number} of {key}") for number, row in enumerate(_each(rows, key))]
    if not lines:
        raise DataError(f"{key}: has no rows")
    return _MARK + "".join(lines).encode()


def _each(rows: Any, key: str) -> Iterator[object]:
    """Yield rows one by one.

    Raises:
        DataError: what was given is not rows.
    """
    if _is_pandas(rows):
        return iter(rows.to_dict("records"))
    if isinstance(rows, Mapping):
        raise DataError(f"{key}: {_of_mapping(rows)}; {TAKES}")
    if not hasattr(rows, "__len__"):
        what = _article(rows)
        if hasattr(rows, "collect"):
            raise DataError(f"{key}: {what} holds no rows yet: collect() makes a frame of it")
        if hasattr(rows, "__iter__"):
            raise DataError(f"{key}: {what} can't be read twice: list(...) makes rows of it")
    if not (hasattr(rows, "__len__") and hasattr(rows, "__getitem__")):
        raise DataError(f"{key}: {TAKES}, got {_article(rows)}")
    return (rows[number] for number in range(len(rows)))


def _of_mapping(rows: Mapping[Any, Any]) -> str:
    """Say what a mapping is in place of rows."""
    what = _article(rows)
    splits = [name for name, value in rows.items() if _is_frame(value)]
    if splits:
        name = "train" if "train" in splits else splits[0]
        return f'{what} holds several splits: name one of them, as dataset["{name}"]'
    return f"{what} is one mapping; of columns pandas.DataFrame(...) makes rows"


def _is_frame(value: object) -> bool:
    return _is_dataset(value) or _is_pandas(value) or hasattr(value, "__arrow_c_stream__")


def _line(row: object, where: str) -> str:
    """Return a row as a JSON object on a line.

    Raises:
        DataError: it is no mapping, or holds what no file can.
    """
    if not isinstance(row, Mapping):
        raise DataError(f"{where}: takes a mapping of column names to values, got {row!r:.60}")
    for name in row:
        if not isinstance(name, str) or not encodable(name):
            raise DataError(f"{where}: a column's name should be a text, got {name!r:.60}")
    try:
        cells = (f"{_as_it_is(name)}: {_cell(value, name)}" for name, value in row.items())
        return f"{{{', '.join(cells)}}}\n"
    except ValueError as error:
        raise DataError(f"{where}: {error}") from None


def _cell(value: Any, name: str) -> str:
    """Return a value as JSON. Texts and numbers that no row may have are for the reader to judge.

    Raises:
        ValueError: it is nothing that files have.
    """
    if isinstance(value, str):
        return (_as_it_is if encodable(value) else json.dumps)(str(value))
    if value is None:
        return "null"
    if type(value) is int:  # quicker by far
        return str(value)
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return json.dumps(value)
    return list_text(list_cell([_plain(value)], name))[1:-1]


def _plain(value: Any) -> Any:
    """Return a value, and what is in it, without NumPy's types; floats keep their width."""
    if isinstance(value, np.ndarray | list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, np.datetime64):
        return None if np.isnat(value) else str(value)
    if isinstance(value, np.generic) and not isinstance(value, np.floating):
        return value.item()
    return None if type(value).__name__ in ("NAType", "NaTType") else value


def _article(value: object) -> str:
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"
