"""Parquet files, read by batches of rows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from accord.data.rows import Column, Note, Row, Whole, choose_columns, placed
from accord.data.values import list_text, row_cells, value_text
from accord.errors import DataError

_BATCH_ROWS = 2_000
_BATCH_BYTES = 2**25
_FLOATS = {16: np.float16, 32: np.float32, 64: np.float64}


class ParquetReader:
    """Reads a Parquet file; `columns` are its schema's top-level names.

    Args:
        path: the file.
        codes: whether classes that have names in its metadata are read as numbers all the same.
    """

    def __init__(self, path: Path, *, codes: bool = False) -> None:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile

        self._path = path
        try:
            self._file = ParquetFile(path)
        except (ArrowException, OSError) as error:
            raise DataError(f"{path}: not a readable Parquet file: {_first_line(error)}") from None
        self.columns = tuple(self._file.schema_arrow.names)
        self.notes: list[Note] = []
        self.metadata = self._file.schema_arrow.metadata or {}
        self.class_names = {} if codes else _class_names(self.metadata.get(b"huggingface", b""))

    @property
    def _batch_rows(self) -> int:
        """How many rows of the whole file make a batch: those with images are large."""
        metadata = self._file.metadata
        groups = (metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
        rows: int = _BATCH_BYTES * metadata.num_rows // (sum(groups) or 1)
        return max(1, min(_BATCH_ROWS, rows))

    def rows(self, use: Sequence[str], whole: Whole | None = None) -> Iterator[Row]:
        """Yield every row, numbered from 1."""
        from pyarrow import ArrowException

        choose_columns(self._path, self.columns, use)
        number = 0
        try:
            columns = None if whole else list(use)
            for batch in self._file.iter_batches(batch_size=self._batch_rows, columns=columns):
                every = placed(batch.schema.names)
                for index in range(batch.num_rows):
                    number += 1
                    scalars = {name: batch.column(i)[index] for i, name in enumerate(every)}
                    row = _row(number, {name: scalars[name, 0] for name in use}, self.class_names)
                    yield _with_cells(row, scalars, self.class_names, whole) if whole else row
        except (ArrowException, OSError) as error:
            where = f"{self._path}:{number + 1}"
            raise DataError(f"{where}: can't be read on: {_first_line(error)}") from None


def _row(
    number: int, scalars: dict[str, Any], class_names: Mapping[str, tuple[str, ...]]
) -> Row:  # fmt: skip
    try:
        values, lists = row_cells({name: _value(name, scalar) for name, scalar in scalars.items()})
        for name in values.keys() & class_names.keys():
            if name in lists:
                lists[name] = [_class_name(name, each, class_names[name]) for each in lists[name]]
                values[name] = list_text(lists[name])
            else:
                values[name] = _class_name(name, values[name], class_names[name])
    except ValueError as error:
        return Row(number, None, str(error))
    return Row(number, values, lists=lists)


def _with_cells(
    row: Row, scalars: Mapping[Column, Any], names: Mapping[str, tuple[str, ...]], whole: Whole
) -> Row:
    """Return a row with all its cells; `names` are those of coded classes, by column."""
    if whole == "arrow":
        return replace(row, cells=scalars)
    try:
        cells = {column: _value(column[0], scalar) for column, scalar in scalars.items()}
        for column in cells.keys() & {(name, 0) for name in names}:
            cells[column] = _named(column[0], cells[column], names[column[0]])
    except ValueError as error:
        return Row(row.line, None, str(error))
    return replace(row, cells=cells)


def _named(column: str, value: Any, names: Sequence[str]) -> Any:
    """Return the name of a coded class, or the names of a list of them; a null and -1 as it is."""
    if isinstance(value, list):
        return [_named(column, each, names) for each in value]
    return value if value in (None, -1) else _class_name(column, value_text(value, column), names)


def _class_names(metadata: bytes) -> dict[str, tuple[str, ...]]:
    """Return the names of coded classes, or those of lists, by column, as `datasets` writes them
    beside a schema."""
    try:
        features = json.loads(metadata)["info"]["features"]
        return {
            name: tuple(feature["names"])
            for name, feature in zip(features, map(_of_lists, features.values()), strict=True)
            if isinstance(feature, dict)
            and feature.get("_type") == "ClassLabel"
            and isinstance(feature.get("names"), list)
            and all(isinstance(each, str) for each in feature["names"])
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}  # metadata of others, or none


def _of_lists(feature: Any) -> Any:
    """Return what the lists of a feature hold; one of no lists as it is."""
    if isinstance(feature, list) and len(feature) == 1:
        return feature[0]
    return feature.get("feature", feature) if isinstance(feature, dict) else feature


def _class_name(column: str, code: Any, names: Sequence[str]) -> Any:
    """Return a class's name; a null, and the -1 of a hidden label, stay as they are."""
    if code in ("", "-1", None):
        return code
    try:
        number = int(code)
    except (ValueError, TypeError):
        return code  # not coded in this file, whatever its metadata say
    if not 0 <= number < len(names):
        raise ValueError(f"'{column}' holds {code}, but the file names {len(names)} classes")
    return names[number]


def _value(name: str, scalar: Any) -> Any:
    try:
        value = scalar.as_py()
    except (OverflowError, ValueError) as error:  # a time that Python's own can't hold
        raise ValueError(f"'{name}' can't be read: {_first_line(error)}") from None
    return _as_wide(value, scalar.type)


def _as_wide(value: Any, kind: Any) -> Any:
    """Return floats, in lists too, as wide as the file has them."""
    if isinstance(value, float):
        return _FLOATS[getattr(kind, "value_type", kind).bit_width](value)
    if isinstance(value, list) and hasattr(kind, "value_type"):
        return [_as_wide(each, kind.value_type) for each in value]
    return value


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
