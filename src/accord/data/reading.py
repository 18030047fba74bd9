"""Opens a data file with the reader of its format: delimited, JSON lines or Parquet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from accord.data.delimited import DelimitedReader, Delimiter, Quoting
from accord.data.jsonlines import JsonLinesReader
from accord.data.parquet import ParquetReader
from accord.data.rows import Row, RowReader
from accord.errors import DataError

__all__ = ["Row", "RowReader", "open_rows", "read_rows"]

_JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")
_BINARY = {
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "a zip archive or spreadsheet",
}


def open_rows(
    path: Path, *, delimiter: Delimiter | None = None, quoting: Quoting = "csv"
) -> RowReader:
    """Return the reader of a file's format, found from its first bytes and its name.

    Args:
        path: the file.
        delimiter: what separates the columns of a delimited file; default: what its header uses.
        quoting: `csv` reads quotes as csv writers make them, `none` as ordinary characters.

    Raises:
        DataError: the file is missing, empty, binary, or has no header.
    """
    start = _first_bytes(path)
    if start.startswith(b"PAR1") or path.suffix.lower() == ".parquet":
        return ParquetReader(path)
    _check_text(path, start)
    opening = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    suffix = path.suffix.lower()
    if suffix in _JSON_SUFFIXES and opening.startswith(b"["):
        raise DataError(f"{path}:1: a JSON array; JSON lines are needed: one object a line")
    if suffix in _JSON_SUFFIXES or opening.startswith(b'{"'):
        return JsonLinesReader(path)
    return DelimitedReader(path, delimiter, quoting)


def read_rows(
    path: Path,
    use: Sequence[str] | None = None,
    *,
    delimiter: Delimiter | None = None,
    quoting: Quoting = "csv",
) -> Iterator[Row]:
    """Yield a file's rows, one at a time, with the values of the columns in `use`.

    Args:
        path: the file.
        use: the columns wanted; default: all that have a name.
        delimiter: as `open_rows`.
        quoting: as `open_rows`.

    Returns:
        The rows in the file's order; one that can't be read carries its fault instead of values.

    Raises:
        DataError: as `open_rows`; a column is missing or stands in the header twice.
    """
    reader = open_rows(path, delimiter=delimiter, quoting=quoting)
    return reader.rows([name for name in reader.columns if name] if use is None else list(use))


def _first_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            start = file.read(4096)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise DataError(f"{path}: a folder, not a data file") from None
    except OSError as error:
        raise DataError(f"{path}: can't be read: {error.strerror}") from None
    if not start.strip():
        raise DataError(f"{path}: the file is empty; its first line names the columns")
    return start


def _check_text(path: Path, start: bytes) -> None:
    for magic, name in _BINARY.items():
        if start.startswith(magic):
            raise DataError(f"{path}: {name}; a text file in UTF-8 or a Parquet file is needed")
    header = start.splitlines()[0]
    if b"\0" in header:
        raise DataError(f"{path}:1: NUL bytes (UTF-16 or binary?); a text file in UTF-8 is needed")
