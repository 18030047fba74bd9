"""Files with a header line whose columns are separated by tabs, commas, semicolons or pipes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import ClassVar

from accord.data.datafiles import format_suffix
from accord.data.delimiters import CHARACTERS, declared_delimiter, find_delimiter, other_delimiter
from accord.data.encodings import not_utf8
from accord.data.files import DataFiles
from accord.data.header import HEADER_CURE, first_doubt
from accord.data.lines import read_lines
from accord.data.records import Record, read_records
from accord.data.rows import Note, Row, Whole, choose_columns, encodable, placed
from accord.data.swallowed import SAMPLE_RECORDS, Rows
from accord.data.textfiles import DelimiterName
from accord.errors import DataError

_SAMPLE_LINES = 100
_QUOTES_CURE = 'right where texts hold line ends; quoting = "none" takes quotes for text'


class DelimitedReader:
    """Reads a delimited file; `columns` are the header's names, stripped of white space."""

    class_names: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    metadata: ClassVar[Mapping[bytes, bytes]] = {}

    def __init__(self, path: Path, files: DataFiles, encoding: str) -> None:
        self._path, self._quoting, self._encoding = path, files.quoting, encoding
        self.notes: list[Note] = []
        first = next(read_lines(path, encoding), "")
        # A carriage return inside a line ends it in files alone that have no other line ends.
        self._newline = "\n" if first.endswith("\n") else ""
        declared = declared_delimiter(first)
        self._above = 0 if declared is None else 1  # lines above the header
        self._delimiter = files.delimiter or self._find_delimiter(declared)
        self.columns = self._header()

    def rows(self, use: Sequence[str], whole: Whole | None = None) -> Iterator[Row]:
        """Yield every row below the header; blank lines are no rows."""
        positions, every = self._choose(use), placed(self.columns)
        rows = blank = 0
        spanning: list[Record] = []
        records = self._records(check=self._quoting is None)
        record = header = next(records)
        for record in records:
            if not record.fields and record.fault is None:
                blank += 1
                continue
            rows += 1
            if len(record.lines) > 1 and len(spanning) < 2:
                spanning.append(record)
            fault = record.fault or self._fault(record)
            if fault is not None:
                yield Row(record.first, None, fault)
                continue
            row = {n: record.fields[i] for n, i in zip(use, positions, strict=True)}
            cells = dict(zip(every, record.fields, strict=True)) if whole else None
            yield Row(record.first, row, cells=cells)
        doubted = first_doubt(self.columns, self._sample_values(use))
        self.notes = [Note(doubted.what, HEADER_CURE)] if doubted else []
        self.notes += self._notes(record.last - header.last, rows, blank, spanning)

    def _notes(
        self, lines: int, rows: int, blank: int, spanning: Sequence[Record]
    ) -> Iterator[Note]:
        if lines > rows:
            why = [f"{blank} of them blank"] if blank else []
            if spanning:
                cut = spanning[0]
                why.append(f"a quote makes lines {cut.first} to {cut.last} one row")
                why += ["and others likewise"] * (len(spanning) > 1)
            count = "1 row" if rows == 1 else f"{rows:,} rows"
            cure = _QUOTES_CURE if spanning else "take them out, or fill them"
            yield Note(f"{lines:,} lines below the header are {count}: {', '.join(why)}", cure)

    def _choose(self, use: Sequence[str]) -> list[int]:
        try:
            return choose_columns(self._path, self.columns, use)
        except DataError as error:
            header = self.columns[0] if len(self.columns) == 1 else ""
            if other := other_delimiter(header, self._delimiter):
                raise DataError(f'{error}; perhaps delimiter = "{other}"') from None
            if doubted := first_doubt(self.columns, self._sample_values(self.columns)):
                raise DataError(f"{error}; {doubted}") from None
            raise

    def _find_delimiter(self, declared: str | None) -> DelimiterName:
        if declared is not None:
            for name, character in CHARACTERS.items():
                if character == declared:
                    return name
            raise DataError(
                f"{self._path}:1: names '{declared}' as what separates columns; allowed:"
                f" {', '.join(CHARACTERS)}"
            )
        lines = list(islice(self._lines(), _SAMPLE_LINES + 1))
        named_csv = format_suffix(self._path) == ".csv"
        try:
            return find_delimiter(lines, quotes=self._quoting != "none", csv_name=named_csv)
        except ValueError as error:
            raise DataError(f"{self._path}:1: {error}") from None

    def _header(self) -> tuple[str, ...]:
        where = f"{self._path}:{self._above + 1}"
        record = next(self._records(), Record([], 1, []))
        names = record.fields
        if record.fault is not None:
            raise DataError(f"{where}: the header line can't be read: {record.fault}")
        if "\0" in "".join(names):
            raise DataError(f"{where}: NUL bytes: a text file in UTF-8 is needed")
        for name in names:
            if not encodable(name):
                raise DataError(f"{where}: the header line is {self._not_valid(name)}")
        if not any(name.strip() for name in names):
            raise DataError(f"{where}: no header line: the first line names the columns")
        return tuple(name.strip() for name in names)

    def _lines(self) -> Iterator[str]:
        lines = read_lines(self._path, self._encoding, self._newline)
        for _ in range(self._above):
            next(lines)
        return lines

    def _records(self, *, check: bool = False) -> Iterator[Record]:
        """Yield every record, the header's too; `check` refuses rows that swallowed others."""
        return read_records(
            self._lines(),
            self._delimiter,
            quotes=self._quoting != "none",
            above=self._above,
            swallowed=self._swallowed if check else None,
        )

    def _swallowed(self, lines: Sequence[str]) -> bool:
        return self._row_lines.swallowed(lines)

    @cached_property
    def _row_lines(self) -> Rows:
        return Rows(self._sample(), len(self.columns), self._delimiter)

    def _sample(self) -> Iterator[Sequence[str]]:
        """Yield the fields of the first rows that have as many as the header."""
        for record in islice(self._records(), 1, SAMPLE_RECORDS + 1):
            if len(record.fields) == len(self.columns):
                yield record.fields

    def _sample_values(self, use: Sequence[str]) -> dict[str, Sequence[str]]:
        """Return what columns hold in the first rows, except those that repeat the header."""
        rows = (row for row in self._sample() if [*map(str.strip, row)] != [*self.columns])
        columns = zip(*rows, strict=True)
        named = dict(zip(self.columns, columns, strict=False))
        return {name: named.get(name, ()) for name in use}

    def _fault(self, record: Record) -> str | None:
        fields = record.fields
        if len(fields) != len(self.columns):
            first, last = record.first, record.last
            span = f" (a quote makes lines {first} to {last} one row)" if last > first else ""
            count = "1 column" if len(fields) == 1 else f"{len(fields)} columns"
            return f"{count} where the header has {len(self.columns)}{span}"
        joined = "".join(fields)
        if "\0" in joined:
            return "holds a NUL byte"
        return None if encodable(joined) else self._not_valid(joined)

    def _not_valid(self, text: str) -> str:
        utf8 = self._encoding.startswith("utf-8")
        return not_utf8(text) if utf8 else f"not valid {self._encoding}"
