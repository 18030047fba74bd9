"""Parquet files, read by batches of rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from accord.data.rows import Row, choose_columns
from accord.data.values import value_text
from accord.errors import DataError

_BATCH_ROWS = 2_000
_FLOATS = {16: np.float16, 32: np.float32, 64: np.float64}


class ParquetReader:
    """Reads a Parquet file; `columns` are its schema's top-level names."""

    def __init__(self, path: Path) -> None:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile

        self._path = path
        try:
            self._file = ParquetFile(path)
        except (ArrowException, OSError) as error:
            raise DataError(f"{path}: not a readable Parquet file: {_first_line(error)}") from None
        self.columns = tuple(self._file.schema_arrow.names)

    def rows(self, use: Sequence[str]) -> Iterator[Row]:
        """Yield every row, numbered from 1."""
        from pyarrow import ArrowException

        choose_columns(self._path, self.columns, use)
        number = 0
        try:
            for batch in self._file.iter_batches(batch_size=_BATCH_ROWS, columns=list(use)):
                for index in range(batch.num_rows):
                    number += 1
                    yield _row(number, {name: batch.column(name)[index] for name in use})
        except (ArrowException, OSError) as error:
            where = f"{self._path}:{number + 1}"
            raise DataError(f"{where}: can't be read on: {_first_line(error)}") from None


def _row(number: int, scalars: dict[str, Any]) -> Row:
    try:
        return Row(number, {name: _text(name, scalar) for name, scalar in scalars.items()})
    except ValueError as error:
        return Row(number, None, str(error))


def _text(name: str, scalar: Any) -> str:
    try:
        value = scalar.as_py()
    except (OverflowError, ValueError) as error:  # a time that Python's own can't hold
        raise ValueError(f"'{name}' can't be read: {_first_line(error)}") from None
    if isinstance(value, float):
        width = getattr(scalar.type, "value_type", scalar.type).bit_width
        value = _FLOATS[width](value)
    return value_text(value, name)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
