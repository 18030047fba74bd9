"""Tab or comma separated files with a header line, read row by row."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TextIO

from accord.data.rows import Row, choose_columns, encodable
from accord.errors import DataError

if TYPE_CHECKING:
    from _csv import Reader

Delimiter = Literal["tab", "comma"]
Quoting = Literal["csv", "none"]

FIELD_CHARACTERS = 2**24
"""A field longer than this is taken for a quote that was never closed."""

_CHARACTERS: dict[Delimiter, str] = {"tab": "\t", "comma": ","}


class DelimitedReader:
    """Reads a delimited file; `columns` are the header's names, stripped of white space."""

    def __init__(self, path: Path, delimiter: Delimiter | None, quoting: Quoting) -> None:
        self._path = path
        self._quoting = quoting
        with _open(path) as file:
            self._delimiter = delimiter or _find_delimiter(file.readline(), path)
        self.columns = self._header()

    def rows(self, use: Sequence[str]) -> Iterator[Row]:
        """Yield every row below the header; blank lines are no rows."""
        positions = choose_columns(self._path, self.columns, use)
        with _open(self._path) as file:
            records = self._records(_Lines(file))
            next(records)
            for line, last, fields, unread in records:
                if not fields and unread is None:
                    continue  # a blank line
                fault = unread or self._fault(fields, line, last)
                if fault is not None:
                    yield Row(line, None, fault)
                else:
                    yield Row(line, {n: fields[i] for n, i in zip(use, positions, strict=True)})

    def _header(self) -> tuple[str, ...]:
        with _open(self._path) as file:
            _, _, names, fault = next(self._records(_Lines(file)), (1, 1, [], None))
        if fault is not None:
            raise DataError(f"{self._path}:1: the header line can't be read: {fault}")
        if "\0" in "".join(names):
            raise DataError(f"{self._path}:1: NUL bytes: a text file in UTF-8 is needed")
        if not all(map(encodable, names)):
            raise DataError(f"{self._path}:1: the header line is not UTF-8")
        if not any(name.strip() for name in names):
            raise DataError(f"{self._path}:1: no header line: the first line names the columns")
        return tuple(name.strip() for name in names)

    def _records(self, lines: _Lines) -> Iterator[tuple[int, int, list[str], str | None]]:
        """Yield (first line, last line, fields, fault) of every record, the header's too."""
        reader = self._parser(lines)
        while True:
            lines.begin()
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                first = lines.first
                # A stray quote may have swallowed good rows: only its own line is lost.
                lines.again_after_first()
                reader = self._parser(lines)
                yield first, first, [], _quote_fault(error)
            else:
                yield lines.first, lines.last, fields, None

    def _parser(self, lines: _Lines) -> Reader:
        csv.field_size_limit(max(csv.field_size_limit(), FIELD_CHARACTERS))
        return csv.reader(
            lines,
            delimiter=_CHARACTERS[self._delimiter],
            quoting=csv.QUOTE_MINIMAL if self._quoting == "csv" else csv.QUOTE_NONE,
            strict=True,
        )

    def _fault(self, fields: list[str], line: int, last: int) -> str | None:
        if len(fields) != len(self.columns):
            span = f" (a quote makes lines {line} to {last} one row)" if last > line else ""
            count = "1 column" if len(fields) == 1 else f"{len(fields)} columns"
            return f"{count} where the header has {len(self.columns)}{span}"
        joined = "".join(fields)
        if "\0" in joined:
            return "holds a NUL byte"
        return None if encodable(joined) else "not valid UTF-8"


class _Lines:
    """The lines of a file, with their numbers, that can go back to after a record's first line."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._ahead: list[str] = []  # lines to be read again, in reverse
        self._record: list[str] = []
        self.last = 0

    @property
    def first(self) -> int:
        return self.last - len(self._record) + 1

    def begin(self) -> None:
        self._record.clear()

    def again_after_first(self) -> None:
        again = self._record[1:]
        self._ahead.extend(reversed(again))
        self.last -= len(again)
        del self._record[1:]

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._ahead.pop() if self._ahead else next(self._file)
        self._record.append(line)
        self.last += 1
        return line


def _open(path: Path) -> TextIO:
    # Bytes that are no UTF-8 come out as lone surrogates, so that a row can be faulted for them.
    return path.open(encoding="utf-8-sig", errors="surrogateescape", newline="")


def _find_delimiter(header: str, path: Path) -> Delimiter:
    if "\t" in header:
        return "tab"
    # One column alone: only a file that calls itself csv quotes its commas.
    return "comma" if "," in header or path.suffix.lower() == ".csv" else "tab"


def _quote_fault(error: csv.Error) -> str:
    text = str(error)
    if "field larger" in text:
        return f"a field of more than {FIELD_CHARACTERS:,} characters (a quote left open?)"
    if "end of data" in text:
        return 'a quote is never closed (quoting = "none" reads quotes as text)'
    if "expected after" in text:
        return 'text after a closing quote (quoting = "none" reads quotes as text)'
    return text
