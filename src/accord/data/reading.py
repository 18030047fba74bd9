"""Opens the files of a split with the readers of their formats, and reads them as one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from accord.data.conll import ConllReader
from accord.data.datafiles import CONLL_SUFFIXES, format_suffix
from accord.data.delimited import DelimitedReader
from accord.data.encodings import text_encoding, unmarked_utf16
from accord.data.files import DataFiles
from accord.data.jsonarray import JsonArrayReader
from accord.data.jsonlines import JsonLinesReader
from accord.data.lines import read_head
from accord.data.parquet import ParquetReader
from accord.data.rows import Note, Row, RowReader, Whole
from accord.errors import DataError

_JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")
_NEEDED = "a text file (CSV, JSON lines) or a Parquet file is needed"
_WORKBOOK = "a spreadsheet, which is not read: save it as CSV and name that file"
_BINARY = {
    b"PK\x03\x04": "a zip archive: unpack it and name the file in it",
    b"\xd0\xcf\x11\xe0": _WORKBOOK,
    b"BZh91AY&SY": "packed by bzip2: unpack it, or pack it by gzip",
    b"\xfd7zXZ": "packed by xz: unpack it, or pack it by gzip",
    b"\x28\xb5\x2f\xfd": "packed by zstd: unpack it, or pack it by gzip",
    b"ARROW1": f"an Arrow file; {_NEEDED} (datasets' to_parquet writes one)",
    b"SQLite format 3": f"a database; {_NEEDED}",
}
_WORKBOOKS = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods", ".numbers")


class FilesReader:
    """Reads a split's files one after the other, each with its format's reader.

    The format is known by a file's first bytes and its name.

    Raises:
        DataError: a file is missing, empty, binary, or has no header.

    Attributes:
        paths: of the files.
        columns: those that all files have, in the order of the first one.
        notes: on a file as a whole; complete once the rows are exhausted.
        metadata: of the schema of a single Parquet file.
    """

    def __init__(self, files: DataFiles) -> None:
        self.paths, self._files = files.paths, files
        self.notes: list[Note] = []
        first, *others = (_open(path, files) for path in files.paths)
        self.columns = tuple(
            name for name in first.columns if all(name in other.columns for other in others)
        )
        self.metadata = {} if others else first.metadata
        self._class_names = [each.class_names for each in (first, *others)]

    def class_names(self, column: str) -> tuple[str, ...]:
        """Return the classes that the files name for a column, in their order; mostly none.

        Raises:
            DataError: two files name other ones.
        """
        names = [name.get(column, ()) for name in self._class_names]
        for path, name in zip(self.paths, names, strict=True):
            if name != names[0]:
                raise DataError(f"{path}: names other classes for '{column}' than {self.paths[0]}")
        return names[0]

    def rows(self, use: Sequence[str], whole: Whole | None = None) -> Iterator[Row]:
        """Yield every row of every file with the values of the columns in `use`, and `whole` with
        all its cells.

        Raises:
            DataError: a file can't be read on, a column is missing or stands in a file twice.
        """
        self.notes = []
        for number, path in enumerate(self.paths):
            reader = _open(path, self._files)
            rows = reader.rows(use, whole)
            yield from rows if not number else (replace(row, file=number) for row in rows)
            self.notes += [note._replace(file=number) for note in reader.notes]


def _open(path: Path, files: DataFiles) -> RowReader:
    head, suffix = read_head(path), format_suffix(path)
    if not head.strip():
        without = {*CONLL_SUFFIXES, *_JSON_SUFFIXES, ".parquet"}
        first = "" if suffix in without else "; its first line names the columns"
        raise DataError(f"{path}: the file is empty{first}")
    if head.startswith(b"PAR1") or suffix == ".parquet":
        return ParquetReader(path, codes=files.codes)
    encoding = _text_encoding(path, head, files.encoding)
    if suffix in CONLL_SUFFIXES:
        return ConllReader(path, encoding)
    opening = head.decode(encoding, errors="replace").lstrip("\ufeff \t\r\n")
    if suffix in _JSON_SUFFIXES and opening.startswith("["):
        return JsonArrayReader(path, encoding)
    if suffix in _JSON_SUFFIXES or opening.startswith('{"'):
        return JsonLinesReader(path, encoding)
    return DelimitedReader(path, files, encoding)


def _text_encoding(path: Path, head: bytes, named: str | None) -> str:
    for magic, what in _BINARY.items():
        if head.startswith(magic):
            workbook = path.suffix.lower() in _WORKBOOKS or b"[Content_Types].xml" in head
            raise DataError(f"{path}: {_WORKBOOK if workbook else what}")
    encoding = text_encoding(head, named)
    if b"\0" in head.splitlines()[0] and encoding.startswith("utf-8"):
        guess = unmarked_utf16(head)
        perhaps = f' (perhaps file_encoding = "{guess}")' if guess else ""
        raise DataError(f"{path}:1: NUL bytes: not UTF-8{perhaps}; {_NEEDED}")
    return encoding
